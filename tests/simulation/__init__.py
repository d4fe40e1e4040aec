"""Histories of the whole engine in one thread, every one of them decided by a seed.

What runs is production code: engine, lanes, barrier, restore, transactions, rerouting, the gate and its decisions. What
is replaced are the Kafka clients (`clients.py`, `consumer.py`), the event loop with its time (`loop.py`) and the wall
clock, through the interfaces that production uses too (`streams.exactly_once.clients`, `Clock`).

    plan.py      seed → what upstream publishes, which faults happen, how slow everything is
    history.py   plan → what the topics hold at the end
    verdict.py   the topics → what was broken, by the outside check and by what only a simulation can know
    shrink.py    a plan that fails → a smaller one that fails in the same way
    defects.py   mistakes to plant, each of which must be found

    python -m tests.simulation.campaign --seeds 100000
    python -m tests.simulation.replay 4711 [--defect barrier_skipped] [--shrink]

Faust, aiokafka and the consumer's thread are not part of it: tests on Apache Kafka cover those. The simulated log is
held to Apache Kafka by `test_log_contract.py`, one suite on both.
"""
