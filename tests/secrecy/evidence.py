"""What processes left somewhere, and what of it may hold what was planted.

Rules of this module
1. Everything is searched. A place may hold markers only if `ALLOWED` says so, and why.
2. Where a place may hold some kinds, any other kind there is a leak.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from tests.secrecy.search import Found, Search


class Allowed(NamedTuple):
    """A place that may hold markers. `kinds`: a pattern of those; secrets are never among them."""

    place: str
    kinds: str
    reason: str


DATA: Final = r"(?!secret-).*"
"""Whatever is a customer's or a producer's, and no secret."""

ALLOWED: Final = (
    Allowed(r"topic input: .*", DATA, "what producers published"),
    Allowed(r"topic approved-send: .*", DATA, "gateways need it to send"),
    Allowed(r"topic suppressed: .*", DATA, "whoever asked learns the answer"),
    Allowed(r"topic mesura-rerouted: .*", DATA, "the record as it was, on the customer's partition"),
    Allowed(r"topic mesura-ledger: .*", DATA, "what the gate knows of the customer; the key is the customer's"),
    Allowed(
        r"topic mesura-dead-letter: (keys|values|producer's headers)",
        DATA,
        "the record as it was, so that it can be mended and replayed",
    ),
    Allowed(r"customer (show|export): (stdout|file)", DATA, "asked for with the erasure key; the look-up is recorded"),
    Allowed(r"watch.*: stdout", DATA, "shows decisions to whoever may read their topics"),
    Allowed(r"explain.*: stdout", DATA, "repeats the question of who asked"),
    Allowed(r"dead-letters show --payload: stdout", DATA, "asked for by name; its help says what it shows"),
    Allowed(r"dead-letters list with wrong words: stderr", "reason", "repeats the option of whoever typed it"),
    Allowed(r"ledger backup: file", DATA, "the ledgers; readable by its owner alone"),
)


class Leak(NamedTuple):
    place: str
    found: Found


@dataclass
class Evidence:
    """Bytes by the place where they were found."""

    content: dict[str, bytes] = field(default_factory=dict)

    def add(self, place: str, content: bytes | str) -> None:
        content = content.encode(errors="surrogateescape") if isinstance(content, str) else content
        self.content[place] = self.content.get(place, b"") + b"\n" + content

    def add_files(self, place: str, directory: Path) -> None:
        """Every file below it, with its name."""
        for path in sorted(directory.rglob("*")):
            self.add(place, str(path.relative_to(directory)))
            if path.is_file() and not path.is_symlink():
                self.add(place, path.read_bytes())

    def leaks(self, search: Search) -> list[Leak]:
        """What stands where it may not."""
        return [
            Leak(place, found)
            for place, content in self.content.items()
            for found in sorted(search.in_bytes(content))
            if not any(re.fullmatch(each.place, place) and re.fullmatch(each.kinds, found.kind) for each in ALLOWED)
        ]

    def held(self, search: Search) -> dict[str, set[str]]:
        """Which kinds stand where, by place."""
        held: dict[str, set[str]] = defaultdict(set)
        for place, content in self.content.items():
            held[place] |= {found.kind for found in search.in_bytes(content)}
        return dict(held)
