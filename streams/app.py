# ruff: noqa: ANN401 - Faust is untyped
"""The Faust app: topics, agents, the ledger's table, and one worker run. Wiring only.

    end = await run_worker(settings, state_machine, observer, SystemClock(), stop)
    end.announce()
    sys.exit(end.exit_code)

Faust gives group membership, the assignor that keeps a partition of every topic together, rebalance callbacks and
agents. Its commits, its producer, its recovery and its web server are not used.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import tempfile
import threading
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import faust
import structlog
from faust.types.enums import ProcessingGuarantee

from streams.exactly_once.engine import Engine
from streams.exactly_once.errors import EngineError, diagnosis
from streams.exactly_once.faust_recovery import EngineTableManager, watch_group
from streams.exactly_once.settings import STOP_LIMIT_SECONDS, ClockMode, EngineSettings
from streams.exactly_once.startup import StartupReport, check_topics
from streams.exactly_once.topic_watch import watch_topics
from streams.exactly_once.transport import SCHEME, FetchedRecordsSchema
from streams.exit_codes import ExitCode
from streams.worker_end import ENDED, WorkerEnd

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from streams.exactly_once.interfaces import Clock, Observer, StateMachine

STREAM_BUFFER_FETCHES: Final = 4096
"""Faust's own queue between consumer and agent. Never full, as agents never wait: the engine's queues hold back."""

QUIET_LOGGERS: Final = ("aiokafka", "faust", "mode", "kafka")
"""Loggers that at DEBUG cost 14 % of the processor even when nothing is printed."""

REPEATING_LOGGERS: Final = (
    "aiokafka",
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.producer.sender",
)
"""Loggers that repeat themselves with every retry."""

REPEAT_SECONDS: Final = 5.0
"""Between two messages of a kind: retries are 5 ms apart, and one line a second says as much as two hundred."""

log = structlog.get_logger(__name__)


class SystemClock:
    """Wall time."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return time.time_ns() // 1_000_000


def build_app(settings: EngineSettings, report: StartupReport, engine: Engine, data_directory: str) -> faust.App:
    """The Faust app of one worker."""
    app = faust.App(
        settings.application_id,
        broker=[f"{SCHEME}://{address.strip()}" for address in settings.bootstrap_servers.split(",")],
        store="memory://",
        datadir=data_directory,
        processing_guarantee=ProcessingGuarantee.AT_LEAST_ONCE,
        TableManager=EngineTableManager,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=report.partition_count,
        table_standby_replicas=0,
        web_enabled=False,
        stream_wait_empty=False,
        stream_buffer_maxsize=STREAM_BUFFER_FETCHES,
        stream_recovery_delay=0.0,
        broker_session_timeout=settings.session_timeout_ms / 1000,
        broker_heartbeat_interval=settings.heartbeat_interval_ms / 1000,
    )
    app.engine = engine
    app.engine_settings = settings
    for topic in settings.ranked_topics:
        declared = app.topic(topic.name, schema=FetchedRecordsSchema(), acks=False)
        import_module(f"streams.agents.{topic.agent}").declare(app, declared, engine)
    changelog = app.topic(settings.changelog_topic, key_type=bytes, value_type=bytes, acks=False)
    app.Table("ledger", partitions=report.partition_count, changelog_topic=changelog)
    app.on_partitions_revoked.connect(_on_revoked(engine), weak=False)
    return app


class Worker:
    """One worker: the Faust app, its engine, and their end.

    Example:
        worker = Worker(settings, state_machine, observer, clock)
        end = await worker.run(stop)
    """

    def __init__(self, settings: EngineSettings, state_machine: StateMachine, observer: Observer, clock: Clock) -> None:
        self.settings = settings
        self._state_machine = state_machine
        self._observer = observer
        self._clock = clock
        self._engine: Engine | None = None

    def replace_state_machine(self, state_machine: StateMachine) -> None:
        """Decide with this one from the next batch on."""
        self._state_machine = state_machine
        if self._engine is not None:
            self._engine.replace_state_machine(state_machine)

    def committed_store(self, partition: int) -> Mapping[bytes, bytes] | None:
        """The committed state of an owned partition, to be read at once and not kept; None while it is not owned."""
        return None if self._engine is None else self._engine.committed_store(partition)

    async def run(self, stop: asyncio.Event) -> WorkerEnd:
        """Decide until asked to stop, until a bounded run is over, or until something goes wrong. Never raises.

        A worker that cannot stop within `STOP_LIMIT_SECONDS` ends the process.
        """
        quiet_loggers()
        try:
            report = await _unless_stopped(check_topics(self.settings), stop)
            if report is None:
                return ENDED
            for warning in report.warnings:
                log.warning("Not everything could be checked.", why=warning)
            return await self._run(report, stop)
        except EngineError as error:
            return WorkerEnd.by(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the process ends with a code of its own
            log.error("The worker could not start.", **diagnosis(error))
            return WorkerEnd.by(error)

    async def _run(self, report: StartupReport, stop: asyncio.Event) -> WorkerEnd:
        engine = self._engine = Engine(self.settings, report, self._state_machine, self._observer, self._clock)
        with tempfile.TemporaryDirectory(prefix="faust-") as data_directory:
            app = build_app(self.settings, report, engine, data_directory)
            crashed = asyncio.ensure_future(_started(app, engine))
            try:
                await _first(engine.ended.wait(), stop.wait(), crashed)
            finally:
                end = self._end_of(engine, stop, crashed)
                with _deadline(end):
                    await _shut_down(app, engine, crashed)
        return end

    def _end_of(self, engine: Engine, stop: asyncio.Event, crashed: asyncio.Future[None]) -> WorkerEnd:
        error = engine.failure
        if error is None and crashed.done() and not crashed.cancelled():
            error = crashed.exception() or RuntimeError("the app stopped by itself")
            log.error("The Faust app ended by itself.", **diagnosis(error))
        if error is not None:
            end = WorkerEnd.by(error)
            # Asked to stop: what only the frameworks ended with is how they were stopped.
            if not (engine.failure is None and stop.is_set() and end.exit_code == ExitCode.START_AGAIN):
                return end
        if self.settings.clock_mode is ClockMode.RECORD and engine.ended.is_set():
            return WorkerEnd(ExitCode.DONE, "everything the topics held is decided")
        return ENDED


async def run_worker(
    settings: EngineSettings, state_machine: StateMachine, observer: Observer, clock: Clock, stop: asyncio.Event
) -> WorkerEnd:
    """Run one worker; see `Worker`."""
    return await Worker(settings, state_machine, observer, clock).run(stop)


def quiet_loggers() -> None:
    """Keep the frameworks' loggers at WARNING, and from repeating themselves while a broker is away."""
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in REPEATING_LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(found, _OncePerInterval) for found in logger.filters):
            logger.addFilter(_OncePerInterval())


class _OncePerInterval(logging.Filter):
    """Lets each message through once in an interval, whatever its arguments."""

    def __init__(self) -> None:
        super().__init__()
        self._latest: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        message = str(record.msg)
        if now - self._latest.get(message, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return False
        self._latest[message] = now
        return True


def _on_revoked(engine: Engine) -> Any:
    async def on_revoked(*_: Any, **__: Any) -> None:
        await engine.pause()

    return on_revoked


async def _started(app: faust.App, engine: Engine) -> None:
    """Start everything; return when the app has ended by itself."""
    await engine.start()
    engine.keep_running(watch_group(app, engine))
    engine.keep_running(watch_topics(engine.settings))
    await app.start()  # returns after the first assignment
    await app.wait_until_stopped()


async def _unless_stopped(work: Coroutine[Any, Any, StartupReport], stop: asyncio.Event) -> StartupReport | None:
    """What the work gives; None if asked to stop before."""
    task = asyncio.ensure_future(work)
    await _first(stop.wait(), task)
    if task.done():
        return task.result()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task
    return None


async def _first(*waits: Any) -> None:
    """Until one of them is done; the last one is left running."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks[:-1]:
        task.cancel()


async def _shut_down(app: faust.App, engine: Engine, running: asyncio.Future[None]) -> None:
    """Finish or abandon the batch, leave the group, disconnect. What fails on the way out is only said."""
    await engine.pause()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await running
    for stop in (app.stop, engine.stop):
        try:
            await stop()
        except Exception as error:  # noqa: BLE001 - the end has been decided; nothing is under way any more
            log.warning("Stopping failed.", **diagnosis(error))


def _end_process(end: WorkerEnd) -> None:
    log.error("The worker could not stop in time and is ended.", seconds=STOP_LIMIT_SECONDS, reason=end.reason)
    end.announce()
    os._exit(end.exit_code)


class _deadline:  # noqa: N801 - reads as a statement
    """Ends the process if the block takes longer than a stop may, even if the event loop hangs.

    With the code of the end it was on its way to: a refusal stays one. A worker that was asked to stop and cannot has
    failed.
    """

    def __init__(self, end: WorkerEnd) -> None:
        late = WorkerEnd(ExitCode.START_AGAIN, "could not stop in time") if end.exit_code == ExitCode.DONE else end
        self._timer = threading.Timer(STOP_LIMIT_SECONDS, _end_process, (late,))
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
