"""Which settings of a topic would break a promise: the one list, for `mesura run` and for `mesura topics check`.

Rules of this module
1. A setting has a rule here only if another value would lose something or go wrong unnoticed. What merely differs from
   the plan is a finding of `topics check`, and no reason to refuse.
2. The same rules hold at start and while the worker runs (`topic_watch.py`), because settings change.
3. No Kafka client is loaded: commands that only print the rules start at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from streams.exactly_once.errors import TopicUnfitError
from streams.exactly_once.settings import CHANGELOG_RECORD_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.exactly_once.settings import EngineSettings

LARGEST_BATCH: Final = "max.message.bytes"
"""The largest record batch a topic takes, in bytes."""


@dataclass(frozen=True, slots=True)
class TopicRule:
    """A setting and what comes of another value. `wanted` is the least, where more does no harm (`at_least`).

    `may_be_unsaid`: brokers that do not speak of the setting do not have what it would allow.
    """

    key: str
    wanted: str
    harm: str
    at_least: bool = False
    may_be_unsaid: bool = False

    def broken_by(self, topic: str, config: Mapping[str, str]) -> str | None:
        """A sentence if these settings of the topic break the rule."""
        value = config.get(self.key)
        if value is None and self.may_be_unsaid:
            return None
        value = value or ""
        if value == self.wanted or (self.at_least and value.isdecimal() and int(value) >= int(self.wanted)):
            return None
        more = ", or more" if self.at_least else ""
        return f"{topic} has {self.key}={value}: {self.harm}. Set {self.key}={self.wanted} on it{more}."


_ONLY_COMPACTED: Final = TopicRule("cleanup.policy", "compact", "what customers said would be deleted with age")
_NOT_COMPACTED: Final = TopicRule(
    "cleanup.policy",
    "delete",
    "compaction keeps only a customer's latest record, and what came before would be lost",
)
_NOTHING_FORGOTTEN: Final = TopicRule(
    "unclean.leader.election.enable",
    "false",
    "a broker that fell behind could become its leader, and what others have acknowledged would be lost",
    may_be_unsaid=True,
)
_BROKERS_TIME: Final = TopicRule(
    "message.timestamp.type",
    "LogAppendTime",
    "a wrong clock would go unnoticed, and limits would be counted in wrong windows",
)
_LARGEST_STATE: Final = TopicRule(
    LARGEST_BATCH,
    str(CHANGELOG_RECORD_BYTES),
    "a customer with a long history could not be recorded, and its partition would stop",
    at_least=True,
)

RECORDS: Final = (_NOT_COMPACTED, _NOTHING_FORGOTTEN)
"""Of topics in which every record counts: inputs and outputs."""

CHANGELOG: Final = (_ONLY_COMPACTED, _NOTHING_FORGOTTEN, _BROKERS_TIME, _LARGEST_STATE)
CONTROL: Final = (_ONLY_COMPACTED, _NOTHING_FORGOTTEN)


def broken_rules(topic: str, rules: Sequence[TopicRule], config: Mapping[str, str]) -> list[str]:
    """A sentence for each rule that these settings of the topic break: what would go wrong, and what to set."""
    return [sentence for rule in rules if (sentence := rule.broken_by(topic, config)) is not None]


def rules_by_topic(settings: EngineSettings) -> dict[str, tuple[TopicRule, ...]]:
    """The rules of every topic of an application."""
    rules: dict[str, tuple[TopicRule, ...]]
    rules = dict.fromkeys([*(topic.name for topic in settings.ranked_topics), *settings.output_topics], RECORDS)
    rules[settings.changelog_topic] = CHANGELOG
    if settings.batches_topic is not None:
        rules[settings.batches_topic] = RECORDS
    if settings.control_topic is not None:
        rules[settings.control_topic] = CONTROL
    return rules


def refuse_unfit(rules: Mapping[str, Sequence[TopicRule]], configs: Mapping[str, Mapping[str, str]]) -> None:
    """Look at every topic whose settings are known.

    Raises:
        TopicUnfitError: rules are broken; the sentence names all of them.
    """
    unfit = {topic: broken_rules(topic, rules[topic], config) for topic, config in configs.items()}
    found = [(topic, sentences) for topic, sentences in unfit.items() if sentences]
    if found:
        raise TopicUnfitError(found[0][0], " ".join(sentence for _, sentences in found for sentence in sentences))
