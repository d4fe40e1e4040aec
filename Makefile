# The few verbs of this project. Everything runs from the project's own environment in .venv, made by `make setup`.
#
#   make setup           install what is locked, by its hashes; nothing is resolved
#   make demo            the gate on the embedded broker, deciding; BROKER=kafka: on Apache Kafka; ARGS="--keep" and others
#   make test            every test, on the embedded broker and on Apache Kafka (needs Java 17 and Maven)
#   make quick           for every day: the tests that need neither Java nor long; says at its end what it left out
#   make check           style, types, walls between packages
#   make compiled        a copy in build/compiled/ whose decision core is compiled; run the gate from there (needs a C compiler)
#   make bench           all of the benches below; results in bench/results/ (an hour)
#   make races           20 000 intents, each sent within 1 ms of the customer's no; results in bench/results/races.md (long)
#   make bench-throughput, bench-latency, bench-restore, bench-mypyc, bench-profile, bench-tls
#                        the running gate on Apache Kafka; --help of `python -m bench.throughput` says what ARGS can be
#   make faults          kills, freezes and a killed broker under load on Apache Kafka; results in bench/results/faults.md (long)
#   make simulation      100 000 simulated histories, and every planted mistake; results in bench/results/simulation.md (long)
#   make acls            every permission of every role taken away once, on Apache Kafka with its authorizer; results in
#                        bench/results/acls.md (some minutes)
#   make forget          a customer planted everywhere and erased, then searched for in every byte on disk after compaction and retention, on
#                        Apache Kafka; results in bench/results/forget.md (half a minute)
#   make alerts          every alert provoked on real servers (Kafka, Prometheus, Alertmanager), seen to fire and to resolve, and what the
#                        runbook's commands show; results in bench/results/alerts.md (half an hour)
#   make clusters        every promise on three brokers, in plaintext and over SASL_SSL side by side: brokers restarted, moved, killed
#                        and cut off, workers killed and paused, machines lost; results in bench/results/clusters.md (long)
#   make chaos           MINUTES=30 of every fault at once on Apache Kafka; results in bench/results/chaos.md (long)
#   make bench-compare   the gate beside three peers on one broker; results in bench/results/compare.md (half an hour)
#   make clients         what Java, JavaScript, Go and Python clients publish, decided and audited, before and after compaction, on
#                        Apache Kafka; results in bench/results/clients.md (needs a JDK, Maven, Node.js 20, npm, a C++ compiler and Go)
#   make hostile         10 000 hostile requests and 3 000 half requests to the operations endpoint, and schemathesis; results in
#                        bench/results/hostile.md (some minutes)
#   make secrecy         a thousand identifiers and secrets planted in records, requests, files and faults, and searched for in logs,
#                        metrics, traces, headers, dumps and files, on Apache Kafka over TLS; results in bench/results/secrecy.md
#                        (ten minutes)
#   make poison          every kind of damaged batch on every input topic, on Apache Kafka (ten minutes)
#   make generators      types for TypeScript, Java, Go and Python from schemas/, compiled, and every example read with them; results in
#                        bench/results/generators.md (needs Node 20, Go, Java 17 and Maven; some minutes)
#   make charts          the Helm chart linted, rendered and read as Kubernetes' own types by the real tools; results in
#                        bench/results/charts.md (needs Go; some minutes at first)
#   make sbom            what the image holds, package by package with its licence, as CycloneDX: build/mesura.cdx.json
#   make mutants         change the decision core in every way mutmut knows; the cases must notice (long)
#   make fuzz            the core against the independent model, SECONDS=… (long)
#   make fuzz-bytes      whatever reads bytes, guided by coverage; results in bench/results/fuzz.md (long)
#   make versions        two versions of the source tree over the same random histories, byte for byte: ARGS="--before COMMIT
#                        --histories 1000000 --processes 2"; results in bench/results/versions.md (long)
#   make versions-record digests of the histories that every later version must answer alike; after a change that is meant
#   make versions-rolling
#                        from another version to this one and back, worker by worker, under load on Apache Kafka, audited:
#                        ARGS="--before COMMIT"; results in bench/results/versions-rolling.md (some minutes)
#   make recovery        ledgers lost, rebuilt, restored and moved to more partitions on Apache Kafka; results in
#                        bench/results/recovery.md (some minutes)
#   make setup-matrix    set-up and demo from nothing under every Python, with its oldest pip and the newest; results in
#                        bench/results/setup.md (a quarter of an hour)
#   make lock            write requirements/*.lock again from pyproject.toml; what is locked stays unless UPGRADE=--upgrade

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BROKER ?= embedded
SECONDS ?= 300
MINUTES ?= 30
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-dev

# A lock names everything, down to the last dependency, so pip has nothing to choose: it takes these files or stops. Without
# --no-deps it would look for what a locked package asks for all the same, and some releases of pip then find something
# newer than the lock. That the lock is complete is asked afterwards, of what was installed.
PIP := $(BIN)/python -m pip --disable-pip-version-check
LOCKED := $(PIP) install --quiet --no-deps --require-hashes -r
CONSISTENT := $(PIP) check || { echo "$(VENV) holds what does not fit together (above). Make it anew: rm -rf $(VENV)" >&2; exit 1; }

.PHONY: setup demo test quick check compiled alerts bench bench-compare races acls forget secrecy faults simulation chaos clients clusters poison mutants fuzz fuzz-bytes \
	versions versions-record versions-rolling setup-matrix generators hostile charts recovery sbom lock

setup: $(TEST_STAMP)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is not Python 3.11 or later. Say which is: make setup PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# What the product needs, and nothing else: a newcomer's demo starts from here.
$(STAMP): requirements/runtime.lock pyproject.toml | $(VENV)/bin/python
	$(LOCKED) requirements/runtime.lock
	$(PIP) install --quiet --no-deps --no-index --no-build-isolation -e .
	$(CONSISTENT)
	touch $(STAMP)

$(TEST_STAMP): requirements/dev.lock $(STAMP)
	$(LOCKED) requirements/dev.lock
	$(CONSISTENT)
	touch $(TEST_STAMP)

demo: $(STAMP)
	$(BIN)/mesura demo --broker $(BROKER) $(ARGS)

# Three at a time, of which one runs what waits more than it computes: see tests/scheduling.py. Hundreds of processes are
# started, and what their modules compile to is kept, also where the shell says otherwise.
test quick: export PYTHONDONTWRITEBYTECODE =
test: $(TEST_STAMP)
	$(BIN)/python -m pytest $(or $(ARGS),-n 3 --dist loadfile tests)

# What takes long or starts many processes. Left out by name, so that a new test is an everyday one until it is named here.
LONG := tests/cli/test_processes.py tests/cli/test_supervisor.py tests/compiled tests/demo/test_demo.py \
	tests/deploy/test_crash_loop.py tests/deploy/test_examples.py tests/deploy/test_prometheus.py tests/engine/test_exactly_once.py \
	tests/engine/test_promises.py tests/engine/test_due_work.py tests/fuzz/test_campaign.py \
	tests/property/test_properties.py tests/setup tests/simulation tests/system
quick: $(TEST_STAMP)
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not kafka" $(LONG:%=--ignore=%) $(ARGS) tests; ended=$$?; \
	  echo "Left out: what needs Apache Kafka, and $(LONG). make test runs all."; exit $$ended

check: $(TEST_STAMP)
	$(BIN)/ruff check streams tests bench deploy examples
	$(BIN)/ruff format --check streams tests bench deploy examples
	$(BIN)/mypy
	MYPYPATH=examples/python $(BIN)/mypy examples/python/gateway.py examples/python/producer.py
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

acls: $(TEST_STAMP)
	$(BIN)/python -m tests.access.campaign $(ARGS)

forget: $(TEST_STAMP)
	$(BIN)/python -m tests.customer.campaign $(ARGS)

secrecy: $(TEST_STAMP)
	$(BIN)/python -m tests.secrecy.campaign $(ARGS)

faults: $(TEST_STAMP)
	$(BIN)/python -m tests.faults.campaign $(ARGS)

simulation: $(TEST_STAMP)
	$(BIN)/python -m tests.simulation.campaign $(ARGS)

alerts: $(TEST_STAMP)
	$(BIN)/python -m tests.drill.campaign $(ARGS)

chaos: $(TEST_STAMP)
	$(BIN)/python -m tests.chaos.campaign --minutes $(MINUTES) $(ARGS)

clusters: $(TEST_STAMP)
	$(BIN)/python -m tests.cluster.campaign $(ARGS)

clients: $(TEST_STAMP)
	$(BIN)/python -m tests.clients.campaign $(ARGS)

recovery: $(TEST_STAMP)
	$(BIN)/python -m pytest -q tests/recovery/test_replay.py tests/recovery/test_rebuild.py tests/recovery/long_move.py
	$(BIN)/python -m tests.recovery.campaign $(ARGS)

poison: $(TEST_STAMP)
	MESURA_EVERY_POISON=1 $(BIN)/python -m pytest $(or $(ARGS),tests/system/test_poison.py)

charts: $(TEST_STAMP)
	$(BIN)/python -m tests.charts.campaign $(ARGS)

mutants: $(TEST_STAMP)
	$(BIN)/python -m tests.mutants.run $(ARGS)

fuzz: $(TEST_STAMP)
	$(BIN)/python -m tests.property.campaign --seconds $(SECONDS) $(ARGS)

fuzz-bytes: $(TEST_STAMP)
	$(BIN)/python -m tests.fuzz.campaign $(ARGS)

versions: $(TEST_STAMP)
	$(BIN)/python -m tests.versions.campaign $(ARGS)

versions-record: $(TEST_STAMP)
	$(BIN)/python -m tests.versions.recorded $(ARGS)

versions-rolling: $(TEST_STAMP)
	$(BIN)/python -m tests.versions.rolling $(ARGS)

setup-matrix: $(TEST_STAMP)
	$(BIN)/python -m tests.setup.matrix $(ARGS)

generators: $(TEST_STAMP)
	$(BIN)/python -m tests.generators.run $(ARGS)

HOSTILE_TOOL := build/hostile
hostile: $(TEST_STAMP)
	$(PYTHON) -m venv --clear $(HOSTILE_TOOL)
	$(HOSTILE_TOOL)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes -r requirements/hostile.lock
	$(BIN)/python -m tests.hostile.campaign $(ARGS)

SBOM_TOOL := build/sbom
sbom: $(TEST_STAMP)
	$(PYTHON) -m venv --clear $(SBOM_TOOL)
	$(SBOM_TOOL)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes -r requirements/sbom.lock
	$(BIN)/python -m tests.setup.sbom $(ARGS)

# The locks name no index: whoever installs asks the one that their pip is set to.
LOCK_TOOL := build/lock
LOCK := $(LOCK_TOOL)/bin/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url \
	--no-emit-find-links $(UPGRADE)
lock:
	$(PYTHON) -m venv --clear $(LOCK_TOOL)
	$(LOCK_TOOL)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes -r requirements/lock.lock
	$(LOCK) pyproject.toml --group build -o requirements/runtime.lock
	$(LOCK) pyproject.toml --group build --group dev --constraint requirements/runtime.lock -o requirements/dev.lock
	$(LOCK) pyproject.toml --extra otel --constraint requirements/runtime.lock -o requirements/otel.lock
	$(LOCK) --group peers -o requirements/bench.lock
	$(LOCK) --group generators -o requirements/generators.lock
	$(LOCK) --group hostile -o requirements/hostile.lock
	$(LOCK) --group sbom -o requirements/sbom.lock
	$(LOCK) --group lock -o requirements/lock.lock
