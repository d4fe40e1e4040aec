package mesura.examples.events;

import com.fasterxml.jackson.annotation.*;
import java.util.List;

/**
 * Every rule that was asked, in a fixed order. Positional: names, limits and texts are
 * those of the policy with this hash.
 */
public class Explanation {
    private List<List<Long>> rules;
    private List<String> zone;

    @JsonProperty("rules")
    public List<List<Long>> getRules() { return rules; }
    @JsonProperty("rules")
    public void setRules(List<List<Long>> value) { this.rules = value; }

    /**
     * The recipient's zone and what it was taken from; behind them, if that zone cannot be one
     * of the place's, the place whose zones had to be open too. Absent if no rule asked or it
     * is unknown.
     */
    @JsonProperty("zone")
    public List<String> getZone() { return zone; }
    @JsonProperty("zone")
    public void setZone(List<String> value) { this.zone = value; }
}
