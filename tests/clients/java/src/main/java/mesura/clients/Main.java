package mesura.clients;

import java.io.File;

/** The Java team of `make clients`: called with the file of a task; publishes its runs. */
public final class Main {
    private Main() {}

    public static void main(String[] arguments) throws Exception {
        Task task = Events.JSON.readValue(new File(arguments[0]), Task.class);
        try (Results results = new Results(task.results())) {
            for (Task.Run run : task.runs()) {
                new Publisher(task, run, results).publish();
            }
        }
    }
}
