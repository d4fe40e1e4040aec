"""From the settings of a worker to those of its engine."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from streams.connection.aiokafka_client import aiokafka_options
from streams.connection.source import UNSECURED
from streams.exactly_once.settings import ClockMode, EngineSettings
from streams.topics import input_topics

if TYPE_CHECKING:
    from streams.connection.source import ConnectionSource
    from streams.settings import WorkerSettings


def engine_settings(settings: WorkerSettings, connection: ConnectionSource = UNSECURED) -> EngineSettings:
    """What the engine needs to know of these settings.

    Raises:
        ConnectionRefused: the connection cannot be used.
    """
    topics = settings.topics
    is_bounded = settings.clock == "record"
    return EngineSettings(
        bootstrap_servers=settings.bootstrap_servers,
        input_topics=input_topics(
            intents=topics.intents,
            opt_out=topics.preferences,
            outcome=topics.outcomes,
            rerouted=None if is_bounded else topics.rerouted,
        ),
        application_id=settings.application_id,
        changelog_topic=topics.ledger,
        batches_topic=topics.batches,
        output_topics=(topics.approved, topics.suppressed, topics.dead_letter, topics.rerouted),
        control_topic=topics.control,
        program_version=version("mesura"),
        worker_slot=settings.slot,
        lanes=settings.lanes,
        clock_mode=ClockMode.RECORD if is_bounded else ClockMode.WALL,
        accept_missing_records=settings.accept_missing_records,
        check_crcs=settings.check_crcs,
        transaction_timeout_ms=int(settings.transaction_timeout_seconds * 1000),
        session_timeout_ms=int(settings.session_timeout_seconds * 1000),
        client_options=aiokafka_options(connection),
    )
