"""The table of docs/access.md says what streams/access/roles.py says, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from streams.access.roles import PURPOSES, ROLES, permissions_of
from streams.topics import TopicNames

PAGE = (Path(__file__).parents[2] / "docs" / "access.md").read_text(encoding="utf-8")
ROW = re.compile(r"\| (?:\*\*(\w+)\*\*)? \| (.*?) \| `(\w+)` on ([a-z ]+?) (prefix )?(`.+`) \| (.+) \|")


def test_the_table_is_that_of_the_code() -> None:
    found = []
    role = purpose = ""
    for line in PAGE.splitlines():
        match = ROW.fullmatch(line)
        if match is None:
            assert not line.startswith(("| **", "|  |")), line
            continue
        if match[1]:
            role, purpose = match[1], match[2]
        assert purpose == PURPOSES[role]  # type: ignore[index]  # it is a role, or this fails
        found += [
            (role, match[4].replace(" ", "-"), name, match[3], match[7], bool(match[5]))
            for name in re.findall(r"`([^`]+)`", match[6])
        ]
    expected = [(role, *permission) for role in ROLES for permission in permissions_of(role, TopicNames(), "mesura")]
    assert sorted(found) == sorted(expected)
