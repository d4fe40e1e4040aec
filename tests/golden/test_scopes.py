"""The table of tests/cases/scopes.yaml: what a later yes opens of what a no closed, for every pair of scopes."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from tests.golden.cases import FOLDER, documents, moment, policy
from tests.golden.play import CUSTOMER, SIDES
from tests.golden.raw import raw_of
from tests.golden.sides import Side

NO, YES, ASKED = (
    moment(text, "America/Bogota") for text in ("2026-07-06 09:00", "2026-07-06 10:00", "2026-07-07 10:00")
)
# When the yes is said: one that is not later than the no opens nothing.
WHEN = {"later": YES, "at once": NO, "earlier": NO - 1}
CONSENT = {"id": "consent", "kind": "consent", "evidence": "optional"}


@cache
def table() -> dict[str, Any]:
    (found,) = documents(FOLDER / "scopes.yaml")
    return found


TRACKS = [(track["no"], track["yes"]) for track in table()["tracks"]]
SCOPES = table()["scopes"]
MESSAGES = table()["messages"]


def test_the_table_is_whole() -> None:
    rows = table()["open"]
    assert list(rows) == list(SCOPES)
    for row in rows.values():
        assert list(row) == ["before", *SCOPES]
    assert len(SCOPES) >= 18
    fields = {"channel", "purpose", "topic", "brand", "sender_id"}
    named = {frozenset(scope) for scope in SCOPES.values()}
    assert named >= {frozenset(), frozenset(fields), *(frozenset({field}) for field in fields)}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("no, yes", TRACKS, ids=[no for no, _ in TRACKS])
@pytest.mark.parametrize("scope", SCOPES)
def test_what_is_open_after_a_no_and_a_yes(scope: str, no: str, yes: str, side: str) -> None:
    row = table()["open"][scope]
    wanted = {(name, when): row["before" if when != "later" else name] for name in SCOPES for when in WHEN}
    found = {(name, when): what_is_open(side, (no, scope), (yes, name), WHEN[when]) for name, when in wanted}
    assert found == wanted


def what_is_open(side: str, no: tuple[str, str], yes: tuple[str, str], said_ms: int) -> str:
    """The letters of the messages that may be sent."""
    played: Side = SIDES[side](policy_text(no[0]))
    if no[0] == "consent_withdrawn":  # without a consent to everything nothing would be open
        publish(played, "consent_granted", {}, NO - 1_000)
    for kind, name, at in ((*no, NO), (*yes, said_ms)):
        publish(played, kind, SCOPES[name], at)
    return "".join(letter for letter, message in MESSAGES.items() if is_approved(played, letter, message)) or "none"


@cache
def policy_text(no: str) -> str:
    written = policy(table()["policy"])
    return json.dumps({**written, "rules": [CONSENT]} if no == "consent_withdrawn" else written)


def publish(played: Side, kind: str, scope: dict[str, str], at: int) -> None:
    event = {"event_id": f"{kind}-{at}", "customer_id": CUSTOMER, "type": kind, **scope}
    assert played.record("preference", raw_of(event), at, ASKED - 1) == []


def is_approved(played: Side, letter: str, message: dict[str, str]) -> bool:
    event = {"intent_id": letter, "customer_id": CUSTOMER, "created_at": ASKED, **message}
    return played.approves(event, ASKED)
