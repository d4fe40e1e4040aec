"""What of the example gateway in Python a process does not show: exact moments, and what it forgets.

All else is asked of its process, as of every language's: tests/clients/test_examples.py.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from streams.contracts.decode import decode_outcome
from streams.contracts.encode import encode_approval, encode_withdrawal, policy_fragment
from tests.contracts.schema_files import validator

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[2] / "examples" / "python"
NOW_MS = 1_795_514_400_000
LASTS_MS = 300_000
POLICY = policy_fragment("contact-centre", "2026.11", "00")


def _load() -> ModuleType:
    specification = importlib.util.spec_from_file_location("gateway_example", FOLDER / "gateway.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.path.insert(0, str(FOLDER))
    try:
        specification.loader.exec_module(module)
    finally:
        sys.path.remove(str(FOLDER))
    return module


example = _load()


def approval() -> Any:  # noqa: ANN401 - JSON
    return json.loads(
        encode_approval(
            decision_id="d" * 24,
            intent_id="i",
            customer_id="c",
            channel="sms",
            decided_at=NOW_MS,
            valid_until=NOW_MS + LASTS_MS,
            policy=POLICY,
            remaining={},
            obligations=(),
            attributes=None,
            zone=None,
            rules=((0, 0),),
        )
    )


def withdrawal() -> Any:  # noqa: ANN401 - JSON
    return json.loads(
        encode_withdrawal(
            decision_id="d" * 24, customer_id="c", channel="sms", reason="opt_out", decided_at=NOW_MS, policy=POLICY
        )
    )


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Any]:  # of a module loaded by its path
    with closing(example.DiskMemory(str(tmp_path / "memory"))) as memory:
        yield memory


def kind_of(memory: object, event: object, now_ms: int, sent: list[str] | None = None) -> str | None:
    """What became of an event at that moment; None: nothing is to be reported."""

    def send(approved: dict[str, Any]) -> None:
        (sent if sent is not None else []).append(approved["decision_id"])

    outcome = example.Gateway("sms", memory, send, lambda: now_ms).outcome_of(event, set())
    if outcome is None:
        return None
    validator("outcome").validate(outcome)
    assert decode_outcome(json.dumps(outcome).encode()).unknown_fields == 0
    return str(outcome["type"])


@pytest.mark.parametrize(("late_ms", "kind"), [(-1, "sent"), (0, "sent"), (1, "expired")])
def test_nothing_is_sent_after_its_time(memory: object, late_ms: int, kind: str) -> None:
    sent: list[str] = []
    assert kind_of(memory, approval(), NOW_MS + LASTS_MS + late_ms, sent) == kind
    assert len(sent) == (kind == "sent")


def test_what_was_forgotten_is_ignored_not_sent_again(memory: Any) -> None:  # noqa: ANN401 - as above
    assert kind_of(memory, approval(), NOW_MS) == "sent"
    later_ms = NOW_MS + LASTS_MS + example.MEMORY_MS
    for now_ms in (later_ms, later_ms + 1):
        memory.forget(now_ms)
        assert kind_of(memory, approval(), now_ms) is None


def test_two_processes_share_the_memory(tmp_path: Path) -> None:
    path = str(tmp_path / "memory")
    with closing(example.DiskMemory(path)) as first, closing(example.DiskMemory(path)) as second:
        assert kind_of(first, approval(), NOW_MS) == "sent"
        assert kind_of(second, approval(), NOW_MS) is None
        assert kind_of(second, withdrawal(), NOW_MS) is None, "it may have been sent"


def test_what_was_withdrawn_first_is_not_sent_later(memory: object) -> None:
    """As when a batch is read again with other borders."""
    assert kind_of(memory, withdrawal(), NOW_MS) == "expired"
    assert kind_of(memory, approval(), NOW_MS) is None
