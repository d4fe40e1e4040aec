"""Bytes of a policy file to a policy in force, or to everything wrong with it.

What must hold beside "refused or loaded"
1. Every finding names a line of the file, says what is wrong, and can be printed.
2. A policy that loads compiles, decides intents, can be described, and can be published and read again.
3. Loaded again it is the same policy.
"""

from __future__ import annotations

import datetime as dt
import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import orjson
import yaml

from streams.cli.render import in_words, view_of_policy
from streams.contracts.control import decode_policy, encode_policy
from streams.contracts.encode import policy_fragment
from streams.decision.decide import decide
from streams.decision.intent import Intent
from streams.decision.ledger.state import EMPTY_LEDGER
from streams.decision.policy import compile_policy
from streams.gate import encode_decision
from streams.policy.describe import describe_rule
from streams.policy.document import TEXT_MAX_BYTES
from streams.policy.findings import PolicyRefused
from streams.policy.loader import decoded, load_policy
from streams.policy.packs import PACKS, pack_path
from streams.service.published_policy import policy_record
from tests.fuzz.ledgers import NOW
from tests.fuzz.mutators import BLUNT, EDITS_MAX, value
from tests.fuzz.telling import TOKEN
from tests.golden.cases import POLICIES

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator

    from streams.policy.findings import Finding
    from streams.policy.loader import LoadedPolicy
    from tests.fuzz.mutators import Bytewise

TODAY: Final = dt.date(2026, 7, 7)
WORKED_EVERY: Final = 8
"""What loads is also decided by and loaded again, one input in so many: that takes longer than all the rest."""

_PADDED_FILE, _PADDED_TEXT = 0, 1
"""First bytes that no YAML has: the rest is made larger than a policy may be, as a file or as text."""

_LINE_ENDS: Final = "\n\r\x85\u2028\u2029"
_PLACES: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"country": "CO", "sender_id": "acme", "automated": True},
    {"country": "US", "region": "FL", "campaign_id": "spring", "purpose": "otp"},
)


def policy(data: bytes) -> None:
    """The target."""
    lines = 1 + data.count(b"\n")
    try:
        if data[:1] == bytes((_PADDED_FILE,)):
            data += b"#" * TEXT_MAX_BYTES
        text = decoded(data)
        if data[:1] == bytes((_PADDED_TEXT,)):
            text += "#" * TEXT_MAX_BYTES
        lines = 1 + sum(text.count(end) for end in _LINE_ENDS)
        loaded = load_policy(text, today=TODAY)
    except PolicyRefused as refused:
        assert refused.findings, "refused without a word"
        assert str(refused)
        _on_lines(refused.findings, lines)
        return
    _on_lines(loaded.warnings, lines)
    for rule in loaded.specification.rules:
        assert describe_rule(rule)
    if crc32(data) % WORKED_EVERY == 0:
        _works(loaded)


def _on_lines(findings: Iterable[Finding], lines: int) -> None:
    for finding in findings:
        assert 1 <= finding.line <= lines, f"line {finding.line} of {lines}"
        assert finding.message
        assert str(finding).encode(), "cannot be printed"


def _works(loaded: LoadedPolicy) -> None:
    specification = loaded.specification
    compiled = compile_policy(specification)
    view = view_of_policy(compiled)
    published = policy_record(loaded, compiled)
    assert encode_policy(decode_policy(encode_policy(published))) == encode_policy(published)
    fragment = policy_fragment(specification.name, specification.version, specification.content_hash)
    ledger = EMPTY_LEDGER
    for number, place in enumerate(_PLACES):
        channel = sorted(specification.channels)[number % len(specification.channels)]
        given = {"intent_id": f"i-{number}", "customer_id": "c-1", "channel": channel, "created_at": NOW, **place}
        intent = Intent(**given)
        decision = decide(intent, ledger, compiled, NOW)
        document = orjson.loads(encode_decision(intent, decision, fragment, NOW))
        assert all(in_words(document, view))
        ledger = decision.ledger
    again = load_policy(loaded.text, today=TODAY)
    assert again.specification.content_hash == specification.content_hash, "the same text, another hash"
    assert again.warnings == loaded.warnings


# ---- changes ---------------------------------------------------------------------------------------------------------

_SELECTORS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"channels": ["sms"]},
    {"channels": ["sms"], "groups": ["phone"]},
    {"groups": ["text"], "automated": True},
    {"purposes": ["marketing"], "countries": ["CO", "US-FL", "UK"]},
    {"topics": ["loans"], "brands": ["north"], "campaigns": ["spring"]},
    {"countries": ["ES-MD"], "automated": False},
    {"channels": ["smss"], "purposes": [TOKEN]},
)
_BASE: Final[dict[str, Any]] = {
    "mesura": 1,
    "name": "b",
    "version": "1",
    "zone": "America/Bogota",
    "default_purpose": "marketing",
    "channels": {"sms": {"group": "text"}, "voice": {"group": "phone"}},
    "purposes": ["marketing", "otp"],
    "rules": [],
}
RULES: Final[tuple[dict[str, Any], ...]] = (
    {"kind": "cap", "limit": 3, "window": {"rolling": "7d"}, "scope": ["channel", "brand"]},
    {"kind": "cap", "limit": 0, "window": {"rolling": "401d"}, "scope": ["channel_group"]},
    {"kind": "cap", "limit": 1, "window": {"calendar": "day"}, "on_missing": "allow"},
    {"kind": "cap", "limit": 1, "window": {"calendar": "week", "zone": "policy"}, "on_missing": "hold"},
    {"kind": "cap", "limit": 1, "window": {"calendar": "month", "zone": "Bogota"}},
    {"kind": "cap", "limit": 1, "window": {"calendar": "hour", "zone": "Australia/Lord_Howe"}},
    {"kind": "cap", "limit": 2, "window": {"calendar": "quarter", "zone": "policy"}, "scope": ["brand"]},
    {"kind": "cap", "limit": 1, "window": {"calendar": "year"}, "on_missing": "deny"},
    {"kind": "cap", "limit": 9, "window": {"lifetime": True}, "scope": ["customer", "topic"]},
    {"kind": "cap", "limit": 9, "window": {"lifetime": True, "rolling": "1d"}, "scope": ["household"]},
    {"kind": "gap", "minimum": "4h", "scope": ["purpose"]},
    {"kind": "gap", "minimum": "90d"},
    {"kind": "window", "hours": {"workday": ["08:00-12:00", "14:00-19:00"], "sunday": []}},
    {"kind": "window", "hours": {"sat": ["19:00-08:00"], "mon": ["08:00-12:00", "10:00-11:00"]}, "zone": "Mars"},
    {"kind": "window", "hours": {"workday": ["08:00-24:00"], "holiday": []}, "holidays": "recipient"},
    {"kind": "window", "hours": {"day_before_holiday": ["08:00-15:00"]}, "holidays": "town", "on_missing": "allow"},
    {"kind": "window", "hours": {"workday": ["08:00-12:00", "06:00-07:00"]}, "holidays": "none"},
    {"kind": "window", "hours": {"workday": []}, "holidays": "CO", "zone": "Europe/Madrid"},
    {"kind": "window", "hours": {"holiday": ["10:00-12:00"]}},
    {"kind": "consent", "evidence": "optional", "max_age": "365d", "on_missing": "allow"},
    {"kind": "consent", "max_age": "9999d", "evidence": "required"},
    {"kind": "sender", "allowed": ["acme", "85785"], "on_missing": "allow"},
    {"kind": "campaign", "campaigns": ["spring"], "switch": "off"},
    {"kind": "campaign", "campaigns": ["spring"], "switch": "shadow_only"},
    {"kind": "exempt", "purposes": ["otp"], "from": ["cap", "gap", "window"], "still_counts": True},
    {"kind": "exempt", "purposes": ["otp"], "from": ["opt_out", "consent"], "still_counts": False},
    {"kind": "exempt", "purposes": ["otp"], "from": ["cap"], "still_counts": False, "even_if_opted_out": True},
    {"kind": "exempt", "purposes": ["otp", "marketing"], "from": ["cap"], "still_counts": True},
    {"kind": "cap", "limit": 9, "window": {"lifetime": True}},
    {"kind": "cap", "limit": 0, "window": {"rolling": "1d"}},
    {"kind": "window", "hours": {"workday": []}},
    {"kind": "gap", "minimum": "1h", "applies_to": {"channels": ["sms"], "groups": ["text"]}},
    {"kind": "window", "hours": {"holiday": []}, "holidays": "recipient", "applies_to": {"countries": ["CO-ANT"]}},
    {"kind": "gap", "minimum": "1h", "applies_to": {"automated": "yes"}},
    {"kind": "gap", "minimum": "1h", "applies_to": {"automated": "no"}},
    {"kind": "opt_out"},
    {"kind": "capp", "limit": "3"},
)
_COMMON: Final[tuple[dict[str, Any], ...]] = (
    {"state": "shadow"},
    {"state": "off", "source": {"text": "Law", "confidence": "memory"}},
    {"state": True},
    {"source": {"text": "Law", "confidence": "memory", "url": "https://law.example"}},
    {"source": {"text": "Law"}},
    {"because": f"for {TOKEN}"},
    {"because": 7},
    {"country_unknown": "skip"},
    {"country_unknown": "apply", "applies_to": {"countries": ["CO"]}},
    {"id": "opt-out"},
    {"id": "duplicate"},
    {"limitt": 3},
    {"counts": {"channels": ["sms"]}, "counts_except": {"purposes": ["otp"]}},
    {"except": {"channels": ["sms"], "automated": True}},
    {"except": {}},
)
_HEADS: Final[tuple[dict[str, Any], ...]] = (
    {"history": "400d", "identities": "30d"},
    {"history": "401d"},
    {"history": "1h"},
    {"identities": "36d"},
    {"identities": "1s"},
    {"time_to_live": "2s"},
    {"time_to_live": "25h"},
    {"zone": "Bogotá"},
    {"zone": "bogota", "recipient_zone": "new york"},
    {"recipient_zone": "Europe/Madrid"},
    {"default_purpose": "marketting"},
    {"purposes": ["otp", "otp"]},
    {"purposes": []},
    {"channels": {"sms": None, "text": {"group": "sms"}, "voice": {"group": "phone"}}},
    {"channels": {"SMS": {}}},
    {"regions": {"US-FL": ["America/New_York", "America/Chicago", "Florida"], "UK-X": ["Europe/London"]}},
    {"holidays": {"years": [2026, 2027], "calendars": {"CO": {"country": "CO"}, "US-FL": {"country": "US"}}}},
    {"holidays": {"years": [2026, 2028], "calendars": {"CO": {"country": "CO"}}}},
    {"holidays": {"years": [2026], "calendars": {"town": {"add": ["2026-12-24"], "because": "Fair"}}}},
    {"holidays": {"years": [2026], "calendars": {"town": {"add": ["2026-02-30", "2027-01-01"]}, "recipient": {}}}},
    {
        "holidays": {
            "years": [2026],
            "calendars": {
                "ES": {"country": "ES", "subdivision": "MD", "remove": ["2026-01-01", "2026-07-07"], "because": "x"},
                "AE": {"country": "AE", "categories": ["public", "banking"]},
                "ZZ": {"country": "ZZ"},
                "CO": {"country": "CO", "subdivision": "XX"},
            },
        }
    },
    {"holidays": {"years": [2026], "calendars": {"recipient": {"country": "CO"}, "empty": {}}}},
    {"holidays": {"years": [2026], "calendars": {"town": {"because": "x"}}}},
    {"holidays": {"years": [2040], "calendars": {"AE": {"country": "AE"}}}},
    {"holidays": {"years": [2026], "calendars": {"none": {"add": ["2026-05-05"], "because": "x"}}}},
    {
        "holidays": {
            "years": [2026],
            "calendars": {"AE": {"country": "AE"}, "NI": {"country": "NI"}, "BZ": {"country": "BZ"}},
        }
    },
    {"obligations": [{"id": "stop", "text": "Say how to stop.", "applies_to": {"countries": ["CO"]}}]},
    {"obligations": [{"id": "stop"}, {"id": "stop", "text": TOKEN}]},
    {"rules": {}},
    {"mesura": 2},
    {TOKEN: 1},
)
_WORDS: Final = ("7d\n", "1d", "0", "on", "no", "8:00-9:00", "08:00-12:00\n", "CO", "sms\n", "\u2028", "a b", "public")
_SNIPPETS: Final = (
    *(
        "---\n",
        "...\n",
        "&a ",
        "*a",
        "!!int 7",
        "!x ",
        "<<: *a\n",
        "? [a]: b\n",
        "- ",
        "  ",
        "\t",
        "#",
        "|\n",
        ">-\n",
        "'",
    ),
    *('"', "{", "}", "[", "]", ":", ",", "%YAML 1.1\n", "\ufeff", "\x07", '"\\ud800"', '"\\x07"', "~", "null", "é"),
)


def mutate(data: bytes, chance: random.Random, bytewise: Bytewise) -> bytes:
    """Edits the policy as data, or its text."""
    if chance.random() < BLUNT:
        return bytewise(data)
    if chance.random() < 0.25:
        return _text_edited(data, chance)
    try:
        document = yaml.load(data, Loader=yaml.CSafeLoader)
        if not isinstance(document, dict):
            return bytewise(data)
        for _ in range(chance.randint(1, EDITS_MAX)):
            _edit(document, chance)
        return _written(document, chance)
    except Exception:  # noqa: BLE001 - PyYAML's own way of making values raises this and that; it is not under test
        return bytewise(data)


def _edit(document: dict[Any, Any], chance: random.Random) -> None:
    rules = document.get("rules")
    is_list = isinstance(rules, list)
    match chance.randrange(9):
        case 0 | 1 if is_list and len(rules) < 6:
            rules.append({"id": f"r-{chance.randrange(4)}", **deepcopy(chance.choice(RULES))})
        case 2 if is_list and rules and isinstance(rule := chance.choice(rules), dict):
            rule.update(deepcopy(chance.choice(_COMMON)))
        case 3 if is_list and rules and isinstance(rule := chance.choice(rules), dict):
            rule[chance.choice(("applies_to", "except", "counts", "counts_except"))] = deepcopy(
                chance.choice(_SELECTORS)
            )
        case 4 if is_list and rules:
            del rules[chance.randrange(len(rules))]
        case 5:
            document.update(deepcopy(chance.choice(_HEADS)))
        case 6 if document:
            del document[chance.choice(list(document))]
        case _:
            _replace(document, chance)


def _replace(node: Any, chance: random.Random) -> None:  # noqa: ANN401 - any YAML
    """Something somewhere below becomes something else."""
    while isinstance(node, dict | list) and node:
        key = chance.choice(list(node)) if isinstance(node, dict) else chance.randrange(len(node))
        if not isinstance(node[key], dict | list) or not node[key] or chance.random() < 0.2:
            node[key] = chance.choice(_WORDS) if chance.random() < 0.5 else value(chance, 2)
            return
        node = node[key]


def _written(document: dict[Any, Any], chance: random.Random) -> bytes:
    if chance.random() < 0.6:
        text = json.dumps(document, ensure_ascii=chance.random() < 0.5, separators=(",", ": "), default=str)
        return text.encode(errors="replace")
    flow = chance.choice((None, False, True))
    text = yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, default_flow_style=flow)
    return str(text).encode(errors="replace")


def _text_edited(data: bytes, chance: random.Random) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    at = chance.randrange(len(lines))
    match chance.randrange(4):
        case 0:
            lines.insert(at, lines[chance.randrange(len(lines))])
        case 1:
            del lines[at]
        case _:
            line, snippet = lines[at], chance.choice(_SNIPPETS).encode()
            place = chance.randrange(len(line) + 1)
            lines[at] = line[:place] + snippet + line[place:]
    return b"".join(lines)


def seeds() -> Iterator[bytes]:
    """Small packs, the policies of the golden cases, and every rule and head above in a small policy."""
    for path in (*map(pack_path, PACKS), *sorted(POLICIES.glob("*.yaml"))):
        text = path.read_bytes()
        if path.stem != "starter":  # twenty times as long as any other
            yield text
    base = _BASE
    for head in _HEADS:
        yield yaml.safe_dump({**base, **head}, sort_keys=False, allow_unicode=True).encode()
    calendar = {"holidays": {"years": [2026], "calendars": {"CO": {"country": "CO"}}}}
    for number, rule in enumerate(RULES):
        yield json.dumps({**base, **calendar, "rules": [{"id": "r", **rule}, {"id": "q", **RULES[0]}]}).encode()
        with_rule = {"id": "r", **rule, **_COMMON[number % len(_COMMON)]}
        yield json.dumps({**base, "rules": [{"id": "r-1", **rule}]}).encode()
        yield yaml.safe_dump({**base, "rules": [{"id": "r-1", **rule}, with_rule]}, sort_keys=False).encode()
    yield b""
    yield b"\xff"
    yield b"- a\n"
    yield b"mesura: 1\n---\nmesura: 1\n"
    yield bytes((_PADDED_FILE,)) + b"mesura: 1\n"
    yield bytes((_PADDED_TEXT,)) + b"mesura: 1\n"
    yield b"a: &a [" + b"x," * 40 + b"]\nb: &b [" + b"*a," * 40 + b"]\nc: [" + b"*b," * 40 + b"]\n"
    yield b"{a: " * 20
