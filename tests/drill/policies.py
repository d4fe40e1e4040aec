"""Faults of those who write policies and roll them out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.drill.fault import Fault
from tests.drill.scene import Scene
from tests.drill.stage import stage
from tests.system.policies import any_hour

if TYPE_CHECKING:
    from pathlib import Path

ACT: Final = "policies"
STOPPED: Final = """\
  - id: stopped
    kind: campaign
    because: "These campaigns are over."
    source: {{text: "House rule", confidence: house}}
    campaigns: [{campaigns}]
    switch: "off"
"""
SPRING: Final = "spring"
AUTUMN: Final = "autumn"
PER_SECOND: Final = 20.0


def _policy(*stopped: str) -> str:
    text = any_hour(limit=1_000)
    return text + STOPPED.format(campaigns=", ".join(stopped)) if stopped else text


FORMER: Final = _policy(SPRING)
"""Half of the intents are of a campaign that is over: they are suppressed."""


def _write(path: Path, text: str) -> None:
    partial = path.with_suffix(".new")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _set_up(scene: Scene) -> None:
    scene.policy.write_text(FORMER, encoding="utf-8")
    scene.upstream.per_second = PER_SECOND
    scene.upstream.more = lambda number: {
        "campaign_id": SPRING if number // 2 % 2 else AUTUMN,
        "sender_id": "bank-co",
        "country": "CO",
    }
    counted = (f"campaign={SPRING}", "sender=bank-co", "country=CO")
    scene.begin(options=tuple(word for each in counted for word in ("--count-by", each)))


def _put_back(scene: Scene) -> None:
    _write(scene.policy, FORMER)


def _lose_the_rule(scene: Scene) -> None:
    _write(scene.policy, _policy())


def _until_there_is_a_past(scene: Scene) -> None:
    """The jump is measured by two hours that ended a quarter of an hour ago."""
    decided = f'job_channel:mesura_decisions_in_hours:increase2h{{job="{scene.job}", channel="sms"}} offset 45s'
    scene.until(f"({decided}) > 250", "a past of decisions")


def _drop_a_channel(scene: Scene) -> None:
    _write(scene.policy, FORMER.replace("  sms:\n", ""))


def _stop_everything(scene: Scene) -> None:
    _write(scene.policy, _policy(SPRING, AUTUMN))


def _cut_the_file_off(scene: Scene) -> None:
    _write(scene.policy, FORMER[: len(FORMER) // 2])


def _start_with_another_policy(scene: Scene) -> None:
    other = scene.directory / "other.yaml"
    other.write_text(FORMER.replace("limit: 1000", "limit: 999"), encoding="utf-8")
    scene.start(slot="1", processes=1, policy=other)


def _roll_it_out(scene: Scene) -> None:
    _write(scene.directory / "other.yaml", FORMER)


STAGE: Final = stage(ACT, set_up=_set_up)
PUT_BACK: Final = "the former policy put back"
FAULTS: Final = (
    Fault(
        ACT,
        "a change of the policy loses the rule that suppressed half of all intents",
        {"MesuraApprovalsJump": r"campaign"},
        _lose_the_rule,
        _put_back,
        PUT_BACK,
        prepare=_until_there_is_a_past,
    ),
    Fault(
        ACT,
        "a change of the policy loses its only rule that suppresses anything, unnoticed for an hour",
        {"MesuraNothingSuppressed": r"any-hour"},
        _lose_the_rule,
        _put_back,
        PUT_BACK,
    ),
    Fault(
        ACT,
        "a change of the policy leaves a channel out",
        {"MesuraChannelSuppressed": r"channel_unknown"},
        _drop_a_channel,
        _put_back,
        PUT_BACK,
    ),
    Fault(
        ACT,
        "a change of the policy switches every campaign off",
        {"MesuraEverythingSuppressed": r"campaign"},
        _stop_everything,
        _put_back,
        PUT_BACK,
    ),
    Fault(
        ACT,
        "the policy file is cut off in the middle",
        {"MesuraPolicyFileDiffers": r"refused [^0]"},
        _cut_the_file_off,
        _put_back,
        PUT_BACK,
    ),
    Fault(
        ACT,
        "a second machine was rolled out with another policy",
        {"MesuraPolicyDiffers": r"any-hour .*any-hour"},
        _start_with_another_policy,
        _roll_it_out,
        "the file brought to the machine that lacks it",
    ),
)
