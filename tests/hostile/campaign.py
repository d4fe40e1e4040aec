"""`make hostile`: 10 000 hostile requests made by hand, 3 000 half requests, and schemathesis; writes
bench/results/hostile.md.

Schemathesis runs from an environment of its own (build/hostile, from requirements/hostile.lock), against
schemas/operations.openapi.yaml, without a token and with one.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.hostile.attack import DESCRIPTORS_MAX, REPOSITORY, Target, faults_after, hold_half_requests, send_all, target
from tests.hostile.sent import KINDS
from tests.web.served import TOKENS

RESULTS: Final = REPOSITORY / "bench/results/hostile.md"
SCHEMATHESIS: Final = REPOSITORY / "build/hostile/bin/st"
LINES_MAX: Final = 100
EXAMPLES: Final = 200
CHECKS: Final = "not_a_server_error,response_schema_conformance,content_type_conformance,ignored_auth"


def schemathesis(to: Target, port: str, paths: str, token: str) -> tuple[str, bool]:
    """What it was asked and found, in a line, and whether all was well."""
    command = [
        str(SCHEMATHESIS), "run", str(REPOSITORY / "schemas/operations.openapi.yaml"),
        "--url", f"http://127.0.0.1:{to.ports[port]}", "--include-path-regex", paths, "--checks", CHECKS,
        "--max-examples", str(EXAMPLES), "--seed", "1", "--phases", "coverage,fuzzing", "--no-color",
        *(("--header", f"Authorization: Bearer {TOKENS[token]}") if token else ()),
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=directory, env=os.environ)
    found = re.findall(r"[Tt]est cases:\s*\n?\s*(.*)", done.stdout)
    if done.returncode:
        print(done.stdout[-6_000:], done.stderr[-2_000:])
    return f"{paths}, {token or 'no token'}: {found[0] if found else 'no summary'}", done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--half-requests", type=int, default=3_000)
    parser.add_argument("--seed", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, target(Path(directory)) as to:
        send_all(to, len(KINDS), seed=1)
        before = to.memory_bytes()
        began = time.monotonic()
        judged = send_all(to, arguments.requests, arguments.seed)
        sent_seconds = time.monotonic() - began
        began = time.monotonic()
        held = hold_half_requests(to, arguments.half_requests)
        held_seconds = time.monotonic() - began
        runs = [
            schemathesis(to, "ops", "^/(live|ready|metrics)$", ""),
            schemathesis(to, "ops", "^/(live|ready|metrics)$", "metrics"),
            schemathesis(to, "explain", "^/explain$", ""),
            schemathesis(to, "explain", "^/explain$", "support"),
        ]
        faults = [*judged.faults, *faults_after(to, before, LINES_MAX)]
        faults += [run for run, is_well in runs if not is_well]
        if not held.all_ended or held.most_descriptors > DESCRIPTORS_MAX:
            faults.append("half requests")
        grown = (to.memory_bytes() - before) / 2**20
        lines = len(to.log())
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(judged.statuses.items()))
    RESULTS.write_text(
        f"""# Hostile requests against the operations endpoint

Made by `make hostile` (tests/hostile). Both ports, in a process with 1 024 descriptors, before the product's
own code for access, masking and explanations. Every answer is judged: no 5xx but 503, no data without the role,
nothing that was sent in an answer or a log line, one answer to a connection.

| what | found |
|---|---|
| requests made by hand, of {len(judged.kinds)} kinds | {sum(judged.kinds.values())} in {sent_seconds:.0f} s |
| answers by status | {statuses} |
| half requests held | {held.opened}, all ended {held_seconds:.0f} s after the first began |
| most descriptors meanwhile | {held.most_descriptors} |
| probes of `/live` answered meanwhile | {held.answered_meanwhile} of {-(-held.opened // 100)} |
"""
        + "".join(
            f"| schemathesis, {run.replace('|', chr(92) + '|')} | {'no fault' if ok else 'FAULTS'} |\n"
            for run, ok in runs
        )
        + f"""| memory afterwards | {grown:.1f} MiB more than before |
| log lines | {lines} |
| faults | {len(faults)} |
"""
    )
    for fault in faults:
        print(fault)
    print(RESULTS.read_text())
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
