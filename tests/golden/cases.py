"""Reads golden cases: YAML for people, into steps for an implementation.

A case is one YAML document (tests/cases/case.schema.json): a title, a policy, what has happened, what is asked and what
is wanted. Times are wall times, `2026-07-13 09:00`, in the zone of the case or one written after them; of a wall time
that comes twice the first is meant, unless `second` follows it.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import zoneinfo
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from streams.oracle.policy import zone

FOLDER = Path(__file__).parents[1] / "cases"
POLICIES = FOLDER / "policies"
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
TIME = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d(?::\d\d(?:\.\d{3})?)?)(?: ([A-Z]\S+))?( second)?")
DURATION = re.compile(r"-?(?:\d+(?:ms|s|m|h|d))+")


class PlainLoader(yaml.SafeLoader):
    """Times stay text, and `on` and `off` words: a case shows what is written."""


PlainLoader.yaml_implicit_resolvers = {
    first: [
        (label_set, pattern)
        for label_set, pattern in found
        if label_set.rpartition(":")[2] not in {"timestamp", "bool"}
    ]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
PlainLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("true|false"), list("tf"))


@dataclass(frozen=True)
class Case:
    """One case as written, and where."""

    name: str
    kind: str
    body: dict[str, Any] = field(hash=False)

    @property
    def policy(self) -> dict[str, Any]:
        return policy(self.body.get("policy", "base"))

    @property
    def policy_text(self) -> str:
        return json.dumps(self.policy)

    @property
    def zone(self) -> str:
        return self.body.get("zone") or self.policy["zone"]

    def moment(self, text: str) -> int:
        return moment(text, self.zone)


@cache
def cases() -> tuple[Case, ...]:
    """Every case, checked against the schema of cases."""
    check = jsonschema.Draft202012Validator(json.loads((FOLDER / "case.schema.json").read_text("utf-8")))
    found = []
    for path in sorted(FOLDER.glob("*/*.yaml")):
        if path.parent == POLICIES:
            continue
        for number, body in enumerate(documents(path)):
            where = f"{path.parent.name}/{path.stem}"
            errors = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in check.iter_errors(body)]
            if errors:
                raise ValueError(f"{where}, document {number + 1}: {'; '.join(errors)}")
            found.append(Case(f"{where}: {body['title']}", path.parent.name, body))
    return tuple(found)


def documents(path: Path) -> list[Any]:
    return list(yaml.load_all(path.read_text("utf-8"), PlainLoader))


def policy(written: str | dict[str, Any]) -> dict[str, Any]:
    """A named policy, or one whose parts replace those of another (`from`, else `base`)."""
    if isinstance(written, str):
        return named_policy(written)
    parts = dict(written)
    return {**policy(parts.pop("from", "base")), **parts}


@cache
def named_policy(name: str) -> dict[str, Any]:
    (found,) = documents(POLICIES / f"{name}.yaml")
    return found


@cache
def moment(text: str, zone_name: str) -> int:
    """Epoch milliseconds of a wall time. A wall time that never comes is a mistake in the case."""
    found = TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"no time: {text!r}")
    date, wall, named, second = found.groups()
    where = zone(named or zone_name) if (named or zone_name) != "UTC" else dt.UTC
    local = dt.datetime.fromisoformat(f"{date} {wall}").replace(tzinfo=where, fold=1 if second else 0)
    if local.astimezone(dt.UTC).astimezone(where).replace(tzinfo=None) != local.replace(tzinfo=None):
        raise ValueError(f"{text} does not exist in {named or zone_name}")
    if second and isinstance(where, zoneinfo.ZoneInfo) and local.utcoffset() == local.replace(fold=0).utcoffset():
        raise ValueError(f"{text}: comes only once in {named or zone_name}")
    return (local - EPOCH) // dt.timedelta(milliseconds=1)


def duration(text: str) -> int:
    """`5m`, `-7h30m`, `1999ms` in milliseconds."""
    if DURATION.fullmatch(text) is None:
        raise ValueError(f"no duration: {text!r}")
    size = sum(int(number) * UNITS_MS[unit] for number, unit in re.findall(r"(\d+)(ms|s|m|h|d)", text))
    return -size if text.startswith("-") else size
