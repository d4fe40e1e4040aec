"""Dead letters: found, described, and published again where their records stood first.

    letter = letter_of(message, rerouted_topic)
    assessed = assess(letter, inputs, now_ms=…)

Rules of this package
1. A replayed record is the original one: key, value, its own headers, and its own time where the topic lets producers
   say the time. The gate's trailing headers are taken off, and one block of `mesura.replay.*` headers is added.
2. Replaying never makes a yes later than it was said: what permits and would be ordered by its new arrival is refused.
3. Nothing is published twice. The topics themselves say what was replayed, because the headers of a replayed record
   name its dead letter.
4. Nothing is published within a producer's transaction: the barrier would wait for it (docs/contracts.md).
"""
