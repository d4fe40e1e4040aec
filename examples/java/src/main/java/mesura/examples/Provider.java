package mesura.examples;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Map;
import mesura.examples.events.Approval;

/**
 * A provider that takes JSON; put your own provider's client here. Most providers know a repetition by a key. With such
 * a one, try again until {@code valid_until} if the fate of a message is unknown.
 */
final class Provider {
    /** The provider did not take the message. The text is a code. */
    static final class Refused extends Exception {
        Refused(String code) {
            super(code);
        }
    }

    /** Nobody can say whether the message was sent. */
    static final class UnknownFate extends Exception {
        UnknownFate(String what) {
            super(what);
        }
    }

    private static final Duration PATIENCE = Duration.ofSeconds(5);
    private static final ObjectMapper JSON = new ObjectMapper();

    private final HttpClient client = HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            .connectTimeout(PATIENCE)
            .build();
    private final URI url;

    Provider(String url) {
        this.url = URI.create(url);
    }

    void send(Approval approval) throws Refused, UnknownFate, InterruptedException {
        int status;
        try {
            byte[] body = JSON.writeValueAsBytes(Map.of(
                    "decision_id", approval.getDecisionID(),
                    "customer_id", approval.getCustomerID(),
                    "valid_until", approval.getValidUntil(),
                    "obligations", approval.getObligations()));
            var request = HttpRequest.newBuilder(url)
                    .timeout(PATIENCE)
                    .header("content-type", "application/json")
                    .header("idempotency-key", approval.getDecisionID())
                    .POST(HttpRequest.BodyPublishers.ofByteArray(body))
                    .build();
            status = client.send(request, HttpResponse.BodyHandlers.discarding()).statusCode();
        } catch (IOException error) {
            throw new UnknownFate(error.toString());
        }
        if (status >= 400 && status < 500) {
            throw new Refused(String.valueOf(status));
        }
        if (status >= 300) {
            throw new UnknownFate("the provider answered " + status);
        }
    }
}
