"""Who exports, as a collector is told: the service, its version and the slot."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import Resource

if TYPE_CHECKING:
    from collections.abc import Mapping


def resource_of(environment: Mapping[str, str], slot: str) -> Resource:
    """`OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` take precedence."""
    ours = {"service.version": version("mesura"), "service.instance.id": slot}
    given = environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
    named = "OTEL_SERVICE_NAME" in environment or "service.name=" in given
    names = {} if named else {"service.name": "mesura"}
    # What `create` reads from the environment is overridden by what it is given.
    return Resource.create({key: value for key, value in {**names, **ours}.items() if f"{key}=" not in given})
