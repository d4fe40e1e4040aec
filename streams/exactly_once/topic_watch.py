"""Checks the topics' settings while the worker runs, by the same rules as at its start."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog
from aiokafka.errors import KafkaError

from streams.exactly_once.topic_configs import connected_admin, topic_configs
from streams.exactly_once.topic_rules import refuse_unfit, rules_by_topic

if TYPE_CHECKING:
    from streams.exactly_once.settings import EngineSettings

LOOK_SECONDS: Final = 30.0
"""Between two checks of the settings of a running worker's topics. A broker begins to compact or to delete minutes
after a change; one question for all topics costs a millisecond."""

log = structlog.get_logger(__name__)


async def watch_topics(settings: EngineSettings) -> None:
    """Check again and again; returns only if the broker cannot describe settings.

    Raises:
        TopicUnfitError: somebody has changed a setting that must not be changed.
    """
    rules = rules_by_topic(settings)
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            async with connected_admin(settings) as admin:
                configs = await topic_configs(admin, list(rules))
        except (KafkaError, OSError) as error:
            log.info("the settings of the topics could not be read", error=type(error).__name__)
            continue
        if configs is None:
            return
        refuse_unfit(rules, configs)
