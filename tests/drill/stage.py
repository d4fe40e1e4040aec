"""The scene in which an act begins, where it needs nothing of its own: a broker, a machine, an upstream."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from streams.testing.real_kafka import SHORT_LIVED, RealKafka
from tests.drill.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.drill.watch import Watch

HEAP_MEGABYTES: Final = 256


def stage(
    act: str, *, job: str = "", days: bool = False, set_up: Callable[[Scene], None] = Scene.begin
) -> Callable[[Watch, Path], AbstractContextManager[Scene]]:
    """A scene with a broker of its own, begun."""

    @contextmanager
    def opened(watch: Watch, directory: Path) -> Iterator[Scene]:
        with (
            RealKafka(heap_megabytes=HEAP_MEGABYTES, java_options=SHORT_LIVED) as kafka,
            Scene(act, kafka, watch, directory, job=job, days=days) as scene,
        ):
            set_up(scene)
            yield scene

    return opened
