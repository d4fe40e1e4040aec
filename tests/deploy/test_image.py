"""What the image promises of its surroundings: a read-only root and a small `/tmp` in memory are enough."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streams.testing.broker import create_plan
from streams.testing.embedded_broker import EmbeddedBroker
from streams.testing.waiting import wait_until
from streams.topics import TopicNames, TopicPlan
from tests.deploy.read_only import mesura, running_locked_up

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
READY_SECONDS = 120


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as started:
        create_plan(started, TopicPlan(names=TopicNames(), partitions=2, replication_factor=1))
        yield started


def status(address: str) -> int:
    """0 if nobody answers."""
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code
    except OSError:
        return 0


def test_a_gate_that_can_write_only_to_its_temporary_directory_decides(broker: EmbeddedBroker, tmp_path: Path) -> None:
    """Settings come as systemd and the chart give them: by variables, the key as a file that its group may read."""
    key = tmp_path / "erasure.key"
    key.write_text("ab" * 32 + "\n")
    key.chmod(0o440)
    environment = {
        "MESURA_BOOTSTRAP": broker.bootstrap_servers,
        "MESURA_POLICY": str(ROOT / "streams/policy/packs/starter.yaml"),
        "MESURA_ERASURE_KEY_FILE": str(key),
        "MESURA_OPS_HOST": "0.0.0.0",
        "MESURA_OPS_PORT": "0",
        "MESURA_OPS_OPEN_METRICS": "true",
        "MESURA_CHECK_CRCS": "false",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with running_locked_up(mesura("run"), environment, tmp_path) as (process, ops):
        port = ops.rpartition(":")[2]
        here = f"http://127.0.0.1:{port}"
        wait_until(lambda: status(f"{here}/ready") == 200, READY_SECONDS, "the gate is ready")
        assert status(f"{here}/live") == 200
        assert status(f"{here}/metrics") == 200
        process.terminate()
        assert process.wait(READY_SECONDS) == 0
    assert "Errno 30" not in (tmp_path / "gate.err").read_text()


def test_the_image_says_so() -> None:
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    assert "tmpfs at /tmp" in re.sub(r"\n# ", " ", dockerfile)
