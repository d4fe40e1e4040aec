"""What ends a worker: the first failure, and what is known of it.

Rules of this module
1. The first failure is kept; everything after it is a consequence.
2. Whatever ends a loop of the engine, other than a cancellation, ends the worker.
3. The text of an error that is not this package's own is never passed on: it might quote a record.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog

from streams.exactly_once.errors import EngineError, LaneError, RecordsMissingError, diagnosis
from streams.exactly_once.interfaces import StoredValueUnreadable
from streams.exactly_once.restore import state_unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from streams.exactly_once.clients import Clients
    from streams.exactly_once.interfaces import Observer
    from streams.exactly_once.offsets import OffsetClient
    from streams.exactly_once.settings import EngineSettings

log = structlog.get_logger(__name__)


class Failure:
    """The failure of one worker, once there is one."""

    def __init__(
        self,
        settings: EngineSettings,
        clients: Clients,
        offsets: OffsetClient,
        observer: Observer,
        on_failure: Callable[[], None],
    ) -> None:
        """`on_failure` is called at each failure, not only at the first."""
        self.first: BaseException | None = None
        self._settings = settings
        self._clients = clients
        self._offsets = offsets
        self._observer = observer
        self._on_failure = on_failure

    def has_failed(self) -> bool:
        """For waits that poll."""
        return self.first is not None

    def fail(self, error: BaseException) -> None:
        """Something unforeseen has happened: nothing more is decided, the worker ends."""
        if self.first is None:
            self.first = error
            log.error("the engine cannot go on", **diagnosis(error))
            self._observer.ready(False, "failed")
        self._on_failure()

    def records_missing(self, topic: str, partition: int, first_offset: int, count: int) -> None:
        """Records are gone although nobody decided them: counted, and a failure unless the settings accept it."""
        self._observer.records_missing(topic, partition, count)
        if not self._settings.accept_missing_records:
            self.fail(RecordsMissingError(topic, partition, first_offset, count))

    async def guard(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a loop of the engine; whatever ends it ends the worker."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except EngineError as error:
            self.fail(error)
        except StoredValueUnreadable as unreadable:
            self._observer.ready(False, "a stored value cannot be read")
            self.fail(await state_unreadable(self._settings, self._clients, self._offsets, unreadable))
        except Exception as error:  # noqa: BLE001 - rule of lane.py: anything unforeseen ends the process
            log.error("the engine was ended", **diagnosis(error))
            cause = f" (from {type(error.__cause__).__name__})" if error.__cause__ else ""
            self.fail(LaneError(f"the engine was ended by {type(error).__name__}{cause}"))
