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
from typing import TYPE_CHECKING, Final

from streams.decision.policy_specification import PolicySpecification, named_places
from streams.policy import holidays
from streams.policy.advice import advise
from streams.policy.context import REGION, Context
from streams.policy.document import TEXT_MAX_BYTES, parse
from streams.policy.findings import Finding, PolicyRefused
from streams.policy.header import read_header
from streams.policy.horizons import IDENTITIES
from streams.policy.notation import duration_text
from streams.policy.rules import read_obligations, read_rules
from streams.policy.shape import check_shape
from streams.policy.subdivisions import subdivisions
from streams.policy.zones import load_zones

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from streams.policy.document import Plain
    from streams.policy.header import Header
    from streams.policy.holidays import Calendar

# 128 bits make an accidental collision impossible in practice, and the hash is still short enough to read aloud.
HASH_DIGITS: Final = 32
# Part of the hash. Raise the number when the meaning of the same file changes.
MEANING: Final = "mesura-policy-2"


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
    shape, paths = check_shape(document)
    findings += shape
    if not isinstance(document.data, dict):
        raise PolicyRefused(findings)
    context = Context(document, load_zones(), frozenset(paths))
    header = read_header(context)
    rules = read_rules(context)
    obligations = read_obligations(context)
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


def _identities(context: Context, header: Header, history_ms: int) -> int:
    if header.identities_ms is None:
        return min(IDENTITIES.default_ms, history_ms)
    if header.identities_ms > history_ms:
        message = f"`identities` is longer than the history of {duration_text(history_ms)}."
        context.report(("identities",), message, f"Write at most {duration_text(history_ms)}, or a longer history.")
    return header.identities_ms
