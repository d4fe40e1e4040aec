"""The chart as Helm rendered it: what runs is accepted by the gate, and its surroundings fit it.

`make charts` renders it with the real Helm and reads every resource as Kubernetes' own type.
"""

from __future__ import annotations

import importlib.util
import json
import re
import stat
from pathlib import Path, PurePosixPath
from typing import Any

import click
import jsonschema
import pytest
import yaml

from streams.cli.main import mesura
from streams.cli.options import ERASURE_KEY_FILE_VARIABLE
from streams.cli.run import slots
from streams.cli.supervisor import STOP_SECONDS
from streams.connection.files import refuse_open_to_others
from streams.connection.source import ConnectionSource
from streams.telemetry.logs import LEVEL_VARIABLE
from tests.charts.files import CHART, DIGEST, KEPT, ROOT, VALUES, digest, of_kind, rendered
from tests.connection.authority import Authority

Pod = dict[str, Any]
DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())


@pytest.fixture(params=KEPT)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def values(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((VALUES / f"{name}.yaml").read_text())
    return loaded


def pod(name: str) -> Pod:
    (found,) = of_kind("StatefulSet", rendered(name))
    spec: Pod = found["spec"]["template"]["spec"]
    return spec


def container(name: str) -> dict[str, Any]:
    (found,) = pod(name)["containers"]
    gate: dict[str, Any] = found
    return gate


def environment(name: str, number: int = 0) -> dict[str, str]:
    """Of the pod with this number."""
    found = {}
    for variable in container(name)["env"]:
        if "value" in variable:
            found[variable["name"]] = variable["value"]
        else:
            source = variable["valueFrom"]["fieldRef"]["fieldPath"]
            assert source == "metadata.labels['apps.kubernetes.io/pod-index']"
            found[variable["name"]] = str(number)
    return found


def test_what_is_looked_at_here_is_of_this_chart() -> None:
    assert DIGEST.read_text().strip() == digest(), "the chart or its values have changed: run `make charts`"


def test_topics_and_permissions_are_the_products() -> None:
    specification = importlib.util.spec_from_file_location("generate", ROOT / "deploy/helm/generate.py")
    assert specification is not None
    assert specification.loader is not None
    generate = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(generate)
    assert generate.FILE.read_text() == generate.text(), "run `.venv/bin/python deploy/helm/generate.py`"


def test_the_rules_are_those_of_prometheus() -> None:
    """Links, which Helm follows: a copy would be forgotten."""
    linked = {path.name: path.resolve() for path in (CHART / "files/rules").iterdir()}
    originals = {path.name: path.read_bytes() for path in (ROOT / "deploy/prometheus/rules").glob("*.yml")}
    assert {file: path.read_bytes() for file, path in linked.items()} == originals


def test_the_gate_takes_the_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = mesura.get_command(click.Context(mesura), "run")
    assert command is not None
    read = {ERASURE_KEY_FILE_VARIABLE, LEVEL_VARIABLE}
    for option in command.params:
        read |= {option.envvar} if isinstance(option.envvar, str) else set(option.envvar or ())
    given = environment(name, number=2)
    assert given.keys() <= read
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    assert container(name)["args"] == ["run"]
    taken = command.make_context("run", []).params
    wanted = DEFAULTS | values(name)
    assert taken["processes"] == wanted["processes"]
    assert taken["application_id"] == wanted["applicationId"]
    topics = DEFAULTS["topics"] | wanted["topics"]
    assert (taken["prefix"], list(taken["intent_topics"])) == (topics["prefix"], topics["intents"])
    if taken["processes"] > 1:
        assert slots(taken["slot"], taken["processes"]) == ["8", "9", "10", "11"]
    else:
        assert taken["slot"] == "2"


def test_probes_ask_where_the_gate_answers(name: str) -> None:
    """tests/deploy/test_image.py asks a gate at these paths."""
    gate = container(name)
    (port,) = gate["ports"]
    assert str(port["containerPort"]) == environment(name)["MESURA_OPS_PORT"]
    scheme = "HTTPS" if "MESURA_OPS_TLS" in environment(name) else "HTTP"
    for probe, path in (("startupProbe", "/live"), ("livenessProbe", "/live"), ("readinessProbe", "/ready")):
        assert gate[probe]["httpGet"] == {"path": path, "port": port["name"], "scheme": scheme}
    (service,) = of_kind("Service", rendered(name))
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    (stateful,) = of_kind("StatefulSet", rendered(name))
    assert stateful["spec"]["serviceName"] == service["metadata"]["name"]


def test_it_has_no_privilege_and_one_place_to_write(name: str) -> None:
    """tests/deploy/test_image.py shows that this place is enough."""
    user, group = re.findall(r"(?m)^USER (\d+):(\d+)$", (ROOT / "deploy/Dockerfile").read_text())[0]
    whole = pod(name)["securityContext"]
    assert (whole["runAsUser"], whole["runAsGroup"], whole["fsGroup"]) == (int(user), int(group), int(group))
    assert whole["runAsNonRoot"] is True
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod(name)["automountServiceAccountToken"] is False
    mounts = container(name)["volumeMounts"]
    assert [mount["mountPath"] for mount in mounts if not mount.get("readOnly")] == ["/tmp"]
    assert {mount["name"] for mount in mounts} == {volume["name"] for volume in pod(name)["volumes"]}
    assert all("subPath" not in mount for mount in mounts), "what is mounted so does not follow a change"


def test_secrets_have_a_mode_that_the_gate_accepts(name: str) -> None:
    secrets = [volume["secret"] for volume in pod(name)["volumes"] if "secret" in volume]
    assert secrets
    for secret in secrets:
        refuse_open_to_others(Path(secret["secretName"]), "secret", stat.S_IFREG | secret["defaultMode"])
        assert secret["defaultMode"] & stat.S_IRGRP, "the pod's user reads it by its group"


def test_every_file_that_is_named_is_below_a_mount(name: str) -> None:
    mounted = [PurePosixPath(mount["mountPath"]) for mount in container(name)["volumeMounts"]]
    named = [value for value in environment(name).values() if value.startswith("/")]
    for document in of_kind("ConfigMap", rendered(name)):
        named += re.findall(r"/etc/mesura/[\w./-]+", document["data"].get("client.properties", ""))
    assert len(named) >= 2
    for path in map(PurePosixPath, named):
        assert any(path.is_relative_to(place) for place in mounted), path


def test_the_connection_of_the_secured_one_can_be_read(tmp_path: Path) -> None:
    (text,) = (
        document["data"]["client.properties"]
        for document in of_kind("ConfigMap", rendered("secured"))
        if "client.properties" in document["data"]
    )
    for path, content in (("kafka-cluster-ca-cert/ca.crt", Authority("chart").pem), ("mesura-gate/password", "secret")):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text(content)
        (tmp_path / path).chmod(0o440)
    (tmp_path / "client.properties").write_text(text.replace("/etc/mesura/kafka", str(tmp_path)))
    source = ConnectionSource(tmp_path / "client.properties")
    assert source.read().is_encrypted
    assert not source.passed_over()


def test_the_network_lets_through_what_the_gate_needs(name: str) -> None:
    (policy,) = of_kind("NetworkPolicy", rendered(name))
    outwards = {rule["port"] for each in policy["spec"]["egress"] for rule in each["ports"]}
    brokers = {int(address.rpartition(":")[2]) for address in environment(name)["MESURA_BOOTSTRAP"].split(",")}
    assert brokers | {53} <= outwards
    assert [rule["port"] for each in policy["spec"]["ingress"] for rule in each["ports"]] == ["operations"]


def test_it_has_time_to_stop_and_is_not_drained_away(name: str) -> None:
    assert pod(name)["terminationGracePeriodSeconds"] > 2 * STOP_SECONDS
    (budget,) = of_kind("PodDisruptionBudget", rendered(name))
    (stateful,) = of_kind("StatefulSet", rendered(name))
    assert budget["spec"]["maxUnavailable"] == 1
    labels = stateful["spec"]["template"]["metadata"]["labels"]
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_scraped_pods_have_the_job_and_the_labels_that_rules_expect() -> None:
    (monitor,) = of_kind("ServiceMonitor", rendered("secured"))
    (service,) = of_kind("Service", rendered("secured"))
    assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "mesura"
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["scheme"] == "https"
    (dropped,) = (rule["regex"] for rule in endpoint["relabelings"] if rule.get("action") == "labeldrop")
    # What the operator adds to every target and differs from pod to pod.
    assert {"pod", "container", "endpoint"} <= set(dropped.split("|"))


def test_every_value_has_a_form_and_is_used() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(DEFAULTS, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**DEFAULTS, "replica": 3}, schema)
    templates = "".join(path.read_text() for path in (CHART / "templates").iterdir())

    def parent(path: str) -> str:
        return path.rpartition(".")[0]

    def look(found: object, form: dict[str, Any] | None, path: str) -> None:
        assert form is not None, f"{path} has no form"
        if isinstance(found, dict) and found and "properties" in form:
            for key, value in found.items():
                look(value, form["properties"].get(key), f"{path}.{key}")
        else:
            used = (
                path in templates
                or path.replace(".Values", ".values") in templates
                or f"with {parent(path)}" in templates
            )
            assert used, f"{path} does nothing"

    look(DEFAULTS, schema, ".Values")
