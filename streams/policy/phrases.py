"""Phrases that the sentences about rules of several kinds have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.decision.specification import RuleSpecification, Selector


def selector_in_words(selector: Selector) -> str:
    """What a selector selects: `on sms or voice, for marketing, in CO`. Empty if it selects everything."""
    parts = []
    if selector.channels is not None:
        parts.append(f"on {any_of(selector.channels)}")
    if selector.groups is not None:
        parts.append(f"on channels of {any_of(selector.groups)}")
    if selector.purposes is not None:
        parts.append(f"for {any_of(selector.purposes)}")
    for name in ("topics", "brands", "campaigns"):
        words = getattr(selector, name)
        if words is not None:
            parts.append(f"of {name[:-1]} {any_of(words)}")
    if selector.countries is not None:
        parts.append(f"in {any_of(selector.countries)}")
    if selector.automated is not None:
        parts.append("by a machine" if selector.automated else "by a person")
    return ", ".join(parts)


def subject(rule: RuleSpecification) -> str:
    """What the rule is about, as the beginning of its sentence."""
    about = selector_in_words(rule.applies_to) or "everything"
    out = f", but not {selector_in_words(rule.excepting)}" if rule.excepting is not None else ""
    text = f"{about}{out}"
    return text[0].upper() + text[1:]


def country_unknown(rule: RuleSpecification) -> str:
    """What holds if the recipient's country is not known. Empty if the rule does not ask for the country."""
    if rule.applies_to.countries is None:
        return ""
    says = {"deny": "nothing is allowed", "apply": "the same holds", "skip": "this rule sets no limit"}
    return f"; if the country is not known, {says[rule.country_unknown]}"


def unless_known(on_missing: str, what: str) -> str:
    """That the rule is not asked if something is not known. Empty if it denies then."""
    return f"; not asked if {what} is not known" if on_missing == "allow" else ""


def or_if(on_missing: str, when: str) -> str:
    """That the rule also passes if something is missing. Empty if it denies then."""
    return f", or if {when}" if on_missing == "allow" else ""


def any_of(words: Iterable[str]) -> str:
    """`a, b or c`, in alphabetical order."""
    return joined(sorted(words), "or")


def all_of(words: Iterable[str]) -> str:
    """`a, b and c`, in alphabetical order."""
    return joined(sorted(words), "and")


def joined(words: list[str], last: str) -> str:
    """The words with commas, and `last` before the last one."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"
