"""The chart under the real Helm: linted, rendered, and read as Kubernetes' own types; what is not accepted is refused.

    make charts

Helm and the reader are built from `go.mod`, by the hashes of `go.sum`; that takes Go and some minutes at first.
The report goes to bench/results/charts.md, what tests/deploy/test_helm.py looks at to tests/charts/rendered. The exit
code is 1 if anything is amiss.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import yaml

from bench.report import keep, table
from streams.access.commands import strimzi_acls
from streams.access.roles import permissions_of
from streams.topics import TopicNames, TopicPlan
from tests.charts.files import CHART, DIGEST, HERE, KEPT, RENDERED, ROOT, VALUES, digest, documents, of_kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOOLS: Final = ROOT / "build" / "charts"
HELM: Final = TOOLS / "helm"
DECODE: Final = TOOLS / "decode"
STEP_SECONDS: Final = 1800
"""Building Helm takes minutes on two cores, the first time."""

# The oldest that the chart says it needs, and a later one: the pod's number has been a label since 1.28.
KUBERNETES: Final = ("1.28.0", "1.32.0")

REFUSED: Final = {
    "image.repository=": "say where your registry has the image",
    "kafka.bootstrap=": "give the brokers as host:port",
    "kafka.bootstrap=no-port": "kafka.bootstrap",
    "erasureKey.existingSecret=": "mesura erasure-key create",
    "operations.openMetrics=false": "Nothing says who may read /metrics",
    "policy.existingConfigMap=": "No policy is given",
    "policy.text=mesura: 1": "both given",
    "processes=0": "processes",
    "replica=3": "replica",
    "strimzi.enabled=true": "give the name of the Kafka resource",
}


def run(*command: str | Path, text: str | None = None, folder: Path = HERE) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    done = subprocess.run(
        [str(word) for word in command],
        input=text,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=STEP_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def build() -> None:
    """Helm and the reader of manifests."""
    TOOLS.mkdir(parents=True, exist_ok=True)
    for target, package in ((DECODE, "."), (HELM, "helm.sh/helm/v3/cmd/helm")):
        code, _, errors = run("go", "build", "-mod=readonly", "-o", target, package)
        if code != 0:
            raise SystemExit(f"go build {package}: {errors[-2000:]}")


def template(name: str, kubernetes: str, *more: str) -> tuple[int, str, str]:
    """What Helm renders with these values."""
    command = (HELM, "template", "gate", CHART, "--namespace", "contact", "--kube-version", kubernetes)
    return run(*command, "--values", VALUES / f"{name}.yaml", *more)


def wrong_with(name: str) -> Iterator[str]:
    """What is amiss with the chart under these values."""
    code, said, errors = run(HELM, "lint", "--strict", CHART, "--values", VALUES / f"{name}.yaml")
    if code != 0:
        yield f"helm lint: {said}{errors}"
    texts = []
    for kubernetes in KUBERNETES:
        code, text, errors = template(name, kubernetes)
        if code != 0:
            yield f"helm template for {kubernetes}: {errors}"
            return
        texts.append(text)
    if len(set(texts)) != 1:
        yield f"another result for each of {', '.join(KUBERNETES)}"
    code, said, _ = run(DECODE, text=texts[0])
    lines = said.splitlines()
    if code != 0:
        yield said
    strimzi = [line for line in lines if line.startswith("not read: kafka.strimzi.io/")]
    if [line for line in lines if line.startswith("not read: ")] != strimzi:
        yield f"what nobody read: {said}"
    if name in KEPT:
        RENDERED.mkdir(exist_ok=True)
        (RENDERED / f"{name}.yaml").write_text(texts[0])


def wrong_with_strimzi() -> Iterator[str]:
    """What differs between Strimzi's resources and the plan of the product, or the rules and their files."""
    values = yaml.safe_load((VALUES / "strimzi.yaml").read_text())
    names = TopicNames(intents=tuple(values["topics"]["intents"])).with_prefix(values["topics"]["prefix"])
    partitions = values["strimzi"]["partitions"]
    for replicas in (1, 2, 3, 5):
        _, text, _ = template("strimzi", KUBERNETES[0], "--set", f"strimzi.replicationFactor={replicas}")
        resources = documents(text)
        plan = TopicPlan(names=names, partitions=partitions, replication_factor=replicas).topics()
        wanted = {topic.name: (topic.partitions, replicas, dict(topic.config)) for topic in plan}
        found = {
            each["spec"]["topicName"]: (each["spec"]["partitions"], each["spec"]["replicas"], each["spec"]["config"])
            for each in of_kind("KafkaTopic", resources)
        }
        if found != wanted:
            yield f"with {replicas} replicas the topics are not those of the plan"
    (user,) = of_kind("KafkaUser", resources)
    acls = yaml.safe_load(strimzi_acls(permissions_of("gate", names, values["applicationId"])))["authorization"]["acls"]
    if sorted(map(str, user["spec"]["authorization"]["acls"])) != sorted(map(str, acls)):
        yield "the permissions are not those that `mesura topics acls --role gate` prints"
    (rule,) = of_kind("PrometheusRule", resources)
    files = sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
    if rule["spec"]["groups"] != [group for path in files for group in yaml.safe_load(path.read_text())["groups"]]:
        yield "the rules are not those of deploy/prometheus/rules"


def wrong_with_the_page() -> Iterator[str]:
    """What Helm has against the commands of docs/install.md; what would be installed is rendered only."""
    page = (ROOT / "docs/install.md").read_text().partition("\n## Kubernetes\n")[2]
    (values,) = re.findall(r"```yaml\n(.+?)```", page, re.DOTALL)
    (TOOLS / "values.yaml").write_text(values)
    shutil.copy(ROOT / "streams/policy/packs/starter.yaml", TOOLS / "policy.yaml")
    commands = [shlex.split(line) for line in page.splitlines() if line.startswith("helm ")]
    for _, verb, *words in commands:
        given = [str(CHART) if word == "deploy/helm/mesura" else word for word in words]
        at = ["--kube-version", KUBERNETES[0]]
        code, said, errors = run(HELM, "template" if verb == "install" else verb, *given, *at, folder=TOOLS)
        if code != 0:
            yield f"{verb}: {said}{errors}"
        if verb == "install":
            code, said, _ = run(DECODE, text=said)
            if code != 0 or "StatefulSet gate-mesura" not in said:
                yield said
    if len(commands) != 2:
        yield "two commands of helm are expected"


def refusals() -> list[dict[str, Any]]:
    """What is taken back from values that are accepted, and whether Helm says so."""
    rows = []
    for change, sentence in REFUSED.items():
        code, _, errors = template("smallest", KUBERNETES[0], "--set", change)
        rows.append(
            {"changed": f"`{change}`", "refused with the reason": "yes" if code != 0 and sentence in errors else "NO"}
        )
    return rows


def main() -> int:
    """Carry everything out; the exit code."""
    build()
    rows: list[dict[str, Any]] = []
    for values in sorted(VALUES.glob("*.yaml")):
        wrong = list(wrong_with(values.stem))
        _, text, _ = template(values.stem, KUBERNETES[0])
        rows.append({"values": values.stem, "resources": len(documents(text)), "amiss": "; ".join(wrong) or "nothing"})
    strimzi = list(wrong_with_strimzi())
    rows.append({"values": "strimzi, against the plan", "resources": "", "amiss": "; ".join(strimzi) or "nothing"})
    page = list(wrong_with_the_page())
    rows.append({"values": "docs/install.md", "resources": "", "amiss": "; ".join(page) or "nothing"})
    refused = refusals()
    DIGEST.write_text(f"{digest()}\n")
    _, version, _ = run(HELM, "version", "--short")
    helm = next(
        line for line in (HERE / "go.mod").read_text().splitlines() if line.strip().startswith("helm.sh/helm/v3 ")
    )
    heading = (
        f"`helm lint --strict` and `helm template` for Kubernetes {' and '.join(KUBERNETES)}, Helm {helm.split()[1]}; "
        "every resource read strictly as Kubernetes' or the Prometheus operator's own Go type. Strimzi's are compared "
        "with the plan of the product:"
    )
    keep(
        "charts",
        "The chart under Helm",
        [(heading, table(rows)), ("What a change of accepted values leads to:", table(refused))],
        {"values": rows, "refused": refused, "helm": version.strip()},
    )
    return int(
        any(row["amiss"] != "nothing" for row in rows)
        or not all(row["refused with the reason"] == "yes" for row in refused)
    )


if __name__ == "__main__":
    sys.exit(main())
