"""What the section of an alert in docs/operations.md tells people to look at, done as they would do it.

A section's part *What to check* names, in code, addresses of the gate, commands of mesura and of Kafka, and expressions
for Prometheus; and in italics, panels of the dashboard. All of them are asked. *What to do* is the drill's own part.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from streams.testing.kafka_installation import install_kafka

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.drill.scene import Scene

ROOT: Final = Path(__file__).parents[2]
OPERATIONS: Final = ROOT / "docs/operations.md"
DASHBOARD: Final = ROOT / "deploy/grafana/dashboards/mesura.json"

KAFKA_TOOLS: Final = {
    "kafka-transactions.sh": "org.apache.kafka.tools.TransactionsCommand",
    "kafka-consumer-groups.sh": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-configs.sh": "kafka.admin.ConfigCommand",
}
RATE_INTERVAL: Final = "15s"
SHOWN_CHARACTERS: Final = 160
SERIES_SHOWN: Final = 3

_OURS: Final = {"__name__", "job", "clock", "instance"}
_CODE: Final = re.compile(r"`([^`\n]+)`")
_ITALICS: Final = re.compile(r"(?<!\*)\*([A-Z][^*\n]+)\*(?!\*)")
_GET: Final = re.compile(r"(?:GET )?(/ready|/live)")
_EXPRESSION: Final = re.compile(r"(mesura_\w+|up)(\{.*\})?|sum .*")


class Shown(NamedTuple):
    """Something that was looked at, and what was seen, in short and whole."""

    looked_at: str
    seen: str
    whole: str

    def __str__(self) -> str:
        what = f"panel {self.looked_at}" if self.looked_at.startswith("*") else f"`{self.looked_at}`"
        return f"{what}: {self.seen}"


def section(alert: str) -> str:
    """What the page says of an alert; empty: nothing."""
    found = OPERATIONS.read_text(encoding="utf-8").partition(f"\n### {alert}\n")[2]
    return re.split(r"\n##+ ", found)[0]


def part(alert: str, title: str) -> str:
    """One part of the section."""
    return section(alert).partition(f"**{title}**")[2].partition("\n**What")[0]


def what_to_check(alert: str) -> list[str]:
    """Whatever the part names that can be asked, in its order; panels with asterisks."""
    return _named(part(alert, "What to check."))


def what_to_do(alert: str) -> list[str]:
    """The same of the part that mends it."""
    return _named(part(alert, "What to do."))


def _named(text: str) -> list[str]:
    found = [(match.start(), match[1]) for match in _CODE.finditer(text) if _can_be_asked(match[1])]
    found += [(match.start(), f"*{match[1]}*") for match in _ITALICS.finditer(text) if match[1] in panels()]
    return [each for _, each in dict.fromkeys(sorted(found))]


def check(alert: str, scene: Scene) -> list[Shown]:
    """Look at everything that the section of the alert names."""
    return [_look(each, scene) for each in what_to_check(alert)]


class Query(NamedTuple):
    """What a panel asks, and what its lines are called."""

    expression: str
    legend: str


def panels() -> dict[str, list[Query]]:
    """The queries of every panel by its title."""
    board: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return {
        panel["title"]: [Query(target["expr"], target["legendFormat"]) for target in panel["targets"]]
        for panel in board["panels"]
        if panel["type"] != "row"
    }


def for_job(expression: str, job: str) -> str:
    """An expression of the dashboard as Grafana would send it."""
    return expression.replace("$__rate_interval", RATE_INTERVAL).replace("$job", job)


def kafka_tool(command: str, scene: Scene, **values: str) -> str:
    """What one of Kafka's tools prints, with the scene's broker, names and these values in place of the page's."""
    program, *words = shlex.split(command)
    if "--bootstrap-server" not in words:
        words = ["--bootstrap-server", "…", *words]
    for option, value in {"--bootstrap-server": scene.broker.bootstrap_servers, **values}.items():
        if option in words:
            words[words.index(option) + 1] = value
    assert "…" not in words, command
    kafka = install_kafka()
    java = [str(kafka.java), "-XX:TieredStopAtLevel=1", "-cp", kafka.class_path, KAFKA_TOOLS[program]]
    done = subprocess.run([*java, *words], capture_output=True, text=True, check=False, timeout=120)
    return done.stdout + done.stderr


def _can_be_asked(code: str) -> bool:
    if _GET.fullmatch(code) or _EXPRESSION.fullmatch(code):
        return True
    first, _, rest = code.partition(" ")
    return bool(rest) and ((first == "mesura" and not rest.startswith("run")) or first in KAFKA_TOOLS)


def _look(what: str, scene: Scene) -> Shown:
    if what.startswith("*"):
        return _panel(what, scene)
    if (match := _GET.fullmatch(what)) is not None:
        return _shown(what, _answer(match[1], scene), scene)
    if what.startswith("mesura "):
        return _shown(what, _command(what, scene), scene)
    if what.startswith("kafka-"):
        return _shown(what, kafka_tool(what, scene), scene)
    return _shown(what, "; ".join(_values(_of_job(what, scene.job), scene)) or "no series", scene)


def _panel(what: str, scene: Scene) -> Shown:
    values = [
        value
        for each in panels()[what.strip("*")]
        for value in _values(for_job(each.expression, scene.job), scene, each.legend)
    ]
    return _shown(what, "; ".join(values) or "nothing", scene)


def _answer(path: str, scene: Scene) -> str:
    status, body = scene.machine.get(path)
    try:
        return f"{status}: {json.loads(body)['why']}"
    except (ValueError, KeyError):
        return f"{status}: {body}"


def _command(what: str, scene: Scene) -> str:
    words = [str(scene.policy) if word == "policy.yaml" else word for word in shlex.split(what)[1:]]
    if words == ["dead-letters", "show"]:
        words.append(_latest_dead_letter(scene))
    if words[0] != "policy":
        words += ["--bootstrap", scene.broker.bootstrap_servers]
    done = scene.mesura(*words)
    return f"exit code {done.returncode}: {done.stdout or done.stderr}"


def _latest_dead_letter(scene: Scene) -> str:
    """The latest of them, as `list` names it."""
    done = scene.mesura("dead-letters", "list", "--bootstrap", scene.broker.bootstrap_servers)
    # Each row begins with the time at which it was set aside.
    latest = max(line for line in done.stdout.splitlines() if re.match(r"\d{4}-", line))
    return latest.split()[1]


def _of_job(expression: str, job: str) -> str:
    """The expression, asked of this job alone."""
    return re.sub(
        r"\b(mesura_\w+|up\b)(\{([^}]*)\})?",
        lambda match: f'{match[1]}{{{match[3] + ", " if match[3] else ""}job="{job}"}}',
        expression,
    )


def _values(expression: str, scene: Scene, legend: str = "__auto") -> Iterator[str]:
    """What an expression is, its largest values first; of many series only those that are not 0."""
    found = scene.watch.prometheus.query(expression)
    found.sort(key=lambda each: -abs(float(each["value"][1])))
    if len(found) > SERIES_SHOWN:
        found = [each for each in found if float(each["value"][1])] or found[:1]
    for each in found:
        labels = {name: word for name, word in each["metric"].items() if name not in _OURS}
        words = " ".join(labels.values()) if legend == "__auto" else _filled(legend, labels)
        yield f"{words} {float(each['value'][1]):.3g}".strip()


def _filled(legend: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), legend)


def _shown(what: str, whole: str, scene: Scene) -> Shown:
    """In one line, without addresses that are others in each run."""
    whole = whole.replace(scene.machine.address, "…").replace(scene.broker.bootstrap_servers, "…")
    line = " ".join(whole.split())
    return Shown(what, line if len(line) <= SHOWN_CHARACTERS else line[:SHOWN_CHARACTERS].rstrip() + " …", whole)
