"""No memory of ours is written to a disk.

A core dump holds every customer that the process knew, the erasure key and the passwords, and lies where nobody looks.
What a crash is told by is the traceback of `faulthandler`, which names files and lines alone.
"""

from __future__ import annotations

import resource


def refuse_core_dumps() -> None:
    """Of this process and those that it starts. Systems that hand dumps to a program keep to the same limit."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
