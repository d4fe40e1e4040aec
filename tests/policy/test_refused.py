"""Every way a policy can be refused: the line (marked `# !`), the rule, the message and the fix."""

from __future__ import annotations

from textwrap import dedent, indent
from typing import TYPE_CHECKING, NamedTuple

import pytest

from streams.policy import document, loader
from streams.policy.findings import PolicyRefused
from streams.policy.loader import load_policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.policy.findings import Finding


class Case(NamedTuple):
    name: str
    text: str
    rule: str | None
    message: str
    fix: str


def findings_of(text: str) -> tuple[Finding, ...]:
    with pytest.raises(PolicyRefused) as caught:
        load_policy(text)
    return caught.value.findings


def marked(text: str) -> list[int]:
    return [number for number, line in enumerate(text.splitlines(), 1) if "# !" in line]


def check(case: Case, text: str) -> None:
    findings = findings_of(text)
    said = "\n".join(map(str, findings))
    assert sorted({finding.line for finding in findings}) == marked(text), said
    assert any(case.message in f.message and case.fix in f.fix and f.rule_id == case.rule for f in findings), said


CAP = "id: r\nkind: cap\nlimit: 3\nwindow: {rolling: 7d}\n"
WINDOW = "id: r\nkind: window\n"
EXEMPT = "id: r\nkind: exempt\npurposes: [otp]\nstill_counts: true\n"

RULES = [
    Case("unknown field", CAP + "limitt: 3  # !", "r", "The rule has no field `limitt`", "Did you mean limit?"),
    Case("field of another kind", CAP + "hours: {}  # !", "r", "has no field `hours`", ""),
    Case("lacks a field", "id: r  # !\nkind: cap\nlimit: 3", "r", "The rule lacks `window`", "{rolling: 7d}"),
    Case("lacks several", "id: r  # !\nkind: cap", "r", "lacks `limit`", "0 (never)"),
    Case("lacks an id", "kind: gap  # !\nminimum: 1h", None, "lacks `id`", "small letters"),
    Case("bad id", "id: R!  # !\nkind: gap\nminimum: 1h", "R!", "`id` is `R!`", "small letters"),
    Case("unknown kind", "id: r\nkind: capp  # !", "r", "`kind` cannot be `capp`", "Did you mean cap?"),
    Case("opt_out is not written", "id: r\nkind: opt_out  # !", "r", "kind opt_out cannot be written", "always there"),
    Case("the id opt-out", "id: opt-out  # !\nkind: gap\nminimum: 1h", "opt-out", "always there", "Remove the rule"),
    Case("the id duplicate", "id: duplicate  # !\nkind: gap\nminimum: 1h", "duplicate", "always there", "another id"),
    Case("state true", CAP + "state: true  # !", "r", "`state` is `true`", "Did you mean on?"),
    Case("state enabled", CAP + "state: shadowed  # !", "r", "cannot be `shadowed`", "Did you mean shadow?"),
    Case("because too long", CAP + f"because: {'x' * 501}  # !", "r", "`because`", "500 characters"),
    Case("because a number", CAP + "because: 7  # !", "r", "should be text", 'Put it in quotes: "7"'),
    Case("source without confidence", CAP + "source: {text: Law}  # !", "r", "lacks `confidence`", "verified"),
    Case("unknown confidence", CAP + "source: {text: L, confidence: sure}  # !", "r", "cannot be `sure`", "house"),
    Case("memory switched on", CAP + "source: {text: L, confidence: memory}  # !", "r", "memory only", "`state: off`"),
    Case("memory in shadow", CAP + "state: shadow\nsource: {text: L, confidence: memory}  # !", "r", "memory", "off"),
    Case(
        "bad url", CAP + "source: {text: L, confidence: house, url: law.example}  # !", "r", "`source.url`", "https://"
    ),
    Case("country_unknown alone", CAP + "country_unknown: skip  # !", "r", "`countries` in applies_to", "Remove it"),
    Case("unknown channel", CAP + "applies_to: {channels: [smss]}  # !", "r", "channel `smss`", "Did you mean sms?"),
    Case("unknown group", CAP + "applies_to: {groups: [texts]}  # !", "r", "group `texts`", "Did you mean text?"),
    Case(
        "group hidden by its name", CAP + "applies_to: {groups: [sms]}  # !", "r", "group `sms`", "email, phone, text"
    ),
    Case("unknown purpose", CAP + "except: {purposes: [opt]}  # !", "r", "purpose `opt`", "Did you mean otp?"),
    Case("country UK", CAP + "applies_to: {countries: [UK]}  # !", "r", "no country `UK`", "Did you mean GB?"),
    Case("country XX", CAP + "applies_to: {countries: [XX-AA]}  # !", "r", "no country `XX`", "ISO 3166"),
    Case("province", CAP + "applies_to: {countries: [ES-M]}  # !", "r", "`ES-M` lies in `ES-MD`", "Write ES-MD."),
    Case("no such region", CAP + "applies_to: {countries: [US-ZZZ]}  # !", "r", "no region `US-ZZZ`", "US-AZ?"),
    Case("region mistyped", CAP + "except: {countries: [ES-MDD]}  # !", "r", "no region `ES-MDD`", "ES-MD?"),
    Case("region of none", CAP + "applies_to: {countries: [VA-1]}  # !", "r", "There is no region `VA-1`", "as US-FL"),
    Case("country in small letters", CAP + "applies_to: {countries: [co]}  # !", "r", "`co`, which is not", ""),
    Case("selector empty list", CAP + "applies_to: {channels: []}  # !", "r", "`applies_to.channels` is empty", "any"),
    Case("selector twice", CAP + "applies_to: {channels: [sms, sms]}  # !", "r", "names `sms` twice", "Keep one"),
    Case("selector not a list", CAP + "applies_to: {channels: sms}  # !", "r", "should be a list", "list: [sms]"),
    Case("automated yes", CAP + "applies_to: {automated: yes}  # !", "r", "true or false", "Did you mean true?"),
    Case("automated no", CAP + "applies_to: {automated: no}  # !", "r", "true or false", "Did you mean false?"),
    Case("empty exception", CAP + "except: {}  # !", "r", "`except` is empty", ""),
    Case("countries of contacts", CAP + "counts: {countries: [CO]}  # !", "r", "no field `countries`", ""),
    Case("limit below 0", "id: r\nkind: cap\nlimit: -1  # !\nwindow: {rolling: 7d}", "r", "`limit` is `-1`", "1000"),
    Case("limit over a ledger", "id: r\nkind: cap\nlimit: 1001  # !\nwindow: {rolling: 7d}", "r", "`1001`", "1000"),
    Case("limit octal", "id: r\nkind: cap\nlimit: 010  # !\nwindow: {rolling: 7d}", "r", "a whole number", "whole"),
    Case("limit sexagesimal", "id: r\nkind: cap\nlimit: 1:30  # !\nwindow: {rolling: 7d}", "r", "a whole number", ""),
    Case(
        "limit empty", "id: r\nkind: cap\nlimit:  # !\nwindow: {rolling: 7d}", "r", "`limit` is empty", "whole number"
    ),
    Case(
        "window both", "id: r\nkind: cap\nlimit: 1\nwindow: {rolling: 7d, lifetime: true}  # !", "r", "exactly one", ""
    ),
    Case("window none", "id: r\nkind: cap\nlimit: 1\nwindow: {}  # !", "r", "exactly one", "{rolling: 7d}"),
    Case(
        "lifetime false", "id: r\nkind: cap\nlimit: 1\nwindow: {lifetime: false}  # !", "r", "cannot be `false`", "true"
    ),
    Case("zone of rolling", "id: r\nkind: cap\nlimit: 1\nwindow: {rolling: 1d, zone: UTC}  # !", "r", "`calendar`", ""),
    Case("no unit", "id: r\nkind: cap\nlimit: 1\nwindow: {rolling: 7}  # !", "r", "should be text", ""),
    Case("bad unit", "id: r\nkind: cap\nlimit: 1\nwindow: {rolling: 7days}  # !", "r", "`7days`", "s m h d w"),
    Case("rolling too long", "id: r\nkind: cap\nlimit: 1\nwindow: {rolling: 401d}  # !", "r", "too long", "400d"),
    Case(
        "calendar decade",
        "id: r\nkind: cap\nlimit: 1\nwindow: {calendar: decade}  # !",
        "r",
        "`decade`",
        "week (from Monday)",
    ),
    Case(
        "calendar zone",
        "id: r\nkind: cap\nlimit: 1\nwindow: {calendar: day, zone: Bogota}  # !",
        "r",
        "no time zone `Bogota`",
        "Did you mean America/Bogota?",
    ),
    Case("unit", CAP + "unit: delivered  # !", "r", "cannot be `delivered`", "attempt"),
    Case("on_missing without zone", CAP + "on_missing: allow  # !", "r", "recipient's zone", "Remove it"),
    Case("scope global", CAP + "scope: [global]  # !", "r", "Across customers no cap could be exact", "Remove it"),
    Case("scope household", CAP + "scope: [Household]  # !", "r", "one lane owns one customer's history", "Remove it"),
    Case("scope address", CAP + "scope: [channel, address]  # !", "r", "count across customers", "Remove it"),
    Case("scope customer", CAP + "scope: [customer]  # !", "r", "`customer` is not a scope", "within one customer"),
    Case("scope typo", CAP + "scope: [chanel]  # !", "r", "cannot be `chanel`", "Did you mean channel?"),
    Case("gap too long", "id: r\nkind: gap\nminimum: 401d  # !", "r", "`minimum` is 401d", "400d"),
    Case("gap zero", "id: r\nkind: gap\nminimum: 0h  # !", "r", "`0h`", "a whole number"),
    Case("hours ends first", WINDOW + "hours: {workday: [22:00-06:00]}  # !", "r", "ends before", "22:00-24:00"),
    Case("hours nothing", WINDOW + "hours: {workday: [08:00-08:00]}  # !", "r", "ends before it begins", ""),
    Case("overlap", WINDOW + "hours: {sat: [08:00-12:00, 11:00-13:00]}  # !", "r", "overlaps 08:00-12:00", "in order"),
    Case("disorder", WINDOW + "hours: {sat: [12:00-13:00, 08:00-09:00]}  # !", "r", "comes before", "in order"),
    Case("bad interval", WINDOW + "hours: {sat: [8-12]}  # !", "r", "`8-12`", "08:00-12:00"),
    Case("24:30", WINDOW + "hours: {sat: [08:00-24:30]}  # !", "r", "`08:00-24:30`", "24:00"),
    Case("unknown day", WINDOW + "hours: {saterday: []}  # !", "r", "no field `saterday`", "Did you mean saturday?"),
    Case("hours not a list", WINDOW + 'hours: {sat: "08:00-12:00"}  # !', "r", "a list", "[08:00-12:00]"),
    Case("hours empty", WINDOW + "hours: {}  # !", "r", "`hours` is empty", ""),
    Case("window zone", WINDOW + "hours: {sat: []}\nzone: recipent  # !", "r", "`recipent`", "Did you mean recipient?"),
    Case("holiday hours alone", WINDOW + "hours: {holiday: []}  # !", "r", "no calendar says", "holidays: recipient"),
    Case("holidays none", WINDOW + "hours: {day_before_holiday: []}\nholidays: none  # !", "r", "no calendar says", ""),
    Case("holidays useless", WINDOW + "hours: {sat: []}\nholidays: CO  # !", "r", "ordinary days", "`holiday: []`"),
    Case("calendar unknown", WINDOW + "hours: {holiday: []}\nholidays: ES  # !", "r", "calendar `ES`", ""),
    Case("consent age", "id: r\nkind: consent\nmax_age: 4000d  # !", "r", "too long", "3650d"),
    Case(
        "consent hold",
        "id: r\nkind: consent\non_missing: hold  # !",
        "r",
        "cannot be `hold`",
        "deny (default) or allow",
    ),
    Case("evidence", "id: r\nkind: consent\nevidence: require  # !", "r", "`require`", "Did you mean required?"),
    Case("no senders", "id: r\nkind: sender\nallowed: []  # !", "r", "`allowed` is empty", "Sender ids"),
    Case("numeric sender", "id: r\nkind: sender\nallowed: [85432]  # !", "r", "should be text", '"85432"'),
    Case("campaign switch", "id: r\nkind: campaign\ncampaigns: [c]\nswitch: on  # !", "r", "cannot be `on`", ""),
    Case(
        "campaign switch false",
        "id: r\nkind: campaign\ncampaigns: [c]\nswitch: false  # !",
        "r",
        "`switch` is `false`",
        "off?",
    ),
    Case(
        "campaign applies_to",
        "id: r\nkind: campaign\ncampaigns: [c]\nswitch: off\napplies_to: {}  # !",
        "r",
        "has no field `applies_to`",
        "",
    ),
    Case("exempt shadow", EXEMPT + "from: [cap]\nstate: shadow  # !", "r", "cannot be `shadow`", "cannot be in shadow"),
    Case("exempt from what", EXEMPT + "from: [caps]  # !", "r", "cannot be `caps`", "Did you mean cap?"),
    Case(
        "exempt purpose", "id: r\nkind: exempt\nfrom: [cap]\nstill_counts: true\npurposes: [opt]  # !", "r", "`opt`", ""
    ),
    Case(
        "exempt counts", "id: r  # !\nkind: exempt\nfrom: [cap]\npurposes: [otp]", "r", "lacks `still_counts`", "choice"
    ),
    Case("opt-out unsaid", EXEMPT + "from: [opt_out]  # !", "r", "people who said no", "`even_if_opted_out: true`"),
    Case(
        "opt-out idle",
        EXEMPT + "from: [cap]\neven_if_opted_out: true  # !",
        "r",
        "does not name opt_out",
        "add opt_out",
    ),
    Case("opt-out false", EXEMPT + "from: [opt_out]\neven_if_opted_out: false  # !", "r", "cannot be `false`", "true"),
    Case("rule not a block", "just words", None, "should be a block of fields", ""),
]


@pytest.mark.parametrize("case", RULES, ids=lambda case: case.name)
def test_rule(case: Case, with_rules: Callable[[str], str]) -> None:
    if case.name == "rule not a block":
        check(case, with_rules("- just words  # !\n"))
        return
    body = indent(case.text, "  ").lstrip()
    check(case, with_rules(f"- {body}\n"))


HEADER = """\
mesura: 1
name: test
version: "1"
zone: America/Bogota
default_purpose: marketing
channels: {sms: {group: text}, email: }
purposes: [marketing, service]
"""

HEADS = [
    Case("format", HEADER.replace("mesura: 1", "mesura: 2  # !"), None, "`mesura` cannot be `2`", "1"),
    Case(
        "no format",
        HEADER.replace("mesura: 1\nname: test", "name: test  # !"),
        None,
        "The file lacks `mesura`",
        "The format",
    ),
    Case("name", HEADER.replace("name: test", "name: My policy  # !"), None, "`name` is `My policy`", "hyphens"),
    Case("version", HEADER.replace('"1"', "3  # !"), None, "should be text", 'Put it in quotes: "3"'),
    Case("zone", HEADER.replace("America/Bogota", "America/Bogata  # !"), None, "`America/Bogata`", "America/Bogota?"),
    Case("recipient zone", HEADER + "recipient_zone: Factory  # !", None, "There is no time zone `Factory`", ""),
    Case("unknown key", HEADER + "rule: []  # !", None, "The file has no field `rule`", "Did you mean rules?"),
    Case("default purpose", HEADER.replace(": marketing", ": markting  # !"), None, "`markting`", "marketing?"),
    Case("channel's name", HEADER.replace("email: }", '"E Mail": }  # !'), None, "the name `E Mail`", "small letters"),
    Case("channel's field", HEADER.replace("{group: text}, email: }", "{grup: t}}  # !"), None, "`grup`", "group?"),
    Case(
        "group is channel",
        HEADER.replace("text}, email: }", "email}, email: }  # !"),
        None,
        "a channel",
        "another name",
    ),
    Case("purposes twice", HEADER.replace("service]", "marketing]  # !"), None, "names `marketing` twice", "Keep one"),
    Case("time to live", HEADER + "time_to_live: 2s  # !", None, "too short", "more than 2s and at most 24h"),
    Case("time to live long", HEADER + "time_to_live: 25h  # !", None, "too long", "more than 2s"),
    Case("history", HEADER + "history: 500d  # !", None, "`history` is 500d, which is too long", "400d"),
    Case("history short", HEADER + "history: 1h  # !", None, "too short", "at least 24h"),
    Case("identities", HEADER + "identities: 36d  # !", None, "longer than the history of 35d", "at most 35d"),
    Case("identities short", HEADER + "identities: 30s  # !", None, "too short", "at least 1m"),
    Case("region", HEADER + "regions: {FL: [America/New_York]}  # !", None, "the name `FL`", "US-FL"),
    Case("region's country", HEADER + "regions: {XX-FL: [UTC]}  # !", None, "no country `XX`", "ISO"),
    Case(
        "region's zone",
        HEADER + "regions: {US-FL: [new york]}  # !",
        None,
        "`new york`",
        "Did you mean America/New_York?",
    ),
    Case("region unknown", HEADER + "regions: {US-ZZZ: [UTC]}  # !", None, "no region `US-ZZZ`", "US-AZ?"),
    Case("region is a province", HEADER + "regions: {ES-M: [UTC]}  # !", None, "lies in `ES-MD`", "Write ES-MD."),
    Case("region empty", HEADER + "regions: {US-FL: []}  # !", None, "`regions.US-FL` is empty", ""),
    Case("years", HEADER + "holidays: {years: [2025, 2027], calendars: {}}  # !", None, "2026 is missing", "Add 2026"),
    Case("years quoted", HEADER + 'holidays: {years: ["2025"], calendars: {}}  # !', None, "a whole number", "year"),
    Case("no calendars", HEADER + "holidays: {years: [2025]}  # !", None, "lacks `calendars`", ""),
]
NAMES = [
    Case("empty", "other_names: {}  # !", None, "`other_names` is empty", ""),
    Case("a list", "other_names: [txt]  # !", None, "a block of fields", "Other names"),
    Case("unknown section", "other_names: {channel: {sms: [txt]}}  # !", None, "no field `channel`", "channels?"),
    Case("section empty", "other_names: {brands: {}}  # !", None, "`other_names.brands` is empty", ""),
    Case("a word, not a list", "other_names: {channels: {sms: txt}}  # !", None, "should be a list", "[txt]"),
    Case("no names", "other_names: {channels: {sms: []}}  # !", None, "`other_names.channels.sms` is empty", ""),
    Case("a number", "other_names: {senders: {acme: [85785]}}  # !", None, "should be text", '"85785"'),
    Case("an empty name", 'other_names: {brands: {north: [""]}}  # !', None, "other_names.brands.north", "1 to 128"),
    Case("too long", f"other_names: {{brands: {{north: [{'x' * 129}]}}}}  # !", None, "north", "1 to 128"),
    Case("twice", "other_names: {channels: {sms: [txt, txt]}}  # !", None, "names `txt` twice", "Keep one"),
    Case("twice, folded", 'other_names: {channels: {sms: [txt, "T x T"]}}  # !', None, "already means `sms`", "one"),
    Case("no such channel", "other_names: {channels: {smss: [txt]}}  # !", None, "`smss` is not declared", "sms?"),
    Case("no such purpose", "other_names: {purposes: {offers: [promo]}}  # !", None, "`offers` is not declared", ""),
    Case("of two", "other_names: {brands: {north: [n], south: [N]}}  # !", None, "already means `north`", "one word"),
    Case("of a channel", "other_names: {channels: {sms: [E mail]}}  # !", None, "already means `email`", "one word"),
    Case("of a group", "other_names: {channels: {email: [Text]}}  # !", None, "already means `text`", "one word"),
    Case("of a named word", "other_names: {brands: {a: [b], b: [c]}}  # !", None, "already means `b`", "one word"),
    Case("itself", "other_names: {channels: {sms: [S M S]}}  # !", None, "is `sms` itself", "Remove it."),
    *(
        Case(f"everything {number}", f"other_names: {{topics: {{loans: [{word}]}}}}  # !", None, "everything", "Remove")
        for number, word in enumerate(("all", "ANY", "Every", "every thing", '"*"', '" "', '"\\u200b"'))
    ),
]
CALENDARS = [
    Case("country", "{country: XX}  # !", None, "No holidays are known for the country `XX`", "`add` the days"),
    Case("country typo", "{country: uk}  # !", None, "`uk`, which is not allowed", "country code"),
    Case("subdivision", "{country: ES, subdivision: XX}  # !", None, "no subdivision `XX`", ""),
    Case("subdivision named", "{country: ES, subdivision: Madri}  # !", None, "`Madri`", "Did you mean Madrid?"),
    Case("no subdivisions", "{country: CO, subdivision: DC}  # !", None, "no subdivision `DC`", "Leave it out"),
    Case("category", "{country: UY, categories: [banks]}  # !", None, "category `banks`", "Did you mean bank?"),
    Case("nothing", "{because: x}  # !", None, "neither a country nor days", "`add`"),
    Case("alone", "{subdivision: MD}  # !", None, "`subdivision` without `country`", ""),
    Case("unsaid", "{country: CO, add: [2026-12-24]}  # !", None, "without `because`", "Say why"),
    Case("no such day", "{country: CO, because: x, add: [2026-02-30]}  # !", None, "no day 2026-02-30", "Write a date"),
    Case("not a date", "{country: CO, because: x, add: [tomorrow]}  # !", None, "`tomorrow`", "2026-12-24"),
    Case("outside", "{country: CO, because: x, add: [2027-12-24]}  # !", None, "outside the years", "Add the year"),
    Case(
        "no holiday", "{country: CO, because: x, remove: [2026-12-24]}  # !", None, "is not a holiday", "hide a mistake"
    ),
]


@pytest.mark.parametrize("case", HEADS, ids=lambda case: case.name)
def test_head(case: Case) -> None:
    text = case.text.rstrip() + "\nrules: []\n"
    check(case, text)


@pytest.mark.parametrize("case", NAMES, ids=lambda case: case.name)
def test_other_names(case: Case) -> None:
    check(case, f"{HEADER}{case.text}\nrules: []\n")


def test_other_names_of_what_is_broken_are_not_judged() -> None:
    text = HEADER.replace("sms: {group: text}", "sms: {grup: text}")
    findings = findings_of(text + "other_names: {channels: {fax: [telefax]}}\nrules: []\n")
    assert ["grup" in finding.message for finding in findings] == [True]


def test_sound_other_names() -> None:
    text = HEADER + "other_names: {channels: {sms: [TXT], text: [Written]}, brands: {Nörd: [North]}}\nrules: []\n"
    names = load_policy(text).specification.other_names
    assert names == {"channel": {"txt": "sms", "written": "text"}, "brand": {"north": "Nörd"}}


@pytest.mark.parametrize("place", ["ES-XX", "US-ZZZ"])
def test_calendar_of_a_place_where_nobody_can_be(place: str) -> None:
    text = f"{HEADER}rules: []\nholidays:\n  years: [2026]\n  calendars:\n    {place}: {{country: ES}}  # !\n"
    check(Case("", "", None, f"No recipient can be in `{place}`", ""), text)


def test_calendars_of_provinces_and_of_no_place_are_sound() -> None:
    calendars = "holidays: {years: [2026], calendars: {ES-M: {country: ES}, bank: {country: ES}, AB-1: {country: ES}}}"
    assert load_policy(f"{HEADER}{calendars}\nrules: []\n").specification.calendars.keys() == {"ES-M", "bank", "AB-1"}


@pytest.mark.parametrize("case", CALENDARS, ids=lambda case: case.name)
def test_calendar(case: Case) -> None:
    check(case, f"{HEADER}rules: []\nholidays:\n  years: [2025, 2026]\n  calendars:\n    CO: {case.text}\n")


def test_calendar_name_that_rules_use() -> None:
    text = f"{HEADER}rules: []\nholidays:\n  years: [2026]\n  calendars:\n    none: {{country: CO}}  # !\n"
    check(Case("", "", None, "cannot be called `none`", "another name"), text)


def test_unique_ids(with_rules: Callable[[str], str]) -> None:
    rule = "- {{id: {}, kind: gap, minimum: 1h}}{}\n"
    text = with_rules(rule.format("a", "") + rule.format("b", "") + rule.format("a", "  # !"))
    check(Case("", "", "a", "already used on line 19", "Choose another"), text)
    obligations = "obligations:\n  - {id: a, text: x}\n  - {id: a, text: y}  # !\n"
    check(Case("", "", None, "The id `a` is already used", "Choose another"), HEADER + obligations + "rules: []\n")


def test_obligations() -> None:
    text = HEADER + "obligations:\n  - {id: a, text: x, applies_to: {channels: [fax]}}  # !\nrules: []\n"
    check(Case("", "", None, "channel `fax`", "email, sms"), text)
    text = HEADER + "obligations:\n  - {id: a, text: x, applies_to: {countries: [ES-M]}}  # !\nrules: []\n"
    check(Case("", "", None, "`ES-M` lies in `ES-MD`", "Write ES-MD."), text)
    text = HEADER + "obligations:\n  - {id: a}  # !\nrules: []\n"
    check(Case("", "", None, "The obligation lacks `text`", "What the sender must do"), text)


def test_two_hundred_rules(with_rules: Callable[[str], str]) -> None:
    rules = [f"- {{id: r{number}, kind: gap, minimum: 1h}}\n" for number in range(201)]
    assert len(load_policy(with_rules("".join(rules[:200]))).specification.rules) == 200
    text = with_rules("".join(rules)).replace("rules:\n", "rules: # !\n")
    check(Case("", "", None, "has 201 entries; at most 200", "200 at most"), text)


def test_all_findings_come_together_in_order(with_rules: Callable[[str], str]) -> None:
    text = (
        with_rules(
            """
        - id: a
          kind: cap
          limit: -1  # !
          window: {rolling: 500d}
          applies_to: {channels: [fax]}  # !
        - id: b
          kind: window
          hours: {sat: [12:00-11:00]}  # !
          zonee: UTC  # !
          zone: Nowhere  # !
        - id: c
          kind: gap  # no minimum
        - id: a  # !
          kind: consent
        """
        )
        .replace("- id: c", "- id: c  # !")
        .replace("zone: America/Bogota", "zone: Bogota # !")
    )
    text = text.replace(
        "limit: -1  # !\n  window: {rolling: 500d}", "limit: 1\n  limitt: 2 # !\n  window: {rolling: 500d} # !"
    )
    findings = findings_of(text)
    assert [finding.line for finding in findings] == marked(text)
    assert [finding.rule_id for finding in findings] == [None, "a", "a", "a", "b", "b", "b", "c", "a"]
    assert str(PolicyRefused(findings)).splitlines()[0].startswith("line 4: There is no time zone `Bogota`.")


YAML = [
    Case("empty", "", None, "The file is empty", "mesura: 1"),
    Case("only a comment", "# nothing\n", None, "The file is empty", ""),
    Case("not a mapping", "- a  # !\n", None, "The file is a list, but should be a block of fields", ""),
    Case("unclosed", "name: [a, b\nzone: x  # !\n", None, "This is not YAML", "the line before"),
    Case("tab", "channels:\n\tsms:  # !\n", None, "This is not YAML", "column 1"),
    Case("two documents", "a: 1\n---  # !\nb: 2\n", None, "a second document", "---"),
    Case("key twice", "name: a\nname: b  # !\n", None, "`name` is given twice; the first is on line 1", "Keep one"),
    Case("key twice, block", "name: a\nname:  # !\n  b: 1\n", None, "given twice", ""),
    Case("merge", "a: &a {b: 1}\nc:\n  <<: *a  # !\n", None, "Merge keys", "Write the fields out"),
    Case("tag", "name: !!python/name:os.system  # !\n", None, "is not allowed", "plain value"),
    Case("tag of a type", "version: !!float 2.10  # !\n", None, "The tag", "plain value"),
    Case("key a list", "[a, b]: c  # !\n", None, "A key must be a plain word", "brackets"),
    Case("alias unknown", "name: *nothing  # !\n", None, "No complete value named &nothing", "Define it first"),
    Case("alias of itself", "name: &a\n  b: *a  # !\n", None, "No complete value named &a", ""),
    Case("control character", "name: a\nzone: \x07  # !\n", None, "U+0007 is not allowed", "Remove it"),
    Case("too deep", "name: " + "[" * 20 + "]" * 20 + "  # !\n", None, "nested more than 16 deep", ""),
]


@pytest.mark.parametrize("case", YAML, ids=lambda case: case.name)
def test_yaml(case: Case) -> None:
    findings = findings_of(case.text)
    lines = marked(case.text) or [1]
    assert any(case.message in f.message and case.fix in f.fix and f.line == lines[0] for f in findings), "\n".join(
        map(str, findings)
    )


def test_a_small_file_cannot_become_a_large_one() -> None:
    text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    for before, after in zip("abcdefg", "bcdefgh", strict=True):
        text += f"{after}: &{after} [{', '.join([f'*{before}'] * 10)}]\n"
    findings = findings_of(text)
    assert "more than 50000 values" in findings[0].message
    assert findings[0].line == 5
    deep = "[" * 100_000
    assert "deep" in findings_of(deep)[0].message


def test_size_limit() -> None:
    assert "larger than 256 KiB" in findings_of("#" * (document.TEXT_MAX_BYTES + 1))[0].message
    with pytest.raises(PolicyRefused, match="larger than 256 KiB"):
        loader.decoded(b"#" * (document.TEXT_MAX_BYTES + 1))


def test_bytes_that_are_not_utf8() -> None:
    with pytest.raises(PolicyRefused, match="line 2: The file is not UTF-8"):
        loader.decoded(b"name: a\nbecause: \xff")
    assert loader.decoded("\ufeffname: a".encode()) == "name: a"


def test_what_is_written_is_what_is_read() -> None:
    text = dedent(
        """
        norway: NO
        on: on
        times: [08:00-12:00, 1:30, 22:30:00]
        numbers: [0, -7, 010, 0x10, 1_000, 1e3, 1.10, 99999999999999999999]
        quoted: ["1", 'true', ""]
        constants: [true, false, null, ~, True]
        date: 2026-12-24
        block: |
          1
        """
    )
    assert document.parse(text).data == {
        "norway": "NO",
        "on": "on",
        "times": ["08:00-12:00", "1:30", "22:30:00"],
        "numbers": [0, -7, "010", "0x10", "1_000", "1e3", "1.10", "99999999999999999999"],
        "quoted": ["1", "true", ""],
        "constants": [True, False, None, None, "True"],
        "date": "2026-12-24",
        "block": "1\n",
    }


def test_anchors_repeat_a_value_with_the_line_of_its_use(with_rules: Callable[[str], str]) -> None:
    text = with_rules(
        """
        - {id: a, kind: window, hours: &hours {sat: [08:00-12:00]}}
        - {id: b, kind: window, hours: *hours}
        """
    )
    first, second = load_policy(text).specification.rules
    assert first.hours == second.hours  # type: ignore[attr-defined]
    text = text.replace("08:00-12:00]}}", "12:00-08:00]}}  # !").replace("*hours}", "*hours}  # !")
    assert [finding.line for finding in findings_of(text)] == marked(text)


def test_what_refers_to_a_broken_part_is_not_judged(with_rules: Callable[[str], str]) -> None:
    text = with_rules(
        """
        - {id: a, kind: gap, minimum: 1h, applies_to: {channels: [fax], groups: [g], purposes: [gone]}}
        - {id: b, kind: window, hours: {holiday: []}, holidays: XX}
        """
    )
    text = text.replace("voice: {group: phone}", "voice: {grup: phone}  # !")
    text = text.replace("purposes: [marketing, service, otp]", "purposes: marketing  # !")
    text = text.replace("CO: {country: CO}", "CO: {country: XX}").replace("ES-MD: {", "ES-MD: {add: [x], ", 1)
    text = text.replace("subdivision: MD}", "subdivision: MD}  # !")
    assert sorted({finding.line for finding in findings_of(text)}) == marked(text)
    text = (
        HEADER.replace("purposes: [marketing, service]", "purposes: []  # !") + "obligations: 7  # !\nrules: 8  # !\n"
    )
    assert sorted({finding.line for finding in findings_of(text)}) == marked(text)
    text = HEADER.replace("default_purpose: marketing", "default_purpose: [marketing]  # !") + "rules: []\n"
    assert sorted({finding.line for finding in findings_of(text)}) == marked(text)
