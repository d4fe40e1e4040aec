"""One worker process: policy, engine, telemetry and the operations endpoint, put together.

    MESURA_WORKER_SETTINGS='{…}' python -m streams.worker

Prints one JSON line, `{"ops": "http://…"}`, once its endpoint listens, and another, `{"ended": {…}}`, when
something ends it that nobody asked for: what it was and where (`streams.worker_end`).

Rules of this module
1. It connects the parts and does nothing else: no rule is decided here and no record is read.
2. A policy is in force only after its text has been acknowledged by the control topic.
3. A policy that cannot be loaded never replaces one that can.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from aiohttp import web
from aiokafka.errors import KafkaError, TransactionalIdAuthorizationFailed
from msgspec.structs import replace

from streams.access.check import PermissionsMissing, refuse_without, sentence
from streams.access.roles import permissions_of
from streams.app import SystemClock, Worker
from streams.broker_watch import BrokerWatch
from streams.brokers import BrokersNotReached, reach_brokers
from streams.connection.cluster import Cluster
from streams.contracts.control import encode_policy
from streams.contracts.dead_letters import VALUE_BYTES_MAX
from streams.contracts.errors import REFUSALS
from streams.core_dumps import refuse_core_dumps
from streams.decision.policy import Policy, compile_policy
from streams.decision.reasons import REASONS, WITHDRAWAL_REASONS
from streams.engine_settings import engine_settings
from streams.erasure_key import check_erasure_key, ledger_has_erased_customers
from streams.exactly_once.clients import KafkaClients
from streams.exactly_once.control import POLICY_KEY, ControlTopic, policy_text_key
from streams.exactly_once.replica_watch import ReplicaWatch
from streams.exactly_once.startup import StartupReport, check_topics
from streams.exactly_once.topic_rules import rules_by_topic
from streams.exit_codes import ExitCode
from streams.gate import Gate, GateSettings
from streams.policy.findings import PolicyRefused
from streams.policy.loader import LoadedPolicy
from streams.policy.reload import PathView, PolicyWatcher, fault_of
from streams.service.gate_service import GateService
from streams.service.published_policy import policy_record
from streams.settings import (
    COUNTERS_VARIABLE,
    KEY_VARIABLE,
    SETTINGS_VARIABLE,
    SettingsRefused,
    WorkerSettings,
)
from streams.starting_policy import starting_policy
from streams.telemetry.health import Health
from streams.telemetry.logs import configure_logging, log_what_nobody_catches
from streams.telemetry.metrics import Telemetry
from streams.telemetry.observer import TelemetryObserver
from streams.telemetry.opentelemetry_export.switch import exported
from streams.telemetry.report import report
from streams.telemetry.shared_counters import CounterStorage, SharedCounters
from streams.telemetry.standing_log import StandingLog
from streams.web.access import only_token
from streams.web.explain import explain_route
from streams.web.http import NO_STORE
from streams.web.merged_ops import REPORT_PATH
from streams.web.ops import DEFAULT_HOST, OpsServer, WorkerSubject
from streams.web.questions import QUESTION_BYTES_MAX
from streams.worker_end import WorkerEnd

if TYPE_CHECKING:
    from streams.telemetry.opentelemetry_export.batch_traces import BatchTraces

ASKS_TO_STOP: Final = (signal.SIGTERM, signal.SIGINT)

# Net new objects between two looks for cycles: those of about 2 000 decisions.
OBJECTS_PER_COLLECTION: Final = 50_000

# How often the watcher is asked; it decides itself how often to look. A change is in force within two seconds.
POLICY_LOOK_SECONDS: Final = 0.25
# Headers that a dead letter gains, with room: topic names have at most 249 characters.
DEAD_LETTER_OVERHEAD_BYTES: Final = 8 * 1024

log = structlog.get_logger(__name__)


class _PolicyNews:
    """What the watcher of the policy file has to say, kept until the worker asks."""

    def __init__(self, observer: TelemetryObserver) -> None:
        self.changed: LoadedPolicy | None = None
        self._observer = observer

    def policy_changed(self, policy: LoadedPolicy) -> None:
        self.changed = policy
        self._observer.policy_file("")

    def policy_refused(self, error: PolicyRefused | OSError) -> None:
        self._observer.policy_rejected()
        self._observer.policy_file(fault_of(error))
        log.error("The policy file cannot be loaded; the last good one stays in force.", why=str(error))

    def policy_restored(self) -> None:
        self._observer.policy_file("")
        log.info("The policy file says again what is in force.")


class GateWorker:
    """A worker's parts and their life."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings
        self._path = Path(settings.policy_path)
        self._connection = settings.connection(os.environ, log)
        self._engine = engine_settings(settings, self._connection)
        self._cluster = Cluster(settings.bootstrap_servers, self._connection)
        self._permissions = permissions_of("gate", settings.topics, settings.application_id)
        self._clock = SystemClock()
        # Under a supervisor what it counts outlives it, and the supervisor answers for it.
        descriptor = os.environ.get(COUNTERS_VARIABLE)
        self._is_supervised = descriptor is not None
        self._telemetry = Telemetry(
            version=version("mesura"),
            storage=CounterStorage() if descriptor is None else SharedCounters(int(descriptor)),
        )
        self._health = Health()
        self._traces = _batch_traces(settings.slot)
        self._observer = TelemetryObserver(self._telemetry, self._health, self._traces)
        self._service = GateService(self._clock)

    async def run(self, stop: asyncio.Event) -> WorkerEnd:
        """Run until asked to stop, until a bounded run is over, or until something goes wrong.

        Raises:
            PolicyRefused, EngineError, BrokersNotReached, KafkaError, OSError: nothing was started.
        """
        ops = OpsServer(
            WorkerSubject(self._telemetry, self._health),
            port=self.settings.ops_port,
            body_bytes_max=QUESTION_BYTES_MAX,
            routes=self._routes(),
            credentials=only_token(self.settings.ops_token),
        )
        port = await ops.start()
        sys.stdout.write(json.dumps({"ops": f"http://{DEFAULT_HOST}:{port}"}) + "\n")
        sys.stdout.flush()
        try:
            return await self._run(stop)
        finally:
            await ops.stop()
            if self._traces is not None:
                self._traces.close()

    def _routes(self) -> list[web.RouteDef]:
        routes = [explain_route(self._service)] if self.settings.explain else []
        return [*routes, web.get(REPORT_PATH, self._report)] if self._is_supervised else routes

    async def _report(self, _request: web.Request) -> web.Response:
        """This process's part of what its supervisor shows."""
        body = msgspec.json.encode(
            report(self._telemetry, self._health, partition_count=self._service.partition_count())
        )
        return web.Response(body=body, content_type="application/json", headers=NO_STORE)

    async def _run(self, stop: asyncio.Event) -> WorkerEnd:
        await asyncio.to_thread(reach_brokers, self.settings.bootstrap_servers, self._connection)
        watch = BrokerWatch(self.settings.bootstrap_servers, self._connection, self._observer.brokers)
        saying = [asyncio.create_task(StandingLog(self._health).run())]
        try:
            with watch.listening():
                await asyncio.to_thread(self._refuse_without_permissions)
                startup = await check_topics(self._engine)
                # Only now, because asking for a topic that does not exist may create it.
                replicas = ReplicaWatch(self._engine, tuple(rules_by_topic(self._engine)), self._observer.unwritable)
                saying.append(asyncio.create_task(replicas.run()))
                return self._explained(await self._run_checked(startup, stop))
        finally:
            for each in saying:
                each.cancel()

    async def _run_checked(self, startup: StartupReport, stop: asyncio.Event) -> WorkerEnd:
        gate_settings = await self._gate_settings(startup.partition_count)
        async with ControlTopic(self._engine, self.settings.topics.control) as control:
            await check_erasure_key(
                control,
                gate_settings.erasure_key,
                customers_were_erased=partial(
                    ledger_has_erased_customers, self._engine, KafkaClients(self._engine), startup.partition_count
                ),
                accept_new=self.settings.accept_new_erasure_key,
            )
            # A bounded run decides by the policy it is given, and by no other.
            loaded, fault = await asyncio.to_thread(
                starting_policy, self._path, control.get, may_replace=not gate_settings.is_bounded
            )
            if fault is not None:
                self._observer.policy_file(fault_of(fault))
                log.error("The policy file cannot be used: the last good policy stays in force.", why=str(fault))
            gate = Gate(compile_policy(loaded.specification), gate_settings)
            self._declare(gate.policy)
            await self._publish(control, loaded, gate.policy)
            worker = Worker(self._engine, gate, self._observer, self._clock)
            self._service.start(gate, worker)
            reloading = asyncio.create_task(self._reload_policy(control, worker, gate_settings, loaded, fault))
            reloading.add_done_callback(lambda task: None if task.cancelled() else stop.set())
            try:
                end = await worker.run(stop)
            finally:
                reloading.cancel()
                await asyncio.wait([reloading])
        failure = None if reloading.cancelled() else reloading.exception()
        if failure is not None:
            log.error("Watching the policy file failed.", exc_info=failure)
            return WorkerEnd.by(failure)
        return end

    def _refuse_without_permissions(self) -> None:
        refuse_without(self._cluster, self._permissions, "gate")

    def _explained(self, end: WorkerEnd) -> WorkerEnd:
        """What a client says of a transactional id that it may not use, with what is missing: no broker tells that
        beforehand.
        """
        if not isinstance(end.error, TransactionalIdAuthorizationFailed):
            return end
        missing = [each for each in self._permissions if each.resource == "transactional-id"]
        return WorkerEnd.by(PermissionsMissing(sentence(self._cluster, missing, "gate")))

    async def _gate_settings(self, partitions: int) -> GateSettings:
        topics = self.settings.topics
        limits = await KafkaClients(self._engine).batch_limits([topics.dead_letter])
        largest = limits.get(topics.dead_letter)
        return GateSettings(
            topics=topics,
            partitions=partitions,
            erasure_key=bytes.fromhex(self.settings.erasure_key),
            is_bounded=self.settings.clock == "record",
            dead_letter_bytes_max=VALUE_BYTES_MAX if largest is None else largest - DEAD_LETTER_OVERHEAD_BYTES,
            counted_fields=tuple(self.settings.counted()),
        )

    def _declare(self, policy: Policy) -> None:
        self._telemetry.declare_channels(policy.specification.channels)
        self._telemetry.declare_purposes(sorted(policy.specification.purposes))
        self._telemetry.declare_rules(policy.rule_table)
        for field, words in self.settings.counted().items():
            self._telemetry.declare_counted(field, words)
        self._telemetry.declare_reasons(reason.code for reason in REASONS)
        self._telemetry.declare_withdrawal_reasons(WITHDRAWAL_REASONS)
        self._telemetry.declare_dead_letter_reasons(REFUSALS)
        self._telemetry.declare_topics(topic.name for topic in self._engine.input_topics)

    async def _publish(self, control: ControlTopic, loaded: LoadedPolicy, policy: Policy) -> None:
        """Publish the policy and wait for the acknowledgement; only then is it in force."""
        specification = loaded.specification
        key = policy_text_key(specification.content_hash)
        if control.get(key) is None:
            await control.put(key, encode_policy(policy_record(loaded, policy)))
        if control.get(POLICY_KEY) != specification.content_hash.encode():
            await control.put(POLICY_KEY, specification.content_hash.encode())
        now = self._clock.now_ms()
        self._observer.policy_loaded(specification.name, specification.version, specification.content_hash, at_ms=now)
        log.info(
            "The policy is in force.",
            policy_name=specification.name,
            policy_version=specification.version,
            policy_hash=specification.content_hash,
        )

    async def _reload_policy(
        self,
        control: ControlTopic,
        worker: Worker,
        gate_settings: GateSettings,
        loaded: LoadedPolicy,
        fault: PolicyRefused | OSError | None,
    ) -> None:
        """Apply changes of the file between batches. A bounded run keeps the policy it began with."""
        if self.settings.clock == "record":
            await asyncio.Event().wait()
        news = _PolicyNews(self._observer)
        watcher = PolicyWatcher(PathView(self._path), loaded, news, fault=fault)
        while True:
            await asyncio.sleep(POLICY_LOOK_SECONDS)
            # Loading takes a moment of computing: in a thread, so that the lanes go on.
            await asyncio.to_thread(watcher.poll, self._clock.now_ms())
            if news.changed is None:
                continue
            changed, news.changed = news.changed, None
            gate = Gate(compile_policy(changed.specification), gate_settings)
            await self._publish(control, changed, gate.policy)
            self._declare(gate.policy)
            self._service.replace_gate(gate)
            worker.replace_state_machine(gate)


def _batch_traces(slot: str) -> BatchTraces | None:
    if "traces" not in exported(os.environ):
        return None
    # Only now: without it, none of its packages need be there.
    from streams.telemetry.opentelemetry_export.batch_traces import BatchTraces  # noqa: PLC0415

    return BatchTraces(os.environ, slot=slot)


def tune_collector() -> None:
    """Look for reference cycles seldom: a batch makes tens of objects per record and none of them is part of a cycle,
    so that a collection every 700 objects, Python's default, walks over a batch for nothing (a tenth of the time of a
    decision). What was loaded at start stays and need not be looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_PER_COLLECTION, 20, 100)


async def _main(settings: WorkerSettings) -> WorkerEnd:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in ASKS_TO_STOP:
        loop.add_signal_handler(number, stop.set)
    try:
        return await GateWorker(settings).run(stop)
    finally:
        # It is ending anyway: to be asked once more must not take the place of the exit code by which its supervisor
        # knows why.
        signal.pthread_sigmask(signal.SIG_BLOCK, ASKS_TO_STOP)


def _with_key(settings: WorkerSettings) -> WorkerSettings:
    """The settings with the key that the supervisor hands over apart."""
    descriptor = os.environ.pop(KEY_VARIABLE, None)
    if descriptor is None:
        return settings
    with os.fdopen(int(descriptor), encoding="ascii") as pipe:
        return replace(settings, erasure_key=pipe.read())


def _worker_end() -> WorkerEnd:
    """Run the worker of this process's environment, whatever comes of it."""
    try:
        text = os.environ.get(SETTINGS_VARIABLE)
        if text is None:
            raise SettingsRefused(f"{SETTINGS_VARIABLE} is not set. Use `mesura run`, which sets it.")
        settings = _with_key(WorkerSettings.from_environment(text)).checked()
        if COUNTERS_VARIABLE in os.environ:
            configure_logging(slot=settings.slot)
        tune_collector()
        return asyncio.run(_main(settings))
    except PolicyRefused as refused:
        for finding in refused.findings:
            log.error("The policy is refused.", why=str(finding))
        return WorkerEnd.by(refused)
    except (BrokersNotReached, KafkaError, OSError) as error:
        # No broker yet, or no free port: what a later start may find otherwise.
        return WorkerEnd.by(error, f"The worker could not start: {error}")
    except Exception as error:  # noqa: BLE001 - a traceback might quote a record
        return WorkerEnd.by(error)


def main() -> int:
    """Run the worker of this process's environment; say how it ended, and return the exit code."""
    refuse_core_dumps()
    configure_logging()
    log_what_nobody_catches()
    end = _worker_end()
    if end.exit_code == ExitCode.DONE:
        log.info("The worker has ended.", reason=end.reason)
    else:
        log.error("The worker has ended.", reason=end.reason)
    end.announce()
    return end.exit_code


if __name__ == "__main__":
    sys.exit(main())
