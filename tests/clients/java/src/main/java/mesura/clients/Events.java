package mesura.clients;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.datatype.jsr310.JavaTimeModule;
import io.cloudevents.core.builder.CloudEventBuilder;
import io.cloudevents.jackson.JsonFormat;
import io.cloudevents.kafka.KafkaMessageFactory;
import java.net.URI;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.UUID;
import org.apache.kafka.clients.producer.ProducerRecord;

/** The events of one run, as records: JSON by Jackson, envelopes by the CloudEvents SDK. */
final class Events {
    static final ObjectMapper JSON = new ObjectMapper().registerModule(new JavaTimeModule());

    private final Task.Topics topics;
    private final Task.Run run;

    Events(Task.Topics topics, Task.Run run) {
        this.topics = topics;
        this.run = run;
    }

    String customer(int number) {
        return run.customerPrefix() + number;
    }

    /** Which no a customer of this number says, if any. */
    String saying(int number) {
        return switch (number % 4) {
            case 0, 1 -> "opt_out";
            case 2 -> "stop";
            default -> null;
        };
    }

    ProducerRecord<String, byte[]> no(int number) throws Exception {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("customer_id", customer(number));
        if (saying(number).equals("stop")) {
            fields.put("type", "reply");
            fields.put("detail", "stop");
            fields.put("channel", "sms");
            fields.put("occurred_at", time(number));
            return record(topics.outcomes(), number, fields, false);
        }
        fields.put("event_id", UUID.randomUUID().toString());
        fields.put("type", "opt_out");
        fields.put("effective_at", time(number));
        return record(topics.preferences(), number, fields, false);
    }

    ProducerRecord<String, byte[]> intent(int number) throws Exception {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("intent_id", UUID.randomUUID().toString());
        fields.put("customer_id", customer(number));
        fields.put("channel", "sms");
        fields.put("purpose", "service");
        fields.put("created_at", time(number));
        return record(topics.intents(), number, fields, isSpecial(number));
    }

    /** Every second group of four is as usual, so that a no in the special form meets intents that can be read. */
    private boolean isSpecial(int number) {
        return number / 4 % 2 == 0;
    }

    private Object time(int number) {
        return Times.now(isSpecial(number) ? run.time() : "millis");
    }

    private ProducerRecord<String, byte[]> record(
            String topic, int number, Map<String, Object> fields, boolean isBrokenWithHeaders) throws Exception {
        byte[] value = JSON.writeValueAsBytes(fields);
        return switch (run.form()) {
            case "plain" -> new ProducerRecord<>(topic, customer(number), value);
            case "headers" -> {
                byte[] sent = isBrokenWithHeaders ? Arrays.copyOf(value, value.length - 1) : value;
                var record = new ProducerRecord<>(topic, customer(number), sent);
                record.headers().add("trace", null);
                record.headers().add("trace", new byte[] {0, (byte) 0xff, 10});
                record.headers().add("", "nameless".getBytes());
                record.headers().add("kafka_correlationId", new byte[0]);
                yield record;
            }
            case "binary", "structured" -> {
                var event = CloudEventBuilder.v1()
                        .withId(UUID.randomUUID().toString())
                        .withSource(URI.create("/clients/java"))
                        .withType("mesura.test")
                        .withSubject(customer(number))
                        .withDataContentType("application/json")
                        .withData(value)
                        .build();
                var writer =
                        KafkaMessageFactory.<String>createWriter(topic, null, (Long) null, customer(number));
                yield run.form().equals("binary")
                        ? writer.writeBinary(event)
                        : writer.writeStructured(event, JsonFormat.CONTENT_TYPE);
            }
            default -> throw new IllegalArgumentException("no form: " + run.form());
        };
    }
}
