"""Background load: what other customers' systems publish while the races run. Ends when its input is closed.

    python -m tests.races.load ADDRESS PREFIX INTENTS_PER_SECOND

Prints how many records of each kind it published, once it has ended.
"""

from __future__ import annotations

import json
import os
import random
import select
import sys
import time
from typing import TYPE_CHECKING, Final

from confluent_kafka import Producer

from streams.testing.records import intent, preference

if TYPE_CHECKING:
    from streams.testing.records import OutgoingRecord

CUSTOMERS: Final = 20_000
PREFERENCE_EVERY: Final = 10
"""One preference event for so many intents: opt-outs and opt-ins in turn, so that both answers stay common."""
STEP_SECONDS: Final = 0.01


def main() -> int:
    """Publish at the rate asked for."""
    address, prefix, per_second = sys.argv[1], sys.argv[2], float(sys.argv[3])
    rng = random.Random(20_000)
    failures: list[object] = []
    producer = Producer(
        {
            "bootstrap.servers": address,
            "enable.idempotence": True,
            "linger.ms": 2,
            "partitioner": "murmur2_random",
            "delivery.report.only.error": True,
            "on_delivery": lambda error, _: failures.append(error),
        }
    )

    def publish(record: OutgoingRecord) -> None:
        producer.produce(prefix + record.topic, value=record.value, key=record.key, timestamp=record.timestamp_ms)

    intents = preferences = 0
    began = time.monotonic()
    while not select.select([sys.stdin], [], [], STEP_SECONDS)[0]:
        due = int((time.monotonic() - began) * per_second)
        for number in range(intents, due):
            now_ms = time.time_ns() // 1_000_000
            customer = f"other-{rng.randrange(CUSTOMERS)}"
            publish(intent(customer, f"i-{number}", created_at=now_ms))
            if number % PREFERENCE_EVERY == 0:
                kind = "opt_in" if preferences % 2 else "opt_out"
                publish(preference(customer, f"e-{number}", kind, at=now_ms))
                preferences += 1
        intents = max(intents, due)
        producer.poll(0)
    seconds = time.monotonic() - began
    assert producer.flush(30) == 0
    assert not failures
    sys.stdout.write(json.dumps({"intents": intents, "preferences": preferences, "seconds": seconds}) + "\n")
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
