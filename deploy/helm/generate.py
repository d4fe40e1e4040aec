"""Writes what the chart knows of topics and permissions, from the plan of the product.

    python deploy/helm/generate.py

tests/deploy/test_helm.py fails when the file is not what this writes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import yaml

from streams.access.commands import strimzi_acls
from streams.access.roles import permissions_of
from streams.topics import TopicNames, TopicPlan

FILE: Final = Path(__file__).parent / "mesura/files/kafka.json"
APPLICATION: Final = "mesura"
COMPUTED: Final = "min.insync.replicas"
"""Follows from the replication factor, which is a value of the chart."""


def kafka() -> dict[str, Any]:
    """Topics and permissions of a gate with the default names, in the form of Strimzi's resources."""
    plan = TopicPlan()
    topics = [
        {
            "name": topic.name,
            "onePartition": topic.partitions == 1,
            "config": {key: value for key, value in topic.config.items() if key != COMPUTED},
        }
        for topic in plan.topics()
    ]
    acls = yaml.safe_load(strimzi_acls(permissions_of("gate", TopicNames(), APPLICATION)))["authorization"]["acls"]
    return {"topics": topics, "acls": acls}


def text() -> str:
    """What the file has to hold."""
    return json.dumps(kafka(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
