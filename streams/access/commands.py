"""Permissions as commands and as documents that a person can apply.

Rules of this module
1. What is printed names every permission of the role, each once; nothing is printed that grants more.
2. Names are quoted for a shell where they need it.
"""

from __future__ import annotations

import shlex
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, Literal

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from streams.access.permission import Permission

Action = Literal["add", "remove"]

_STRIMZI_KIND: Final = {
    "topic": "topic",
    "group": "group",
    "transactional-id": "transactionalId",
    "cluster": "cluster",
}


def kafka_acls(
    permissions: Iterable[Permission], principal: str, bootstrap_servers: str, action: Action = "add"
) -> Iterator[str]:
    """Commands for Kafka's own `kafka-acls.sh`, one for each kind of resource and set of operations."""
    for (resource, is_prefix, operations), names in _grouped(permissions):
        words = ["kafka-acls.sh", "--bootstrap-server", bootstrap_servers, "--command-config", "admin.properties"]
        words += ["--force"] if action == "remove" else []
        words += [f"--{action}", "--allow-principal", principal]
        for operation in operations:
            words += ["--operation", operation]
        for name in names:
            words += [f"--{resource}"] if resource == "cluster" else [f"--{resource}", name]
        words += ["--resource-pattern-type", "prefixed"] if is_prefix else []
        yield " ".join(shlex.quote(word) for word in words)


def strimzi_acls(permissions: Iterable[Permission]) -> str:
    """The `authorization` of a KafkaUser of Strimzi's (API version v1beta2), as YAML."""
    acls: list[dict[str, Any]] = []
    for (resource, is_prefix, operations), names in _grouped(permissions):
        for name in names:
            where: dict[str, str] = {"type": _STRIMZI_KIND[resource]}
            if resource != "cluster":
                where |= {"name": name, "patternType": "prefix" if is_prefix else "literal"}
            acls.append({"resource": where, "operations": list(operations)})
    return yaml.safe_dump({"authorization": {"type": "simple", "acls": acls}}, sort_keys=False, width=120)


def _grouped(
    permissions: Iterable[Permission],
) -> Iterator[tuple[tuple[str, bool, tuple[str, ...]], list[str]]]:
    """Resources that need the same operations, together."""
    wanted: dict[tuple[str, str, bool], list[str]] = {}
    for each in permissions:
        operations = wanted.setdefault((each.resource, each.name, each.is_prefix), [])
        if each.operation not in operations:
            operations.append(each.operation)
    rows = [((resource, prefix, tuple(operations)), name) for (resource, name, prefix), operations in wanted.items()]
    order = list(dict.fromkeys(key for key, _ in rows))
    rows.sort(key=lambda row: order.index(row[0]))
    for key, group in groupby(rows, key=lambda row: row[0]):
        yield key, [name for _, name in group]
