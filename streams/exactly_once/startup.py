"""What is checked before anything is decided. Every refusal says what to do.

Refused
- a topic that does not exist, or has another partition count than the other topics;
- a partition count other than the one recorded in the control topic: keys would have moved to other partitions, and
  opt-outs would be forgotten;
- a topic with settings that break one of the rules of `topic_rules.py`.

`check_positions` runs when a partition is assigned instead, because its answer is known only then.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from streams.exactly_once.control import MOVE_UNDER_WAY, PARTITIONS_KEY, ControlTopic
from streams.exactly_once.errors import StartupRefusedError
from streams.exactly_once.settings import COMMIT_MARK
from streams.exactly_once.topic_configs import connected_admin, topic_configs
from streams.exactly_once.topic_rules import refuse_unfit, rules_by_topic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.structs import OffsetAndMetadata

    from streams.exactly_once.settings import EngineSettings

LEADER_WAIT_SECONDS: Final = 10.0
"""How long topics that were created a moment ago may take to get their leaders."""

LEADER_POLL_SECONDS: Final = 0.1

CONFIGS_UNKNOWN: Final = "The broker does not tell the settings of {}: whether something would be lost is not checked."


@dataclass(frozen=True, slots=True)
class StartupReport:
    """What the checks found."""

    partition_count: int
    compares_clocks: bool
    """Whether the changelog carries the broker's append time."""
    warnings: tuple[str, ...] = field(default=())
    """What could not be checked."""


async def check_topics(settings: EngineSettings) -> StartupReport:
    """Check the topics; records the partition count at the first start.

    Raises:
        StartupRefusedError: with a sentence that says what to do.
    """
    counted = [topic.name for topic in settings.ranked_topics]
    counted += [settings.changelog_topic, *settings.output_topics]
    counted += [settings.batches_topic] if settings.batches_topic else []
    compacted = [settings.changelog_topic, *([settings.control_topic] if settings.control_topic else [])]
    async with connected_admin(settings) as admin:
        counts = await _partition_counts(admin, dict.fromkeys([*counted, *compacted]))
        partition_count = check_counts({name: counts[name] for name in counted})
        if settings.control_topic and counts[settings.control_topic] != 1:
            raise StartupRefusedError(
                f"{settings.control_topic} has {counts[settings.control_topic]} partitions: create it anew with one."
            )
        rules = rules_by_topic(settings)
        configs = await topic_configs(admin, list(rules))
    configs = configs or {}
    refuse_unfit(rules, configs)
    unknown = [topic for topic in rules if topic not in configs]
    warnings = (CONFIGS_UNKNOWN.format(", ".join(unknown)),) if unknown else ()
    compares_clocks = settings.changelog_topic in configs
    if settings.control_topic:
        await _check_recorded_count(settings, settings.control_topic, partition_count)
    return StartupReport(partition_count, compares_clocks, warnings)


def check_counts(counts: Mapping[str, int]) -> int:
    """All topics have one partition count; returns it.

    Raises:
        StartupRefusedError: they differ.
    """
    if len(set(counts.values())) != 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise StartupRefusedError(
            f"The topics have unequal partition counts ({listed}): a customer's opt-outs and intents would be read by "
            "different lanes. Give all of them the same count; how to move to another is in the runbook."
        )
    return next(iter(counts.values()))


def check_recorded_count(recorded: int, found: int) -> None:
    """The partition count is the one the application was first started with.

    Raises:
        StartupRefusedError: it has changed.
    """
    if recorded == int(MOVE_UNDER_WAY):
        raise StartupRefusedError(
            "Ledgers are being moved to these topics, or the move broke off: some customers' noes may not be here yet. "
            "Run the move again to its end (mesura ledger move), then start."
        )
    if recorded != found:
        raise StartupRefusedError(
            f"The topics have {found} partitions, the application was started with {recorded}: customers would have "
            "moved to other partitions, and what they said would be forgotten. Follow the runbook for changing the "
            "count."
        )


def check_positions(
    settings: EngineSettings,
    partition: int,
    recorded: Mapping[str, int],
    committed: Mapping[str, OffsetAndMetadata],
    ends: Mapping[str, int],
) -> None:
    """The recorded positions are plausible: not behind the group's offsets, not beyond the topics' ends.

    `recorded`: as the partition's latest meta record has them; empty if the changelog has none.

    Raises:
        StartupRefusedError: the changelog and the topics or the group do not belong together.
    """
    for topic, (offset, note) in committed.items():
        if offset > recorded.get(topic, 0):
            is_ours = note == COMMIT_MARK
            sentence = _lost_state if is_ours else _moved if recorded else _moved_before_the_first_start
            raise StartupRefusedError(sentence(settings, f"{topic}-{partition}", offset, recorded.get(topic, 0)))
    for topic, end in ends.items():
        if recorded.get(topic, 0) > end:
            raise StartupRefusedError(
                f"The changelog knows decisions up to {recorded[topic]} of {topic}-{partition}, which ends at {end}: "
                "the topic was created anew or has lost records. Restore the topic, or start a new application id."
            )


def _lost_state(settings: EngineSettings, where: str, offset: int, recorded: int) -> str:
    return (
        f"{settings.changelog_topic} has lost state: this application has itself committed offset {offset} of {where}, "
        f"and the changelog knows of decisions only up to {recorded}. Stop every worker and rebuild the topic "
        "(mesura rebuild, or mesura ledger restore FILE), as docs/operations.md says under A lost or emptied ledger. "
        "Deleting the group's offsets instead would forget what customers said."
    )


def _moved(settings: EngineSettings, where: str, offset: int, recorded: int) -> str:
    return (
        f"Somebody has moved the offsets of the group {settings.application_id}: it stands at {offset} of {where}, "
        "which this application never committed (kafka-consumer-groups.sh --reset-offsets, or another program under "
        f"its name), and {settings.changelog_topic} knows of decisions up to {recorded}. Stop every worker and delete "
        f"the group's offsets: {_delete_group(settings)}. The next start continues from the changelog's own positions."
    )


def _moved_before_the_first_start(settings: EngineSettings, where: str, offset: int, _recorded: int) -> str:
    return (
        f"The group {settings.application_id} stands at {offset} of {where}, which this application never committed, "
        f"and {settings.changelog_topic} holds nothing of that partition. If this application has decided before "
        f"(the topics of decisions hold records of its own), {settings.changelog_topic} was emptied: stop every worker "
        "and rebuild it, as in docs/operations.md under A lost or emptied ledger. If it never decided, "
        "something else uses its group: give that an id of its own, and follow docs/operations.md under Group offsets "
        "moved by hand."
    )


def _delete_group(settings: EngineSettings) -> str:
    where, group = settings.bootstrap_servers, settings.application_id
    return f"kafka-consumer-groups.sh --bootstrap-server {where} --delete --group {group}"


async def _check_recorded_count(settings: EngineSettings, control_topic: str, partition_count: int) -> None:
    async with ControlTopic(settings, control_topic) as control:
        recorded = control.get(PARTITIONS_KEY)
        if recorded is None:
            await control.put(PARTITIONS_KEY, b"%d" % partition_count)
        else:
            check_recorded_count(int(recorded), partition_count)
        await control.record_version(settings.program_version)


async def _partition_counts(admin: AIOKafkaAdminClient, names: Mapping[str, None]) -> dict[str, int]:
    """How many partitions each topic has. Asks for all topics, because asking for one may create it."""
    existing = set(await admin.list_topics())
    missing = [name for name in names if name not in existing]
    if missing:
        raise StartupRefusedError(
            f"These topics do not exist: {', '.join(missing)}. Create them with the partition count of the others, "
            "or correct their names in the settings."
        )
    async with asyncio.timeout(LEADER_WAIT_SECONDS):
        while True:
            described = await admin.describe_topics(list(names))
            if all(_has_leaders(topic) for topic in described):
                return {topic["topic"]: len(topic["partitions"]) for topic in described}
            await asyncio.sleep(LEADER_POLL_SECONDS)


def _has_leaders(topic: Mapping[str, Any]) -> bool:
    partitions = topic["partitions"]
    return bool(partitions) and all(partition["leader"] >= 0 for partition in partitions)
