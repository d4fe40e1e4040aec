"""What is said if nobody can connect like that.

ConnectionRefused        what was given cannot be used: the message says what, where and how to mend it, no secret
TokenNotGiven            the token endpoint gave no token
"""

from __future__ import annotations


class ConnectionRefused(ValueError):
    """What was given about the connection cannot be used."""


class TokenNotGiven(Exception):
    """The token endpoint gave no token, now."""
