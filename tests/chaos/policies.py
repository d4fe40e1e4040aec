"""The policies a campaign loads in turn: the starter policy with its hours opened, and with other caps and gaps.

What they have in common is what a ledger's memory hangs on, so that whichever was in force last has forgotten nothing
that another one needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streams.testing.policies import open_all_hours

if TYPE_CHECKING:
    from pathlib import Path

CHANGES: tuple[tuple[tuple[str, str], ...], ...] = (
    (),
    (("limit: 7\n", "limit: 9\n"), ("limit: 3\n", "limit: 5\n"), ("limit: 4\n", "limit: 5\n")),
    (("limit: 3\n", "limit: 2\n"), ("[example-campaign]", "[campaign-7, campaign-11]"), ("minimum: 2h", "minimum: 1h")),
)
"""Of each version what it says otherwise: as it is, wider, narrower."""


@dataclass
class Policies:
    """The versions, and the file that workers look at."""

    versions: list[Path]
    in_force: Path
    reloads: int = 0

    @classmethod
    def written(cls, directory: Path) -> Policies:
        """All of them in this directory, the first in force."""
        directory.mkdir(parents=True, exist_ok=True)
        text = open_all_hours("starter", directory).read_text(encoding="utf-8")
        versions = []
        for number, changes in enumerate(CHANGES):
            version = text.replace('version: "', f'version: "{number}.')
            for old, new in changes:
                assert old in version, old
                version = version.replace(old, new)
            versions.append(directory / f"version-{number}.yaml")
            versions[-1].write_text(version, encoding="utf-8")
        policies = cls(versions, directory / "policy.yaml")
        policies._put(versions[0])
        return policies

    def load_next(self) -> str:
        """Put the next version in force, as an operator does: replace the file. Returns its name."""
        self.reloads += 1
        version = self.versions[self.reloads % len(self.versions)]
        self._put(version)
        return version.stem

    def _put(self, version: Path) -> None:
        new = self.in_force.with_suffix(".new")
        new.write_bytes(version.read_bytes())
        new.replace(self.in_force)
