"""The clients' runs, short: librdkafka alone, without compaction. What the judge must notice, it notices."""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.clients.campaign import Campaign
from tests.clients.example_runs import CUSTOMERS
from tests.clients.examples import ENVELOPES
from tests.clients.plan import PYTHON, planned
from tests.clients.programs import EXAMPLES, SOURCES
from tests.clients.verdict import Evidence, judge
from tests.system.aging import AS_IT_IS, Stage
from tests.system.harness import REPOSITORY, Place, value_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streams.testing.broker import Broker
    from tests.system.harness import Account

TRANSACTIONS = "lz4 in transactions"
MISROUTED = "intents murmur2_random, noes default"
RUNS = [TRANSACTIONS, MISROUTED, "headers"]
PLANS = {"python": [each for each in planned(PYTHON, share=0.1) if each.run.name in RUNS]}


@pytest.fixture(scope="module")
def campaign(real_kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    found = Campaign(real_kafka, tmp_path_factory.mktemp("clients"), PLANS)
    with found.gate() as gate:
        found.publish_and_judge(gate)
    found.findings.stages = [Stage.of(AS_IT_IS, found.outside_check(processes=1)())]
    return found


def test_what_librdkafka_publishes_is_answered_once_and_no_means_no(campaign: Campaign) -> None:
    findings = campaign.findings
    assert findings.wrong == []
    by_run = {counts.run: counts for counts in findings.counts}
    assert sorted(by_run) == sorted(RUNS)
    assert by_run[TRANSACTIONS].published > by_run[TRANSACTIONS].answered == by_run[TRANSACTIONS].committed > 0
    assert all(counts.after_no > 0 for counts in findings.counts)
    assert by_run[MISROUTED].forwarded > 0


def test_what_the_examples_publish_is_approved_once_and_sent_once(campaign: Campaign) -> None:
    findings = campaign.findings
    assert [(each.language, each.envelope) for each in findings.published] == [
        ("python", envelope) for envelope in ENVELOPES
    ]
    for published in findings.published:
        assert published.said_no == published.answers["suppressed opt_out"] == CUSTOMERS / 4
        assert published.again.keys() == {"suppressed duplicate"}
    [served] = findings.served
    assert served.approved > CUSTOMERS
    assert (served.killed, served.sent + served.reported.get("expired", 0)) == (1, served.approved)


def _of(account: Account, run: str, *, said: str | None) -> Place:
    """Where the intent of one customer stands who was answered."""
    [prefix] = [each.run.customer_prefix for each in PLANS["python"] if each.run.name == run]
    return next(
        place
        for place, record in account.decisions.items()
        if (record.key or b"").decode().startswith(prefix)
        and (int((record.key or b"").decode().removeprefix(prefix)) % 4 == 3) == (said is None)
    )


def _lose(account: Account) -> None:
    del account.decisions[_of(account, TRANSACTIONS, said="opt_out")]


def _approve(account: Account) -> None:
    place = _of(account, TRANSACTIONS, said="opt_out")
    _change(account, place, type="approved")


def _suppress(account: Account) -> None:
    place = _of(account, TRANSACTIONS, said=None)
    _change(account, place, type="suppressed", reason="cap_reached")


def _change(account: Account, place: Place, **fields: object) -> None:
    record = account.decisions[place]
    account.decisions[place] = record._replace(value=json.dumps(value_of(record) | fields).encode())


def _forward(account: Account) -> None:
    place = _of(account, TRANSACTIONS, said=None)
    account.forwarded[place] = Place("rerouted", 0, 0)


def _dead_letter(account: Account) -> None:
    """As if a sound intent had been a dead letter."""
    letter = next(iter(account.dead_letters.values()))
    place = _of(account, TRANSACTIONS, said=None)
    key = account.decisions.pop(place).key
    own = {"topic": place.topic, "partition": str(place.partition), "offset": str(place.offset)}
    headers = [
        (name, own[name.removeprefix("mesura.error.")].encode() if name.removeprefix("mesura.error.") in own else value)
        for name, value in letter.headers
    ]
    account.dead_letters[place] = letter._replace(key=key, headers=tuple(headers))


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (_lose, "intents not answered once"),
        (_approve, "approved after an acknowledged no"),
        (_suppress, "suppressed though they said nothing: cap_reached"),
        (_forward, "records forwarded, though hashed by murmur2"),
        (_dead_letter, "dead letters other than planned"),
    ],
)
def test_a_planted_mistake_is_noticed(campaign: Campaign, plant: Callable[[Account], None], said: str) -> None:
    account = copy.copy(campaign.account)
    for name in ("decisions", "forwarded", "dead_letters"):
        setattr(account, name, dict(getattr(account, name)))
    plant(account)
    wrong = [what for counts in judge(campaign.world, PLANS, campaign.lines, account) for what in counts.wrong]
    assert wrong == [f"1 {said}"]


def test_a_withdrawal_that_is_missing_is_noticed(campaign: Campaign) -> None:
    evidence = Evidence(campaign.world, campaign.account)
    evidence.withdrawn.clear()
    [plan] = [each for each in PLANS["python"] if each.run.name == MISROUTED]
    lines = [line for line in campaign.lines["python"] if line.run == MISROUTED]
    counts = evidence.of_run("python", plan, lines)
    expected = [f"{counts.approved_after_no} approved after an acknowledged no, and never withdrawn"]
    assert counts.wrong == (expected if counts.approved_after_no else [])


def test_a_client_that_says_something_else_than_the_log_is_noticed(campaign: Campaign) -> None:
    """An aborted intent that is said to be committed, and a customer who is not told of."""
    first, *others = sorted(campaign.lines["python"], key=lambda line: line.intent)
    assert first.intent == "aborted"
    lines = {"python": [msgspec.structs.replace(first, intent="committed"), *others]}
    wrong = [what for counts in judge(campaign.world, PLANS, lines, campaign.account) for what in counts.wrong]
    assert wrong == ["1 intents not in the log as the client says", "1 intents not answered once"]
    wrong = [
        what for counts in judge(campaign.world, PLANS, {"python": others}, campaign.account) for what in counts.wrong
    ]
    assert wrong == ["1 customers not published once"]


# ---- what the programs are built from ------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", [SOURCES / "node", EXAMPLES / "node"], ids=lambda folder: folder.parent.name)
def test_what_npm_installs_is_locked_by_its_hash_and_no_registry_is_named(folder: Path) -> None:
    package = json.loads((folder / "package.json").read_text("utf-8"))
    wanted = package["dependencies"] | package.get("devDependencies", {})
    lock = json.loads((folder / "package-lock.json").read_text("utf-8"))["packages"]
    own = lock.pop("")
    assert own["dependencies"] | own.get("devDependencies", {}) == wanted
    assert all(lock[f"node_modules/{name}"]["version"] == version for name, version in wanted.items())
    for name, locked in lock.items():
        assert locked["integrity"].startswith("sha512-"), name
        assert "resolved" not in locked, name


@pytest.mark.parametrize("folder", [SOURCES / "java", EXAMPLES / "java"], ids=lambda folder: folder.parent.name)
def test_java_s_client_is_of_the_broker_s_release(folder: Path) -> None:
    def version(path: Path) -> list[str]:
        return re.findall(r"<kafka\.version>([^<]+)</", path.read_text("utf-8"))

    assert version(folder / "pom.xml") == version(REPOSITORY / "deploy" / "kafka" / "pom.xml") != []


@pytest.mark.parametrize("folder", [SOURCES / "go", EXAMPLES / "go"], ids=lambda folder: folder.parent.name)
def test_what_go_builds_from_is_locked(folder: Path) -> None:
    needed = re.findall(r"(?m)^\t(\S+) (v\S+)", (folder / "go.mod").read_text("utf-8"))
    sums = (folder / "go.sum").read_text("utf-8")
    assert needed
    assert [name for name, version in needed if f"{name} {version} h1:" not in sums] == []
