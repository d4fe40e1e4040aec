"""One permission, in Kafka's words."""

from __future__ import annotations

from typing import Literal, NamedTuple

Resource = Literal["topic", "group", "transactional-id", "cluster"]
Operation = Literal["Read", "Write", "Create", "Describe", "DescribeConfigs"]
"""Whoever may read or write may describe too."""


class Permission(NamedTuple):
    """May `operation` on `resource` `name`; with `is_prefix` on every one whose name begins like that."""

    resource: Resource
    name: str
    operation: Operation
    why: str
    is_prefix: bool = False

    def __str__(self) -> str:
        """In a sentence: Write on the topic approved-send."""
        words = {"topic": "topic", "group": "group", "transactional-id": "transactional id", "cluster": "cluster"}
        if self.resource == "cluster":
            return f"{self.operation} on the cluster"
        every = "every " if self.is_prefix else "the "
        beginning = " that begins with" if self.is_prefix else ""
        return f"{self.operation} on {every}{words[self.resource]}{beginning} {self.name}"
