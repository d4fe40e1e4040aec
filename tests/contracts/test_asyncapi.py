"""The AsyncAPI document is valid AsyncAPI 3.0, complete, and says what the schemas and the topic plan say."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from jsonschema import Draft7Validator

from streams.topics import TopicNames, TopicPlan
from tests.contracts.schema_files import SCHEMAS, Json

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT: dict[str, Any] = yaml.safe_load((SCHEMAS / "asyncapi.yaml").read_text())
META = Draft7Validator(json.loads((Path(__file__).parent / "asyncapi-3.0.0.schema.json").read_text()))


def test_it_is_valid_asyncapi() -> None:
    META.validate(DOCUMENT)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("asyncapi",), "2.6.0"),
        (("info", "title"), None),
        (("operations", "receiveIntents", "action"), "publish"),
        (("operations", "receiveIntents", "channel"), "intents"),
        (("channels", "intents", "bindings", "kafka", "partitions"), 0),
        (("channels", "intents", "address"), 7),
        (("components", "messages", "intent", "payload"), 7),
        (("components", "messages", "intent", "surprise"), 7),
    ],
)
def test_the_check_can_fail(path: tuple[str, ...], value: Json) -> None:
    broken = deepcopy(DOCUMENT)
    place = broken
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert not META.is_valid(broken)


def _references(node: Json) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for content in node.values():
            yield from _references(content)
    elif isinstance(node, list):
        for content in node:
            yield from _references(content)


def _resolved(reference: str) -> Json:
    file, _, pointer = reference.partition("#")
    node = json.loads((SCHEMAS / file).read_text()) if file else DOCUMENT
    for step in pointer.strip("/").split("/") if pointer else ():
        node = node[step]
    found: Json = node
    return found


def test_every_reference_leads_somewhere() -> None:
    references = set(_references(DOCUMENT))
    assert references
    for reference in references:
        assert _resolved(reference), reference


def test_every_schema_and_every_message_is_used() -> None:
    used = {reference.split("#")[0] for reference in _references(DOCUMENT)} - {""}
    forms = {path.relative_to(SCHEMAS).as_posix() for path in SCHEMAS.glob("*/*.schema.json")}
    assert used == forms - {"readers/approved.schema.json"}, "approval and withdrawal are messages of their own"
    messages = set(_references(DOCUMENT["channels"]))
    assert messages == {f"#/components/messages/{name}" for name in DOCUMENT["components"]["messages"]}


def test_every_channel_has_one_operation_and_the_gate_sends_and_receives_what_the_plan_says() -> None:
    directions = {
        DOCUMENT["channels"][operation["channel"]["$ref"].removeprefix("#/channels/")]["address"]: operation["action"]
        for operation in DOCUMENT["operations"].values()
    }
    names = TopicNames()
    assert directions == {
        **dict.fromkeys([*names.intents, names.preferences, names.outcomes], "receive"),
        **dict.fromkeys([names.approved, names.suppressed, names.dead_letter, names.control], "send"),
    }
    assert len(DOCUMENT["operations"]) == len(DOCUMENT["channels"]) == len(directions)


def test_topic_settings_are_those_of_the_plan() -> None:
    plan = {topic.name: topic for topic in TopicPlan().topics()}
    for channel in DOCUMENT["channels"].values():
        binding = channel["bindings"]["kafka"]
        planned = plan[channel["address"]]
        for name, value in binding["topicConfiguration"].items():
            assert planned.config[name] == (",".join(value) if isinstance(value, list) else str(value))
        assert binding.get("partitions", 1) == (planned.partitions if "partitions" in binding else 1)


def test_what_is_keyed_says_by_what_and_how() -> None:
    for name, message in DOCUMENT["components"]["messages"].items():
        if name not in ("policy", "deadLetter"):
            assert "customer_id" in message["bindings"]["kafka"]["key"]["description"]
    for name in ("intent", "preferenceEvent", "outcome"):
        assert "murmur2" in DOCUMENT["components"]["messages"][name]["bindings"]["kafka"]["key"]["description"]
