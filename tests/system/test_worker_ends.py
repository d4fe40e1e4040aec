"""What a worker's end means to its supervisor."""

from __future__ import annotations

import subprocess
import sys

import pytest

from streams.app import WorkerEnd
from streams.decision.ledger import LedgerUnreadable
from streams.decision.ledger_changes import decode_ledger
from streams.exactly_once.errors import StartupRefusedError
from streams.exactly_once.settings import EXIT_REFUSED, EXIT_STOPPED, EXIT_UNEXPECTED
from streams.worker import ENDED, REFUSED, START_AGAIN, exit_code


def test_a_stop_is_an_end_and_a_failure_a_reason_to_start_again() -> None:
    assert exit_code(WorkerEnd(EXIT_STOPPED, "asked to stop")) == ENDED
    assert exit_code(WorkerEnd(EXIT_UNEXPECTED, "lost", RuntimeError("x"))) == START_AGAIN


def test_what_starting_again_cannot_help_is_a_refusal() -> None:
    with pytest.raises(LedgerUnreadable) as unreadable:
        decode_ledger(b"no ledger")
    assert exit_code(WorkerEnd(EXIT_UNEXPECTED, "LedgerUnreadable", unreadable.value)) == REFUSED
    assert exit_code(WorkerEnd(EXIT_REFUSED, "no", StartupRefusedError("no"))) == REFUSED


ENDING = """
import asyncio, os, signal, sys
from streams import worker

class Failed:
    def __init__(self, settings):
        pass

    async def run(self, stop):
        return worker.START_AGAIN

worker.GateWorker = Failed
code = asyncio.run(worker._main(None))
os.kill(os.getpid(), signal.SIGTERM)
sys.exit(code)
"""


def test_asked_to_stop_while_it_is_ending_it_still_says_why() -> None:
    ended = subprocess.run([sys.executable, "-c", ENDING], check=False, timeout=60)
    assert ended.returncode == START_AGAIN
