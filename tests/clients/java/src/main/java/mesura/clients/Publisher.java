package mesura.clients;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.RecordMetadata;

/**
 * One run, wave by wave: the noes of a wave, then, once all of them are acknowledged, an intent of every customer.
 * With transactions each wave's intents are one; every third is aborted. Noes never are in one.
 */
final class Publisher {
    private final Task task;
    private final Task.Run run;
    private final Events events;
    private final Results results;

    Publisher(Task task, Task.Run run, Results results) {
        this.task = task;
        this.run = run;
        this.events = new Events(task.topics(), run);
        this.results = results;
    }

    void publish() throws Exception {
        String transactionalId = run.isTransactional() ? run.customerPrefix() + "transactions" : null;
        try (var noes = Producers.open(task.bootstrapServers(), run.codec(), run.noesPartitioner(), null);
                var intents =
                        Producers.open(task.bootstrapServers(), run.codec(), run.partitioner(), transactionalId)) {
            if (run.isTransactional()) {
                intents.initTransactions();
            }
            for (int first = 0; first < run.customers(); first += run.wave()) {
                wave(noes, intents, first, Math.min(first + run.wave(), run.customers()));
            }
        }
    }

    private void wave(KafkaProducer<String, byte[]> noes, KafkaProducer<String, byte[]> intents, int first, int end)
            throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (int number = first; number < end; number++) {
            if (events.saying(number) != null) {
                sent.add(noes.send(events.no(number)));
            }
        }
        await(noes, sent);
        long acknowledgedMs = System.currentTimeMillis();
        String fate = run.isTransactional() ? first / run.wave() % 3 == 2 ? "aborted" : "committed" : "sent";
        if (run.isTransactional()) {
            intents.beginTransaction();
        }
        sent.clear();
        for (int number = first; number < end; number++) {
            sent.add(intents.send(events.intent(number)));
        }
        await(intents, sent);
        if (fate.equals("aborted")) {
            intents.abortTransaction();
        } else if (fate.equals("committed")) {
            intents.commitTransaction();
        }
        for (int number = first; number < end; number++) {
            Map<String, Object> line = new LinkedHashMap<>();
            line.put("run", run.name());
            line.put("number", number);
            line.put("customer", events.customer(number));
            line.put("said", events.saying(number));
            line.put("acknowledged_ms", events.saying(number) == null ? null : acknowledgedMs);
            line.put("intent", fate);
            results.write(line);
        }
    }

    private static void await(KafkaProducer<String, byte[]> producer, List<Future<RecordMetadata>> sent)
            throws Exception {
        producer.flush();
        for (Future<RecordMetadata> each : sent) {
            each.get();
        }
    }
}
