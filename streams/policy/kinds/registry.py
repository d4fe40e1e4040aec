"""Every kind of rule, in the policy file and in words. To add one: docs/architecture.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from streams.decision.rules import registry
from streams.decision.specification import RuleSpecification
from streams.policy.kinds.campaign import Campaign
from streams.policy.kinds.cap import Cap
from streams.policy.kinds.checks import CHECKS
from streams.policy.kinds.consent import Consent
from streams.policy.kinds.exempt import Exempt
from streams.policy.kinds.gap import Gap
from streams.policy.kinds.kind import ExplanationWords, FileKind, RuleKind
from streams.policy.kinds.opt_out import OptOut
from streams.policy.kinds.sender import Sender
from streams.policy.kinds.window import Window

KindT = TypeVar("KindT", bound=RuleKind[Any])

_ASKED: Final[tuple[FileKind[Any], ...]] = (Cap(), Gap(), Window(), Consent(), Sender(), Campaign())
KINDS_ALWAYS_THERE: Final[tuple[RuleKind[Any], ...]] = (OptOut(),)
"""The kinds that no file contains, because every policy has its one rule of them."""

RULES_ALWAYS_THERE: Final[Mapping[str, RuleSpecification]] = {
    kind.name: kind.always for kind in registry.KINDS if kind.always is not None
}
"""By the kind: the rule of it that every policy has although no file contains it."""

_ORDER: Final = {kind.name: number for number, kind in enumerate(registry.KINDS)}
_EXEMPTIBLE: Final = sorted(
    (kind for kind in (*KINDS_ALWAYS_THERE, *_ASKED) if kind.kind.may_be_exempted), key=lambda kind: _ORDER[kind.name]
)

FILE_KINDS: Final[tuple[FileKind[Any], ...]] = (*_ASKED, Exempt(_EXEMPTIBLE))
"""The kinds that policy files may contain, in the order of docs/policy.md."""

_FILE_KINDS_BY_NAME: Final = {kind.name: kind for kind in FILE_KINDS}
_KINDS_BY_NAME: Final[dict[str, RuleKind[Any]]] = {kind.name: kind for kind in (*KINDS_ALWAYS_THERE, *FILE_KINDS)}
_UNKNOWN: Final = ExplanationWords()


def file_kind(name: str) -> FileKind[Any]:
    """The kind that policy files call so. Raises `KeyError` if there is none."""
    return _FILE_KINDS_BY_NAME[name]


def kind_of(rule: RuleSpecification) -> RuleKind[Any]:
    """The kind of a rule.

    Raises:
        TypeError: the kind is not registered.
    """
    return _registered(rule, _KINDS_BY_NAME)


def file_kind_of(rule: RuleSpecification) -> FileKind[Any]:
    """The kind of a rule that a policy file contains.

    Raises:
        TypeError: the kind is not registered, or no file may contain rules of it.
    """
    return _registered(rule, _FILE_KINDS_BY_NAME)


def explanation_words(name: str) -> ExplanationWords:
    """The words for what an explanation lists: a built-in check or a kind of rule, by its name.

    Explanations of a later version may list others. Their verdicts have words, their numbers have none.
    """
    return CHECKS.get(name) or _KINDS_BY_NAME.get(name) or _UNKNOWN


def _registered(rule: RuleSpecification, kinds: Mapping[str, KindT]) -> KindT:
    name = registry.kind_of(rule).name
    if name not in kinds:
        raise TypeError(f"Rules of kind {name} have no words: add the kind to streams/policy/kinds.")
    return kinds[name]
