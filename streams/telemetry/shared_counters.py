"""Memory for the counts of a process: its own, or memory that outlives it.

Rules of this module
1. A key gets a place once and keeps it. The value at a place only grows. Keys are names and labels.
2. What is published is one whole state, never half a batch. A new state is written beside the valid one and becomes
   valid with a single store. However the writer ends, including `kill -9`, its last published state stays valid, and
   its successor continues from there.
3. Exactly one process writes. Others read at any time without a lock. If a state was overwritten while it was being
   read, its checksum shows it, and it is read again.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import time
from array import array
from threading import Lock
from typing import Final
from zlib import crc32

import orjson

COUNTERS_MAX: Final = 16_384
"""More than the vocabularies allow at their largest (a test counts them), so that no count is ever refused."""

KEYS_BYTES: Final = 4 * 1024 * 1024
"""Room for that many keys with the longest labels. Untouched memory costs nothing."""

CPU_KEY: Final = orjson.dumps(["process_cpu_seconds"]).decode()
"""The processor time of all incarnations of a process."""

_MAGIC: Final = 0x6D65_7375_7261_0001  # "mesura", and the version of this layout
_HEAD_BYTES: Final = 64
_HALF_BYTES: Final = COUNTERS_MAX * 8
_HALVES_AT: Final = _HEAD_BYTES + KEYS_BYTES
REGION_BYTES: Final = _HALVES_AT + 2 * _HALF_BYTES

# Numbers of the head. It has the length and the checksum of each half; the generation says which half is valid.
_HEAD_MAGIC, _HEAD_KEYS_BYTES, _HEAD_GENERATION, _HEAD_HALVES = 0, 1, 2, 3

READ_ATTEMPTS: Final = 100
"""A read takes some ten microseconds and a writer publishes a few hundred times a second, so two attempts
are plenty.
"""


class CounterStorage:
    """Counts in the process's own memory."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.values = array("d")
        self._places: dict[str, int] = {}

    def place(self, name: str, *labels: str) -> int:
        """The place of this key's count in `values`, which is 0.0 if the key is new."""
        key = orjson.dumps([name, *labels]).decode()
        with self.lock:
            place = self._places.get(key)
            if place is None:
                place = self._places[key] = len(self.values)
                self.values.append(0.0)
                self._placed(key)
            return place

    def publish(self) -> None:
        """Publish the present state. Here there is no reader."""

    def _placed(self, key: str) -> None:
        """A key is new."""


class SharedCounters(CounterStorage):
    """Counts that are published in shared memory, and go on from what the process before this one published there.

    Args:
        descriptor: of memory made by `shared_memory`.

    Raises:
        ValueError: the memory was written by another version of this layout.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._region = _Region(descriptor)
        head = self._region.head
        if head[_HEAD_MAGIC] == 0:
            head[_HEAD_MAGIC] = _MAGIC
        if head[_HEAD_MAGIC] != _MAGIC:
            raise ValueError("The counts before this start were kept by another version. Restart `mesura run`.")
        keys, values = self._region.keys(), self._region.state()
        assert values is not None, "nobody writes now"
        self._places = {key: place for place, key in enumerate(keys)}
        # A key whose writer was killed before it published a value for it stands at 0.
        self.values = array("d", [*values, *[0.0] * (len(keys) - len(values))])
        self._cpu = self.place_of_key(CPU_KEY)
        self._cpu_before = self.values[self._cpu]

    def place_of_key(self, key: str) -> int:
        return self.place(*orjson.loads(key))

    def publish(self) -> None:
        """Make the present state the one that is read."""
        with self.lock:
            self.values[self._cpu] = self._cpu_before + time.process_time()
            self._region.write_state(self.values)

    def _placed(self, key: str) -> None:
        assert len(self.values) <= COUNTERS_MAX
        self._region.append_key(key)


class PublishedCounters:
    """What a process has published, as seen from outside. It never goes backwards."""

    def __init__(self, descriptor: int) -> None:
        self._region = _Region(descriptor)
        self._last: dict[str, float] = {}

    def read(self) -> dict[str, float]:
        """By key; empty before the first publication."""
        for _ in range(READ_ATTEMPTS):
            values = self._region.state()
            if values is not None:
                # Keys are only ever added, and before the state that counts on them.
                self._last = dict(zip(self._region.keys(), values, strict=False))
                break
        return self._last


def shared_memory(name: str) -> int:
    """A descriptor of new shared memory, which ends with the last process that holds it and leaves no file behind."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, REGION_BYTES)
    return descriptor


class _Region:
    """The layout of the memory: a head, the keys, and the two halves of which one is valid."""

    def __init__(self, descriptor: int) -> None:
        view = memoryview(mmap.mmap(descriptor, REGION_BYTES))
        self.head = view[:_HEAD_BYTES].cast("Q")
        self._keys = view[_HEAD_BYTES:_HALVES_AT]
        self._halves = [
            view[_HALVES_AT + number * _HALF_BYTES : _HALVES_AT + (number + 1) * _HALF_BYTES].cast("d")
            for number in range(2)
        ]

    def keys(self) -> list[str]:
        return bytes(self._keys[: self.head[_HEAD_KEYS_BYTES]]).decode().splitlines()

    def append_key(self, key: str) -> None:
        line = key.encode() + b"\n"
        at = self.head[_HEAD_KEYS_BYTES]
        self._keys[at : at + len(line)] = line
        self.head[_HEAD_KEYS_BYTES] = at + len(line)

    def write_state(self, values: array[float]) -> None:
        generation = self.head[_HEAD_GENERATION] + 1
        half = generation & 1
        self._halves[half][: len(values)] = memoryview(values)
        self.head[_HEAD_HALVES + 2 * half] = len(values)
        self.head[_HEAD_HALVES + 2 * half + 1] = crc32(values)
        self.head[_HEAD_GENERATION] = generation

    def state(self) -> array[float] | None:
        """The valid half; None if it was overwritten while it was read."""
        generation = self.head[_HEAD_GENERATION]
        half = generation & 1
        count = self.head[_HEAD_HALVES + 2 * half]
        values = array("d", self._halves[half][:count].tobytes())
        whole = crc32(values) == self.head[_HEAD_HALVES + 2 * half + 1]
        return values if whole and self.head[_HEAD_GENERATION] == generation else None
