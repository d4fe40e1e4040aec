package mesura.peer;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import java.io.IOException;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serializer;

/** JSON by Jackson; fields that are not asked for are skipped. */
final class Json {
    private static final ObjectMapper MAPPER =
        new ObjectMapper().disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES);

    private Json() {}

    static <T> Deserializer<T> reading(Class<T> kind) {
        ObjectReader reader = MAPPER.readerFor(kind);
        return (topic, bytes) -> {
            try {
                return reader.readValue(bytes);
            } catch (IOException unreadable) {
                throw new SerializationException("a record is not the JSON that was expected");
            }
        };
    }

    static Serializer<Decision> writing() {
        ObjectWriter writer = MAPPER.writerFor(Decision.class);
        return (topic, decision) -> {
            try {
                return writer.writeValueAsBytes(decision);
            } catch (JsonProcessingException impossible) {
                throw new SerializationException(impossible);
            }
        };
    }
}
