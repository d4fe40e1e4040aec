"""What a rule or a check answers.

An answer is a plain tuple: the reason's number (0 = passed), the moment at which a pass ends (or NEVER), and the
numbers of the explanation, relative to the moment (docs/semantics.md, 7).
"""

from __future__ import annotations

from typing import Final

from streams.decision.reasons import PASSED, REASON_NUMBERS
from streams.decision.tables import NEVER

Answer = tuple[int, int, tuple[int, ...]]

PASS: Final[Answer] = (PASSED, NEVER, ())

# Nothing is approved that its gateway could not reach in time.
VALIDITY_MIN_MS: Final = 2_000
# A later promise would rest on calendars nobody has published.
NEXT_ELIGIBLE_HORIZON_MS: Final = 366 * 86_400_000


def too_short(end_ms: int, moment_ms: int) -> bool:
    """Whether what ends at `end_ms` (exclusive) leaves less than the minimal validity at the moment."""
    return end_ms - 1 - moment_ms < VALIDITY_MIN_MS


def denial(reason: str, *numbers: int) -> Answer:
    """A denial with its reason."""
    return REASON_NUMBERS[reason], NEVER, numbers
