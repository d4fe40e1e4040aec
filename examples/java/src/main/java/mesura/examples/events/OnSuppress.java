package mesura.examples.events;

import java.io.IOException;
import com.fasterxml.jackson.annotation.*;

/**
 * What to do if it may not be sent now. Not read by this version: `hold` acts as `drop`.
 * Default: drop.
 */
public enum OnSuppress {
    DROP, HOLD;

    @JsonValue
    public String toValue() {
        switch (this) {
            case DROP: return "drop";
            case HOLD: return "hold";
        }
        return null;
    }

    @JsonCreator
    public static OnSuppress forValue(String value) throws IOException {
        if (value.equals("drop")) return DROP;
        if (value.equals("hold")) return HOLD;
        throw new IOException("Cannot deserialize OnSuppress");
    }
}
