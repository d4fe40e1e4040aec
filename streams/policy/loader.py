"""Turns a policy file into a `PolicySpecification`, or reports everything that is wrong with it.

Rules of this module
1. A policy is loaded as a whole or refused as a whole.
2. The hash covers everything that can change a decision or its explanation: what the file says (not how it is laid
   out), the versions of the zone and holiday packages, the holidays themselves, and the regions of the countries of
   which it names one.
3. Nothing here reads a clock. A caller who wants the warning that the holiday years are about to end passes the date.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from streams.decision.places import named_places
from streams.decision.policy_specification import PolicySpecification
from streams.policy import build, holidays
from streams.policy.advice import advise
from streams.policy.document import TEXT_MAX_BYTES, parse
from streams.policy.findings import Finding, PolicyRefused
from streams.policy.header import IDENTITIES, REGION, Context, read_header
from streams.policy.schema import broken, schema
from streams.policy.subdivisions import subdivisions
from streams.policy.values import duration_text
from streams.policy.zones import load_zones

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from streams.decision.policy_specification import Obligation
    from streams.decision.specification import RuleSpecification
    from streams.policy.document import Plain
    from streams.policy.header import Header
    from streams.policy.holidays import Calendar

# 128 bits make an accidental collision impossible in practice, and the hash is still short enough to read aloud.
HASH_DIGITS: Final = 32
# Part of the hash. Raise the number when the meaning of the same file changes.
MEANING: Final = "mesura-policy-2"
# Fields on which findings about other fields depend.
_CONTEXT_OF_OTHERS: Final = frozenset({"id", "kind", "state", "applies_to", "holidays", "even_if_opted_out"})


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """A policy that may be put in force, with the information that its author and an auditor need."""

    specification: PolicySpecification
    text: str
    warnings: tuple[Finding, ...]
    calendars: Mapping[str, Calendar]
    tzdata_version: str
    holidays_version: str


def load_policy(source: Path | str, *, today: date | None = None) -> LoadedPolicy:
    """Load a policy from a file (`Path`) or from its text (`str`).

    `today` only decides whether a warning says that the holiday years are about to end. Raises `PolicyRefused` with all
    findings if the policy has any, and `OSError` if the file cannot be read.
    """
    text = read_text(source) if isinstance(source, Path) else source
    document = parse(text)
    findings = list(document.findings)
    shape, paths = broken(document)
    findings += shape
    if not isinstance(document.data, dict):
        raise PolicyRefused(findings)
    context = Context(document, load_zones(), frozenset(paths))
    header = read_header(context)
    rules = _rules(context)
    obligations = _obligations(context)
    needed = max((rule.reach_ms for rule in rules.values()), default=0)
    history_ms = max(header.history_ms, needed)
    identities_ms = _identities(context, header, history_ms)
    findings += context.findings
    if findings:
        raise PolicyRefused(findings)
    calendars = context.calendars or {}
    specification = PolicySpecification(
        name=header.name,
        version=header.version,
        content_hash="",
        zone=header.zone,
        recipient_zone=header.recipient_zone,
        time_to_live_ms=header.time_to_live_ms,
        history_ms=history_ms,
        identities_ms=identities_ms,
        default_purpose=header.default_purpose,
        channels=context.channels or {},
        purposes=context.purposes or frozenset(),
        rules=tuple(rules.values()),
        obligations=obligations,
        zones=context.zones.by_name,
        country_zones=context.zones.by_country,
        regions=header.regions,
        calendars={name: calendar.table for name, calendar in calendars.items()},
        other_names=header.other_names,
    )
    specification = replace(specification, subdivisions=_subdivisions(specification))
    covered = content_hash(
        document.data, context.zones.version, holidays.version(), calendars, specification.subdivisions
    )
    specification = replace(specification, content_hash=covered)
    warnings = sorted(advise(context, header, rules, today), key=lambda finding: finding.line)
    return LoadedPolicy(specification, text, tuple(warnings), calendars, context.zones.version, holidays.version())


def read_text(path: Path) -> str:
    """The text of a policy file.

    Raises `PolicyRefused` if it is too large or not UTF-8, `OSError` if it cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(TEXT_MAX_BYTES + 1)
    return decoded(content)


def decoded(content: bytes) -> str:
    """Bytes of a policy file as text. Raises `PolicyRefused` if they are too many or not UTF-8."""
    if len(content) > TEXT_MAX_BYTES:
        raise PolicyRefused([Finding(1, None, f"The file is larger than {TEXT_MAX_BYTES // 1024} KiB.", "Split it.")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PolicyRefused([Finding(line, None, "The file is not UTF-8.", "Save it as UTF-8.")]) from None


def _subdivisions(specification: PolicySpecification) -> Mapping[str, Mapping[str, str]]:
    """The regions and provinces of every country of which the policy names one."""
    countries = sorted({place[:2] for place in named_places(specification) if REGION.fullmatch(place)})
    return {country: subdivisions(country) for country in countries}


def content_hash(
    data: Plain,
    tzdata_version: str,
    holidays_version: str,
    calendars: Mapping[str, Calendar],
    regions: Mapping[str, Mapping[str, str]],
) -> str:
    """The policy's hash. It does not depend on the file's layout, and changes if anything that the policy rests on
    changes.
    """
    covered = {
        "meaning": MEANING,
        "content": data,
        "tzdata": tzdata_version,
        "holidays": holidays_version,
        "regions": regions,
        "calendars": {
            name: [calendar.table.first_day, calendar.table.last_day, *sorted(calendar.table.days)]
            for name, calendar in calendars.items()
        },
    }
    canonical = json.dumps(covered, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:HASH_DIGITS]


def _rules(context: Context) -> dict[int, RuleSpecification]:
    written = context.document.data.get("rules")
    if not isinstance(written, list):
        return {}
    _unique(context, "rules", written)
    parts = ((index, _sound_part(context, index, data)) for index, data in enumerate(written))
    return {index: build.rule(context, index, part) for index, part in parts if part is not None}


def _sound_part(context: Context, index: int, data: Plain) -> dict[str, Plain] | None:
    """The rule without the fields the schema refused, or None if what is left could not be judged by itself."""
    refused = [path for path in context.broken if path[:2] == ("rules", index)]
    if not refused:
        return cast("dict[str, Plain]", data)
    fields = {path[2] for path in refused if len(path) > 2}
    if ("rules", index) in refused or fields & _CONTEXT_OF_OTHERS:
        return None
    needed = schema()["$defs"][f"rule_{data['kind']}"]["required"]
    return None if fields & set(needed) else {key: value for key, value in data.items() if key not in fields}


def _obligations(context: Context) -> tuple[Obligation, ...]:
    written = context.document.data.get("obligations", [])
    if not isinstance(written, list):
        return ()
    _unique(context, "obligations", written)
    sound = [(i, data) for i, data in enumerate(written) if context.is_sound("obligations", i)]
    return tuple(build.obligation(context, index, data) for index, data in sound)


def _unique(context: Context, section: str, written: list[Plain]) -> None:
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


def _identities(context: Context, header: Header, history_ms: int) -> int:
    if header.identities_ms is None:
        return min(IDENTITIES.default_ms, history_ms)
    if header.identities_ms > history_ms:
        message = f"`identities` is longer than the history of {duration_text(history_ms)}."
        context.report(("identities",), message, f"Write at most {duration_text(history_ms)}, or a longer history.")
    return header.identities_ms
