"""The rules and obligations of a policy file as typed specifications, with everything wrong about them reported.

Rules of this module
1. What a schema cannot express is checked here and in the kinds (`kinds/`). No kind is known here by name.
2. A rule with a finding still yields a specification, so that all findings are reported together. The loader discards
   it.
3. A rule that the schema refuses in part is read without the fields that are wrong, if the others can be judged alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from streams.decision.policy import BUILT_IN
from streams.decision.policy_specification import Obligation
from streams.policy.kinds.registry import FILE_KINDS, RULES_ALWAYS_THERE, file_kind

if TYPE_CHECKING:
    from streams.decision.specification import RuleSpecification
    from streams.policy.context import Context
    from streams.policy.document import Path, Plain

_IDS_ALWAYS_THERE: Final = frozenset(rule.rule_id for rule in RULES_ALWAYS_THERE.values())
# Fields on which findings about other fields depend.
_DECISIVE: Final = frozenset({"id", "kind", "state", "applies_to"}).union(
    *(kind.decisive_fields for kind in FILE_KINDS)
)

Data = dict[str, Any]


def read_rules(context: Context) -> dict[int, RuleSpecification]:
    """The rules that can be judged, by their place in the file."""
    written = context.document.data.get("rules")
    if not isinstance(written, list):
        return {}
    _refuse_same_ids(context, "rules", written)
    parts = ((index, _sound_part(context, index, data)) for index, data in enumerate(written))
    return {index: _rule(context, index, part) for index, part in parts if part is not None}


def read_obligations(context: Context) -> tuple[Obligation, ...]:
    """The obligations that the schema accepts."""
    written = context.document.data.get("obligations", [])
    if not isinstance(written, list):
        return ()
    _refuse_same_ids(context, "obligations", written)
    sound = [(index, data) for index, data in enumerate(written) if context.is_sound("obligations", index)]
    return tuple(_obligation(context, index, data) for index, data in sound)


def _rule(context: Context, index: int, data: Data) -> RuleSpecification:
    path: Path = ("rules", index)
    _check_id(context, path, data)
    _check_source(context, path, data)
    common: Data = {"rule_id": data["id"]}
    for key in ("state", "because", "source", "country_unknown"):
        if key in data:
            common[key] = data[key]
    if "applies_to" in data:
        common["applies_to"] = context.selector((*path, "applies_to"), data["applies_to"])
    if "except" in data:
        common["excepting"] = context.selector((*path, "except"), data["except"])
    if "country_unknown" in data and "countries" not in data.get("applies_to", {}):
        message = "`country_unknown` has no effect without `countries` in applies_to."
        context.report((*path, "country_unknown"), message, "Remove it, or name the countries.")
    rule: RuleSpecification = file_kind(data["kind"]).read(context, path, data, common)
    return rule


def _obligation(context: Context, index: int, data: Data) -> Obligation:
    applies_to = context.selector(("obligations", index, "applies_to"), data.get("applies_to", {}))
    return Obligation(data["id"], applies_to, data["text"])


def _check_id(context: Context, path: Path, data: Data) -> None:
    name = data["id"]
    if name in _IDS_ALWAYS_THERE or name in BUILT_IN:
        is_rule = name in _IDS_ALWAYS_THERE
        fix = "Remove the rule. The check cannot be switched off." if is_rule else "Choose another id."
        context.report((*path, "id"), f"The id `{name}` belongs to a check that is always there.", fix)


def _check_source(context: Context, path: Path, data: Data) -> None:
    source = data.get("source")
    if source and source["confidence"] == "memory" and data.get("state", "on") != "off":
        message = "The source is known from memory only. A rule may be switched on only if its source was read."
        context.report((*path, "source", "confidence"), message, "Find the text, or write `state: off`.")


def _sound_part(context: Context, index: int, data: Plain) -> Data | None:
    """The rule without the fields the schema refused, or None if what is left could not be judged by itself."""
    refused = [path for path in context.broken if path[:2] == ("rules", index)]
    if not refused:
        return cast("Data", data)
    fields = {path[2] for path in refused if len(path) > 2}
    if ("rules", index) in refused or fields & _DECISIVE or fields & set(file_kind(data["kind"]).required):
        return None
    return {key: value for key, value in data.items() if key not in fields}


def _refuse_same_ids(context: Context, section: str, written: list[Plain]) -> None:
    first: dict[str, int] = {}
    for index, data in enumerate(written):
        name = data.get("id") if isinstance(data, dict) else None
        if not isinstance(name, str):
            continue
        if name in first:
            line = context.document.line((section, first[name], "id"))
            message = f"The id `{name}` is already used on line {line}."
            context.report(
                (section, index, "id"), message, "Choose another id, because explanations and metrics use it."
            )
        first.setdefault(name, index)
