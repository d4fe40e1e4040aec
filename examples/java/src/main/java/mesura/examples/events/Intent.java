package mesura.examples.events;

import com.fasterxml.jackson.annotation.*;
import java.util.Map;

/**
 * One wish to contact one customer once on one channel. Unknown fields are ignored and
 * counted.
 */
public class Intent {
    private String addressHash;
    private Map<String, Object> attributes;
    private Boolean automated;
    private String brand;
    private String campaignID;
    private String channel;
    private String collapseKey;
    private String consentRef;
    private String country;
    private long createdAt;
    private String customerID;
    private Long expiresAt;
    private String holidayCalendar;
    private String intentID;
    private OnSuppress onSuppress;
    private Long priority;
    private String purpose;
    private String region;
    private String retryOf;
    private String senderID;
    private String templateID;
    private String timezone;
    private String topic;

    /**
     * A keyed hash of phone or e-mail, never the address. Not read by this version: it is for
     * registers of addresses. A name the policy or the sender declares.
     */
    @JsonProperty("address_hash")
    public String getAddressHash() { return addressHash; }
    @JsonProperty("address_hash")
    public void setAddressHash(String value) { this.addressHash = value; }

    /**
     * A small map, given back with the decision. It is not looked at. Ids, amounts and whatever
     * must come back as it stands are text: a number with a fraction or an exponent comes back
     * as the nearest double, and readers that know doubles only (JavaScript) read other whole
     * numbers beyond 2^53.
     */
    @JsonProperty("attributes")
    public Map<String, Object> getAttributes() { return attributes; }
    @JsonProperty("attributes")
    public void setAttributes(Map<String, Object> value) { this.attributes = value; }

    /**
     * A dialler or bot (true) or a person (false). Default: not known.
     */
    @JsonProperty("automated")
    public Boolean getAutomated() { return automated; }
    @JsonProperty("automated")
    public void setAutomated(Boolean value) { this.automated = value; }

    /**
     * A name the policy or the sender declares.
     */
    @JsonProperty("brand")
    public String getBrand() { return brand; }
    @JsonProperty("brand")
    public void setBrand(String value) { this.brand = value; }

    /**
     * A name the policy or the sender declares.
     */
    @JsonProperty("campaign_id")
    public String getCampaignID() { return campaignID; }
    @JsonProperty("campaign_id")
    public void setCampaignID(String value) { this.campaignID = value; }

    /**
     * `voice`, `sms`, `email`, `whatsapp`, `push`, `chat`, or any the policy declares. A name
     * the policy or the sender declares.
     */
    @JsonProperty("channel")
    public String getChannel() { return channel; }
    @JsonProperty("channel")
    public void setChannel(String value) { this.channel = value; }

    /**
     * Not read by this version: of held intents with one key only the latest will be sent. A
     * name the policy or the sender declares.
     */
    @JsonProperty("collapse_key")
    public String getCollapseKey() { return collapseKey; }
    @JsonProperty("collapse_key")
    public void setCollapseKey(String value) { this.collapseKey = value; }

    /**
     * Not read by this version: consents are known from preference events, whose `evidence_ref`
     * is what rules ask for. A name the policy or the sender declares.
     */
    @JsonProperty("consent_ref")
    public String getConsentRef() { return consentRef; }
    @JsonProperty("consent_ref")
    public void setConsentRef(String value) { this.consentRef = value; }

    /**
     * Default: the profile's. ISO 3166-1 alpha-2, upper case.
     */
    @JsonProperty("country")
    public String getCountry() { return country; }
    @JsonProperty("country")
    public void setCountry(String value) { this.country = value; }

    /**
     * When the wish arose. More than five minutes ahead is a dead letter; before the horizon of
     * identities, `expired`. Epoch milliseconds as a whole number.
     */
    @JsonProperty("created_at")
    public long getCreatedAt() { return createdAt; }
    @JsonProperty("created_at")
    public void setCreatedAt(long value) { this.createdAt = value; }

    /**
     * Whom to contact. The record's key. Should be a pseudonym, never an address. An id of the
     * sender's own making.
     */
    @JsonProperty("customer_id")
    public String getCustomerID() { return customerID; }
    @JsonProperty("customer_id")
    public void setCustomerID(String value) { this.customerID = value; }

    /**
     * The approval ends before this moment. Default: never. Epoch milliseconds as a whole
     * number.
     */
    @JsonProperty("expires_at")
    public Long getExpiresAt() { return expiresAt; }
    @JsonProperty("expires_at")
    public void setExpiresAt(Long value) { this.expiresAt = value; }

    /**
     * A calendar the policy declares. A name the policy or the sender declares.
     */
    @JsonProperty("holiday_calendar")
    public String getHolidayCalendar() { return holidayCalendar; }
    @JsonProperty("holiday_calendar")
    public void setHolidayCalendar(String value) { this.holidayCalendar = value; }

    /**
     * With `customer_id` the identity of the intent. The same after a retry of the sender; a
     * new wish has a new one. An id of the sender's own making.
     */
    @JsonProperty("intent_id")
    public String getIntentID() { return intentID; }
    @JsonProperty("intent_id")
    public void setIntentID(String value) { this.intentID = value; }

    /**
     * What to do if it may not be sent now. Not read by this version: `hold` acts as `drop`.
     * Default: drop.
     */
    @JsonProperty("on_suppress")
    public OnSuppress getOnSuppress() { return onSuppress; }
    @JsonProperty("on_suppress")
    public void setOnSuppress(OnSuppress value) { this.onSuppress = value; }

    /**
     * 0 to 100, the greater the more urgent. Not read by this version: urgent intents have a
     * topic of their own; it will order those that are held. Default: 50.
     */
    @JsonProperty("priority")
    public Long getPriority() { return priority; }
    @JsonProperty("priority")
    public void setPriority(Long value) { this.priority = value; }

    /**
     * `marketing`, `service`, `collections`, `otp`, … as the policy declares. Default: the
     * policy's `default_purpose`. A name the policy or the sender declares.
     */
    @JsonProperty("purpose")
    public String getPurpose() { return purpose; }
    @JsonProperty("purpose")
    public void setPurpose(String value) { this.purpose = value; }

    /**
     * Default: the profile's, if the country is the same. Regions of the first level or
     * provinces inside them. The part of ISO 3166-2 after the hyphen, upper case.
     */
    @JsonProperty("region")
    public String getRegion() { return region; }
    @JsonProperty("region")
    public void setRegion(String value) { this.region = value; }

    /**
     * The `intent_id` this one tries again; a later try is a new intent. Not read by this
     * version: it is for who reads the topics. A name the policy or the sender declares.
     */
    @JsonProperty("retry_of")
    public String getRetryOf() { return retryOf; }
    @JsonProperty("retry_of")
    public void setRetryOf(String value) { this.retryOf = value; }

    /**
     * A name the policy or the sender declares.
     */
    @JsonProperty("sender_id")
    public String getSenderID() { return senderID; }
    @JsonProperty("sender_id")
    public void setSenderID(String value) { this.senderID = value; }

    /**
     * Not read by this version: the sender's own name of the text, for later rules about
     * templates. A name the policy or the sender declares.
     */
    @JsonProperty("template_id")
    public String getTemplateID() { return templateID; }
    @JsonProperty("template_id")
    public void setTemplateID(String value) { this.templateID = value; }

    /**
     * The recipient's zone. Default: the profile's, else that of country and region, else the
     * policy's. A name of the IANA time zone database. One that does not exist is not an error
     * here; the policy says what follows.
     */
    @JsonProperty("timezone")
    public String getTimezone() { return timezone; }
    @JsonProperty("timezone")
    public void setTimezone(String value) { this.timezone = value; }

    /**
     * A name the policy or the sender declares.
     */
    @JsonProperty("topic")
    public String getTopic() { return topic; }
    @JsonProperty("topic")
    public void setTopic(String value) { this.topic = value; }
}
