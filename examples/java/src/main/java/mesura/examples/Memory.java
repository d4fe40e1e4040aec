package mesura.examples;

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;

/**
 * Remembers which decisions were acted on: in a file of SQLite, for every process of this machine. With the URL of a
 * PostgreSQL server, for every process anywhere; the statements are the same.
 */
final class Memory implements AutoCloseable {
    private final Connection database;

    /** A file, or the URL of a server, which begins with `jdbc:`. */
    Memory(String place) throws SQLException {
        String url = place.startsWith("jdbc:") ? place : "jdbc:sqlite:" + place;
        database = DriverManager.getConnection(url); // each statement is on disk when it returns
        try (var statement = database.createStatement()) {
            statement.execute("CREATE TABLE IF NOT EXISTS claimed (decision_id TEXT PRIMARY KEY, until_ms BIGINT)");
            statement.execute("CREATE INDEX IF NOT EXISTS claimed_until ON claimed (until_ms)");
        }
    }

    /** Remembers a decision until then, durably, before this returns; whether nobody had claimed it. */
    boolean claim(String decision, long untilMs) throws SQLException {
        String insert = "INSERT INTO claimed VALUES (?, ?) ON CONFLICT DO NOTHING";
        try (var statement = database.prepareStatement(insert)) {
            statement.setString(1, decision);
            statement.setLong(2, untilMs);
            return statement.executeUpdate() == 1;
        }
    }

    /** Forgets what has had its time. */
    void forget(long nowMs) throws SQLException {
        try (var statement = database.prepareStatement("DELETE FROM claimed WHERE until_ms < ?")) {
            statement.setLong(1, nowMs);
            statement.executeUpdate();
        }
    }

    @Override
    public void close() throws SQLException {
        database.close();
    }
}
