package mesura.generators;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** Reads {"form": …, "text": …} a line, reads the text into the form's type of one tool, and writes it again. */
public final class RoundTrip {
    private static final ObjectMapper MAPPER = new ObjectMapper();

    private static final Map<String, Class<?>> MODELINA_TYPES = Map.of(
            "readers/approval", mesura.modelina.Approval.class,
            "readers/withdrawal", mesura.modelina.Withdrawal.class,
            "readers/suppressed", mesura.modelina.Suppression.class,
            "readers/policy-record", mesura.modelina.PolicyRecord.class,
            "readers/decision.headers", mesura.modelina.HeadersOfAnOutput.class,
            "readers/dead-letter.headers", mesura.modelina.HeadersOfADeadLetter.class,
            "writers/intent", mesura.modelina.Intent.class,
            "writers/preference-event", mesura.modelina.PreferenceEvent.class,
            "writers/outcome", mesura.modelina.Outcome.class);

    private RoundTrip() {}

    interface Tool {
        Answer roundTrip(String form, String text) throws Exception;
    }

    record Answer(String kind, String text) {}

    public static void main(String[] arguments) throws Exception {
        Tool tool = arguments[0].equals("quicktype") ? RoundTrip::throughQuicktype : RoundTrip::throughModelina;
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            JsonNode document = MAPPER.readTree(line);
            String text = document.get("text").asText();
            Map<String, String> said;
            try {
                Answer answer = tool.roundTrip(eventOf(document.get("form").asText(), text), text);
                said = Map.of("kind", answer.kind(), "text", answer.text());
            } catch (Exception error) {
                said = Map.of("error", String.valueOf(error.getMessage()));
            }
            out.println(MAPPER.writeValueAsString(said));
        }
    }

    /** What a reader of approved-send does: `type` first, then the type that belongs to it. */
    private static String eventOf(String form, String text) throws Exception {
        if (!form.equals("readers/approved")) {
            return form;
        }
        String type = MAPPER.readTree(text).get("type").asText();
        return switch (type) {
            case "approved" -> "readers/approval";
            case "withdrawn" -> "readers/withdrawal";
            default -> throw new IllegalArgumentException("an event of another type");
        };
    }

    private static Answer throughModelina(String form, String text) throws Exception {
        Object event = MAPPER.readValue(text, MODELINA_TYPES.get(form));
        return new Answer(event.getClass().getSimpleName(), MAPPER.writeValueAsString(event));
    }

    private static Answer throughQuicktype(String form, String text) throws Exception {
        return switch (form) {
            case "readers/approval" -> {
                var event = mesura.quicktype.Converter.ApprovalFromJsonString(text);
                yield new Answer("Approval", mesura.quicktype.Converter.ApprovalToJsonString(event));
            }
            case "readers/withdrawal" -> {
                var event = mesura.quicktype.Converter.WithdrawalFromJsonString(text);
                yield new Answer("Withdrawal", mesura.quicktype.Converter.WithdrawalToJsonString(event));
            }
            case "readers/suppressed" -> {
                var event = mesura.quicktype.Converter.SuppressionFromJsonString(text);
                yield new Answer("Suppression", mesura.quicktype.Converter.SuppressionToJsonString(event));
            }
            case "readers/policy-record" -> {
                var event = mesura.quicktype.Converter.PolicyRecordFromJsonString(text);
                yield new Answer("PolicyRecord", mesura.quicktype.Converter.PolicyRecordToJsonString(event));
            }
            case "readers/decision.headers" -> {
                var event = mesura.quicktype.Converter.HeadersOfAnOutputFromJsonString(text);
                yield new Answer("HeadersOfAnOutput", mesura.quicktype.Converter.HeadersOfAnOutputToJsonString(event));
            }
            case "readers/dead-letter.headers" -> {
                var event = mesura.quicktype.Converter.HeadersOfADeadLetterFromJsonString(text);
                yield new Answer(
                        "HeadersOfADeadLetter", mesura.quicktype.Converter.HeadersOfADeadLetterToJsonString(event));
            }
            case "writers/intent" -> {
                var event = mesura.quicktype.Converter.IntentFromJsonString(text);
                yield new Answer("Intent", mesura.quicktype.Converter.IntentToJsonString(event));
            }
            case "writers/preference-event" -> {
                var event = mesura.quicktype.Converter.PreferenceEventFromJsonString(text);
                yield new Answer("PreferenceEvent", mesura.quicktype.Converter.PreferenceEventToJsonString(event));
            }
            case "writers/outcome" -> {
                var event = mesura.quicktype.Converter.OutcomeFromJsonString(text);
                yield new Answer("Outcome", mesura.quicktype.Converter.OutcomeToJsonString(event));
            }
            default -> throw new IllegalArgumentException("no type for " + form);
        };
    }
}
