"""Watching the policy file, without a file and without a clock."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from streams.policy.findings import PolicyRefused
from streams.policy.loader import LoadedPolicy, load_policy
from streams.policy.reload import CONTENT_CHECK_MS, POLL_MS, SETTLE_MS, PathView, PolicyWatcher, Stamp, fault_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass
class File:
    """A file in memory; every write has a new stamp unless said otherwise."""

    content: bytes | None
    stamped: int = 1
    reads: int = 0
    during_read: Callable[[], None] | None = None

    def write(self, text: str, *, stamped: bool = True) -> None:
        self.content = text.encode()
        self.stamped += stamped

    def stamp(self) -> Stamp | None:
        return None if self.content is None else Stamp(self.stamped, len(self.content), 7)

    def read(self) -> bytes:
        self.reads += 1
        if self.content is None:
            raise FileNotFoundError(2, "No such file or directory")
        content = self.content
        if self.during_read:
            self.during_read()
        return content


@dataclass
class Heard:
    """A listener that remembers."""

    calls: list[str] = field(default_factory=list)

    def policy_changed(self, policy: LoadedPolicy) -> None:
        self.calls.append(f"changed {policy.specification.version}")

    def policy_refused(self, error: PolicyRefused | OSError) -> None:
        self.calls.append(f"refused {type(error).__name__}")

    def policy_restored(self) -> None:
        self.calls.append("restored")


@dataclass
class World:
    file: File
    heard: Heard
    watcher: PolicyWatcher
    text: Callable[[str], str]
    now: int = 0

    def run(self, milliseconds: int, step: int = 100) -> list[str]:
        """Poll as a busy lane would; what was heard meanwhile."""
        before = len(self.heard.calls)
        for _ in range(0, milliseconds, step):
            self.watcher.poll(self.now)
            self.now += step
        return self.heard.calls[before:]


@pytest.fixture
def world(with_rules: Callable[[str], str]) -> World:
    def text(version: str) -> str:
        return with_rules("- {id: a, kind: gap, minimum: 1h}\n").replace('version: "1"', f'version: "{version}"')

    file, heard = File(text("1").encode()), Heard()
    return World(file, heard, PolicyWatcher(file, load_policy(text("1")), heard), text)


SETTLED = POLL_MS + 2 * SETTLE_MS + 100


def test_an_unchanged_file_says_nothing_and_is_read_once_in_a_while(world: World) -> None:
    assert world.run(10 * CONTENT_CHECK_MS) == []
    assert 10 <= world.file.reads <= 11


def test_a_change_is_in_force_once_it_has_settled(world: World) -> None:
    world.run(5_000)
    world.file.write(world.text("2"))
    assert world.run(SETTLED) == ["changed 2"]
    assert world.watcher.in_force.specification.version == "2"
    assert world.run(SETTLED) == []


def test_a_change_right_after_the_start_is_seen(world: World) -> None:
    world.file.write(world.text("2"))
    assert world.run(SETTLED) == ["changed 2"]


def test_a_file_that_keeps_changing_is_left_alone_until_it_rests(world: World) -> None:
    world.run(5_000)
    for number in range(20):
        world.file.write(world.text(str(number)) + "#" * number)
        assert world.run(200) == []
    assert world.run(SETTLED) == ["changed 19"]


def test_a_refused_file_changes_nothing_and_is_said_once(world: World) -> None:
    world.run(5_000)
    world.file.write("mesura: 1\nname: broken\n")
    assert world.run(10 * SETTLED) == ["refused PolicyRefused"]
    assert world.watcher.in_force.specification.version == "1"
    assert isinstance(world.watcher.error, PolicyRefused)
    assert world.watcher.error.findings
    world.file.write("mesura: 1\nname: still broken\n")
    assert world.run(SETTLED) == ["refused PolicyRefused"]
    world.file.write(world.text("2"))
    assert world.run(SETTLED) == ["changed 2"]
    assert world.watcher.error is None


def test_going_back_to_what_is_in_force(world: World) -> None:
    world.run(5_000)
    world.file.write("")
    world.run(SETTLED)
    world.file.write(world.text("1"))
    assert world.run(SETTLED) == ["restored"]
    assert world.watcher.error is None
    assert world.run(SETTLED) == []


def test_another_comment_is_no_other_policy(world: World) -> None:
    world.run(5_000)
    world.file.write("# a comment\n" + world.text("1"))
    assert world.run(SETTLED) == []


def test_bytes_that_are_not_text_are_refused(world: World) -> None:
    world.run(5_000)
    world.file.content, world.file.stamped = b"name: \xff\xfe", 99
    assert world.run(SETTLED) == ["refused PolicyRefused"]


def test_a_file_that_is_gone_and_comes_back(world: World) -> None:
    world.run(5_000)
    world.file.content = None
    assert world.run(10 * SETTLED) == ["refused FileNotFoundError"]
    assert world.watcher.in_force.specification.version == "1"
    world.file.write(world.text("1"))
    assert world.run(SETTLED) == ["restored"]


def test_gone_for_a_moment_while_it_is_replaced(world: World) -> None:
    world.run(5_000)
    content, world.file.content = world.file.content, None
    world.run(SETTLE_MS - 100)
    world.file.content = content
    world.file.write(world.text("2"))
    assert world.run(2 * SETTLED) == ["changed 2"]


def test_a_change_under_the_reader_is_read_again(world: World) -> None:
    world.run(5_000)

    def change() -> None:
        world.file.during_read = None
        world.file.write(world.text("3"))

    world.file.write(world.text("2"))
    world.file.during_read = change
    assert world.run(3 * SETTLED) == ["changed 3"]


def test_a_change_with_the_same_time_and_size_is_found_by_its_content(world: World) -> None:
    world.run(5_000)
    world.file.write(world.text("2"), stamped=False)
    assert world.run(10_000) == []
    assert world.run(CONTENT_CHECK_MS) == ["changed 2"]


def test_a_clock_that_is_set_back_stops_nothing(world: World) -> None:
    world.now = 7_200_000
    world.run(5_000)
    world.now -= 3_600_000
    world.file.write(world.text("2"))
    assert world.run(SETTLED) == ["changed 2"]


def test_what_is_in_force_without_a_file_stays_until_the_file_is_there(world: World) -> None:
    """The policy is from elsewhere, because the file was missing at the start."""
    in_force, gone = load_policy(world.text("1")), FileNotFoundError(2, "No such file or directory")
    world.file.content = None
    world.watcher = PolicyWatcher(world.file, in_force, world.heard, fault=gone)
    assert world.run(10 * SETTLED) == ["refused FileNotFoundError"]
    world.file.write("mesura: 1\nname: broken\n")
    assert world.run(SETTLED) == ["refused PolicyRefused"]
    world.file.write(world.text("1"))
    assert world.run(SETTLED) == ["restored"]
    assert world.watcher.error is None


@pytest.mark.parametrize(("version", "heard"), [("1", "restored"), ("2", "changed 2")])
def test_a_file_that_was_missing_at_the_start_and_is_there_at_the_first_look(
    world: World, version: str, heard: str
) -> None:
    world.file.write(world.text(version))
    gone = FileNotFoundError(2, "No such file or directory")
    world.watcher = PolicyWatcher(world.file, load_policy(world.text("1")), world.heard, fault=gone)
    assert world.run(SETTLED) == [heard]


def test_what_is_wrong_with_a_file_in_a_word() -> None:
    assert fault_of(FileNotFoundError(2, "x")) == "missing"
    assert fault_of(NotADirectoryError(20, "x")) == "missing"
    assert fault_of(PermissionError(13, "x")) == "unreadable"
    assert fault_of(IsADirectoryError(21, "x")) == "unreadable"
    assert fault_of(PolicyRefused([])) == "refused"


def test_polling_looks_at_the_file_once_a_second(world: World) -> None:
    world.run(5_000)
    looks = 0
    stamp = world.file.stamp

    def counted() -> Stamp | None:
        nonlocal looks
        looks += 1
        return stamp()

    world.file.stamp = counted  # type: ignore[method-assign]
    world.run(10_000, step=10)
    assert looks == 10


def test_real_files(tmp_path: Path, world: World) -> None:
    """Replaced in one step, then through a swapped link, as a mounted configuration volume does it."""
    first, second = tmp_path / "1", tmp_path / "2"
    for number, folder in enumerate((first, second), 1):
        folder.mkdir()
        (folder / "policy.yaml").write_text(world.text(str(number)), encoding="utf-8")
    link, path = tmp_path / "data", tmp_path / "policy.yaml"
    link.symlink_to(first)
    path.symlink_to(link / "policy.yaml")
    watcher = PolicyWatcher(PathView(path), load_policy(path), world.heard)
    world.watcher = watcher
    assert world.run(5_000) == []
    swapped = tmp_path / "swapped"
    swapped.symlink_to(second)
    os.replace(swapped, link)  # noqa: PTH105
    assert world.run(SETTLED) == ["changed 2"]
    replacement = tmp_path / "new"
    replacement.write_text(world.text("3"), encoding="utf-8")
    replacement.replace(second / "policy.yaml")
    assert world.run(SETTLED) == ["changed 3"]
    (second / "policy.yaml").unlink()
    assert world.run(SETTLED) == ["refused FileNotFoundError"]
    assert PathView(path).stamp() is None
