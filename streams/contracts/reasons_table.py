"""Every reason the gate can give, as one published table: `schemas/reasons.json`.

Rules of this module
1. The file is written from here (`python -m streams.contracts.reasons_table > schemas/reasons.json`), never by hand; a
   test compares the two.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from streams.contracts.control import REASONS_TABLE
from streams.contracts.errors import REFUSALS, REMEDIES
from streams.decision.reasons import EXEMPT, PASSED, REASONS, WITHDRAWAL_REASONS


def reasons_table() -> dict[str, Any]:
    """The table: verdict numbers of explanations, reasons of withdrawals, reasons of dead letters."""
    return {
        "id": REASONS_TABLE,
        "verdicts": [
            {"number": PASSED, "code": "passed", "sentence": "The rule was asked and does not object."},
            {"number": EXEMPT, "code": "exempt", "sentence": "The intent's purpose is exempt from the rule."},
            *(reason._asdict() for reason in REASONS),
        ],
        "withdrawals": list(WITHDRAWAL_REASONS),
        "dead_letters": [
            {"code": code, "sentence": sentence, "remedy": REMEDIES[code]} for code, sentence in REFUSALS.items()
        ],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(reasons_table(), indent=2, ensure_ascii=False) + "\n")
