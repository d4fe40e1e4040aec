// To use this code, add the following Maven dependency to your project:
//
//
//     com.fasterxml.jackson.core     : jackson-databind          : 2.9.0
//     com.fasterxml.jackson.datatype : jackson-datatype-jsr310   : 2.9.0
//
// Import this package:
//
//     import mesura.examples.events.Converter;
//
// Then you can deserialize a JSON string with
//
//     Approval data = Converter.ApprovalFromJsonString(jsonString);
//     Withdrawal data = Converter.WithdrawalFromJsonString(jsonString);
//     Intent data = Converter.IntentFromJsonString(jsonString);
//     Outcome data = Converter.OutcomeFromJsonString(jsonString);

package mesura.examples.events;

import java.io.IOException;
import com.fasterxml.jackson.databind.*;
import com.fasterxml.jackson.databind.module.SimpleModule;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import java.util.*;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.time.OffsetTime;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeFormatterBuilder;
import java.time.temporal.ChronoField;

public class Converter {
    // Date-time helpers

    private static final DateTimeFormatter DATE_TIME_FORMATTER = new DateTimeFormatterBuilder()
            .appendOptional(DateTimeFormatter.ISO_DATE_TIME)
            .appendOptional(DateTimeFormatter.ISO_OFFSET_DATE_TIME)
            .appendOptional(DateTimeFormatter.ISO_INSTANT)
            .appendOptional(DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss.SX"))
            .appendOptional(DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ssX"))
            .appendOptional(DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss"))
            .toFormatter()
            .withZone(ZoneOffset.UTC);

    public static OffsetDateTime parseDateTimeString(String str) {
        return ZonedDateTime.from(Converter.DATE_TIME_FORMATTER.parse(str)).toOffsetDateTime();
    }

    private static final DateTimeFormatter TIME_FORMATTER = new DateTimeFormatterBuilder()
            .appendOptional(DateTimeFormatter.ISO_TIME)
            .appendOptional(DateTimeFormatter.ISO_OFFSET_TIME)
            .parseDefaulting(ChronoField.YEAR, 2020)
            .parseDefaulting(ChronoField.MONTH_OF_YEAR, 1)
            .parseDefaulting(ChronoField.DAY_OF_MONTH, 1)
            .toFormatter()
            .withZone(ZoneOffset.UTC);

    public static OffsetTime parseTimeString(String str) {
        return ZonedDateTime.from(Converter.TIME_FORMATTER.parse(str)).toOffsetDateTime().toOffsetTime();
    }
    // Serialize/deserialize helpers

    public static Approval ApprovalFromJsonString(String json) throws IOException {
        return getApprovalObjectReader().readValue(json);
    }

    public static String ApprovalToJsonString(Approval obj) throws JsonProcessingException {
        return getApprovalObjectWriter().writeValueAsString(obj);
    }

    public static Withdrawal WithdrawalFromJsonString(String json) throws IOException {
        return getWithdrawalObjectReader().readValue(json);
    }

    public static String WithdrawalToJsonString(Withdrawal obj) throws JsonProcessingException {
        return getWithdrawalObjectWriter().writeValueAsString(obj);
    }

    public static Intent IntentFromJsonString(String json) throws IOException {
        return getIntentObjectReader().readValue(json);
    }

    public static String IntentToJsonString(Intent obj) throws JsonProcessingException {
        return getIntentObjectWriter().writeValueAsString(obj);
    }

    public static Outcome OutcomeFromJsonString(String json) throws IOException {
        return getOutcomeObjectReader().readValue(json);
    }

    public static String OutcomeToJsonString(Outcome obj) throws JsonProcessingException {
        return getOutcomeObjectWriter().writeValueAsString(obj);
    }

    private static ObjectReader ApprovalReader;
    private static ObjectWriter ApprovalWriter;

    private static void instantiateApprovalMapper() {
        ObjectMapper mapper = new ObjectMapper();
        mapper.findAndRegisterModules();
        mapper.configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false);
        mapper.configure(SerializationFeature.WRITE_DATES_AS_TIMESTAMPS, false);
        SimpleModule module = new SimpleModule();
        module.addDeserializer(OffsetDateTime.class, new JsonDeserializer<OffsetDateTime>() {
            @Override
            public OffsetDateTime deserialize(JsonParser jsonParser, DeserializationContext deserializationContext) throws IOException, JsonProcessingException {
                String value = jsonParser.getText();
                return Converter.parseDateTimeString(value);
            }
        });
        mapper.registerModule(module);
        ApprovalReader = mapper.readerFor(Approval.class);
        ApprovalWriter = mapper.writerFor(Approval.class);
    }

    private static ObjectReader getApprovalObjectReader() {
        if (ApprovalReader == null) instantiateApprovalMapper();
        return ApprovalReader;
    }

    private static ObjectWriter getApprovalObjectWriter() {
        if (ApprovalWriter == null) instantiateApprovalMapper();
        return ApprovalWriter;
    }

    private static ObjectReader WithdrawalReader;
    private static ObjectWriter WithdrawalWriter;

    private static void instantiateWithdrawalMapper() {
        ObjectMapper mapper = new ObjectMapper();
        mapper.findAndRegisterModules();
        mapper.configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false);
        mapper.configure(SerializationFeature.WRITE_DATES_AS_TIMESTAMPS, false);
        SimpleModule module = new SimpleModule();
        module.addDeserializer(OffsetDateTime.class, new JsonDeserializer<OffsetDateTime>() {
            @Override
            public OffsetDateTime deserialize(JsonParser jsonParser, DeserializationContext deserializationContext) throws IOException, JsonProcessingException {
                String value = jsonParser.getText();
                return Converter.parseDateTimeString(value);
            }
        });
        mapper.registerModule(module);
        WithdrawalReader = mapper.readerFor(Withdrawal.class);
        WithdrawalWriter = mapper.writerFor(Withdrawal.class);
    }

    private static ObjectReader getWithdrawalObjectReader() {
        if (WithdrawalReader == null) instantiateWithdrawalMapper();
        return WithdrawalReader;
    }

    private static ObjectWriter getWithdrawalObjectWriter() {
        if (WithdrawalWriter == null) instantiateWithdrawalMapper();
        return WithdrawalWriter;
    }

    private static ObjectReader IntentReader;
    private static ObjectWriter IntentWriter;

    private static void instantiateIntentMapper() {
        ObjectMapper mapper = new ObjectMapper();
        mapper.findAndRegisterModules();
        mapper.configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false);
        mapper.configure(SerializationFeature.WRITE_DATES_AS_TIMESTAMPS, false);
        SimpleModule module = new SimpleModule();
        module.addDeserializer(OffsetDateTime.class, new JsonDeserializer<OffsetDateTime>() {
            @Override
            public OffsetDateTime deserialize(JsonParser jsonParser, DeserializationContext deserializationContext) throws IOException, JsonProcessingException {
                String value = jsonParser.getText();
                return Converter.parseDateTimeString(value);
            }
        });
        mapper.registerModule(module);
        IntentReader = mapper.readerFor(Intent.class);
        IntentWriter = mapper.writerFor(Intent.class);
    }

    private static ObjectReader getIntentObjectReader() {
        if (IntentReader == null) instantiateIntentMapper();
        return IntentReader;
    }

    private static ObjectWriter getIntentObjectWriter() {
        if (IntentWriter == null) instantiateIntentMapper();
        return IntentWriter;
    }

    private static ObjectReader OutcomeReader;
    private static ObjectWriter OutcomeWriter;

    private static void instantiateOutcomeMapper() {
        ObjectMapper mapper = new ObjectMapper();
        mapper.findAndRegisterModules();
        mapper.configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false);
        mapper.configure(SerializationFeature.WRITE_DATES_AS_TIMESTAMPS, false);
        SimpleModule module = new SimpleModule();
        module.addDeserializer(OffsetDateTime.class, new JsonDeserializer<OffsetDateTime>() {
            @Override
            public OffsetDateTime deserialize(JsonParser jsonParser, DeserializationContext deserializationContext) throws IOException, JsonProcessingException {
                String value = jsonParser.getText();
                return Converter.parseDateTimeString(value);
            }
        });
        mapper.registerModule(module);
        OutcomeReader = mapper.readerFor(Outcome.class);
        OutcomeWriter = mapper.writerFor(Outcome.class);
    }

    private static ObjectReader getOutcomeObjectReader() {
        if (OutcomeReader == null) instantiateOutcomeMapper();
        return OutcomeReader;
    }

    private static ObjectWriter getOutcomeObjectWriter() {
        if (OutcomeWriter == null) instantiateOutcomeMapper();
        return OutcomeWriter;
    }
}
