"""One version's side of the comparison: a process that is sent worlds and answers with what that version made of them.

    python -m tests.versions.side TREE [MISTAKE]

`streams` is TREE's, whatever is installed; the rest of `tests` is that of whoever starts it. It reads frames from its
standard input and writes frames to its standard output: four bytes of length, then a plain value (`marshal`).
"""

from __future__ import annotations

import gc
import marshal
import sys
from collections import Counter
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import msgspec

from tests.versions.adapter import Version, modules_of

if TYPE_CHECKING:
    from tests.versions.histories import World

DIGEST_BYTES: Final = 12
"""Two different histories of a million have one digest with a probability under 10⁻¹⁶."""
POLICIES_KEPT: Final = 4
_GARBAGE_EVERY: Final = 50_000
_KINDS_EVERY: Final = 4
"""Of one in so many worlds the answers are read for the kinds of rule they name; some of those have a full ledger."""

_packed: Final = msgspec.msgpack.Encoder().encode


class Side:
    """A version, and the policies it has compiled."""

    def __init__(self) -> None:
        self.version = Version()
        self._policies: dict[str, Any] = {}

    def policy(self, text: str) -> Any:  # noqa: ANN401 - this version's
        """Compiled, of the last few from memory."""
        found = self._policies.get(text)
        if found is None:
            if len(self._policies) >= POLICIES_KEPT:
                del self._policies[next(iter(self._policies))]
            found = self._policies[text] = self.version.policy(text)
        return found

    def answer(self, world: World, *, until: int | None = None) -> tuple[list[bytes], dict[str, Any], list[Any]]:
        """The digest of every batch, what came to pass, and, if it is asked for, everything of batch `until`."""
        (number, policies, intents, partition, partitions, is_bounded, bytes_max, customers, batches, _) = world
        version = self.version
        gates = [
            version.gate(
                self.policy(text),
                tuple(intents),
                partitions,
                is_bounded=is_bounded,
                dead_letter_bytes_max=bytes_max,
            )
            for text in policies
        ]
        store: dict[bytes, bytes] = {}
        seen = Seen()
        digests: list[bytes] = []
        for place, batch in enumerate(batches):
            which, records, moments_ms, positions, due, due_ms, too_large, asks_due, questions = batch
            gate = gates[which]
            said: list[Any] = [version.explained(gate, store, *question) for question in questions]
            if asks_due:
                said.append(version.due(gate, store, [version.key_of(each) for each in customers], due_ms))
            outputs, changes, tally = version.apply(
                gate,
                store,
                partition,
                records,
                moments_ms,
                positions,
                [version.key_of(each) for each in due],
                due_ms,
                too_large,
            )
            for key, value in changes:
                if value is None:
                    del store[key]
                else:
                    store[key] = value
            counted = version.counted(tally)
            digests.append(
                blake2b(_packed((outputs, changes, said, _plain(counted))), digest_size=DIGEST_BYTES).digest()
            )
            if place == until:
                return digests, {}, [outputs, changes, said, _plain(counted)]
            seen.add(counted, outputs, changes, said, reads_answers=number % _KINDS_EVERY == 1)
        return digests, seen.counts, []


class Seen:
    """What came to pass in a world, by kind and name."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    @property
    def counts(self) -> dict[str, int]:
        """As plain values."""
        return {f"{kind}: {name}": count for (kind, name), count in self._counts.items()}

    def add(
        self, counted: dict[str, Any], outputs: list[Any], changes: list[Any], said: list[Any], *, reads_answers: bool
    ) -> None:
        """One batch."""
        counts = self._counts
        for (_, verdict, reason), count in counted["decisions"].items():
            counts[verdict, reason] += count
        for (_, reason), count in counted["dead_letters"].items():
            counts["dead letter", reason] += count
        for (name, is_known), count in counted["outcomes"].items():
            counts["outcome", name] += count
            counts["outcome of", "a contact" if is_known else "nothing known"] += count
        for kind, name in (
            ("withdrawal", "withdrawals"),
            ("preference", "preferences"),
            ("forwarded from", "rerouted"),
            ("not understood", "not_understood"),
            ("unknown field of", "unknown_fields"),
        ):
            for each, count in counted[name].items():
                counts[kind, each] += count
        for name in ("ledgers_pruned", "ledgers_removed", "permissions_refused"):
            counts["ledger", name] += counted[name]
        counts["said", "outputs"] += len(outputs)
        counts["said", "changes"] += len(changes)
        for key, value in changes:
            if value is None:
                counts["ledger", "deleted"] += 1
            elif key[:1] == b"e":
                counts["ledger", "kept under a hash"] += 1
        for each in said:
            counts["asked", "due" if isinstance(each, list) else "explained"] += 1
        for _, _, value, _, _ in outputs if reads_answers else ():
            self._read(value)

    def _read(self, value: bytes) -> None:
        """Which kind of rule denied, and whether somebody was exempt, by the rule's id (see `policies.py`)."""
        try:
            answer = msgspec.json.decode(value)
            rules = answer["explanation"]["rules"]
        except (msgspec.DecodeError, KeyError, TypeError, UnicodeDecodeError):
            return  # a dead letter, a forwarded record or a withdrawal
        if answer.get("rule"):
            stem = answer["rule"].partition(":")[0]
            self._counts["denied by", stem.rpartition("-")[0] or stem] += 1
        self._counts["denied by", "nobody: exempt"] += any(rule[1] == 1 for rule in rules)


def _plain(counted: dict[str, Any]) -> list[Any]:
    """In one order, whatever the order in which things came to be counted."""
    return [
        [name, sorted(content.items()) if isinstance(content, dict) else content]
        for name, content in sorted(counted.items())
    ]


def read_frame(stream: BinaryIO) -> Any:  # noqa: ANN401 - a plain value
    """The next value; None at the end."""
    head = stream.read(4)
    return marshal.loads(stream.read(int.from_bytes(head, "little"))) if len(head) == 4 else None


def write_frame(stream: BinaryIO, value: Any) -> None:  # noqa: ANN401 - a plain value
    """One value."""
    data = marshal.dumps(value)
    stream.write(len(data).to_bytes(4, "little") + data)
    stream.flush()


def main() -> None:
    """Answer until there is nothing more."""
    tree = Path(sys.argv[1]).resolve()
    sys.path.insert(0, str(tree))
    from tests.versions import mistakes

    side = Side()
    if len(sys.argv) > 2:
        mistakes.plant(sys.argv[2])
    out = sys.stdout.buffer
    sys.stdout = sys.stderr
    # What is loaded stays; what comes is freed by counting. Looking for garbage took a tenth of the time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE_EVERY)
    write_frame(out, "ready")
    while (order := read_frame(sys.stdin.buffer)) is not None:
        world, until = order
        answer = side.answer(world, until=until)
        strangers = modules_of(tree)
        assert not strangers, f"imported from elsewhere than the version's tree: {', '.join(strangers)}"
        write_frame(out, answer)


if __name__ == "__main__":
    main()
