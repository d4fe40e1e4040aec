package mesura.examples.events;

import com.fasterxml.jackson.annotation.*;

/**
 * What became of an approved send, as the gateway reports it; replies of customers among
 * them. Unknown fields are ignored and counted.
 */
public class Outcome {
    private String channel;
    private String customerID;
    private String decisionID;
    private String detail;
    private long occurredAt;
    private OutcomeType type;

    /**
     * Required for an unsolicited `reply`. A name the policy or the sender declares.
     */
    @JsonProperty("channel")
    public String getChannel() { return channel; }
    @JsonProperty("channel")
    public void setChannel(String value) { this.channel = value; }

    /**
     * The record's key. An id of the sender's own making.
     */
    @JsonProperty("customer_id")
    public String getCustomerID() { return customerID; }
    @JsonProperty("customer_id")
    public void setCustomerID(String value) { this.customerID = value; }

    /**
     * Of the approval it is an outcome of. Required, but for an unsolicited `reply`.
     */
    @JsonProperty("decision_id")
    public String getDecisionID() { return decisionID; }
    @JsonProperty("decision_id")
    public void setDecisionID(String value) { this.decisionID = value; }

    /**
     * A code, never text. `stop`, `stopall`, `unsubscribe`, `optout` in an outcome of any type,
     * and `quit`, `end`, `revoke`, `cancel` in a `reply`, are an opt-out of that channel, in
     * any case, without regard to blanks, hyphens and underscores. A name the policy or the
     * sender declares.
     */
    @JsonProperty("detail")
    public String getDetail() { return detail; }
    @JsonProperty("detail")
    public void setDetail(String value) { this.detail = value; }

    /**
     * When it happened. Before 2000, or more than five minutes before the decision, it is not
     * believed. Epoch milliseconds as a whole number.
     */
    @JsonProperty("occurred_at")
    public long getOccurredAt() { return occurredAt; }
    @JsonProperty("occurred_at")
    public void setOccurredAt(long value) { this.occurredAt = value; }

    @JsonProperty("type")
    public OutcomeType getType() { return type; }
    @JsonProperty("type")
    public void setType(OutcomeType value) { this.type = value; }
}
