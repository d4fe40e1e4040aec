"""Plants identifiers and secrets everywhere, drives a gate and every command through good and bad days, and searches
what they leave.

    make secrecy

Apache Kafka with TLS and SCRAM, a gate with two processes, every command as a process of its own. What was found where
goes to `bench/results/secrecy.md`. See `evidence.ALLOWED` for where customers' data may be.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.report import machine
from streams.policy.packs import pack_path
from streams.testing.errors import DeadlineError
from streams.testing.kafka_io import publish
from streams.testing.records import OutgoingRecord, murmur2_partition
from tests.connection.secured_kafka import PASSWORD, USER, SecuredKafka, secured_kafka
from tests.connection.token_server import CLIENT_ID, TokenServer
from tests.secrecy.evidence import ALLOWED, Evidence
from tests.secrecy.faulty_worker import FAULTS
from tests.secrecy.inputs import event, now_ms, one_round, record
from tests.secrecy.markers import Markers
from tests.secrecy.scene import Scene, exporting_to
from tests.secrecy.search import Search
from tests.system.harness import World
from tests.telemetry.collector import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.secrecy.evidence import Leak
    from tests.secrecy.scene import RunningGate

RESULTS: Final = Path(__file__).parents[2] / "bench" / "results" / "secrecy.md"
ROUNDS: Final = 3
PARTITIONS: Final = 4
PARTS: Final = ("a_gate", "a_gate_in_detail", "a_careless_gate", "connections", "damaged_ledgers")
ENDS_A_WORKER: Final = ("raise", "group", "abort")


class Campaign:
    """The scene, over TLS with a login, and how each part of it is driven."""

    def __init__(self, kafka: SecuredKafka, directory: Path) -> None:
        self.kafka, self.directory = kafka, directory
        self.markers, self.evidence = Markers(), Evidence()
        self.world = World(kafka.kafka, "secrecy-", partitions=PARTITIONS)
        self.careless: set[str] = set()
        """What was found of the one leak that was planted."""
        self.password = self.markers.secret("secret-password")
        kafka.set_password(self.password)
        self.trusted = directory / "trusted.pem"
        self.trusted.write_text(kafka.authority.pem)
        directory.joinpath("scene").mkdir()
        self.scene = Scene(
            self.world,
            self.evidence,
            self.markers,
            directory / "scene",
            address=kafka.addresses["SASLSSL"],
        )
        self.scene.options[:] = ["--command-config", str(self.login("client", self.password))]
        self.policy = ["--policy", str(pack_path("small"))]

    def found(self) -> list[str]:
        """What was found so far where it may not be."""
        leaks = self.evidence.leaks(self.search())
        counted = Counter((each.place, each.found.kind) for each in leaks)
        return [f"{place}: {kind} in {forms} forms" for (place, kind), forms in counted.items()]

    def search(self) -> Search:
        return Search(self.markers.kinds, {"secret-erasure-key": self.scene.key, "secret-password": PASSWORD.encode()})

    # ---- files of client properties ---------------------------------------------------------------------------------

    def properties(self, name: str, **settings: str) -> Path:
        """Kafka's names, with two underscores for a dot."""
        text = "".join(f"{each.replace('__', '.')}={_escaped(value)}\n" for each, value in settings.items())
        return self.scene.secret_file(f"{name}.properties", text)

    def login(self, name: str, password: str, mechanism: str = "SCRAM-SHA-512") -> Path:
        quoted = password.replace("\\", "\\\\").replace('"', '\\"')
        module = "plain.PlainLoginModule" if mechanism == "PLAIN" else "scram.ScramLoginModule"
        return self.properties(
            name,
            security__protocol="SASL_SSL",
            ssl__truststore__location=str(self.trusted),
            sasl__mechanism=mechanism,
            sasl__jaas__config=f'org.apache.kafka.common.security.{module} required username="{USER}" '
            f'password="{quoted}";',
        )

    def oauth(self, name: str, tokens: TokenServer, secret: str) -> Path:
        return self.properties(
            name,
            security__protocol="SASL_SSL",
            ssl__truststore__type="PEM",
            ssl__truststore__location=str(self.trusted),
            sasl__mechanism="OAUTHBEARER",
            sasl__oauthbearer__token__endpoint__url=tokens.url,
            sasl__oauthbearer__client__credentials__client__id=CLIENT_ID,
            sasl__oauthbearer__client__credentials__client__secret=secret,
        )

    # ---- a gate ------------------------------------------------------------------------------------------------------

    def a_gate(self) -> None:
        """Everything good and bad that reaches a gate, and faults of its own."""
        markers, evidence = self.markers, self.evidence
        with (
            Collector() as collector,
            self.scene.gate(*self.policy, "--processes", "2", **exporting_to(collector)) as gate,
        ):
            for _ in range(ROUNDS):
                self.world.publish(one_round(markers))
            self.ask_for(FAULTS.keys() - {*ENDS_A_WORKER, "leak"}, gate)
            self.scene.until_decided(gate)
            for role in ("support", "compliance"):
                for document in (event("intent", markers), event("intent", markers, channel=markers.word("channel"))):
                    answer = gate.get("/explain", role, "explain", json.dumps(document).encode())[1]
                    evidence.add("explain by HTTP: stdout", answer)
            gate.attack()
            gate.look()
            for fault in ENDS_A_WORKER:
                self.ask_for([fault], gate)
                self.scene.until_decided(gate)
            for number in (signal.SIGABRT, signal.SIGSEGV):
                gate.until(gate.are_all_ready, "every process decides")
                before = gate.said.count("by " + number.name)
                gate.kill_worker(number)
                gate.until(
                    lambda number=number, before=before: gate.said.count("by " + number.name) > before,
                    "the end of the worker",
                )
            self.scene.until_decided(gate)
            gate.look()
            self.commands(gate)
        gate.keep()
        self.scene.keep_exports(collector)

    def a_gate_in_detail(self) -> None:
        """The same at the level DEBUG, with the password in a variable, and with one that is wrong first."""
        variables = {
            "MESURA_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "MESURA_KAFKA_SSL_TRUSTSTORE_LOCATION": str(self.trusted),
            "MESURA_KAFKA_SASL_MECHANISM": "SCRAM-SHA-256",
            "MESURA_KAFKA_SASL_USERNAME": USER,
            "MESURA_LOG_LEVEL": "DEBUG",
        }
        options, self.scene.options[:] = list(self.scene.options), []
        wrong = self.markers.secret("secret-wrong-password")
        for name, password in (("gate, wrong password", wrong), ("gate, DEBUG", self.password)):
            is_right = password == self.password
            more = {"MESURA_KAFKA_SASL_PASSWORD": password}
            with self.scene.gate(*self.policy, name=name, is_ready=is_right, **variables, **more) as gate:
                if is_right:
                    self.world.publish(one_round(self.markers))
                    self.scene.until_decided(gate)
                    gate.attack()
                    self.ask_for_again("thread", gate)
                else:
                    gate.until(lambda gate=gate: "refuses the user" in gate.said, "the sentence")
            gate.keep()
        # Both send a secret as it is: what the client says of its requests would hold it.
        principal = self.markers.word("secret-access-token")
        client_secret = self.markers.secret("secret-client")
        with TokenServer(client_secret, principal=principal) as tokens:
            for how, path in (
                ("PLAIN", self.login("plain", PASSWORD, "PLAIN")),
                ("PLAIN, wrong", self.login("plain-wrong", wrong, "PLAIN")),
                ("OAUTHBEARER", self.oauth("oauth-debug", tokens, client_secret)),
            ):
                self.scene.options[:] = ["--command-config", str(path)]
                name = f"gate, {how}, DEBUG"
                with self.scene.gate(*self.policy, name=name, is_ready=False, MESURA_LOG_LEVEL="DEBUG") as gate:
                    gate.until(lambda gate=gate: gate.is_ready() or "refuses the user" in gate.said, "readiness")
                gate.keep()
        self.scene.options[:] = options

    def ask_for(self, faults: Iterable[str], gate: RunningGate) -> None:
        for fault in faults:
            kind = "preference" if fault in {"raise", "log"} else "intent"
            document = event(kind, self.markers, customer_id=self.markers.word(f"fault-{fault}"))
            self.world.publish([record(kind, json.dumps(document).encode(), document["customer_id"].encode())])
        gate.until(lambda: all((self.scene.faults / fault).exists() for fault in faults), "the faults")

    def ask_for_again(self, fault: str, gate: RunningGate) -> None:
        (self.scene.faults / fault).unlink(missing_ok=True)
        self.ask_for([fault], gate)

    # ---- commands ----------------------------------------------------------------------------------------------------

    def commands(self, gate: RunningGate) -> None:
        """Every command beside a running gate, with what is right and what is not."""
        run, markers, scene = self.scene.command, self.markers, self.scene
        customer = next(marker for marker, kind in markers.kinds.items() if kind == "customer")
        someone = scene.secret_file("customer.txt", customer)
        good = scene.secret_file("good.jsonl", json.dumps(event("preference", markers)) + "\n")
        bad = "".join(f"{(each.value or b'').decode('latin-1')}\n" for each in one_round(markers) if each.value)
        run("publish", str(good))
        run("publish", str(scene.secret_file("bad.jsonl", bad)), place="publish")
        run("publish", "-", text=f'{{"customer_id": "{markers.word("line")}"', place="publish")
        run("watch", "--from-beginning", "--no-follow", "--dead-letters", place="watch")
        run("watch", "--from-beginning", "--no-follow", "--json", "--dead-letters", place="watch")
        run("watch", "--from-beginning", "--no-follow", "--customer-file", str(someone), place="watch")
        for more in ([], ["--json"]):
            run("dead-letters", "list", *more)
            run("dead-letters", "replay", *more)
            run("doctor", *more, *self.policy, "--application-id", f"{self.world.prefix}gate")
        run("customer", "show", text=f"{customer}\n")
        run("customer", "export", str(scene.directory / "export.json"), text=f"{customer}\n")
        evidence = self.evidence
        evidence.add("customer export: file", (scene.directory / "export.json").read_bytes())
        letters = self.world.read(self.world.names.dead_letter)
        for letter in letters[::40]:
            place = f"{letter.topic}-{letter.partition}-{letter.offset}"
            run("dead-letters", "show", place)
            run("dead-letters", "show", place, "--payload", place="dead-letters show --payload")
        run("dead-letters", "replay", "--reason", "unknown_type", "--limit", "20", "--force", "--execute")
        run("dead-letters", "list", "--reason", markers.word("reason"), "--from-topic", markers.word("topic"),
            place="dead-letters list with wrong words")  # fmt: skip
        run("audit", "--allow-undecided")
        run("audit", "--allow-undecided", "--json")
        run("topics", "check", "--partitions", str(PARTITIONS), "--replication-factor", "1")
        run("topics", "create", "--partitions", str(PARTITIONS), "--replication-factor", "1")
        run("ledger", "backup", str(scene.directory / "backup"), "--application-id", f"{self.world.prefix}gate")
        for name in ("backup",):
            evidence.add("ledger backup: file", (scene.directory / name).read_bytes())
        run("capacity", "--intents-per-second", "1000", "--customers", "1000", "--retention", "7d", connects=False)
        run("customer", "correct", "--timezone", "Europe/Lisbon", "--confirm", text=f"{customer}\n")
        bad_events = scene.secret_file("correct.jsonl", json.dumps({"type": markers.word("correct-type")}))
        run("customer", "correct", "--event-file", str(bad_events), text=f"{customer}\n")
        run("customer", "forget", text=f"{customer}\n")
        run("customer", "forget", "--confirm", "--json", text=f"{customer}\n")
        for what, key in (("wrong", os.urandom(32).hex()), ("broken", markers.secret("secret-broken-key"))):
            file = str(scene.secret_file(f"{what}.key", key))
            place = f"customer show with a {what} key"
            run("customer", "show", text=f"{customer}\n", place=place, MESURA_ERASURE_KEY_FILE=file)
        self.explanations(gate)

    def explanations(self, gate: RunningGate) -> None:
        run, markers, scene = self.scene.command, self.markers, self.scene
        token = scene.secret_file("token", scene.tokens["support"])
        wrong = scene.secret_file("wrong.token", markers.secret("secret-wrong-token"))
        where = ["--gate", gate.address("explain")]
        question = json.dumps(event("intent", markers))
        for file in (token, wrong):
            run("explain", "--intent", "-", *where, "--gate-token-file", str(file), text=question, connects=False)
        run(
            "explain",
            "--intent",
            "-",
            *where,
            text=question,
            connects=False,
            MESURA_GATE_TOKEN=scene.tokens["compliance"],
        )
        run("explain", "--intent", "-", *where, "--gate-token-file", str(token), connects=False,
            text=markers.word("question"), place="explain what is no intent")  # fmt: skip
        decided = self.world.read(self.world.names.suppressed)[0].value or b""
        run("explain", "--decision", "-", text=decided.decode(), place="explain a decision")
        run("explain", "--decision", "-", text=markers.word("question"), place="explain what is no decision")
        ledger = scene.secret_file("ledger", f"[{markers.word('ledger')}")
        run("explain", "--intent", "-", "--ledger", str(ledger), "--policy", "small", text=question, connects=False,
            place="explain a broken ledger")  # fmt: skip

    # ---- connections -------------------------------------------------------------------------------------------------

    def connections(self) -> None:
        """Every way to connect, with what is right and what is wrong; the secrets are in files and variables."""
        markers, scene, kafka = self.markers, self.scene, self.kafka
        passphrase, wrong = markers.secret("secret-passphrase"), markers.secret("secret-wrong-passphrase")
        key = kafka.clients.issue("gate").store(scene.directory / "gate.pem", passphrase, kafka.clients.pem)
        key.chmod(0o600)
        jaas = markers.secret("secret-in-jaas")
        client_secret = markers.secret("secret-client")
        common = {"ssl__truststore__type": "PEM", "ssl__truststore__location": str(self.trusted)}
        files: list[tuple[str, Path]] = [
            ("SASLSSL", self.login("wrong", markers.secret("secret-wrong-password"))),
            ("SASLSSL", self.login("wrong-plain", markers.secret("secret-wrong-password"), "PLAIN")),
            ("SASLSSL", self.login("wrong-mechanism", markers.secret("secret-wrong-password"), "SCRAM-SHA-1")),
            ("SSL", self.login("no-login-there", markers.secret("secret-wrong-password"))),
            ("OTHERCA", self.login("wrong-authority", self.password)),
            *(
                ("MUTUAL", self.properties(
                    name, security__protocol="SSL", ssl__keystore__type="PEM", ssl__keystore__location=str(key),
                    ssl__key__password=word, **common,
                ))
                for name, word in (("mutual", passphrase), ("mutual-wrong", wrong))
            ),
            ("SASLSSL", self.scene.secret_file(
                "broken.properties", f"security.protocol={markers.secret('secret-as-protocol')}\n"
                f"sasl.pasword={markers.secret('secret-misspelt')}\n",
            )),
            ("SASLSSL", self.properties(
                "broken-jaas", security__protocol="SASL_SSL", sasl__mechanism="PLAIN",
                sasl__jaas__config=f'{jaas} required password="{jaas}',
            )),
        ]  # fmt: skip
        with TokenServer(client_secret) as tokens:
            right = self.oauth("oauth", tokens, client_secret)
            files += [
                ("SASLSSL", right),
                ("SASLSSL", self.oauth("oauth-wrong", tokens, markers.secret("secret-wrong-client"))),
            ]
            for listener, path in files:
                self._try(listener, path)
            said = markers.secret("secret-token-answered").encode()
            for status, body in (
                (200, said),
                (200, b'{"access_token": 7, "note": "%b"}' % said),
                (200, b'{"access_token": "%b", "expires_in": "%b"}' % (said, said)),
                (400, b'{"error": "%b", "error_description": "%b"}' % (said, said)),
                (500, said),
                (302, b"http://127.0.0.1:9/" + said),
            ):
                tokens.answer = (status, body)
                self._try("SASLSSL", right)

    def _try(self, listener: str, path: Path) -> None:
        """By both client libraries: a command, and a gate."""
        options, address = list(self.scene.options), self.scene.address
        self.scene.address, self.scene.options[:] = self.kafka.addresses[listener], ["--command-config", str(path)]
        self.scene.command(
            "topics", "check", "--partitions", "4", "--replication-factor", "1", place=f"topics check by {path.stem}"
        )
        name = f"gate by {path.stem}"
        with self.scene.gate(*self.policy, name=name, is_ready=False) as gate, contextlib.suppress(AssertionError):
            gate.until(lambda: gate.is_ready() or '"level":"error"' in gate.said, "readiness or a sentence")
        gate.keep()
        self.scene.address, self.scene.options[:] = address, options

    def a_careless_gate(self) -> None:
        """One line of its log names a customer: the search has to find that."""
        with self.scene.gate(*self.policy, name="gate, careless") as gate:
            self.ask_for_again("leak", gate)
            gate.until(lambda: "Cannot use" in gate.said, "the line")
        said = Evidence({"gate, careless: stderr": gate.said.encode()})
        self.careless = {f"{leak.found.kind} in {leak.place}" for leak in said.leaks(self.search())}

    # ---- damage ------------------------------------------------------------------------------------------------------

    def damaged_ledgers(self) -> None:
        """A ledger and a control topic that hold what no gate wrote; the commands and a gate that come upon it."""
        markers, world, scene = self.markers, self.world, self.scene
        customer = next(
            word
            for word in map(markers.word, itertools.repeat("customer"))
            if murmur2_partition(word.encode(), PARTITIONS) == 0
        )
        ledger = [
            OutgoingRecord(world.names.ledger, b"c" + customer.encode(), value, now_ms(), partition=0)
            for value in (
                markers.word("damaged-ledger").encode(),
                b"\x93\x01" + markers.word("damaged-ledger").encode(),
            )
        ]
        application = ["--application-id", f"{world.prefix}gate"]
        scene.command("ledger", "backup", str(scene.directory / "a-backup"), *application)
        backup = (scene.directory / "a-backup").read_bytes()
        damaged = scene.directory / "damaged-backup"
        damaged.write_bytes(
            backup[: len(backup) // 2] + markers.word("damaged-backup").encode() + backup[len(backup) // 2 :]
        )
        scene.command("rebuild", *application)
        scene.command("ledger", "restore", str(damaged), *application, place="ledger restore")
        scene.command("ledger", "restore", str(scene.secret_file("none", markers.word("no-backup"))), *application,
                      place="ledger restore")  # fmt: skip
        publish(world.address, ledger)
        document = event("intent", markers, customer_id=customer)
        world.publish([record("intent", json.dumps(document).encode(), customer.encode())])
        name = "gate, damaged ledger"
        with scene.gate(*self.policy, name=name, is_ready=False) as gate, contextlib.suppress(AssertionError):
            gate.until(lambda: "The worker has ended" in gate.said, "its end")
        gate.keep()
        for command in (
            ["rebuild"],
            ["audit"],
            ["doctor", *self.policy],
            ["ledger", "backup", str(scene.directory / "b2")],
        ):
            scene.command(
                *command, *(application if command[0] != "audit" else []), place=f"{command[0]}, damaged ledger"
            )
        scene.command("customer", "show", text=f"{customer}\n", place="customer show, damaged ledger")

    def brokers_files(self) -> None:
        """What the broker keeps about clients: groups, transactional ids, its own log."""
        data = self.kafka.kafka.data_directory
        for path in sorted(data.rglob("*")):
            relative = str(path.relative_to(data))
            if path.is_file() and any(name in relative for name in ("__consumer_offsets", "__transaction_state")):
                self.evidence.add("broker: groups and transactional ids", path.read_bytes().rstrip(b"\0"))
            elif path.is_file() and path.suffix == ".log" and "-" not in path.parent.name:
                self.evidence.add("broker: its own log", path.read_bytes())


def _escaped(value: str) -> str:
    """As it stands in a file that Java reads as properties."""
    return "".join(letter if letter.isascii() else f"\\u{ord(letter):04x}" for letter in value.replace("\\", "\\\\"))


_HEAD: Final = """\
# Planted identifiers and secrets, searched for in whatever processes leave behind

Made by `make secrecy`, on Apache Kafka (one node) with TLS and SCRAM. {markers} distinct identifiers and texts and
{secrets} secrets of {kinds} kinds were planted in {records} records, in requests, files and variables. A gate with two
processes decided, failed in {faults} ways, and was attacked; {commands} different runs of commands did what they do,
with right and wrong input. Everything that they wrote, showed or left was searched for every marker: plain, in
capitals, as UTF-16 and UTF-32, in hexadecimal, in base64 at every alignment, URL-encoded, escaped as in JSON, Python
and HTML, as a list of numbers, and backwards; and for parts of one.

Searched: {megabytes} MB in {places} places. **{verdict}**

"""


def as_markdown(campaign: Campaign, leaks: Sequence[Leak], seconds: float) -> str:
    evidence, search, kinds = campaign.evidence, campaign.search(), campaign.markers.kinds
    held = evidence.held(search)
    secrets = sum(kind.startswith("secret-") for kind in kinds.values())
    head = _HEAD.format(
        markers=f"{len(kinds) - secrets:,}".replace(",", " "),
        secrets=secrets + 1,
        kinds=len(set(kinds.values())) + 1,
        records=sum(len(each) > 0 for each in [*campaign.world.read_inputs()]),
        faults=len(FAULTS) + 1,
        commands=sum(place.endswith(": stderr") and "gate" not in place for place in evidence.content),
        megabytes=round(sum(map(len, evidence.content.values())) / 1e6, 1),
        places=len(evidence.content),
        verdict="None was found where it may not be."
        if not leaks
        else f"{len(leaks)} were found where they may not be.",
    )
    lines = ["## Where customers' data may be\n", "| place | kinds found | why it may |", "|---|---|---|"]
    for allowed in ALLOWED:
        found = {kind for place, some in held.items() if re.fullmatch(allowed.place, place) for kind in some}
        lines.append(f"| `{allowed.place.replace('|', '/')}` | {len(found)} | {allowed.reason} |")
    lines += ["\n## Everything that was searched\n", "| place | kB | kinds found |", "|---|---|---|"]
    for place, content in sorted(evidence.content.items()):
        lines.append(f"| {place} | {len(content) / 1000:.1f} | {len(held.get(place, ()))} |")
    if leaks:
        lines += [
            "\n## Found where it may not be\n",
            *(f"- {each.found.kind} ({each.found.form}) in {each.place}" for each in leaks),
        ]
    lines.append(
        f"\nA gate with one careless line in its log: the search finds "
        f"{', '.join(sorted(campaign.careless)) or 'nothing'}."
    )
    lines.append(f"\n{seconds:.0f} s. Machine: {', '.join(f'{name} {value}' for name, value in machine().items())}.\n")
    return head + "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--parts", nargs="+", choices=PARTS, help="only these; for whoever changes them")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mesura-secrecy-") as temporary:
        directory = Path(temporary)
        directory.joinpath("broker").mkdir()
        with secured_kafka(directory / "broker") as kafka:
            campaign, undone = Campaign(kafka, directory), list[str]()
            for part in options.parts or PARTS:
                print(f"{time.monotonic() - began:6.1f} s  {part.replace('_', ' ')}", flush=True)
                try:
                    getattr(campaign, part)()
                except (AssertionError, DeadlineError) as error:
                    undone.append(f"{part}: {str(error).splitlines()[0]}")
                print(*campaign.found(), *undone, sep="\n", flush=True)
            campaign.brokers_files()
            campaign.scene.keep_files()
            campaign.scene.read_topics()
            leaks = campaign.evidence.leaks(campaign.search())
            options.results.write_text(as_markdown(campaign, leaks, time.monotonic() - began))
    print(*campaign.found(), *undone, sep="\n")
    is_proven = any("fault-leak" in each for each in campaign.careless)
    print("none was found" if not leaks else f"{len(leaks)} leaks", "" if is_proven else "and the planted one neither")
    return int(bool(leaks or undone) or not is_proven)


if __name__ == "__main__":
    sys.exit(main())
