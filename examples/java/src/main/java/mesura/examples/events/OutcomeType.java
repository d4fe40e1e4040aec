package mesura.examples.events;

import java.io.IOException;
import com.fasterxml.jackson.annotation.*;

public enum OutcomeType {
    ANSWERED, BOUNCED, CLICKED, COMPLAINT, CONVERSATION, DELIVERED, EXPIRED, FAILED, NO_ANSWER, READ, REFUSAL, REPLY, SENT;

    @JsonValue
    public String toValue() {
        switch (this) {
            case ANSWERED: return "answered";
            case BOUNCED: return "bounced";
            case CLICKED: return "clicked";
            case COMPLAINT: return "complaint";
            case CONVERSATION: return "conversation";
            case DELIVERED: return "delivered";
            case EXPIRED: return "expired";
            case FAILED: return "failed";
            case NO_ANSWER: return "no_answer";
            case READ: return "read";
            case REFUSAL: return "refusal";
            case REPLY: return "reply";
            case SENT: return "sent";
        }
        return null;
    }

    @JsonCreator
    public static OutcomeType forValue(String value) throws IOException {
        if (value.equals("answered")) return ANSWERED;
        if (value.equals("bounced")) return BOUNCED;
        if (value.equals("clicked")) return CLICKED;
        if (value.equals("complaint")) return COMPLAINT;
        if (value.equals("conversation")) return CONVERSATION;
        if (value.equals("delivered")) return DELIVERED;
        if (value.equals("expired")) return EXPIRED;
        if (value.equals("failed")) return FAILED;
        if (value.equals("no_answer")) return NO_ANSWER;
        if (value.equals("read")) return READ;
        if (value.equals("refusal")) return REFUSAL;
        if (value.equals("reply")) return REPLY;
        if (value.equals("sent")) return SENT;
        throw new IOException("Cannot deserialize OutcomeType");
    }
}
