"""Digests of some thousand histories, as a version gave them that cannot be asked any more.

    make versions-record ARGS="--version COMMIT"      write tests/versions/digests.json anew

Every later version must reproduce them. Recording anew is for a change that is meant to change answers, or for another
version of the packages on which every policy's hash rests.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.versions.campaign import Pair, tree_of
from tests.versions.histories import HISTORIES, WORLDS_PER_POLICY, world_of

if TYPE_CHECKING:
    from tests.versions.side import Side

DIGESTS: Final = Path(__file__).parent / "digests.json"
WORLDS: Final = tuple((WORLDS_PER_POLICY + 1) * place for place in range(128))
"""One of each of 128 pairs of policies, and among them each way in which a ledger is soon full."""
PACKAGES: Final = ("tzdata", "holidays")
_DIGEST_BYTES: Final = 12


def packages() -> dict[str, str]:
    """The versions on which the hash of a policy rests."""
    return {name: version(name) for name in PACKAGES}


def digest(batches: list[bytes]) -> str:
    """One for the whole world."""
    return blake2b(b"".join(batches), digest_size=_DIGEST_BYTES).hexdigest()


def read() -> dict[str, Any]:
    """What was recorded."""
    found: dict[str, Any] = json.loads(DIGESTS.read_text(encoding="utf-8"))
    return found


def answers(side: Side) -> tuple[dict[str, str], Counter[str]]:
    """The digest of every recorded world as this version gives it, and what came to pass in all of them."""
    digests, counts = {}, Counter[str]()
    for number in WORLDS:
        batches, of_world, _ = side.answer(world_of(number))
        digests[str(number)] = digest(batches)
        counts.update(of_world)
    return digests, counts


def command(before: str, number: int) -> str:
    """What shows where the answers of a world differ."""
    return f'make versions ARGS="--before {before} --from {number * HISTORIES} --histories {HISTORIES}"'


def main() -> None:
    """Record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", default="HEAD", help="a commit, or a directory with its source tree")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mesura-versions-") as directory:
        tree, name = tree_of(arguments.version, Path(directory))
        digests = {}
        with Pair(tree, tree) as pair:
            for number in WORLDS:
                ((world, (once, _, _), (again, _, _)),) = pair.answers(range(number, number + 1))
                assert once == again, f"world {number} gives two answers under one version"
                digests[str(world.number)] = digest(once)
    document = {"version": name, "packages": packages(), "worlds": digests}
    DIGESTS.write_text(json.dumps(document, indent=0) + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(digests) * HISTORIES:,} histories of {name} in {DIGESTS.name}\n")


if __name__ == "__main__":
    main()
