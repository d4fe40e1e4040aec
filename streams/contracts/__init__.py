"""From the bytes of records to typed events, and from decisions to bytes.

A record that cannot be read becomes a dead letter. A record on the wrong partition is forwarded once.

Rules of this package
1. It translates and nothing else: it has no rule, no clock and no I/O.
2. `schemas/` describes the same contract for everybody else; tests hold the two together in both directions.
"""
