"""How one worker is run: everything that is not policy.

Rules of this module
1. Settings come from the command line or from `MESURA_…` in the environment; the policy never does.
2. A secret is never shown: `erasure_key` has no place in `repr` or logs.
3. What is unsafe is refused with a sentence that says how to fix it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import Struct, field

from streams.addresses import AddressRefused, read_addresses
from streams.connection.source import ConnectionSource
from streams.telemetry.registry import MAX_WORDS
from streams.telemetry.tally import COUNTED_FIELDS
from streams.topics import TopicNames

if TYPE_CHECKING:
    from collections.abc import Mapping

    from structlog.typing import FilteringBoundLogger

    from streams.telemetry.tally import CountedField

# Shorter keys could be guessed; BLAKE2b takes at most 64 bytes.
ERASURE_KEY_BYTES_MIN: Final = 32
ERASURE_KEY_BYTES_MAX: Final = 64
# A worker's lanes share one interpreter: more than this many only queue for it.
LANES_MAX: Final = 4

SETTINGS_VARIABLE: Final = "MESURA_WORKER_SETTINGS"
# Set by the supervisor: the descriptor of the memory in which this worker's counts outlive it.
COUNTERS_VARIABLE: Final = "MESURA_WORKER_CELLS"
# Set by the supervisor: the descriptor of a pipe from which this worker reads the erasure key, once.
KEY_VARIABLE: Final = "MESURA_WORKER_KEY"
# More on one machine would only queue for its processors and its broker, and a slot is counted in them.
PROCESSES_MAX: Final = 64


class SettingsRefused(ValueError):
    """The settings cannot be used. The message says which, why, and what to do."""


class WorkerSettings(Struct, frozen=True, kw_only=True):
    """Everything one worker process needs to know."""

    bootstrap_servers: str
    policy_path: str
    # Kafka client properties that say how to connect; empty: none. The path alone: a worker reads the file itself, and
    # the `MESURA_KAFKA_…` variables, which it inherits.
    command_config: str = ""
    application_id: str = "mesura"
    # Tells workers of one group on one machine apart; a restarted worker must come back with the same slot.
    slot: str = "0"
    topics: TopicNames = field(default_factory=TopicNames)
    clock: Literal["wall", "record"] = "wall"
    lanes: int = 1
    # Of the worker's own endpoint, on the loopback address. 0: any free port. The worker prints where it listens.
    ops_port: int = 9464
    # What whoever asks there must show, so that nobody else on the machine can. Empty: nobody needs to.
    ops_token: str = ""
    # Whether `/explain` answers there about customers.
    explain: bool = False
    accept_missing_records: bool = False
    # Off only for the embedded broker, whose transaction markers carry no checksum.
    check_crcs: bool = True
    session_timeout_seconds: float = 10.0
    transaction_timeout_seconds: float = 15.0
    # Hexadecimal. All workers of an application need the same, for ever: standing opt-outs of erased customers hang on
    # it. A supervisor hands it over apart, so that it stands in no environment.
    erasure_key: str = ""
    # Which campaigns, senders and countries are counted apart, each as FIELD=WORD.
    count_by: tuple[str, ...] = ()
    # Take this erasure key for the application's from now on, whatever it had before.
    accept_new_erasure_key: bool = False

    def __repr__(self) -> str:
        """Without the secret."""
        return f"WorkerSettings(application_id={self.application_id!r}, slot={self.slot!r}, clock={self.clock!r})"

    def checked(self) -> WorkerSettings:
        """These settings, if they can be used.

        Raises:
            SettingsRefused: they cannot.
        """
        try:
            read_addresses(self.bootstrap_servers)
        except AddressRefused as refused:
            raise SettingsRefused(str(refused)) from None
        erasure_key_bytes(self.erasure_key)
        if not 1 <= self.lanes <= LANES_MAX:
            raise SettingsRefused(f"lanes is {self.lanes}; 1 to {LANES_MAX} are possible. Run more processes instead.")
        self.counted()
        return self

    def counted(self) -> dict[CountedField, list[str]]:
        """What is counted apart, by field.

        Raises:
            SettingsRefused: a field cannot be counted, or has too many words.
        """
        found: dict[CountedField, list[str]] = {}
        for each in self.count_by:
            name, _, word = each.partition("=")
            field_named = next((known for known in COUNTED_FIELDS if known == name), None)
            if field_named is None or not word:
                raise SettingsRefused(
                    f"--count-by {each} cannot be counted. Write FIELD=WORD, with one of the fields "
                    f"{', '.join(COUNTED_FIELDS)}."
                )
            found.setdefault(field_named, []).append(word)
        for name, words in found.items():
            if len(words) > MAX_WORDS:
                raise SettingsRefused(
                    f"--count-by names {len(words)} words of {name}; {MAX_WORDS} are possible, because each is a "
                    "series on every worker."
                )
        return found

    def connection(self, environment: Mapping[str, str], log: FilteringBoundLogger) -> ConnectionSource:
        """Where the connection is described; what says so in variables is looked up in this environment."""
        return ConnectionSource(Path(self.command_config) if self.command_config else None, environment, log)

    def to_environment(self) -> str:
        """The settings as the text a worker process reads from MESURA_WORKER_SETTINGS."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_environment(cls, text: str) -> WorkerSettings:
        """The settings of that text.

        Raises:
            SettingsRefused: it holds none.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise SettingsRefused(
                f"{SETTINGS_VARIABLE} does not hold the settings of a worker. Start workers with: mesura run"
            ) from None


def erasure_key_bytes(text: str) -> bytes:
    """The erasure key of its hexadecimal form.

    Raises:
        SettingsRefused: it is none, or is too short or too long.
    """
    try:
        key = bytes.fromhex(text)
    except ValueError:
        raise SettingsRefused(
            "The erasure key is not hexadecimal. Make one with: mesura erasure-key create FILE"
        ) from None
    if not ERASURE_KEY_BYTES_MIN <= len(key) <= ERASURE_KEY_BYTES_MAX:
        raise SettingsRefused(
            f"The erasure key has {len(key)} bytes; {ERASURE_KEY_BYTES_MIN} to {ERASURE_KEY_BYTES_MAX} "
            "are needed, because the opt-outs of erased customers are kept under a keyed hash. "
            "Make one with: mesura erasure-key create FILE, and keep it: without it those opt-outs are lost."
        )
    return key
