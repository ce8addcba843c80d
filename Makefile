# make run, make demo, make test, make lint, make bench: see README.md.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
HOME_DIR ?= .holdfast
CONFORMANCE := $(or $(HOLDFAST_CONFORMANCE),../shared/conformance)
export HOLDFAST_CONFORMANCE := $(CONFORMANCE)

.PHONY: run demo test test-only lint bench bench-mail bench-shadow bench-take-over compiled test-compiled crash-test interop simulate reference requirements clean bench-sim

run: $(VENV)/.run-ready
	@exec $(BIN)/holdfast up --home $(HOME_DIR)

# Two servers on loopback, mail from outside, one of them is killed: what became of every letter?
demo: $(VENV)/.run-ready
	@exec $(BIN)/holdfast drill run --loopback --load 50/s --minutes 0.5

test: lint test-only

test-only: $(VENV)/.dev-ready
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not interop" --cov --cov-report= $(PYTEST_ARGS)
	$(BIN)/python tests/coverage_of_rooms.py

lint: $(VENV)/.dev-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=src $(BIN)/lint-imports
	$(BIN)/python -m holdfast.admin.reference --check docs/reference

# Four at once: each failover pairing, which mostly waits, and all others one after the other.
interop: $(VENV)/.dev-ready
	$(BIN)/python -m pytest -m interop -n 4 --dist loadgroup $(PYTEST_ARGS)

bench-mail: compiled
	$(BIN)/python benchmarks/relay.py

bench-shadow: $(VENV)/.dev-ready
	$(BIN)/python benchmarks/shadow.py

bench-dhcp: compiled
	$(BIN)/python benchmarks/dhcp.py
	$(BIN)/python benchmarks/dhcp_pair.py

bench-take-over: $(VENV)/.dev-ready
	$(BIN)/python benchmarks/take_over.py

bench-sim: $(VENV)/.dev-ready
	$(BIN)/python benchmarks/sim.py

bench: $(VENV)/.dev-ready
	$(BIN)/python benchmarks/mail.py

crash-test: $(VENV)/.dev-ready
	$(BIN)/python -m pytest tests/crash -m "" --crashes 50 $(PYTEST_ARGS)

# Many seeds of every scenario with several servers: make simulate SEEDS=5000
SEEDS ?= 5000
SCENARIOS ?= plug-pull-pair partition disk-loss rolling-restart plug-pull relay dhcp-pair dhcp-pair-wrong dhcp-pair-down dhcp-pair-burnt dhcp-pair-changed dhcp-pair-reserved
simulate: $(VENV)/.run-ready
	@last=$$(($(SEEDS) - 1)); for scenario in $(SCENARIOS); do \
		$(BIN)/holdfast simulate --seeds 0-$$last --scenario $$scenario || exit 1; done

# The rooms that are asked most as machine code: docs/decisions/0024. Needs a C compiler and Python's header files.
compiled: $(VENV)/.dev-ready
	$(BIN)/python packaging/compile.py

# The tests of what was compiled, against that.
test-compiled: compiled
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not interop" --compiled $(COMPILED_TESTS) $(PYTEST_ARGS)
COMPILED_TESTS := tests/wire/test_dhcp4.py tests/dhcp tests/node/test_dhcp.py $(wildcard tests/drivers/test_dhcp_*.py \
	tests/drivers/test_audit_log.py tests/sim/test_dhcp_*.py tests/daemons/test_dhcp*.py tests/crash/test_crash_dhcp.py \
	tests/wire/test_failover*.py tests/node/test_failover*.py tests/drivers/test_failover*.py tests/sim/test_pair_*.py \
	tests/wire/test_smtp*.py tests/wire/test_headers.py tests/wire/test_line_ends.py tests/node/test_outbound*.py \
	tests/node/test_shadow*.py tests/node/test_transport*.py tests/node/test_smtp_doors.py tests/node/test_re*.py \
	tests/node/test_safety_net.py tests/node/test_own_writes.py tests/node/test_from_servers.py \
	tests/drivers/test_tcp.py tests/drivers/test_outbound*.py tests/drivers/test_*runner.py \
	tests/crash/test_crash_relay.py) tests/transport

reference: $(VENV)/.dev-ready
	$(BIN)/python -m holdfast.admin.reference docs/reference

requirements: $(VENV)/.dev-ready
	$(BIN)/pip-compile -q --strip-extras --allow-unsafe --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header -o requirements.txt requirements.in
	$(BIN)/pip-compile -q --strip-extras --allow-unsafe --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header -o requirements-dev.txt requirements-dev.in
	$(BIN)/pip-compile -q --strip-extras --allow-unsafe --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header -o requirements-compile.txt requirements-compile.in

clean:
	rm -rf $(VENV) build src/*.egg-info

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# The lists name everything, so pip is not to look for more: that of Debian 12 takes a newer `coverage[toml]`
# for unpinned although `coverage` is pinned.
$(VENV)/.run-ready: requirements.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev-ready: requirements-dev.txt $(VENV)/.run-ready
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.txt
	$(BIN)/python -m pip check
	@touch $@
