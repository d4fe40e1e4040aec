package mesura.examples.events;

import java.io.IOException;
import com.fasterxml.jackson.annotation.*;

public enum ApprovalType {
    APPROVED;

    @JsonValue
    public String toValue() {
        switch (this) {
            case APPROVED: return "approved";
        }
        return null;
    }

    @JsonCreator
    public static ApprovalType forValue(String value) throws IOException {
        if (value.equals("approved")) return APPROVED;
        throw new IOException("Cannot deserialize ApprovalType");
    }
}
