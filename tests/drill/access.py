"""Faults of permissions, on a broker with its authorizer."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from streams.access.roles import permissions_of
from streams.topics import TopicNames
from tests.access.authorized_kafka import authorized_kafka
from tests.drill.fault import Fault
from tests.drill.scene import APPLICATION_ID, UNHURRIED, Scene

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streams.access.permission import Permission
    from tests.access.authorized_kafka import AuthorizedKafka
    from tests.drill.watch import Watch

ACT: Final = "access"
_kafka: list[AuthorizedKafka] = []
_EVERY: Final = permissions_of("gate", TopicNames(), APPLICATION_ID)
_IDS: Final = next(each for each in _EVERY if each.resource == "transactional-id")
_FIRST_SLOT: Final[Permission] = _IDS._replace(name=f"{APPLICATION_ID}-0-")


@contextmanager
def _stage(watch: Watch, directory: Path) -> Iterator[Scene]:
    """A gate that logs in, with every permission it needs."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with authorized_kafka(directory.parent) as kafka, Scene(ACT, kafka.kafka, watch, directory) as scene:
        _kafka.append(kafka)
        kafka.grant("gate", _EVERY)
        scene.begin(haste=UNHURRIED, options=_login(kafka))
        yield scene


def _login(kafka: AuthorizedKafka) -> tuple[str, ...]:
    return ("--bootstrap", kafka.address, "--command-config", str(kafka.properties("gate")))


def _grant_only_the_first_slot(scene: Scene) -> None:
    """The permissions are written for one process, and there are two."""
    kafka = _kafka[-1]
    port = scene.machine.port
    scene.machines.pop().stop()
    kafka.take_away("gate", [_IDS])
    kafka.grant("gate", [_FIRST_SLOT])
    scene.start(port=port, ready=False, haste=UNHURRIED, options=_login(kafka))


def _grant_all(scene: Scene) -> None:
    _kafka[-1].grant("gate", [_IDS])


STAGE: Final = _stage
FAULTS: Final = (
    Fault(
        ACT,
        "permissions name the transactional ids of one process, and two are started",
        {"MesuraProcessRefused": r"was refused.*transactional id"},
        _grant_only_the_first_slot,
        _grant_all,
        "the permission that the sentence names is granted",
    ),
)
