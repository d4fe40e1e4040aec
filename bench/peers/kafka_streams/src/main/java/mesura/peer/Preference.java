package mesura.peer;

import com.fasterxml.jackson.annotation.JsonProperty;

/** A customer's no; without a channel it means all of them. */
record Preference(@JsonProperty("type") String type, @JsonProperty("channel") String channel) {}
