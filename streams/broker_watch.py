"""Says why a running gate cannot connect any more: a client says that it failed, and not what to do.

Rules of this module
1. It looks only when a client has failed to connect, and then seldom: a look is a login of its own.
2. A cause is said once, and that it is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

import structlog

from streams.brokers import BrokersNotReached, reach_brokers
from streams.connection.errors import ConnectionRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streams.connection.source import ConnectionSource

LOOK_SECONDS: Final = 3.0
"""Between two looks while clients fail: fewer than the logins that clients try, and soon enough for who waits."""

_LOGGER: Final = "aiokafka"
_FAILED: Final = "Unable connect to"
"""How aiokafka's line begins when a connection could not be made, or its login failed."""

log = structlog.get_logger(__name__)


class BrokerWatch(logging.Handler):
    """Hears of connections that fail, and finds out why.

    `told` is called with each new cause, and with an empty text when it is gone.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        source: ConnectionSource,
        told: Callable[[str], None] = lambda _: None,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        super().__init__(logging.WARNING)
        self._told = told
        self._bootstrap_servers = bootstrap_servers
        self._source = source
        self._look_seconds = look_seconds
        self._loop = asyncio.get_running_loop()
        self._failed = asyncio.Event()
        self._said = ""

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Hear the client's lines while the block runs."""
        logger = logging.getLogger(_LOGGER)
        logger.addHandler(self)
        looking = self._loop.create_task(self._run())
        try:
            yield
        finally:
            logger.removeHandler(self)
            looking.cancel()

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.msg, str) and record.msg.startswith(_FAILED):
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it the gate
                self._loop.call_soon_threadsafe(self._failed.set)

    async def _run(self) -> None:
        while True:
            await self._failed.wait()
            self._failed.clear()
            self._say(await asyncio.to_thread(self._look))
            await asyncio.sleep(self._look_seconds)
            if self._said:
                # Whether it is over, although nobody fails any more.
                self._failed.set()

    def _look(self) -> str:
        try:
            reach_brokers(self._bootstrap_servers, self._source)
        except (BrokersNotReached, ConnectionRefused) as cause:
            return str(cause)
        return ""

    def _say(self, cause: str) -> None:
        if cause != self._said:
            self._told(cause)
        if cause and cause != self._said:
            log.error("The gate cannot connect to the brokers.", why=cause)
        elif self._said and not cause:
            log.info("The gate can connect to the brokers again.")
        self._said = cause
