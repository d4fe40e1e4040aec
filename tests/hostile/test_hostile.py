"""A short version of `make hostile`: every kind of hostile request, and connections by the thousand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.hostile.attack import DESCRIPTORS_MAX, Judged, faults_after, hold_half_requests, send_all, target
from tests.hostile.sent import KINDS, Sent

if TYPE_CHECKING:
    from pathlib import Path

REQUESTS = 30 * len(KINDS)
HALF_REQUESTS = 900
LINES_MAX = 60


def test_hostile_requests_get_no_data_and_no_fault_and_leave_few_lines(tmp_path: Path) -> None:
    with target(tmp_path) as to:
        send_all(to, len(KINDS), seed=1)  # what is loaded with the first of each kind stays
        before = to.memory_bytes()
        judged = send_all(to, REQUESTS, seed=2)
        assert judged.faults == []
        assert len(judged.kinds) == len(KINDS)
        assert {"400", "401", "403", "404", "405", "413", "421"} <= judged.statuses.keys()
        assert faults_after(to, before, LINES_MAX) == []
        assert to.stop() == 0


def test_half_requests_by_the_thousand_hold_few_descriptors_and_let_a_probe_through(tmp_path: Path) -> None:
    with target(tmp_path) as to:
        before = to.memory_bytes()
        held = hold_half_requests(to, HALF_REQUESTS)
        assert held.all_ended
        assert held.most_descriptors <= DESCRIPTORS_MAX
        assert held.answered_meanwhile == HALF_REQUESTS / 100
        assert faults_after(to, before, LINES_MAX) == []
        assert to.stop() == 0


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b"HTTP/1.1 500 Internal Server Error\r\n\r\n", "500"),
        (b'HTTP/1.1 200 OK\r\n\r\n{"decision_id": "x"}', "data without the role"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\nplanted-customer-4711", "repeats what was sent"),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "2 answers"),
    ],
)
def test_the_judge_sees_a_fault(answer: bytes, fault: str) -> None:
    judged = Judged()
    judged.judge(Sent("kind", "ops", b""), answer)
    assert any(fault in found for found in judged.faults)
