package mesura.peer;

import com.fasterxml.jackson.annotation.JsonProperty;

/** The answer. */
record Decision(
    @JsonProperty("intent_id") String intentId,
    @JsonProperty("customer_id") String customerId,
    @JsonProperty("channel") String channel,
    @JsonProperty("verdict") String verdict,
    @JsonProperty("reason") String reason,
    @JsonProperty("decided_at") long decidedAt) {}
