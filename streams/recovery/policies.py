"""The policies by which a gate has decided, ready to decide again.

Rule of this module: a policy is known by the hash under which it was published, whatever its text gives here. Time
zones and holidays may have other versions on this machine. The answers are not computed from it, only what they say
nothing about: the words of preferences, how long things are remembered, which rules an approval was exempt from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from streams.contracts.control import decode_policy
from streams.decision.policy import compile_policy
from streams.exactly_once.control import POLICY_KEY, POLICY_TEXT_PREFIX
from streams.gate import Gate, GateSettings
from streams.policy.findings import PolicyRefused
from streams.policy.loader import load_policy
from streams.recovery.errors import RecoveryRefused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Gates:
    """A gate for every policy that has decided."""

    def __init__(self, control: Mapping[bytes, bytes], files: Sequence[str], settings: GateSettings) -> None:
        """`control`: content of the control topic by key; `files`: texts of policies that it does not hold.

        Raises:
            RecoveryRefused: a text of the files is no policy.
        """
        self._settings = settings
        self._texts: dict[str, str] = {}
        self._gates: dict[str, Gate] = {}
        for text in files:
            self._texts[self._load(text).policy.specification.content_hash] = text
        for key, value in control.items():
            if key.startswith(POLICY_TEXT_PREFIX):
                try:
                    record = decode_policy(value)
                except msgspec.DecodeError as unreadable:
                    raise RecoveryRefused(f"A policy in the control topic cannot be read: {unreadable}") from None
                self._texts[record.hash] = record.text
        in_force = control.get(POLICY_KEY, b"").decode("ascii", "replace")
        self._in_force = in_force if in_force in self._texts else next(reversed(self._texts), "")

    def in_force(self) -> Gate:
        """The gate of the latest policy.

        Raises:
            RecoveryRefused: no policy is known.
        """
        if not self._in_force:
            raise RecoveryRefused(
                "No policy is known: the control topic holds none. Give every policy that has decided: --policy FILE."
            )
        return self.of(self._in_force)

    def of(self, policy_hash: str) -> Gate:
        """The gate that decided by the policy with this hash.

        Raises:
            RecoveryRefused: there is no text for it, or this version cannot read it.
        """
        if policy_hash not in self._gates:
            text = self._texts.get(policy_hash)
            if text is None:
                raise RecoveryRefused(
                    f"Decisions name the policy {policy_hash}, and the control topic does not hold it. Give the file "
                    "that it was made of: --policy FILE."
                )
            self._gates[policy_hash] = self._load(text)
        return self._gates[policy_hash]

    def _load(self, text: str) -> Gate:
        try:
            return Gate(compile_policy(load_policy(text).specification), self._settings)
        except PolicyRefused as refused:
            raise RecoveryRefused(f"A policy that has decided cannot be read by this version: {refused}") from None
