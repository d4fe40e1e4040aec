"""One seed again, to look at.

python -m tests.simulation.replay 4711
python -m tests.simulation.replay 63 --defect generation_left_out --shrink
"""

from __future__ import annotations

import argparse
import sys

from tests.simulation.defects import DEFECTS, planted
from tests.simulation.history import run
from tests.simulation.plan import as_text, plan_of
from tests.simulation.quiet import quiet
from tests.simulation.shrink import shrunk
from tests.simulation.verdict import broken


def main() -> int:
    """Run it, say what it did and what was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seed", type=int)
    parser.add_argument("--defect", choices=sorted(DEFECTS))
    parser.add_argument("--shrink", action="store_true", help="look for a smaller plan that fails in the same way")
    arguments = parser.parse_args()
    quiet()
    with planted(arguments.defect):
        plan = plan_of(arguments.seed)
        found = broken(run(plan))
        if found and arguments.shrink:
            plan = shrunk(plan)
        history = run(plan)
        found = broken(history)
    print(as_text(plan))
    print(f"faults that came to pass: {', '.join(fault.kind for fault in history.struck) or 'none'}")
    print(f"workers ended by: {', '.join(repr(end) for end in history.ends) or 'nothing'}")
    print(f"{history.seconds:.3f} simulated seconds, {history.callbacks} callbacks, {history.generations} generations")
    print(f"broken: {dict(found) or 'nothing'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
