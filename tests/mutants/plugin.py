"""mutmut 3.7 asks a test for `_nodeid`, which pytest 9.2 calls `nodeid` only. Loaded with `-p tests.mutants.plugin`."""

from __future__ import annotations

import pytest

if not hasattr(pytest.Item, "_nodeid"):
    pytest.Item._nodeid = property(lambda item: item.nodeid)  # type: ignore[attr-defined]
