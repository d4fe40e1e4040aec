"""`/explain` over real HTTP: whole questions, refused ones, and none at all where it is switched off."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from streams.web.questions import QUESTION_BYTES_MAX
from tests.system.conftest import now_ms
from tests.system.harness import Gate, World, running
from tests.system.policies import any_hour

if TYPE_CHECKING:
    from pathlib import Path

    from streams.testing.broker import Broker

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(any_hour(), encoding="utf-8")
    return path


def in_two_pieces(gate: Gate, question: bytes) -> bytes:
    """The answer to a question whose second half comes later than its first."""
    address = urlsplit(gate.ops)
    assert address.hostname is not None
    assert address.port is not None
    head = f"POST /explain HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(question)}\r\n\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(head.encode() + question[:20])
        time.sleep(0.2)
        connection.sendall(question[20:])
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    return answer


def test_a_question_is_read_whole_and_refused_in_a_sentence(
    embedded_broker: Broker, topic_prefix: str, policy: Path, tmp_path: Path
) -> None:
    question = {"customer_id": "c", "intent_id": "i", "channel": "sms", "created_at": now_ms()}
    with running(World(embedded_broker, topic_prefix), tmp_path, policy=policy) as gate:
        answer = in_two_pieces(gate, json.dumps(question).encode())
        assert answer.startswith(b"HTTP/1.1 200")
        assert b'"verdict": "approved"' in answer
        status, problem = gate.explain({**question, "created_at": now_ms() + 3_600_000})
        assert (status, "further ahead" in problem["error"]) == (400, True)
        status, problem = gate.explain({**question, "zz": "x" * QUESTION_BYTES_MAX})
        assert status == 413
        assert str(QUESTION_BYTES_MAX) in problem["error"]
        status, _ = gate.explain({**question, "zz": "x" * (QUESTION_BYTES_MAX - 200)})
        assert status == 200


def test_switched_off_nobody_is_answered_about(
    embedded_broker: Broker, topic_prefix: str, policy: Path, tmp_path: Path
) -> None:
    with running(World(embedded_broker, topic_prefix), tmp_path, policy=policy, explain=False) as gate:
        assert "/explain" not in gate.get("/")[1]
        assert gate.get("/explain")[0] == 404
