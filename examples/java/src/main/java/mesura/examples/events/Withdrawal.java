package mesura.examples.events;

import com.fasterxml.jackson.annotation.*;

/**
 * An approval that has not been sent must not be sent any more.
 */
public class Withdrawal {
    private String channel;
    private String customerID;
    private long decidedAt;
    private String decisionID;
    private WithdrawalPolicy policy;
    private String reason;
    private WithdrawalType type;
    private long validUntil;

    /**
     * A name the policy or the sender declares.
     */
    @JsonProperty("channel")
    public String getChannel() { return channel; }
    @JsonProperty("channel")
    public void setChannel(String value) { this.channel = value; }

    /**
     * An id of the sender's own making.
     */
    @JsonProperty("customer_id")
    public String getCustomerID() { return customerID; }
    @JsonProperty("customer_id")
    public void setCustomerID(String value) { this.customerID = value; }

    /**
     * Epoch milliseconds.
     */
    @JsonProperty("decided_at")
    public long getDecidedAt() { return decidedAt; }
    @JsonProperty("decided_at")
    public void setDecidedAt(long value) { this.decidedAt = value; }

    /**
     * Of the approval. 24 hexadecimal digits, derived from `customer_id` and `intent_id`.
     */
    @JsonProperty("decision_id")
    public String getDecisionID() { return decisionID; }
    @JsonProperty("decision_id")
    public void setDecisionID(String value) { this.decisionID = value; }

    /**
     * The policy the decision was taken under. Its text, rule table and calendars stand on
     * `mesura-control` under this hash.
     */
    @JsonProperty("policy")
    public WithdrawalPolicy getPolicy() { return policy; }
    @JsonProperty("policy")
    public void setPolicy(WithdrawalPolicy value) { this.policy = value; }

    /**
     * Known: `not_understood`, `consent_withdrawn`, `erased`, `objection`, `opt_out`, `paused`,
     * `restricted`; more may come.
     */
    @JsonProperty("reason")
    public String getReason() { return reason; }
    @JsonProperty("reason")
    public void setReason(String value) { this.reason = value; }

    @JsonProperty("type")
    public WithdrawalType getType() { return type; }
    @JsonProperty("type")
    public void setType(WithdrawalType value) { this.type = value; }

    /**
     * The same as `decided_at`: the approval has ended. Epoch milliseconds.
     */
    @JsonProperty("valid_until")
    public long getValidUntil() { return validUntil; }
    @JsonProperty("valid_until")
    public void setValidUntil(long value) { this.validUntil = value; }
}
