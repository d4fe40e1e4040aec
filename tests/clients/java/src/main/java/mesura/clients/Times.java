package mesura.clients;

import java.text.SimpleDateFormat;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.time.temporal.ChronoUnit;
import java.util.Date;

/** Now, as a Java program comes to write it. What is returned is given to Jackson as it is. */
final class Times {
    private static final ZoneId BOGOTA = ZoneId.of("America/Bogota");

    private Times() {}

    static Object now(String form) {
        return switch (form) {
            case "millis" -> System.currentTimeMillis();
            case "Instant.toString" -> Instant.now().toString();
            case "Instant.toString, whole minute" -> Instant.now().truncatedTo(ChronoUnit.MINUTES).toString();
            case "OffsetDateTime.toString" -> OffsetDateTime.now(BOGOTA).toString();
            case "OffsetDateTime.toString, whole second" ->
                OffsetDateTime.now(ZoneOffset.UTC).truncatedTo(ChronoUnit.SECONDS).toString();
            case "OffsetDateTime.toString, whole minute" ->
                OffsetDateTime.now(ZoneOffset.UTC).truncatedTo(ChronoUnit.MINUTES).toString();
            case "ZonedDateTime.toString" -> ZonedDateTime.now(BOGOTA).toString();
            case "ZonedDateTime.toString, whole minute" ->
                ZonedDateTime.now(ZoneId.of("UTC")).truncatedTo(ChronoUnit.MINUTES).toString();
            case "SimpleDateFormat with Z" -> new SimpleDateFormat("yyyy-MM-dd'T'HH:mm:ss.SSSZ").format(new Date());
            case "LocalDateTime.toString" -> LocalDateTime.now().toString();
            case "RFC_1123_DATE_TIME" -> DateTimeFormatter.RFC_1123_DATE_TIME.format(OffsetDateTime.now(BOGOTA));
            case "Jackson, Date" -> new Date();
            case "Jackson, Instant" -> Instant.now();
            default -> throw new IllegalArgumentException("no form of time: " + form);
        };
    }
}
