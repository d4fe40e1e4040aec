package mesura.peer;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** What the small policy must know of one customer, and the policy itself. Stored as compact binary. */
final class Customer {
    private static final long WEEK_MS = 7 * 86_400_000L;
    private static final int CHANNEL_LIMIT = 3;
    private static final int ALL_LIMIT = 5;
    /** A refusal that names no channel. */
    private static final String EVERYTHING = "*";

    private record Contact(String channel, long at) {}

    private final List<String> refused = new ArrayList<>(1);
    private final List<Contact> contacts = new ArrayList<>(ALL_LIMIT);
    private final Map<String, Long> answered = new HashMap<>();

    void hear(String channel) {
        String no = channel == null ? EVERYTHING : channel;
        if (!refused.contains(no)) {
            refused.add(no);
        }
    }

    /** Why not; or null, and the contact is counted. */
    String decide(String intentId, String channel, long now) {
        long since = now - WEEK_MS;
        contacts.removeIf(each -> each.at() <= since);
        answered.values().removeIf(at -> at <= since);
        if (answered.putIfAbsent(intentId, now) != null) {
            return "duplicate";
        }
        if (refused.contains(channel) || refused.contains(EVERYTHING)) {
            return "opt_out";
        }
        if (contacts.stream().filter(each -> each.channel().equals(channel)).count() >= CHANNEL_LIMIT) {
            return "channel-weekly";
        }
        if (contacts.size() >= ALL_LIMIT) {
            return "all-weekly";
        }
        contacts.add(new Contact(channel, now));
        return null;
    }

    static Serde<Customer> serde() {
        return Serdes.serdeFrom((topic, customer) -> customer == null ? null : customer.toBytes(),
            (topic, bytes) -> bytes == null ? null : fromBytes(bytes));
    }

    private byte[] toBytes() {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(256);
        try (DataOutputStream out = new DataOutputStream(bytes)) {
            out.writeInt(refused.size());
            for (String no : refused) {
                out.writeUTF(no);
            }
            out.writeInt(contacts.size());
            for (Contact each : contacts) {
                out.writeUTF(each.channel());
                out.writeLong(each.at());
            }
            out.writeInt(answered.size());
            for (Map.Entry<String, Long> each : answered.entrySet()) {
                out.writeUTF(each.getKey());
                out.writeLong(each.getValue());
            }
        } catch (IOException impossible) {
            throw new UncheckedIOException(impossible);
        }
        return bytes.toByteArray();
    }

    private static Customer fromBytes(byte[] bytes) {
        Customer customer = new Customer();
        try (DataInputStream in = new DataInputStream(new ByteArrayInputStream(bytes))) {
            for (int left = in.readInt(); left > 0; left--) {
                customer.refused.add(in.readUTF());
            }
            for (int left = in.readInt(); left > 0; left--) {
                customer.contacts.add(new Contact(in.readUTF(), in.readLong()));
            }
            for (int left = in.readInt(); left > 0; left--) {
                customer.answered.put(in.readUTF(), in.readLong());
            }
        } catch (IOException unreadable) {
            throw new UncheckedIOException(unreadable);
        }
        return customer;
    }
}
