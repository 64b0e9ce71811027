# jwcal: make demo, make test.  Everything is set up in .venv on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OFFICIAL := .venv-official
PACKAGES := shared/api shared/core shared/observatory shared/client services/crds_cache \
	services/detector1 services/stage2 services/stage3 services/orchestrator
READY := $(VENV)/.ready

.PHONY: help setup demo test test-fast check check-proto proto format requirements official bench bench-services clean

help:
	@echo "make demo       simulate four dithers, calibrate them through the services, compare with the truth, draw a picture"
	@echo "make test       every test (parity with the official package where 'make official' was run)"
	@echo "make test-fast  the tests of a minute"
	@echo "make check      format, lint, types, layers"
	@echo "make proto      generate shared/api from the interfaces in proto/"
	@echo "make official   install the official package beside ours, for parity tests and benchmarks"
	@echo "make bench      measure both, write BENCHMARKS.md (BENCH='--only speed --again')"
	@echo "make bench-services  measure the services: overhead, prefetch, cold start"
	@echo "make bench-queue     load the queue, on SQLite and PostgreSQL (BENCH='--jobs 2000 --database sqlite')"

setup: $(READY)

$(READY): requirements/dev.txt $(addsuffix /pyproject.toml,$(PACKAGES))
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		$(addprefix -e ,$(PACKAGES))
	@touch $@

demo: $(READY)
	$(BIN)/jwcal demo --out demo-output

test: $(READY)
	$(BIN)/python -m pytest

test-fast: $(READY)
	$(BIN)/python -m pytest -m "not slow and not parity"

check: $(READY) check-proto
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# The interfaces: lint, no change that breaks a client of proto/baseline.binpb, generated code as committed.
check-proto: $(READY)
	cd proto && ../$(BIN)/buf lint
	cd proto && ../$(BIN)/buf format --diff --exit-code
	cd proto && ../$(BIN)/buf breaking --against baseline.binpb
	rm -rf .work/proto && mkdir -p .work/proto
	$(MAKE) --no-print-directory proto GENERATED=.work/proto
	diff -r -x __pycache__ .work/proto/jwcal shared/api/src/jwcal

GENERATED := shared/api/src
PROTOS = $(shell cd proto && find jwcal -name '*.proto' | sort)

proto: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -I proto --python_out=$(GENERATED) \
		--grpc_python_out=$(GENERATED) --mypy_out=quiet:$(GENERATED) --mypy_grpc_out=quiet:$(GENERATED) $(PROTOS)

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Pins every package with its hashes, for every platform.
requirements: $(READY)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--no-header requirements/dev.in -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--no-header requirements/runtime.in -o requirements/runtime.txt

official: $(OFFICIAL)/.ready

$(OFFICIAL)/.ready:
	$(PYTHON) -m venv $(OFFICIAL)
	$(OFFICIAL)/bin/python -m pip install --quiet --disable-pip-version-check jwst==3.0.0 psutil
	@touch $@

bench: $(READY) official
	$(BIN)/python -m tests.bench $(BENCH)

# A few minutes each, into BENCHMARKS.md.
bench-services: $(READY)
	$(BIN)/python -m tests.bench.services

bench-queue: $(READY)
	$(BIN)/python -m tests.bench.queue $(BENCH)

clean:
	rm -rf $(VENV) $(OFFICIAL) .work demo-output .mypy_cache .ruff_cache .pytest_cache .hypothesis
