"""Who runs what: three workers of pytest-xdist on two cores, of which the third runs what waits more than it computes.

Two workers fill two cores as long as both compute. A test that waits for a session to end, for a pause between two
starts or for an alert leaves its core idle meanwhile, and a third worker that computed as well would make everybody
else too slow for what they wait for. So the files in `WAITING` are run by the third worker, and nothing else is, until
none of them is left.

What takes longest begins first, or it would be waited for at the end. All other files follow in the order of their
names. A file's tests stay together, and so do the files of `TOGETHER`, which look at one run that was recorded once.

The lists are named by hand from `--durations=0`; a file that is missing from them is run all the same, only later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    import pytest
    from xdist.remote import Producer
    from xdist.workermanage import WorkerController

LONGEST: Final = (
    "tests/system/test_backlog.py",
    "tests/faults/test_faults.py",
    "tests/chaos/test_chaos.py",
    "tests/system/test_processes.py",
    "tests/compiled/test_compiled.py",
    "tests/bench/test_conformance.py",
    "tests/system/runs",
    "tests/access/runs",
    "tests/setup/test_setup.py",
    "tests/system/test_poison.py",
    "tests/setup/test_packages.py",
    "tests/demo/test_demo.py",
)
"""Half a minute and more each."""

WAITING: Final = (
    "tests/deploy/test_crash_loop.py",
    "tests/cluster/test_cluster.py",
    "tests/cluster/test_deposed_leaders.py",
    "tests/connection/runs",
    "tests/audit/runs",
    "tests/system/test_recurring_failure.py",
    "tests/dead_letters/test_gate.py",
    "tests/engine/test_exactly_once.py",
    "tests/engine/test_due_work.py",
    "tests/engine/test_promises.py",
    "tests/system/test_refusals.py",
    "tests/system/test_scenarios.py",
    "tests/recovery/test_rebuild.py",
    "tests/cli/test_processes.py",
    "tests/brokers/test_broker_contract.py",
    "tests/brokers/test_processes_end.py",
    "tests/cli/test_watch.py",
    "tests/cli/test_explain.py",
    "tests/dead_letters/test_replay.py",
    "tests/cli/test_brokers_reached.py",
    "tests/cli/test_publish.py",
    "tests/clients/test_clients.py",
    "tests/customer/test_customer.py",
    "tests/clients/test_examples.py",
    "tests/clients/test_kcat.py",
    "tests/secrecy/test_secrecy.py",
)
"""Less than half a core each, the longest first."""

TOGETHER: Final = {
    "tests/audit/test_deleted.py": "tests/audit/runs",
    "tests/access/test_access.py": "tests/access/runs",
    "tests/audit/test_planted.py": "tests/audit/runs",
    "tests/connection/test_clients.py": "tests/connection/runs",
    "tests/connection/test_examples.py": "tests/connection/runs",
    "tests/connection/test_gate.py": "tests/connection/runs",
    "tests/connection/test_sentences.py": "tests/connection/runs",
    "tests/connection/test_doctor.py": "tests/connection/runs",
    "tests/doctor/test_doctor.py": "tests/access/runs",
    "tests/system/test_reasons.py": "tests/system/runs",
    "tests/system/test_record_clock.py": "tests/system/runs",
    "tests/system/test_service_clock.py": "tests/system/runs",
}
"""By file: the name of those that share what they look at."""

COMPUTING_WORKERS: Final = 2


class TwoCores(LoadFileScheduling):
    """`--dist loadfile`, in the order and by the worker that this module says."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False  # by number of tests, which says nothing about their time

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return TOGETHER.get(file, file)

    def _assign_work_unit(self, node: WorkerController) -> None:
        self.workqueue.move_to_end(self._next_for(node), last=False)
        super()._assign_work_unit(node)

    def _next_for(self, node: WorkerController) -> str:
        if len(self.nodes) <= COMPUTING_WORKERS:
            preferred, others = (*LONGEST, *WAITING), list(self.workqueue)
        elif self.nodes.index(node) < COMPUTING_WORKERS:
            preferred, others = LONGEST, [scope for scope in self.workqueue if scope not in WAITING]
        else:
            preferred, others = WAITING, []
        return next(scope for scope in (*preferred, *others, *self.workqueue) if scope in self.workqueue)
