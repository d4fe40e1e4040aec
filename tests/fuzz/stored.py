"""What the gate stored or was handed by its own kind: meta records, published policies, a worker's settings.

What must hold beside "refused or read": written and read again it is the same; and no error shows the secret among the
settings.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from streams.contracts.control import PolicyRecord, decode_policy, encode_policy
from streams.exactly_once.changelog import Meta, decode_meta, encode_meta
from streams.exactly_once.errors import StartupRefusedError
from streams.settings import SettingsRefused, WorkerSettings
from tests.contracts.schema_files import examples
from tests.fuzz.telling import TOKEN, assert_tells_nothing

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECRET: Final = re.compile(rf"[0-9a-fA-F]{{32,}}|.*{TOKEN}.*", re.DOTALL)
"""Keys that stand in no sentence by chance: as long as keys are, or with the word that is nowhere else."""


def meta(data: bytes) -> None:
    """The target for meta records."""
    try:
        found = decode_meta(data)
    except StartupRefusedError as refused:
        assert_tells_nothing(str(refused))
        return
    assert decode_meta(encode_meta(found)) == found


def published(data: bytes) -> None:
    """The target for published policies. (They hold no customer: what the decoder says may quote them.)"""
    try:
        found = decode_policy(data)
    except msgspec.DecodeError:
        return
    again = decode_policy(encode_policy(found))
    assert encode_policy(again) == encode_policy(found)
    assert (again.text, again.hash, list(again.rules)) == (found.text, found.hash, list(found.rules))


def settings(data: bytes) -> None:
    """The target for settings, as the environment holds them: what is not UTF-8 there is escaped."""
    text = data.decode(errors="surrogateescape")
    try:
        found = WorkerSettings.from_environment(text)
    except SettingsRefused as refused:
        _keeps_secret(text, str(refused))
        return
    assert WorkerSettings.from_environment(found.to_environment()) == found
    try:
        checked = found.checked()
    except SettingsRefused as refused:
        _keeps_secret(text, str(refused))
        return
    assert checked is found
    _keeps_secret(text, repr(found))


def _keeps_secret(text: str, said: str) -> None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return
    key = document.get("erasure_key") if isinstance(document, dict) else None
    if isinstance(key, str) and _SECRET.fullmatch(key):
        others = json.dumps({**document, "erasure_key": ""}, ensure_ascii=False)
        assert key not in said or key in others or text.count(key) > 1, "the erasure key is shown"


META_WORDS: Final[dict[str, list[Any]]] = {
    "positions": [{}, {"opt-out": 0}, {"outbound-intent": 2**40, TOKEN: 7}, {"a": -1}],
    "latest_ms": [0, 1_795_514_400_000, -1],
    "version": [0, 1, 2, 2**63],
}
PUBLISHED_WORDS: Final[dict[str, list[Any]]] = {
    "type": ["policy", "other"],
    "rules": [
        [],
        [{"id": "r", "kind": "cap", "limit": 3, "window": "7d"}],
        [{"id": "r", "kind": "gap", "state": "off"}],
    ],
    "versions": [{}, {"tzdata": "2026a", "holidays": "0.1"}],
    "calendars": [{}, {"CO": ["2026-12-25", "2026-01-01"]}],
    **{name: ["x", TOKEN] for name in ("name", "version", "hash", "text", "reasons")},
}
SETTINGS_WORDS: Final[dict[str, list[Any]]] = {
    "bootstrap_servers": ["localhost:9092"],
    "policy_path": ["policy.yaml"],
    "topics": [{}, {"intents": ["a", "b"]}, {"intents": []}, {"intents": ["opt-out"]}, {"preferences": TOKEN}],
    "clock": ["wall", "record", "sun"],
    "lanes": [0, 1, 4, 5],
    "erasure_key": ["", "00" * 31, "ab" * 32, "AB" * 64, "ab" * 65, TOKEN * 8, "é" * 64],
    "ops_port": [0, 9464, -1],
    "session_timeout_seconds": [10, 0.5, -1.0, 1e300],
    "count_by": [
        ["campaign=spring", "sender=shop"],
        ["colour=red"],
        ["country="],
        [f"campaign={n}" for n in range(65)],
    ],
}


def meta_seeds() -> Iterator[bytes]:
    """One of each."""
    yield encode_meta(Meta({}))
    yield encode_meta(Meta({"opt-out": 12, "contact-outcome": 3, "outbound-intent": 99}, 1_795_514_400_000))
    yield encode_meta(Meta({"opt-out": 12}, 5, version=2))


def published_seeds() -> Iterator[bytes]:
    """The published example, and a small one."""
    for path in examples("policy-record"):
        yield path.read_bytes()
    yield encode_policy(PolicyRecord(name="n", version="1", hash="0", text="", rules=[], versions={}, calendars={}))


def settings_seeds() -> Iterator[bytes]:
    """What a supervisor hands on, and what it must not."""
    sound = WorkerSettings(bootstrap_servers="localhost:9092", policy_path="p.yaml", erasure_key="ab" * 32)
    document = json.loads(sound.to_environment())
    yield sound.to_environment().encode()
    for name, values in SETTINGS_WORDS.items():
        for given in values:
            yield json.dumps({**document, name: given}).encode()
