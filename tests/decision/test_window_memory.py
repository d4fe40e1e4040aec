"""What a window keeps of the days it has looked at changes no answer, and is what it answers with."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from streams.decision.evaluation_context import EvaluationContext
from streams.decision.ledger.state import EMPTY_LEDGER, LabelSet
from streams.decision.request_context import ChannelPurpose, RequestContext
from streams.decision.rules.window import CLOSING_HORIZON_MS, PLACES_KEPT_MAX, WindowRule
from streams.decision.tables import NEVER
from tests.decision.builders import DAY, HOUR, NOW, SECOND, WORDS, policy_of

if TYPE_CHECKING:
    from streams.decision.answer import Answer
    from streams.decision.policy import Policy
    from streams.decision.rules.window import Place

HOURS = {
    "days": {"mon": ["07:00-19:00"], "tue": ["00:00-24:00"], "thu": ["00:00-12:00", "12:30-24:00"]},
    "always": {"workday": ["00:00-24:00"], "saturday": ["00:00-24:00"], "sunday": ["00:00-24:00"]},
    "nights": {"workday": ["00:00-03:00", "20:00-24:00"], "saturday": ["23:00-24:00"], "sunday": ["00:00-02:30"]},
}
COUNTRIES = ("CO", "US", "ES", "CL")
NEXT_DAY = (NOW // DAY + 1) * DAY


def policy_with(name: str) -> Policy:
    return policy_of({"id": "hours", "kind": "window", "hours": HOURS[name]})


def rule_of(policy: Policy) -> WindowRule:
    """Its window, which has looked at nothing yet."""
    rule = policy.rule(len(policy.rule_table) - 1)
    assert isinstance(rule, WindowRule)
    rule._runs.clear()
    rule._openings.clear()
    return rule


def request_in(policy: Policy, country: str) -> RequestContext:
    key = (None, None, None, None, None, country, None, None, "", None)
    return RequestContext(ChannelPurpose("sms", "marketing", 0, is_counted=True), key, policy.location)


def earliest(rule: WindowRule, request: RequestContext, moment_ms: int) -> int | None:
    own = LabelSet("sms", "marketing")
    return rule.earliest(EvaluationContext(own, request, EMPTY_LEDGER, WORDS, {}), moment_ms)


@pytest.mark.parametrize("name", HOURS)
def test_a_window_that_remembers_answers_what_one_that_does_not_answers(name: str) -> None:
    shared, policy = policy_with(name), policy_with(name)
    remembering = rule_of(shared)
    chooser = random.Random(name)
    kept = 0
    for _ in range(600):
        country = chooser.choice(COUNTRIES)
        moment_ms = NEXT_DAY + chooser.randrange(9) * DAY + chooser.choice((0, -SECOND, chooser.randrange(DAY)))
        asked = request_in(shared, country), request_in(policy, country)
        assert remembering.answer(asked[0], moment_ms) == rule_of(policy).answer(asked[1], moment_ms)
        assert earliest(remembering, asked[0], moment_ms) == earliest(rule_of(policy), asked[1], moment_ms)
        kept = max(kept, len(remembering._runs) + len(remembering._openings))
    assert kept > len(COUNTRIES)


class Scene:
    """A window in one zone, about to be asked at noon of a day on which it is open until midnight and closed after."""

    def __init__(self, name: str = "days") -> None:
        self.policy = policy_with(name)
        self.rule = rule_of(self.policy)
        self.request = request_in(self.policy, "CO")
        self.midnight_ms = NEXT_DAY + 5 * HOUR  # of Tuesday to Wednesday in Bogota
        self.noon_ms = self.midnight_ms - 12 * HOUR

    def place(self, moment_ms: int) -> Place:
        return self.request.zones, None, moment_ms // DAY

    def ask(self, moment_ms: int) -> Answer:
        return self.rule.answer(self.request, moment_ms)


def test_what_was_found_is_kept_for_its_day() -> None:
    scene = Scene()
    scene.ask(scene.noon_ms)
    assert scene.rule._runs == {scene.place(scene.noon_ms): (scene.noon_ms, scene.midnight_ms, True)}
    closed_ms = scene.midnight_ms + HOUR
    opens_ms = scene.midnight_ms + DAY
    scene.ask(closed_ms)
    assert scene.rule._openings == {scene.place(closed_ms): (closed_ms, opens_ms)}


def test_what_is_kept_is_what_is_answered() -> None:
    scene = Scene()
    place, noon_ms = scene.place(scene.noon_ms), scene.noon_ms
    for from_ms, until_ms, closes, wanted in (
        (noon_ms, noon_ms + HOUR, True, noon_ms + HOUR),
        (noon_ms - HOUR, noon_ms + HOUR, True, noon_ms + HOUR),
        (noon_ms + 1, noon_ms + HOUR, True, scene.midnight_ms),  # begins later
        (noon_ms - HOUR, noon_ms, True, scene.midnight_ms),  # has ended
        (noon_ms, noon_ms + HOUR, False, scene.midnight_ms),  # it is not known when it closes
        (noon_ms, noon_ms + CLOSING_HORIZON_MS, True, noon_ms + CLOSING_HORIZON_MS),
        (noon_ms, noon_ms + CLOSING_HORIZON_MS + 1, True, NEVER),
        (noon_ms, noon_ms + CLOSING_HORIZON_MS + 1, False, NEVER),
    ):
        scene.rule._runs = {place: (from_ms, until_ms, closes)}
        assert scene.ask(noon_ms)[1] == wanted


def test_an_opening_that_is_kept_is_the_next_one() -> None:
    scene = Scene()
    closed_ms = scene.midnight_ms + HOUR
    opens_ms = scene.midnight_ms + DAY
    place = scene.place(closed_ms)
    for kept, wanted in (
        ((closed_ms, closed_ms + HOUR), closed_ms + HOUR),
        ((closed_ms - HOUR, closed_ms + HOUR), closed_ms + HOUR),
        ((closed_ms - HOUR, closed_ms), closed_ms),
        ((closed_ms + 1, closed_ms + HOUR), opens_ms),
        ((closed_ms - HOUR, closed_ms - 1), opens_ms),
    ):
        scene.rule._openings = {place: kept}
        assert earliest(scene.rule, scene.request, closed_ms) == wanted
    # What is known to be open is open now, whatever was kept of openings; unless it closes too soon.
    scene.rule._openings = {place: (closed_ms, closed_ms + HOUR)}
    scene.rule._runs = {place: (closed_ms, closed_ms + HOUR, True)}
    assert earliest(scene.rule, scene.request, closed_ms) == closed_ms
    scene.rule._runs = {place: (closed_ms, closed_ms + SECOND, True)}
    assert earliest(scene.rule, scene.request, closed_ms) == closed_ms + HOUR


def test_runs_that_meet_are_one() -> None:
    scene = Scene()
    place = scene.place(scene.noon_ms)
    for known, found, wanted in (
        (None, (10, 20, True), (10, 20, True)),
        ((10, 20, True), (15, 20, True), (10, 20, True)),
        ((15, 20, True), (10, 20, True), (10, 20, True)),
        ((10, 30, True), (15, 20, False), (10, 30, True)),
        ((10, 20, False), (15, 30, True), (10, 30, True)),
        ((10, 20, False), (15, 20, True), (10, 20, True)),
        ((10, 20, True), (20, 30, True), (20, 30, True)),  # it closed between them
        ((20, 30, True), (10, 20, True), (10, 20, True)),
    ):
        scene.rule._runs = {} if known is None else {place: known}
        scene.rule._keep_run(place, *found)
        assert scene.rule._runs == {place: wanted}


def test_no_more_places_are_kept_than_there_is_room_for() -> None:
    scene = Scene("always")
    days = range(scene.noon_ms // DAY, scene.noon_ms // DAY + PLACES_KEPT_MAX)
    scene.rule._runs = {(scene.request.zones, None, -day): (0, 1, True) for day in days}
    scene.ask(scene.noon_ms)
    assert set(scene.rule._runs) == {scene.place(scene.noon_ms)}
