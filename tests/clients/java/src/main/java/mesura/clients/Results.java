package mesura.clients;

import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/** What the client did, as lines of JSON for the campaign. */
final class Results implements AutoCloseable {
    private final BufferedWriter file;

    Results(String path) throws IOException {
        file = Files.newBufferedWriter(Path.of(path));
    }

    void write(Map<String, Object> line) throws IOException {
        file.write(Events.JSON.writeValueAsString(line));
        file.newLine();
    }

    @Override
    public void close() throws IOException {
        file.close();
    }
}
