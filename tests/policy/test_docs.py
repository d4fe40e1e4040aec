"""Every example of docs/policy.md is a policy that loads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streams.decision.policy import compile_policy
from streams.policy.kinds.registry import FILE_KINDS
from streams.policy.loader import load_policy

PAGE = Path(__file__).parents[2] / "docs" / "policy.md"
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
WHOLE = EXAMPLES[0]


def test_the_page_has_an_example_of_every_kind() -> None:
    assert WHOLE.startswith("mesura: 1")
    kinds = set(re.findall(r"^\s*kind: (\w+)", "".join(EXAMPLES), re.MULTILINE))
    assert kinds == {kind.name for kind in FILE_KINDS}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.split("\n", 1)[0])
def test_example_loads(example: str) -> None:
    text = example if example is WHOLE else WHOLE.partition("rules:\n")[0] + "rules:\n" + example
    loaded = load_policy(text)
    assert loaded.specification.rules
    compile_policy(loaded.specification)


def test_defaults_said_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    bare = re.sub(r"^(time_to_live|history|identities|recipient_zone):.*\n", "", WHOLE, flags=re.MULTILINE)
    loaded = load_policy(bare).specification
    assert loaded.time_to_live_ms == 5 * 60_000
    assert "| `5m` |" in page
    assert loaded.history_ms == 35 * 86_400_000
    assert "| `35d` |" in page
    assert loaded.identities_ms == 7 * 86_400_000
    assert loaded.recipient_zone is None
    short = load_policy(bare + "history: 3d\n").specification
    assert short.identities_ms == short.history_ms == 3 * 86_400_000
