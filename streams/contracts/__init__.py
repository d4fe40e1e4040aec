"""Bytes of records to typed events, and decisions to bytes.

What cannot be read is set aside, what is misplaced is forwarded once.

Rules of this package
1. It is a seam and nothing else: no rule, no clock, no I/O.
2. `schemas/` describes the same contract for everybody else; tests hold the two together in both directions.
"""
