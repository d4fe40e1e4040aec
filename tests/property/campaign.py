"""Checks random policies and histories for as long as wanted.

    python -m tests.property.campaign --seconds 600 --seed 1000

Goes from seed to seed. Stops at the first failure with a report and the command that repeats it, exit status 1.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from typing import TYPE_CHECKING

from tests.property.checks import CHECKS

if TYPE_CHECKING:
    from collections.abc import Callable


def campaign(first: int, seconds: float, checks: tuple[Callable[[int], None], ...]) -> int:
    """Run every check on seed after seed. Gives back the exit status."""
    end = time.monotonic() + seconds
    for seed in itertools.count(first):
        for check in checks:
            try:
                check(seed)
            except Exception as error:  # noqa: BLE001 - whatever went wrong belongs to this seed
                print(f"{check.__name__}: {type(error).__name__}: {error}")
                print(f"\nrepeat: python -m tests.property.campaign --seconds 1 --seed {seed} --only {check.__name__}")
                return 1
        if time.monotonic() >= end:
            print(f"{seed - first + 1} histories, seeds {first} to {seed}: {len(checks)} checks each, nothing found")
            return 0
    raise AssertionError("seeds never end")


def main() -> int:
    names = {check.__name__: check for check in CHECKS}
    parser = argparse.ArgumentParser(description="Random policies and histories, checked until the time is up.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1_000, help="the first seed (default 1000)")
    parser.add_argument("--only", choices=names, help="one check instead of all")
    given = parser.parse_args()
    checks = CHECKS if given.only is None else (names[given.only],)
    return campaign(given.seed, given.seconds, checks)


if __name__ == "__main__":
    sys.exit(main())
