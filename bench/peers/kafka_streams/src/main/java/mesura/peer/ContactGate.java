package mesura.peer;

import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The small policy as a Kafka Streams application: two source topics, two processors that share one RocksDB store with
 * a changelog (so that both topics belong to one task), two sinks, exactly once.
 *
 * <p>Defaults, but for what the environment says: THREADS, SESSION_SECONDS and, where it is given, COMMIT_MS, the time
 * between commits (100 ms by default under exactly-once).
 */
public final class ContactGate {
    private static final String STORE = "customers";
    private static final String APPROVED = "approved";
    private static final String SUPPRESSED = "suppressed";

    private ContactGate() {}

    public static void main(String[] arguments) {
        Map<String, String> environment = System.getenv();
        KafkaStreams streams = new KafkaStreams(topology(environment), settings(environment));
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(10))));
        streams.start();
    }

    static Properties settings(Map<String, String> environment) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, environment.get("GID"));
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, environment.get("BOOTSTRAP"));
        settings.put(StreamsConfig.STATE_DIR_CONFIG, environment.get("DATADIR"));
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, environment.getOrDefault("THREADS", "2"));
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, "1");
        int sessionMs = (int) (1000 * Double.parseDouble(environment.get("SESSION_SECONDS")));
        settings.put(StreamsConfig.consumerPrefix("session.timeout.ms"), sessionMs);
        if (environment.containsKey("COMMIT_MS")) {
            settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, environment.get("COMMIT_MS"));
        }
        return settings;
    }

    static Topology topology(Map<String, String> environment) {
        StringDeserializer keys = new StringDeserializer();
        return new Topology()
            .addSource("intents", keys, Json.reading(Intent.class), environment.get("INTENTS"))
            .addSource("preferences", keys, Json.reading(Preference.class), environment.get("PREFERENCES"))
            .addProcessor("decide", Decide::new, "intents")
            .addProcessor("listen", Listen::new, "preferences")
            .addStateStore(
                Stores.keyValueStoreBuilder(
                    Stores.persistentKeyValueStore(STORE), Serdes.String(), Customer.serde()),
                "decide", "listen")
            .addSink(APPROVED, environment.get("APPROVED"), new StringSerializer(), Json.writing(), "decide")
            .addSink(SUPPRESSED, environment.get("SUPPRESSED"), new StringSerializer(), Json.writing(), "decide");
    }

    /** The answer to each intent. */
    private static final class Decide extends ContextualProcessor<String, Intent, String, Decision> {
        private KeyValueStore<String, Customer> customers;

        @Override
        public void init(ProcessorContext<String, Decision> context) {
            super.init(context);
            customers = context.getStateStore(STORE);
        }

        @Override
        public void process(Record<String, Intent> record) {
            Intent intent = record.value();
            Customer customer = customers.get(record.key());
            if (customer == null) {
                customer = new Customer();
            }
            String reason = customer.decide(intent.intentId(), intent.channel(), record.timestamp());
            customers.put(record.key(), customer);
            Decision decision = new Decision(
                intent.intentId(),
                intent.customerId(),
                intent.channel(),
                reason == null ? "approved" : "suppressed",
                reason,
                record.timestamp());
            context().forward(record.withValue(decision), reason == null ? APPROVED : SUPPRESSED);
        }
    }

    /** What customers refuse. */
    private static final class Listen extends ContextualProcessor<String, Preference, Void, Void> {
        private KeyValueStore<String, Customer> customers;

        @Override
        public void init(ProcessorContext<Void, Void> context) {
            super.init(context);
            customers = context.getStateStore(STORE);
        }

        @Override
        public void process(Record<String, Preference> record) {
            if (record.value().type().equals("opt_out")) {
                Customer customer = customers.get(record.key());
                if (customer == null) {
                    customer = new Customer();
                }
                customer.hear(record.value().channel());
                customers.put(record.key(), customer);
            }
        }
    }
}
