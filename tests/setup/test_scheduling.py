"""The order in which `make test` runs: everything once, what waits beside what computes; no name of a file is stale."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tests.scheduling import COMPUTING_WORKERS, LONGEST, TOGETHER, WAITING, TwoCores
from tests.setup.environments import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

PLAIN = [f"tests/other/test_{number}.py" for number in range(20)]
TESTS = [f"{file}::test_{number}[a::b]" for file in [*LONGEST, *WAITING, *PLAIN] for number in range(4)]


class Node:
    """A worker of pytest-xdist that does what it is told when the test says so."""

    def __init__(self, number: int) -> None:
        self.gateway = SimpleNamespace(id=f"gw{number}")
        self.shutting_down = False
        self.given: deque[int] = deque()
        self.done: list[str] = []

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        self.given.extend(indices)

    def shutdown(self) -> None:
        self.shutting_down = True


def run(workers: int, tests: Sequence[str]) -> list[Node]:
    """Each worker in turn does one of its tests, until none has any."""
    config: Any = SimpleNamespace(
        option=SimpleNamespace(loadscopereorder=True),
        getvalue=lambda name: ["popen"] * workers if name == "tx" else None,
    )
    scheduler = TwoCores(config)
    nodes: list[Any] = [Node(number) for number in range(workers)]
    for node in nodes:
        scheduler.add_node(node)
        scheduler.add_node_collection(node, tests)
    scheduler.schedule()
    while any(node.given for node in nodes):
        for node in nodes:
            if node.given:
                index = node.given.popleft()
                node.done.append(tests[index])
                scheduler.mark_test_complete(node, index)
    assert scheduler.tests_finished
    return nodes


def files(node: Node) -> list[str]:
    """In the order in which it ran their first tests."""
    return list(dict.fromkeys(test.split("::", 1)[0] for test in node.done))


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
def test_every_test_runs_once_and_a_files_tests_stay_together(workers: int) -> None:
    nodes = run(workers, TESTS)
    assert sorted(test for node in nodes for test in node.done) == sorted(TESTS)
    assert sum(len(files(node)) for node in nodes) == len({test.split("::")[0] for test in TESTS})


def test_the_third_worker_runs_what_waits_and_the_others_begin_with_the_longest() -> None:
    *computing, third = run(COMPUTING_WORKERS + 1, TESTS)
    while_others_compute = max(files(node).index(file) for node in computing for file in files(node) if file in PLAIN)
    assert files(third)[:while_others_compute] == list(WAITING[:while_others_compute])
    assert {files(node)[0] for node in computing} == set(LONGEST[:COMPUTING_WORKERS])
    for node in computing:
        assert not set(files(node)[:while_others_compute]) & set(WAITING)


def test_with_two_workers_what_waits_is_not_left_to_the_end() -> None:
    for node in run(COMPUTING_WORKERS, TESTS):
        named = [file in {*LONGEST, *WAITING} for file in files(node)]
        assert named == sorted(named, reverse=True)


def test_files_that_share_a_run_are_one_workers() -> None:
    tests = [f"{file}::test_{number}" for file in [*TOGETHER, *PLAIN] for number in range(4)]
    shares = {name: {file for file in TOGETHER if TOGETHER[file] == name} for name in TOGETHER.values()}
    for node in run(COMPUTING_WORKERS + 1, tests):
        for together in shares.values():
            assert not together & set(files(node)) or together <= set(files(node))


def test_every_name_is_that_of_a_file_and_stands_once() -> None:
    named = [*LONGEST, *WAITING]
    assert len(set(named)) == len(named)
    assert set(TOGETHER.values()) <= set(named)
    for file in {*named, *TOGETHER} - set(TOGETHER.values()):
        assert (ROOT / file).is_file(), file
