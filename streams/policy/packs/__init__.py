"""Ready-made policies. Each is a file people may copy and change; loading one is loading any policy file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

PACKS: Final = ("small", "starter")


def pack_path(name: str) -> Path:
    """Where the ready-made policy of that name is. Raises `KeyError` if there is none."""
    if name not in PACKS:
        raise KeyError(name)
    return Path(__file__).with_name(f"{name}.yaml")
