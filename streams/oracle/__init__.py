"""A second, slow implementation of docs/semantics.md that shares no code with the rest of `streams`.

Rules of this package
1. It imports nothing else of `streams`: what it says is evidence only as long as it cannot make the gate's mistakes.
2. It is written from the page, not from the core, and keeps everything it was ever told.
"""
