"""Which versions run here, and whether they are those that this version of mesura was made with."""

from __future__ import annotations

import platform
import re
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING, Final

import confluent_kafka

from streams.doctor.finding import Finding, NotPossible, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.doctor.subject import Subject

_PINNED: Final = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>[^\s;]+)$")


def look_at_versions(_subject: Subject) -> Iterator[Finding]:
    """List the versions, and hold the pinned ones against their pins."""
    try:
        own, required = version("mesura"), requires("mesura") or []
    except PackageNotFoundError:
        raise NotPossible("This is a source tree that is not installed.", "Install mesura.") from None
    pins = [pin for each in required if (pin := _PINNED.match(each))]
    wrong = [
        f"{pin['name']} {found}, not {pin['version']}"
        for pin in pins
        if (found := _found(pin["name"])) != pin["version"]
    ]
    if wrong:
        yield Finding(
            "versions",
            State.FAILURE,
            f"mesura {own} was made for other versions: {'; '.join(wrong)}.",
            "Install mesura again, in an environment of its own.",
        )
    yield Finding(
        "versions",
        State.OK,
        f"mesura {own}, Python {platform.python_version()}, "
        + ", ".join(f"{pin['name']} {_found(pin['name'])}" for pin in pins)
        + f", librdkafka {confluent_kafka.libversion()[0]}. Brokers do not tell theirs.",
    )


def _found(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
