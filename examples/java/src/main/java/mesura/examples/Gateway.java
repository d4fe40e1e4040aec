package mesura.examples;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.sql.SQLException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import mesura.examples.events.Approval;
import mesura.examples.events.Outcome;
import mesura.examples.events.OutcomeType;
import mesura.examples.events.Withdrawal;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A messaging gateway's side of the contract with mesura, small enough to copy. See docs/gateway.md.
 *
 * <ol>
 *   <li>A decision is acted on once: its id is claimed, on disk, right before the message is sent. If the process dies
 *       in between, the message is not sent. That is the safe side: it had been counted.
 *   <li>What is withdrawn is not sent, also if the withdrawal was read together with the approval.
 *   <li>Nothing is sent after {@code valid_until}; the clock is asked right before each send.
 *   <li>Outcomes are reported without a transaction and acknowledged before the position is committed.
 *   <li>What may or may not have been sent is not reported: until a report comes, mesura counts it as sent.
 * </ol>
 *
 * Several processes for one channel must share one memory, because after a rebalance one of them reads again what
 * another has acted on.
 */
public final class Gateway {
    private static final Logger LOGGER = LoggerFactory.getLogger(Gateway.class);
    private static final ObjectMapper JSON = new ObjectMapper()
            .setSerializationInclusion(JsonInclude.Include.NON_NULL)
            .configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false);

    /**
     * How long a decision is remembered after its approval has ended. Approvals read again later than that are ignored,
     * and nothing is reported about them: whether they were sent is not known any more.
     */
    private static final long MEMORY_MS = Duration.ofDays(7).toMillis();

    /**
     * So few that even if the provider lets every one of them wait, the group does not take the process for dead
     * ({@code max.poll.interval.ms}, five minutes by default).
     */
    private static final int BATCH_MAX = 20;

    private static final Duration PATIENCE = Duration.ofMillis(500);

    /** The ids of the policy's obligations that are fulfilled here. A message with any other is not sent. */
    private static final Set<String> FULFILLED = Set.of("include-opt-out");

    private final String channel;
    private final Memory memory;
    private final Provider provider;
    private volatile boolean isStopping;

    Gateway(String channel, Memory memory, Provider provider) {
        this.channel = channel;
        this.memory = memory;
        this.provider = provider;
    }

    /** Acts on one record; what is known of its decision now. `withdrawn`: the decisions withdrawn in the same batch. */
    Optional<Outcome> outcome(JsonNode event, Set<String> withdrawn)
            throws IOException, SQLException, InterruptedException {
        long nowMs = System.currentTimeMillis();
        long untilMs = event.get("valid_until").longValue() + MEMORY_MS;
        if (!event.get("channel").textValue().equals(channel) || untilMs < nowMs) {
            return Optional.empty();
        }
        switch (event.get("type").textValue()) {
            case "withdrawn" -> {
                Withdrawal withdrawal = JSON.treeToValue(event, Withdrawal.class);
                // If it had not been claimed it has not been sent, and now never will be.
                return memory.claim(withdrawal.getDecisionID(), untilMs)
                        ? Optional.of(report(withdrawal.getCustomerID(), withdrawal.getDecisionID(), OutcomeType.EXPIRED))
                        : Optional.empty();
            }
            case "approved" -> {
                Approval approval = JSON.treeToValue(event, Approval.class);
                boolean isOurs = !withdrawn.contains(approval.getDecisionID())
                        && memory.claim(approval.getDecisionID(), untilMs);
                return isOurs ? act(approval) : Optional.empty();
            }
            default -> {
                return Optional.empty(); // of a version that is not known here
            }
        }
    }

    private Optional<Outcome> act(Approval approval) throws InterruptedException {
        Outcome outcome = report(approval.getCustomerID(), approval.getDecisionID(), OutcomeType.SENT);
        if (outcome.getOccurredAt() > approval.getValidUntil()) {
            outcome.setType(OutcomeType.EXPIRED);
        } else if (!FULFILLED.containsAll(approval.getObligations())) {
            LOGGER.error("not sent: an obligation of {} that we do not fulfil", approval.getObligations());
            outcome.setType(OutcomeType.FAILED);
            outcome.setDetail("unfulfilled_obligation");
        } else {
            try {
                provider.send(approval);
            } catch (Provider.Refused refused) {
                outcome.setType(OutcomeType.FAILED);
                outcome.setDetail(refused.getMessage());
            } catch (Provider.UnknownFate error) {
                LOGGER.warn("decision {} may or may not have been sent", approval.getDecisionID(), error);
                return Optional.empty();
            }
        }
        return Optional.of(outcome);
    }

    private static Outcome report(String customer, String decision, OutcomeType type) {
        Outcome outcome = new Outcome();
        outcome.setCustomerID(customer);
        outcome.setDecisionID(decision);
        outcome.setType(type);
        outcome.setOccurredAt(System.currentTimeMillis());
        return outcome;
    }

    /** Reads, sends and reports, until told to stop. */
    void run(String approvedTopic, String outcomeTopic, Properties settings)
            throws IOException, SQLException, InterruptedException, ExecutionException {
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer());
                // No `transactional.id`: mesura waits for what is acknowledged here, and an open transaction would
                // hold it back.
                var producer = Settings.producer()) {
            consumer.subscribe(List.of(approvedTopic));
            while (!isStopping) {
                ConsumerRecords<String, byte[]> records = consumer.poll(PATIENCE);
                if (records.isEmpty()) {
                    continue;
                }
                memory.forget(System.currentTimeMillis());
                List<JsonNode> events = new ArrayList<>();
                Set<String> withdrawn = new HashSet<>();
                for (var record : records) {
                    JsonNode event = JSON.readTree(record.value());
                    events.add(event);
                    if (event.get("type").textValue().equals("withdrawn")) {
                        withdrawn.add(event.get("decision_id").textValue());
                    }
                }
                List<Future<RecordMetadata>> reports = new ArrayList<>();
                int acted = 0;
                for (; acted < events.size() && !isStopping; acted++) {
                    // What is left when we stop is read again; what was claimed is not sent again.
                    Optional<Outcome> outcome = outcome(events.get(acted), withdrawn);
                    if (outcome.isPresent()) {
                        byte[] value = JSON.writeValueAsBytes(outcome.get());
                        reports.add(producer.send(
                                new ProducerRecord<>(outcomeTopic, outcome.get().getCustomerID(), value)));
                    }
                }
                for (var report : reports) {
                    report.get(); // acknowledged, or nothing is committed
                }
                if (acted == events.size()) {
                    commit(consumer);
                }
            }
        }
    }

    private static void commit(KafkaConsumer<String, byte[]> consumer) {
        try {
            consumer.commitSync();
        } catch (CommitFailedException | RebalanceInProgressException error) {
            // Somebody else may have the partition now and read these again; the memory knows them.
            LOGGER.warn("read, and not committed", error);
        }
    }

    public static void main(String[] arguments) throws Exception {
        String channel = Settings.of("CHANNEL", "sms");
        Properties settings = Settings.connection();
        settings.put(ConsumerConfig.GROUP_ID_CONFIG, Settings.of("GROUP", "gateway-" + channel));
        // Or approvals would be read that never came to be.
        settings.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
        settings.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, "false");
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        settings.put(ConsumerConfig.MAX_POLL_RECORDS_CONFIG, String.valueOf(BATCH_MAX));
        // How soon another process takes over from one that died without leaving the group.
        settings.put(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG, Settings.of("SESSION_TIMEOUT_MS", "45000"));
        String approvedTopic = Settings.of("APPROVED_TOPIC", "approved-send");
        String outcomeTopic = Settings.of("OUTCOME_TOPIC", "contact-outcome");
        Provider provider = new Provider(Settings.of("PROVIDER_URL", null));
        try (Memory memory = new Memory(Settings.of("MEMORY", "gateway.sqlite"))) {
            Gateway gateway = new Gateway(channel, memory, provider);
            Thread main = Thread.currentThread();
            Thread hook = new Thread(() -> gateway.stop(main));
            Runtime.getRuntime().addShutdownHook(hook);
            gateway.run(approvedTopic, outcomeTopic, settings);
        }
    }

    /** On SIGTERM and SIGINT: lets the send that is under way end, and its report, before the process does. */
    private void stop(Thread main) {
        isStopping = true;
        try {
            main.join();
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }
}
