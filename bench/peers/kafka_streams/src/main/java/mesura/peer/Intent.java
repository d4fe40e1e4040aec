package mesura.peer;

import com.fasterxml.jackson.annotation.JsonProperty;

/** The fields of an intent that the small policy asks for. */
record Intent(
    @JsonProperty("intent_id") String intentId,
    @JsonProperty("customer_id") String customerId,
    @JsonProperty("channel") String channel) {}
