package mesura.examples.events;

import java.io.IOException;
import com.fasterxml.jackson.annotation.*;

public enum WithdrawalType {
    WITHDRAWN;

    @JsonValue
    public String toValue() {
        switch (this) {
            case WITHDRAWN: return "withdrawn";
        }
        return null;
    }

    @JsonCreator
    public static WithdrawalType forValue(String value) throws IOException {
        if (value.equals("withdrawn")) return WITHDRAWN;
        throw new IOException("Cannot deserialize WithdrawalType");
    }
}
