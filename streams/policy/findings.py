"""Findings about a policy file, written so that its author can correct it.

Rules of this module
1. A finding names the line, the rule (if it is about one) and what to write instead.
2. All findings of a file are reported together, so that nobody has to repair a policy one error at a time.
3. Findings quote only the policy file. It contains no customer data, so neither do they.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

# Below this similarity a suggestion confuses more than it helps (difflib's own default).
LIKENESS_MIN = 0.6


class Finding(NamedTuple):
    """One error, or one thing worth knowing, about a policy file. Lines count from 1."""

    line: int
    rule_id: str | None
    message: str
    fix: str

    def __str__(self) -> str:
        rule = f" rule {self.rule_id}:" if self.rule_id else ""
        return f"line {self.line}:{rule} {self.message} {self.fix}".rstrip()


class PolicyRefused(ValueError):
    """The policy file was refused. `findings` contains everything that is wrong with it, in the order of its lines."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings: tuple[Finding, ...] = tuple(
            sorted(set(findings), key=lambda f: f._replace(rule_id=f.rule_id or ""))
        )
        super().__init__("\n".join(str(finding) for finding in self.findings))


def did_you_mean(word: object, known: Iterable[str], otherwise: str = "") -> str:
    """'Did you mean …?' if a known word is similar; otherwise `otherwise`; without that the known words, if they are
    few.
    """
    words = sorted(known)
    text = str(word)
    folded = {entry.casefold(): entry for entry in words}
    close = get_close_matches(text.casefold(), folded, n=1, cutoff=LIKENESS_MIN)
    if close:
        return f"Did you mean {folded[close[0]]}?"
    if otherwise:
        return otherwise
    return f"Known: {', '.join(words)}." if 0 < len(words) <= 24 else ""
