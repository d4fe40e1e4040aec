package mesura.examples;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import org.apache.kafka.clients.CommonClientConfigs;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** What both examples are told: by environment variables, and by a file of Kafka's client properties. */
final class Settings {
    private Settings() {}

    /** A variable, or the default; ends the program with a sentence if there is neither. */
    static String of(String name, String otherwise) {
        String value = System.getenv(name);
        if (value != null && !value.isEmpty()) {
            return value;
        }
        if (otherwise == null) {
            System.err.println(name + " is not set; docs/clients.md says what it is for");
            System.exit(1);
        }
        return otherwise;
    }

    /** How to connect: the file that KAFKA_CONFIG names; without one, to a broker on this machine, in the clear. */
    static Properties connection() throws IOException {
        Properties properties = new Properties();
        String path = System.getenv("KAFKA_CONFIG");
        if (path == null) {
            properties.put(CommonClientConfigs.BOOTSTRAP_SERVERS_CONFIG, "localhost:9092");
            return properties;
        }
        try (var file = Files.newBufferedReader(Path.of(path))) {
            properties.load(file);
        }
        return properties;
    }

    /** A producer as mesura asks for it. Its partitioner is Kafka's own, murmur2 of the key. */
    static KafkaProducer<String, byte[]> producer() throws IOException {
        Properties properties = connection();
        properties.put(ProducerConfig.ACKS_CONFIG, "all");
        // A record that is sent again is stored once, and order is kept.
        properties.put(ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG, "true");
        properties.put(ProducerConfig.LINGER_MS_CONFIG, "5");
        return new KafkaProducer<>(properties, new StringSerializer(), new ByteArraySerializer());
    }
}
