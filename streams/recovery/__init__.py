"""Rebuilds ledgers from what was committed, backs them up, and moves them to topics with more partitions.

    topics of a gate ── replay.py ──> ledgers of a partition ── compare.py ──> report
    backup file ────────^                     └── ledger_topic.py ──> ledger topic

Rules of this package
1. Nothing is decided and nothing is answered here. What was answered is taken as it was, also where this version would
   answer differently.
2. A partition's ledgers are written in one transaction, while no worker runs, or not at all.
3. What cannot be known is said before anything is written, and refused unless somebody has accepted it.
4. No customer is named.
"""
