"""What a kind of rule means in the policy file and in words.

Rules of this module
1. There is one module per kind, with the name of its module in `streams/decision/rules`. `registry.py` lists the kinds.
   Nothing but a kind's own module knows it by name.
2. A kind writes its own part of the JSON Schema, and reads from the file only what that part allows.
3. What is said of a rule follows from its specification, never from the text of the file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

from streams.decision.rules.kind import Kind
from streams.decision.specification import RuleSpecification
from streams.policy.phrases import country_unknown, subject
from streams.policy.schema_parts import Schema, definition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from streams.policy.context import Context
    from streams.policy.document import Path

SpecificationT = TypeVar("SpecificationT", bound=RuleSpecification)

Data = dict[str, Any]


class Advice(NamedTuple):
    """A warning about a rule: the field of the rule that it is about, what it says, and what to write instead."""

    field: str
    message: str
    fix: str


class Answer(NamedTuple):
    """What an explanation lists for one rule or built-in check.

    `verdict` is `passed` or the code of a reason, `sentence` what is said of it if the numbers add nothing. `numbers`
    are those behind the verdict (docs/semantics.md, 7). `limit` and `window` are the rule's, from
    `RuleKind.limit_in_words`.
    """

    verdict: str
    numbers: Sequence[int | None]
    sentence: str
    limit: int | None
    window: str
    moment_in_words: Callable[[int], str]
    """The moment so many milliseconds after the decision, in words."""

    @property
    def has_passed(self) -> bool:
        """Whether the rule or check passed."""
        return self.verdict == "passed"

    @property
    def first(self) -> int | None:
        """The first number, if there is one."""
        return self.numbers[0] if self.numbers else None


class ExplanationWords:
    """The words for something that explanations list: a built-in check, or the rules of a kind."""

    passed_sentence: str = "It passed."
    """What is said if it passed and the numbers add nothing."""

    def answer_in_words(self, answer: Answer) -> str:
        """The answer, with what its numbers mean."""
        return answer.sentence


class RuleKind(ExplanationWords, ABC, Generic[SpecificationT]):
    """A kind of rule, in words."""

    kind: ClassVar[Kind]
    """The kind as the decision registry has it."""
    exempted_as: ClassVar[str] = ""
    """What an exemption exempts from: rules of this kind, in the plural. Empty if no exemption may name the kind."""

    @property
    def name(self) -> str:
        """Its name in policy files and explanations."""
        return self.kind.name

    @abstractmethod
    def sentence(self, rule: SpecificationT) -> str:
        """Everything about the rule that changes a decision, in one sentence."""

    def limit_in_words(self, rule: SpecificationT) -> tuple[int | None, str]:  # noqa: ARG002 - most kinds do not count
        """What the rule compares its count with, and over what time. None and empty for rules that do not count."""
        return None, ""

    def is_exact_since_on(self, rule: SpecificationT) -> bool:  # noqa: ARG002 - most kinds do not count for life
        """Whether the rule is exact only from the moment at which it was switched on, however long the history is."""
        return False


class FileKind(RuleKind[SpecificationT]):
    """A kind of rule that policy files may contain."""

    description: ClassVar[str]
    """What rules of this kind do, as editors show it."""
    required: ClassVar[tuple[str, ...]]
    """Its own fields that every rule of this kind has."""
    has_selectors: ClassVar[bool] = True
    """Whether its rules have `applies_to`, `except` and `country_unknown`."""
    look_back_field: ClassVar[str] = ""
    """The field that says how far back a rule looks, if it does."""
    decisive_fields: ClassVar[frozenset[str]] = frozenset()
    """Its own fields that change what is said about other fields."""

    @abstractmethod
    def fields(self) -> Schema:
        """The JSON Schema of its own fields. A field that every rule has may be given another schema here."""

    def definitions(self) -> Schema:
        """What its fields refer to, besides the definitions that are there for all (`schema_parts.DEFINITIONS`)."""
        return {}

    @abstractmethod
    def read(self, context: Context, path: Path, data: Data, common: Data) -> SpecificationT:
        """The specification of a rule that the schema accepts, with the other errors reported to the context.

        `common` are the fields of the specification that every kind has. A rule with an error still gives a
        specification, so that all errors are reported together.
        """

    def advise(self, rule: SpecificationT) -> Iterator[Advice]:  # noqa: ARG002 - most kinds have nothing to say
        """Warnings that follow from the rule alone."""
        yield from ()

    def advise_in_context(self, rule: SpecificationT, context: Context) -> Iterator[Advice]:  # noqa: ARG002 - likewise
        """Warnings that follow from what the rule applies to, or from what its policy declares."""
        yield from ()

    def schema(self) -> Schema:
        """The JSON Schema of a rule of this kind."""
        return {
            "type": "object",
            "description": self.description,
            "additionalProperties": False,
            "required": ["id", "kind", *self.required],
            "properties": {**_COMMON, **(_SELECTORS if self.has_selectors else {}), **self.fields()},
        }


class DemandingKind(FileKind[SpecificationT]):
    """A kind whose rules demand something of what they are about."""

    @abstractmethod
    def condition(self, rule: SpecificationT) -> str:
        """What the rule demands, as the sentence says it after what the rule is about."""

    def sentence(self, rule: SpecificationT) -> str:
        """What the rule is about, and what it demands."""
        return f"{subject(rule)}: {self.condition(rule)}{country_unknown(rule)}."


_COMMON: Schema = {
    "id": definition("rule_id"),
    "kind": True,
    "state": definition("state"),
    "because": definition("because"),
    "source": definition("source"),
}
_SELECTORS: Schema = {
    "country_unknown": definition("country_unknown"),
    "applies_to": definition("selector"),
    "except": definition("exception"),
}
