"""A program of one version's source tree, which says whose modules it runs.

    python -m tests.versions.program TREE worker             a worker; its settings are in the environment
    python -m tests.versions.program TREE mesura audit …     the command line

An installed `streams` or a path from elsewhere would make a run of one version a run of another, and nothing
would show it. So it is said when the program has been imported and again when it ends: one line of JSON, with
the modules of `streams` that are from elsewhere.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def say(tree: Path) -> None:
    """From which tree `streams` is, and what of it is not."""
    import streams
    from tests.versions.adapter import modules_of

    where = str(Path(next(iter(streams.__path__))).parent)
    number = sum(name.partition(".")[0] == "streams" for name in sys.modules)
    print(json.dumps({"tree": where, "modules": number, "strangers": modules_of(tree)}), file=sys.stderr, flush=True)


def main() -> int:
    """Run it."""
    tree, program = Path(sys.argv[1]).resolve(), sys.argv[2]
    sys.path.insert(0, str(tree))
    if program == "worker":
        from streams.worker import main as run

        say(tree)
        code = run()
    else:
        from streams.cli.main import main as command

        say(tree)
        sys.argv = [program, *sys.argv[3:]]
        try:
            command()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    say(tree)
    return code


if __name__ == "__main__":
    sys.exit(main())
