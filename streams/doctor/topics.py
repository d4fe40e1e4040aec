"""The topics: whether they are as planned, and whether they take records now."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from streams.doctor.finding import SEE_PARTITIONS, SEE_PERMISSIONS, Finding, State
from streams.exactly_once.errors import StartupRefusedError
from streams.exactly_once.replica_watch import MIN_INSYNC, cause, unwritable
from streams.exactly_once.startup import check_counts
from streams.topic_check import CANNOT_TELL, compare, read_configs
from streams.topic_check import State as TopicState
from streams.topics import DEFAULT_PARTITIONS, TopicPlan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.doctor.subject import Subject
    from streams.topic_check import TopicReport


def look_at_topics(subject: Subject) -> Iterator[Finding]:
    """Compare them with the plan, as `mesura topics check` does, for as many partitions as they have."""
    counts = {name: len(each.partitions) for name, each in subject.topics.items() if name != subject.names.control}
    usual = Counter(counts.values()).most_common(1)
    plan = TopicPlan(
        subject.names,
        usual[0][0] if usual else DEFAULT_PARTITIONS,
        subject.replication_factor,
        recorded_times=subject.recorded_times,
    )
    reports = compare(subject.admin(), plan, refused_is_untold=True)
    findings = [finding for report in reports for finding in _of(report)]
    untold = [report.topic.name for report in reports if CANNOT_TELL in report.differences]
    if untold:
        findings.append(
            Finding(
                "topics",
                State.NOT_POSSIBLE,
                f"The brokers do not tell the settings of {', '.join(untold)}.",
                "See permissions. If they are in order, compare the settings with `mesura topics describe` by hand.",
            )
        )
    try:
        if counts:
            check_counts(counts)
    except StartupRefusedError as refused:
        findings.append(Finding("topics", State.FAILURE, str(refused), SEE_PARTITIONS))
    yield from findings or [
        Finding(
            "topics", State.OK, f"All {len(plan.topics())} topics are as planned, with {plan.partitions} partitions."
        )
    ]


def _of(report: TopicReport) -> Iterator[Finding]:
    name = report.topic.name
    if report.state is TopicState.MISSING:
        yield Finding(
            "topics",
            State.FAILURE,
            f"{name} does not exist, or we may not see it.",
            "`mesura topics create` creates what is missing. If it exists, see permissions.",
        )
    for danger in report.dangers:
        yield Finding("topics", State.FAILURE, danger, "`mesura run` refuses to start until it is changed.")
    # What is a danger is a difference too, unless it is not in the plan.
    differences = [] if report.dangers else [each for each in report.differences if each != CANNOT_TELL]
    for difference in differences:
        yield Finding("topics", State.WARNING, f"{name}: {difference}.", "`mesura topics check` says what to do.")


def look_at_replicas(subject: Subject) -> Iterator[Finding]:
    """Whether every partition has a leader, enough replicas in sync, and all of them."""
    yield from subject.unseen("replicas", subject.names.all())
    described: list[dict[str, Any]] = [
        {
            "topic": name,
            "partitions": [
                {"partition": each.id, "leader": each.leader, "replicas": each.replicas, "isr": each.isrs}
                for each in topic.partitions.values()
            ],
        }
        for name, topic in subject.topics.items()
    ]
    configs = read_configs(subject.admin(), list(subject.topics), refused_is_untold=True)
    needed = {name: int(config[MIN_INSYNC]) for name, config in configs.items() if MIN_INSYNC in config}
    found = unwritable(described, needed)
    behind = [
        f"{topic['topic']}-{each['partition']}"
        for topic in described
        for each in topic["partitions"]
        if set(each["replicas"]) - set(each["isr"])
    ]
    if found:
        yield Finding("replicas", State.FAILURE, f"{cause(found)}.", "See MesuraPartitionsUnwritable.")
    elif behind:
        yield Finding(
            "replicas",
            State.WARNING,
            f"{len(behind)} partitions have replicas that are not in sync, among them {behind[0]}.",
            "Start the brokers that are away, or reassign their replicas.",
        )
    else:
        yield Finding("replicas", State.OK, "Every partition has a leader, and all its replicas are in sync.")
    if not needed:
        yield Finding(
            "replicas",
            State.NOT_POSSIBLE,
            f"The brokers do not tell {MIN_INSYNC}, so a partition may take no records although it has a leader.",
            SEE_PERMISSIONS,
        )
