"""How a worker ends: what happened, as a type, and the exit code and the line by which its supervisor learns it.

Rules of this module
1. Only this module decides with which exit code a worker ends. The code that ends it says what happened, as a type.
2. After a refusal a new start does not help: somebody has to do what the sentence says first. After anything else the
   worker is started again.
3. Only sentences of our own are shown. Any other error is named by its type and its place in the code, because its text
   might quote a record.
"""

from __future__ import annotations

import json
import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from streams.access.check import PermissionsMissing
from streams.brokers import BrokersNotReached, WrongBrokers
from streams.connection.errors import ConnectionRefused
from streams.exactly_once.errors import EngineError, RefusalError
from streams.exit_codes import ExitCode
from streams.policy.findings import PolicyRefused
from streams.settings import SettingsRefused

if TYPE_CHECKING:
    from typing import Self, TextIO

_OWN: Final = (PermissionsMissing, EngineError, PolicyRefused, SettingsRefused, ConnectionRefused, BrokersNotReached)
"""Errors whose texts never quote a record."""

_REFUSALS: Final = (PermissionsMissing, RefusalError, PolicyRefused, SettingsRefused, ConnectionRefused, WrongBrokers)


@dataclass(frozen=True, slots=True)
class WorkerEnd:
    """How a worker ended. `reason` may be shown to anybody."""

    exit_code: ExitCode
    reason: str
    error: BaseException | None = None

    @classmethod
    def by(cls, error: BaseException, sentence: str | None = None) -> Self:
        """Ended by an error. `sentence`: what to say of it, where its own text may not be shown or says too little."""
        code = ExitCode.REFUSED if isinstance(error, _REFUSALS) else ExitCode.START_AGAIN
        return cls(code, sentence or _sentence(error), error)

    def announce(self, out: TextIO | None = None) -> None:
        """Tell the supervisor, on standard output in one line, what a worker ended by that was not asked to.

            {"ended": {"sentence": "…", "kind": "LaneError", "topic": "opt-out", "partition": 3, "offset": 7}}

        Topic, partition and offset are null where they are not known.
        """
        error = self.error
        if error is None:
            return
        place = {name: getattr(error, name, None) for name in ("topic", "partition", "offset")}
        line = json.dumps({"ended": {"sentence": self.reason, "kind": type(error).__name__, **place}})
        out = sys.stdout if out is None else out
        out.write(line + "\n")
        out.flush()


ENDED: Final = WorkerEnd(ExitCode.DONE, "asked to stop")


def is_refusal(kind: str) -> bool:
    """Whether an end announced as of this kind is a refusal, however the process was ended after it."""
    kinds, found = list(_REFUSALS), set[str]()
    while kinds:
        each = kinds.pop()
        found.add(each.__name__)
        kinds += each.__subclasses__()
    return kind in found


def _sentence(error: BaseException) -> str:
    if isinstance(error, _OWN):
        return str(error)
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return f"The worker was ended by {kind}."
    place = f"{frames[-1].filename.rpartition('site-packages/')[2]}:{frames[-1].lineno}"
    return f"The worker was ended by {kind} in {place}."
