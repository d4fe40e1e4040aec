"""A kind of rule, and what rules of every kind are compiled with.

Rules of this module
1. Whatever the policy, the evaluator and the describer need of a kind they find here: they know none by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from streams.decision.counting import Counting, Pair
from streams.decision.location import Zones
from streams.decision.rules.rule import Rule
from streams.decision.specification import (
    CONTACT_FIELDS,
    CountingSpecification,
    RuleSpecification,
    ScopeField,
    Selector,
)
from streams.decision.tables import HolidayCalendar, ZoneTable


class Compilation:
    """What the rules of one policy are compiled with.

    Args:
        zones: every zone by its name.
        policy_zone: the name of the policy's own.
        calendars: the policy's holiday calendars by name.
        groups: every channel with its group.
        vocabulary: every pair of channel and purpose, in the order of their numbers.
    """

    __slots__ = ("_countings", "_groups", "_policy_zone", "_vocabulary", "_zones", "calendars")

    def __init__(
        self,
        zones: Mapping[str, ZoneTable],
        policy_zone: str,
        calendars: Mapping[str, HolidayCalendar],
        groups: Mapping[str, str],
        vocabulary: Iterable[Pair],
    ) -> None:
        self._zones = zones
        self._policy_zone = policy_zone
        self.calendars = calendars
        self._groups = groups
        self._vocabulary = tuple(vocabulary)
        self._countings: dict[tuple[Selector, Selector | None, tuple[ScopeField, ...]], Counting] = {}

    def fixed_zones(self, zone: str) -> Zones | None:
        """The one zone a rule names (`policy` or a zone's name), or None if it means the recipient's."""
        if zone == "recipient":
            return None
        return (self._zones[self._policy_zone if zone == "policy" else zone],)

    def counting(self, specification: CountingSpecification) -> Counting:
        """Which contacts the rule counts. Rules that count the same share it."""
        selector, excepting = _counted(specification)
        key = selector, excepting, specification.scope
        if key not in self._countings:
            self._countings[key] = Counting(*key, self._groups, self._vocabulary)
        return self._countings[key]


def _counted(rule: CountingSpecification) -> tuple[Selector, Selector | None]:
    """What the rule counts: as written, or what it applies to as far as a contact can tell.

    An exception that needs more than a contact can tell leaves none uncounted: who obeys the rule would be among them.
    """
    if rule.counts is not None:
        return rule.counts, rule.counts_excepting
    excepting = rule.counts_excepting
    if excepting is None and rule.excepting is not None and rule.excepting == _of_contacts(rule.excepting):
        excepting = rule.excepting
    return _of_contacts(rule.applies_to), excepting


def _of_contacts(selector: Selector) -> Selector:
    return Selector(**{name: getattr(selector, name) for name in CONTACT_FIELDS})


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of rule. `name` is the one it has in the policy file.

    Args:
        specification: what a rule of the kind says; the type tells the kinds apart.
        compile: from number in the rule table, specification (of that type), and tables to the rule. None: it changes
            what is asked of an intent, and is never asked itself.
        may_be_exempted: whether a policy may exempt purposes from rules of the kind.
        exempt_contact_flags: what is noted on contacts of a purpose that is exempt from rules of the kind.
        always: the rule of this kind that every policy has although no file states it.
    """

    name: str
    specification: type[RuleSpecification]
    compile: Callable[[int, Any, Compilation], Rule] | None
    may_be_exempted: bool = True
    exempt_contact_flags: int = 0
    always: RuleSpecification | None = None
