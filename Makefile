# Each target sets up what it needs first.
# make demo       films go in, Structured Reports and pictures come back
# make quick      the package's unit, property and house tests in half a minute, for the developer's loop
# make test       all tests but the long ones
# make soak       faults of every kind at random for an hour on each database, and a simulated day
# make pictures   what viewers show of results, for the documents
# make check      every gate: format, lint, types, layers, tests
# make coverage   lines of the package that unit, property, contract and integration tests run, with a floor

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
TEST_PROCESSES ?= 5

TOOLS := .venv-tools
LOCK := $(TOOLS)/bin/uv pip compile pyproject.toml --quiet --upgrade --python-version 3.11 \
  --python-platform x86_64-manylinux_2_28 --constraint constraints.txt --generate-hashes --no-header --no-annotate

# A process that may not write bytecode compiles the whole package at each start, and tests start hundreds.
export PYTHONDONTWRITEBYTECODE :=

# Several processes of tests share the cores: more threads of PyTorch would wait for each other.
export OMP_NUM_THREADS := 1

COVERAGE_FLOOR := 86
PYTEST := $(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist worksteal
QUICK := tests/unit tests/properties tests/house -k "not postgresql" \
  --ignore tests/unit/benchmarks --ignore tests/unit/training \
  --ignore tests/house/test_gates.py --ignore tests/house/test_contracts.py --ignore tests/house/test_imports.py

.PHONY: demo quick test test-long soak coverage check gates clean lock audit

demo: $(VENV)/installed
	$(BIN)/cxr-node demo

quick: $(VENV)/installed-test
	$(BIN)/python -m pytest --quiet --numprocesses 2 --dist worksteal -p no:schemathesis -m "not long and not slow" $(QUICK)

test: $(VENV)/installed-test
	$(PYTEST) -m "not long"

# The suites that take longer than a developer waits; each has a short form in `make test`.
test-long: $(VENV)/installed-test
	$(BIN)/python -m pytest -m long

soak: $(VENV)/installed-test
	$(BIN)/cxr-node selftest faults --groups chaos,soak --chaos-minutes 60

# Needs Chromium, DICOMscope with Xvfb and xdotool, and for OHIF Orthanc with DICOMweb and npm. Look at each picture
# before you commit it.
pictures: $(VENV)/installed-test
	CXR_NODE_KEEP_PICTURES=1 $(BIN)/python -m pytest --quiet -m long \
	  tests/acceptance/test_results_in_programs.py tests/acceptance/test_ohif.py \
	  tests/acceptance/test_page_pictures.py

# Lines that only run in processes of their own, as in most acceptance tests, are not counted.
coverage: $(VENV)/installed-test
	$(PYTEST) -m "not long" --cov --cov-report=term:skip-covered --cov-fail-under=$(COVERAGE_FLOOR) \
	  tests/unit tests/properties tests/contracts tests/integration tests/acceptance/test_film_to_report.py

check: gates test

gates: $(VENV)/installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Pins by hash for deployment, out of pyproject.toml and constraints.txt. PyTorch's CPU build is not on the default
# index: UV_FIND_LINKS or UV_EXTRA_INDEX_URL says where it is.
lock: $(TOOLS)/installed
	UV_FIND_LINKS= UV_EXTRA_INDEX_URL= $(LOCK) --output-file deploy/requirements-gpu.txt
	echo 'torch==$(shell sed -n 's/^torch==//p' constraints.txt)+cpu' > $(TOOLS)/cpu.txt
	$(LOCK) --override $(TOOLS)/cpu.txt --output-file deploy/requirements-cpu.txt

# Known vulnerabilities in what is pinned. Asks the index's service for each package, so it needs the internet.
audit: $(TOOLS)/installed
	$(TOOLS)/bin/pip-audit --strict --disable-pip --require-hashes --requirement deploy/requirements-gpu.txt

$(TOOLS)/installed:
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip --disable-pip-version-check install --quiet 'uv>=0.10' 'pip-audit>=2.9'
	@touch $@

clean:
	rm -rf $(VENV)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "cxr-node needs Python 3.11 or newer; name one with: make PYTHON=python3.11 demo"; exit 1; }
	$(PYTHON) -m venv $(VENV) \
	  || { echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; rm -rf $(VENV); exit 1; }

$(VENV)/installed: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing the node and what it needs (PyTorch is large: this takes minutes the first time) ..."
	$(PIP) --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	@echo "Installing what the tests need ..."
	$(PIP) --editable '.[test]'
	@# What imported models are held against, out of the way; what it asks for besides is not needed for that.
	$(PIP) --no-deps --target $(VENV)/reference --upgrade torchxrayvision torchvision timm
	@touch $@
