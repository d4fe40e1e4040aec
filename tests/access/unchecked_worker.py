"""A worker that does not ask beforehand what it may do: what happens then shows what a permission is needed for."""

from __future__ import annotations

import sys

from streams import worker

if __name__ == "__main__":
    worker.refuse_without = lambda *_: None  # type: ignore[attr-defined]
    sys.exit(worker.main())
