package mesura.examples.events;

import com.fasterxml.jackson.annotation.*;
import java.util.List;
import java.util.Map;

/**
 * The message may be sent, until `valid_until` and no later.
 */
public class Approval {
    private Map<String, Object> attributes;
    private String channel;
    private String customerID;
    private long decidedAt;
    private String decisionID;
    private Explanation explanation;
    private String intentID;
    private List<String> obligations;
    private ApprovalPolicy policy;
    private Map<String, Long> remaining;
    private ApprovalType type;
    private long validUntil;

    /**
     * The intent's `attributes`. Absent if it had none. Whole numbers beyond 2^53 are other
     * numbers to a reader that knows doubles only.
     */
    @JsonProperty("attributes")
    public Map<String, Object> getAttributes() { return attributes; }
    @JsonProperty("attributes")
    public void setAttributes(Map<String, Object> value) { this.attributes = value; }

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
     * 24 hexadecimal digits, derived from `customer_id` and `intent_id`.
     */
    @JsonProperty("decision_id")
    public String getDecisionID() { return decisionID; }
    @JsonProperty("decision_id")
    public void setDecisionID(String value) { this.decisionID = value; }

    /**
     * Every rule that was asked, in a fixed order. Positional: names, limits and texts are
     * those of the policy with this hash.
     */
    @JsonProperty("explanation")
    public Explanation getExplanation() { return explanation; }
    @JsonProperty("explanation")
    public void setExplanation(Explanation value) { this.explanation = value; }

    /**
     * An id of the sender's own making.
     */
    @JsonProperty("intent_id")
    public String getIntentID() { return intentID; }
    @JsonProperty("intent_id")
    public void setIntentID(String value) { this.intentID = value; }

    /**
     * Ids of what the policy says the sender must do.
     */
    @JsonProperty("obligations")
    public List<String> getObligations() { return obligations; }
    @JsonProperty("obligations")
    public void setObligations(List<String> value) { this.obligations = value; }

    /**
     * The policy the decision was taken under. Its text, rule table and calendars stand on
     * `mesura-control` under this hash.
     */
    @JsonProperty("policy")
    public ApprovalPolicy getPolicy() { return policy; }
    @JsonProperty("policy")
    public void setPolicy(ApprovalPolicy value) { this.policy = value; }

    /**
     * Under each cap that applied, by rule id: how many more the customer may get, this one
     * counted.
     */
    @JsonProperty("remaining")
    public Map<String, Long> getRemaining() { return remaining; }
    @JsonProperty("remaining")
    public void setRemaining(Map<String, Long> value) { this.remaining = value; }

    @JsonProperty("type")
    public ApprovalType getType() { return type; }
    @JsonProperty("type")
    public void setType(ApprovalType value) { this.type = value; }

    /**
     * Never send after this moment. Epoch milliseconds.
     */
    @JsonProperty("valid_until")
    public long getValidUntil() { return validUntil; }
    @JsonProperty("valid_until")
    public void setValidUntil(long value) { this.validUntil = value; }
}
