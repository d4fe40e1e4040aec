"""How this copy of the gate was built."""

from __future__ import annotations

from importlib.util import find_spec


def is_compiled() -> bool:
    """Whether the decision core was compiled (`make compiled`). It answers the same either way, to the byte."""
    core = find_spec("streams.decision.decide")
    return core is not None and core.origin is not None and not core.origin.endswith(".py")
