"""What ends a recovery."""

from __future__ import annotations


class RecoveryRefused(Exception):
    """Nothing was written. The message says why, and what to do; it never names a customer."""
