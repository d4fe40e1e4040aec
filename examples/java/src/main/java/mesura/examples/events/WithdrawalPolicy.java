package mesura.examples.events;

import com.fasterxml.jackson.annotation.*;

/**
 * The policy the decision was taken under. Its text, rule table and calendars stand on
 * `mesura-control` under this hash.
 */
public class WithdrawalPolicy {
    private String hash;
    private String name;
    private String version;

    @JsonProperty("hash")
    public String getHash() { return hash; }
    @JsonProperty("hash")
    public void setHash(String value) { this.hash = value; }

    @JsonProperty("name")
    public String getName() { return name; }
    @JsonProperty("name")
    public void setName(String value) { this.name = value; }

    @JsonProperty("version")
    public String getVersion() { return version; }
    @JsonProperty("version")
    public void setVersion(String value) { this.version = value; }
}
