"""Whether metrics and traces go to an OpenTelemetry collector, and which.

    MESURA_OTEL=on      needs `pip install 'mesura[otel]'`
    OTEL_…              where to and how, as the OpenTelemetry SDK documents these variables

Rules of this module
1. Unless it is switched on, nothing of OpenTelemetry is imported or looked for. A variable `OTEL_…` alone switches
   nothing on: it is often set for every program of a machine.
2. What cannot work is refused at the start, in one sentence with its remedy.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Signal = Literal["metrics", "traces"]

VARIABLE: Final = "MESURA_OTEL"
SIGNALS: Final[tuple[Signal, ...]] = ("metrics", "traces")

_NEEDED: Final = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
_PROTOCOL: Final = "http/protobuf"


class OpenTelemetryRefused(ValueError):
    """It cannot be exported so. The message says why, and what to do."""


def exported(environment: Mapping[str, str]) -> frozenset[Signal]:
    """What is to be exported; empty: nothing.

    Raises:
        OpenTelemetryRefused: it is switched on and cannot work.
    """
    switch = environment.get(VARIABLE, "off").strip().lower()
    if switch in {"off", ""} or environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return frozenset()
    if switch != "on":
        raise OpenTelemetryRefused(f"{VARIABLE} is neither on nor off.")
    wanted = frozenset(each for each in SIGNALS if _is_wanted(each, environment))
    if wanted and not all(map(_is_installed, _NEEDED)):
        raise OpenTelemetryRefused(
            f"{VARIABLE}=on needs packages that are not installed: pip install 'mesura[otel]'. Or set {VARIABLE}=off."
        )
    return wanted


def _is_wanted(signal: Signal, environment: Mapping[str, str]) -> bool:
    name = signal.upper()
    exporter = environment.get(f"OTEL_{name}_EXPORTER", "otlp").strip()
    if exporter == "none":
        return False
    if exporter not in {"otlp", ""}:
        raise OpenTelemetryRefused(f"OTEL_{name}_EXPORTER can be otlp or none: mesura exports in no other way.")
    variable = f"OTEL_EXPORTER_OTLP_{name}_PROTOCOL"
    variable = variable if variable in environment else "OTEL_EXPORTER_OTLP_PROTOCOL"
    if environment.get(variable, _PROTOCOL) != _PROTOCOL:
        raise OpenTelemetryRefused(
            f"{variable} must be {_PROTOCOL}, or not set: mesura exports over HTTP. Collectors take that on port 4318."
        )
    return True


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even what it is part of
        return False
