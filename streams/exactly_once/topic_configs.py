"""The settings of topics, as a broker describes them.

Rule of this module: a broker that cannot describe settings (the embedded one cannot) is distinguished from topics that
have none. The caller decides what follows from that.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import IncompatibleBrokerVersion

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from streams.exactly_once.settings import EngineSettings


@asynccontextmanager
async def connected_admin(settings: EngineSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client, for as long as the block runs."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers, **settings.client_options)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def topic_configs(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]] | None:
    """The settings of each topic by name, without topics that we are not allowed to see. None if the broker cannot
    describe settings.
    """
    try:
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    except IncompatibleBrokerVersion:
        return None
    return {
        name: {entry[0]: entry[1] for entry in entries}
        for answer in answers
        for error_code, _, _, name, entries in answer.resources
        if error_code == 0
    }
