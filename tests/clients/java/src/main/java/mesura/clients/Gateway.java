package mesura.clients;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Reads the approvals of this client's customers as a gateway does, and reports each as delivered. */
final class Gateway {
    private static final long WITHOUT_NEWS_MS = 60_000;

    private final Task task;
    private final Results results;

    Gateway(Task task, Results results) {
        this.task = task;
        this.results = results;
    }

    void serve() throws Exception {
        Map<String, Object> settings = new HashMap<>();
        settings.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, task.bootstrapServers());
        settings.put(ConsumerConfig.GROUP_ID_CONFIG, task.topics().approved() + "-gateway-" + task.client());
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        settings.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
        Set<String> seen = new HashSet<>();
        List<Future<RecordMetadata>> reported = new ArrayList<>();
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer());
                var producer = Producers.open(task.bootstrapServers(), "none", "default", null)) {
            consumer.subscribe(List.of(task.topics().approved()));
            long latestMs = System.currentTimeMillis();
            while (seen.size() < task.approvals()) {
                if (System.currentTimeMillis() - latestMs > WITHOUT_NEWS_MS) {
                    throw new IllegalStateException(seen.size() + " approvals of " + task.approvals() + " were read");
                }
                for (var record : consumer.poll(Duration.ofMillis(200))) {
                    var answer = Events.JSON.readTree(record.value());
                    if (!record.key().startsWith(task.client() + "-")) {
                        continue;
                    }
                    latestMs = System.currentTimeMillis();
                    String decision = answer.get("decision_id").asText();
                    String type = answer.get("type").asText();
                    Map<String, Object> line = new LinkedHashMap<>();
                    line.put("decision_id", decision);
                    line.put("type", type);
                    results.write(line);
                    if (type.equals("approved") && seen.add(decision)) {
                        Map<String, Object> outcome = new LinkedHashMap<>();
                        outcome.put("customer_id", answer.get("customer_id").asText());
                        outcome.put("decision_id", decision);
                        outcome.put("type", "delivered");
                        outcome.put("occurred_at", System.currentTimeMillis());
                        byte[] value = Events.JSON.writeValueAsBytes(outcome);
                        reported.add(
                                producer.send(new ProducerRecord<>(task.topics().outcomes(), record.key(), value)));
                    }
                }
            }
            producer.flush();
            for (Future<RecordMetadata> each : reported) {
                each.get();
            }
        }
    }
}
