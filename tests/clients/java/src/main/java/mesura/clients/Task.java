package mesura.clients;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.List;

/** What the campaign asks of a client; tests/clients/plan.py says what each word means. */
record Task(
        @JsonProperty("bootstrap_servers") String bootstrapServers,
        @JsonProperty("topics") Topics topics,
        @JsonProperty("client") String client,
        @JsonProperty("results") String results,
        @JsonProperty("runs") List<Run> runs) {

    record Topics(
            @JsonProperty("intents") String intents,
            @JsonProperty("preferences") String preferences,
            @JsonProperty("outcomes") String outcomes) {}

    record Run(
            @JsonProperty("name") String name,
            @JsonProperty("library") String library,
            @JsonProperty("codec") String codec,
            @JsonProperty("partitioner") String partitioner,
            @JsonProperty("noes_partitioner") String noesPartitioner,
            @JsonProperty("is_transactional") boolean isTransactional,
            @JsonProperty("form") String form,
            @JsonProperty("time") String time,
            @JsonProperty("customer_prefix") String customerPrefix,
            @JsonProperty("customers") int customers,
            @JsonProperty("wave") int wave) {}
}
