"""The policies that come with mesura, made fit for a run at any hour."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from streams.policy.packs import pack_path

if TYPE_CHECKING:
    from pathlib import Path


def open_all_hours(name: str, directory: Path) -> Path:
    """The policy of that name with its hours opened: asked, never closed, so that a run means the same at any hour."""
    text = pack_path(name).read_text(encoding="utf-8")
    opened = re.sub(r"(?m)^(      (?:workday|saturday|sunday|holiday):).*$", r"\1 [00:00-24:00]", text)
    assert opened != text or "workday:" not in text
    path = directory / f"{name}-open.yaml"
    path.write_text(opened, encoding="utf-8")
    return path
