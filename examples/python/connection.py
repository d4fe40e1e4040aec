"""How both examples connect: a file of client properties, with librdkafka's names, named by `KAFKA_CONFIG`.

`kcat -F` and `mesura --command-config` take the same file. Without one, a broker on this machine, in the clear.
"""

from __future__ import annotations

import os
from pathlib import Path


def connection() -> dict[str, str]:
    """The settings of the file, for any client of confluent-kafka."""
    path = os.environ.get("KAFKA_CONFIG")
    if path is None:
        return {"bootstrap.servers": "localhost:9092"}
    lines = (line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines())
    settings = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in settings}


def from_environment(name: str, default: str | None = None) -> str:
    """A setting of the program; ends it with a sentence if there is none."""
    value = os.environ.get(name) or default
    if value is None:
        raise SystemExit(f"{name} is not set; docs/clients.md says what it is for")
    return value
