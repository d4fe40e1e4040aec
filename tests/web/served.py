"""An endpoint with both ports, over real HTTP, whose worker answers what the product's own code makes of an intent."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import msgspec
import orjson
from prometheus_client import CollectorRegistry, Gauge

from streams.access_log.writer import AccessLog
from streams.contracts.decode import decode_intent
from streams.decision.policy import compile_policy
from streams.policy.loader import load_policy
from streams.policy.packs import pack_path
from streams.service.explanation import explain
from streams.telemetry.health import Standing
from streams.web.access import read_credentials
from streams.web.customer_questions import CustomerQuestions
from streams.web.ops import OpsServer, PortServer
from streams.web.questions import QUESTION_BYTES_MAX
from streams.web.reread import Reread
from streams.web.server_tls import read_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

POLICY: Final = compile_policy(load_policy(pack_path("starter")).specification)
NOW_MS: Final = 1_795_618_800_000
KEY: Final = b"k" * 32

TOKENS: Final = {role: role[0] * 40 for role in ("metrics", "support", "compliance", "operator")}
CUSTOMER: Final = "planted-customer-4711"
INTENT: Final = json.dumps(
    {
        "intent_id": "planted-intent",
        "customer_id": CUSTOMER,
        "channel": "sms",
        "created_at": NOW_MS,
        "purpose": "marketing",
        "timezone": "America/Bogota",
        "sender_id": "sms-co",
    }
).encode()


class Machine:
    """Stands for the machine behind both ports."""

    async def registry(self) -> CollectorRegistry:
        registry = CollectorRegistry()
        Gauge("mesura_ready", "Ready.", registry=registry).set(1)
        return registry

    async def liveness(self) -> Standing:
        return Standing(True, "alive")

    async def readiness(self) -> Standing:
        return Standing(True, "deciding for 1 partitions")

    async def ask_owner(self, customer_id: str, question: bytes) -> tuple[int, bytes]:
        assert customer_id
        return 200, msgspec.json.encode(explain(decode_intent(question)[0], None, POLICY, NOW_MS))


class Served:
    """Where the ports are."""

    def __init__(self, ops: int, explain: int, access: Path, access_log: Path) -> None:
        self.ops = ops
        self.explain = explain
        self.access = access
        self.access_log = access_log


def access_directory(directory: Path) -> Path:
    """A token for every role."""
    directory.mkdir()
    for role, token in TOKENS.items():
        file = directory / f"{role}.tokens"
        file.touch(mode=0o600)
        file.write_text(f"{role}-1 {token}\n")
    return directory


@asynccontextmanager
async def served(directory: Path, *, tls: Path | None = None, open_metrics: bool = False) -> AsyncIterator[Served]:
    """Both ports on loopback, with an access directory."""
    access = access_directory(directory / "access")
    credentials = Reread(access, read_credentials).current
    context = None if tls is None else Reread(tls, read_context).current
    access_log = directory / "access.log"
    questions = CustomerQuestions(Machine(), AccessLog(KEY, access_log))
    first = OpsServer(Machine(), port=0, credentials=credentials, tls=context, open_metrics=open_metrics)
    second = PortServer(
        questions.routes(),
        questions.needs(),
        port=0,
        body_bytes_max=QUESTION_BYTES_MAX,
        credentials=credentials,
        tls=context,
    )
    try:
        yield Served(await first.start(), await second.start(), access, access_log)
    finally:
        await first.stop()
        await second.stop()


def document(body: bytes) -> dict[str, object]:
    found: dict[str, object] = orjson.loads(body)
    return found
