package mesura.examples;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.cloudevents.core.builder.CloudEventBuilder;
import io.cloudevents.jackson.JsonFormat;
import io.cloudevents.kafka.KafkaMessageFactory;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import mesura.examples.events.Intent;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;

/**
 * Asks mesura whether customers may be contacted: one intent for each customer id that is read from standard input.
 *
 * <ol>
 *   <li>{@code intent_id} is made from the campaign and the customer, so it is the same whenever the program is run
 *       again. What had arrived already is then suppressed as {@code duplicate}, and nobody is contacted twice.
 *   <li>The key is the customer's id, hashed by Kafka's own partitioner, or the gate has to forward the record.
 *   <li>The program succeeds only if every intent was acknowledged by all replicas in sync.
 * </ol>
 */
public final class Producer {
    /** The namespace of our intents' ids. Make one of your own. */
    private static final String INTENTS = "5b0f8d9e-3f5c-4f0e-9d43-0c1f6d2f7a11";

    private static final ObjectMapper JSON =
            new ObjectMapper().setSerializationInclusion(JsonInclude.Include.NON_NULL);

    private Producer() {}

    static Intent intent(String campaign, String customer, String channel) {
        String name = INTENTS + "/" + campaign + "/" + customer;
        Intent intent = new Intent();
        intent.setIntentID(UUID.nameUUIDFromBytes(name.getBytes(StandardCharsets.UTF_8)).toString());
        intent.setCustomerID(customer);
        intent.setChannel(channel);
        intent.setPurpose("service");
        intent.setCampaignID(campaign);
        intent.setCreatedAt(System.currentTimeMillis());
        return intent;
    }

    /** Plain JSON, or a CloudEvent in one of its two modes. */
    static ProducerRecord<String, byte[]> record(String topic, Intent intent, String mode) throws IOException {
        byte[] value = JSON.writeValueAsBytes(intent);
        if (mode.equals("none")) {
            return new ProducerRecord<>(topic, intent.getCustomerID(), value);
        }
        var event = CloudEventBuilder.v1()
                .withId(intent.getIntentID())
                .withSource(URI.create("/examples/java"))
                .withType("mesura.intent")
                .withSubject(intent.getCustomerID())
                .withDataContentType("application/json")
                .withData(value)
                .build();
        var writer = KafkaMessageFactory.<String>createWriter(topic, null, (Long) null, intent.getCustomerID());
        return mode.equals("binary")
                ? writer.writeBinary(event)
                : writer.writeStructured(event, JsonFormat.CONTENT_TYPE);
    }

    public static void main(String[] arguments) throws IOException {
        String mode = Settings.of("CLOUDEVENTS", "none");
        if (!Set.of("none", "structured", "binary").contains(mode)) {
            System.err.println("CLOUDEVENTS is " + mode + "; it can be none, structured or binary");
            System.exit(1);
        }
        String topic = Settings.of("INTENT_TOPIC", "outbound-intent");
        String campaign = Settings.of("CAMPAIGN", null);
        String channel = Settings.of("CHANNEL", "sms");
        AtomicInteger acknowledged = new AtomicInteger();
        AtomicReference<Exception> refused = new AtomicReference<>();
        int count = 0;
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (var producer = Settings.producer()) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                if (line.isBlank()) {
                    continue;
                }
                count++;
                producer.send(record(topic, intent(campaign, line.strip(), channel), mode), (metadata, error) -> {
                    if (error == null) {
                        acknowledged.incrementAndGet();
                    } else {
                        refused.set(error);
                    }
                });
            }
            producer.flush(); // each has succeeded or failed after this
        } catch (KafkaException error) {
            refused.set(error);
        }
        System.out.println(acknowledged + " of " + count + " intents acknowledged");
        if (refused.get() != null || acknowledged.get() < count) {
            System.err.println("last error: " + refused.get() + "; run it again, the ids will be the same");
            System.exit(1);
        }
    }
}
