# The few verbs of this project. Everything runs from the project's own environment in .venv, made by `make setup`.
#
#   make setup           install what is pinned, with hashes
#   make demo            the gate on the embedded broker, deciding; BROKER=kafka: on Apache Kafka; ARGS="--keep" and others
#   make test            every test, on the embedded broker and on Apache Kafka (needs Java 17 and Maven)
#   make check           style, types, walls between packages
#   make compiled        a copy in build/compiled/ whose decision core is compiled; run the gate from there (needs a C compiler)
#   make bench           all of the benches below; results in bench/results/ (an hour)
#   make races           20 000 intents, each sent within 1 ms of the customer's no; results in bench/results/races.md (long)
#   make bench-throughput, bench-latency, bench-restore, bench-mypyc, bench-profile
#                        the running gate on Apache Kafka; --help of `python -m bench.throughput` says what ARGS can be
#   make faults          kills, freezes and a killed broker under load on Apache Kafka; results in bench/results/faults.md (long)
#   make simulation      100 000 simulated histories, and every planted mistake; results in bench/results/simulation.md (long)
#   make chaos           MINUTES=30 of every fault at once on Apache Kafka; results in bench/results/chaos.md (long)
#   make bench-compare   the gate beside three peers on one broker; results in bench/results/compare.md (half an hour)
#   make mutants         change the decision core in every way mutmut knows; the cases must notice (long)
#   make fuzz            the core against the independent model, SECONDS=… (long)
#   make fuzz-bytes      whatever reads bytes, guided by coverage; results in bench/results/fuzz.md (long)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BROKER ?= embedded
SECONDS ?= 300
MINUTES ?= 30
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-dev

.PHONY: setup demo test check compiled bench bench-compare races faults simulation chaos mutants fuzz fuzz-bytes

setup: $(TEST_STAMP)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# What the product needs, and nothing else: a newcomer's demo starts from here.
$(STAMP): requirements/runtime.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/runtime.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(STAMP)

$(TEST_STAMP): requirements/dev.lock $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.lock
	touch $(TEST_STAMP)

demo: $(STAMP)
	$(BIN)/mesura demo --broker $(BROKER) $(ARGS)

# Two at a time: what runs brokers waits more than it computes.
test: $(TEST_STAMP)
	$(BIN)/python -m pytest $(or $(ARGS),-n 2 --dist loadfile tests)

check: $(TEST_STAMP)
	$(BIN)/ruff check streams tests bench deploy examples
	$(BIN)/ruff format --check streams tests bench deploy examples
	$(BIN)/mypy
	$(BIN)/lint-imports

compiled: $(TEST_STAMP)
	$(BIN)/python deploy/compile_core.py $(ARGS)

bench: $(TEST_STAMP)
	$(BIN)/python -m bench.decision
	$(BIN)/python -m bench.throughput
	$(BIN)/python -m bench.latency
	$(BIN)/python -m bench.restore
	$(MAKE) bench-compare

races: $(TEST_STAMP)
	$(BIN)/python -m tests.races.campaign $(ARGS)

# One kind of figure at a time: bench-throughput, bench-latency, bench-restore, bench-mypyc, bench-profile.
bench-%: $(TEST_STAMP)
	$(BIN)/python -m bench.$* $(ARGS)

bench-compare: $(TEST_STAMP)
	$(BIN)/python deploy/compile_core.py
	$(BIN)/python -m bench.compare $(ARGS)

faults: $(TEST_STAMP)
	$(BIN)/python -m tests.faults.campaign $(ARGS)

simulation: $(TEST_STAMP)
	$(BIN)/python -m tests.simulation.campaign $(ARGS)

chaos: $(TEST_STAMP)
	$(BIN)/python -m tests.chaos.campaign --minutes $(MINUTES) $(ARGS)

mutants: $(TEST_STAMP)
	$(BIN)/python -m tests.mutants.run $(ARGS)

fuzz: $(TEST_STAMP)
	$(BIN)/python -m tests.property.campaign --seconds $(SECONDS) $(ARGS)

fuzz-bytes: $(TEST_STAMP)
	$(BIN)/python -m tests.fuzz.campaign $(ARGS)
