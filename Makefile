# Each target sets up what it needs first.
# make demo       films go in, Structured Reports and pictures come back
# make install    the command .venv/bin/cxr-node; with BINDIR=FOLDER a link to it in a folder of the PATH
# make showcase   node, Orthanc, OHIF and films, with three links, until Ctrl+C
# make dist       wheel and sdist in dist/; `make try-dist` installs the wheel into an empty environment and runs a node
# make offline    one archive with everything, for hosts without a network; make deb: a Debian package; make container: an image;
#                 make try-deb, try-container and try-compose run them (root)
# make quick      the package's unit, property and house tests in half a minute, for the developer's loop
# make test       all tests but the long ones and those marked `ci`; with CI=true those too, and coverage
# make soak       faults of every kind at random for an hour on each database, and a simulated day
# make pictures   what viewers show of results, for the documents
# make check      every gate: format, lint, types, layers, tests
# make docs       the documentation as a site, in build/docs; open build/docs/index.html
# make coverage   lines of the package that unit, property, contract and integration tests run, with a floor

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
TEST_PROCESSES ?= $(if $(CI),4,5)

TOOLS := .venv-tools
LOCK_OPTIONS := --quiet --upgrade --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
  --constraint constraints.txt --generate-hashes --no-header --no-annotate
LOCK := $(TOOLS)/bin/uv pip compile pyproject.toml $(LOCK_OPTIONS)

# A process that may not write bytecode compiles the whole package at each start, and tests start hundreds.
export PYTHONDONTWRITEBYTECODE :=

# Several processes of tests share the cores: more threads of PyTorch would wait for each other.
export OMP_NUM_THREADS := 1

COVERAGE_FLOOR := 86
COVERAGE := --cov --cov-report=term:skip-covered --cov-fail-under=$(COVERAGE_FLOOR)
PYTEST := $(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist worksteal
QUICK := tests/unit tests/properties tests/house -k "not postgresql" \
  --ignore tests/unit/benchmarks --ignore tests/unit/training \
  --ignore tests/house/test_gates.py --ignore tests/house/test_contracts.py --ignore tests/house/test_imports.py

.PHONY: demo install showcase try-showcase dist try-dist offline try-offline deb try-deb container try-container try-compose sbom release tools \
  quick test test-long soak docs coverage check gates clean lock audit

demo: $(VENV)/installed
	$(BIN)/cxr-node demo

install: $(VENV)/installed
	$(if $(BINDIR),mkdir -p $(BINDIR) && ln -sf $(abspath $(BIN))/cxr-node $(BINDIR)/cxr-node)
	@echo "Installed: $(or $(BINDIR),$(BIN))/cxr-node; next: cxr-node init"

# The wheel is built from the sdist, so that the sdist is whole too. tests/house/test_distribution.py checks what is in both.
dist: $(TOOLS)/installed
	rm -rf dist/cxr_node-*
	$(TOOLS)/bin/python -m build --no-isolation --outdir dist

# Each try-... target installs from nothing, then runs deploy/scripts/try_node.py: settings, start, a phantom, its report.
try-dist: dist
	rm -rf build/try-dist
	$(PYTHON) -m venv build/try-dist
	build/try-dist/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt dist/*.whl
	$(PYTHON) deploy/scripts/try_node.py build/try-dist/bin/cxr-node
	rm -rf build/try-dist

# Needs CPython of the minor version that deploy/requirements-cpu.txt has PyTorch for, and its index; see docs/how-to/install.md.
offline: dist
	rm -f dist/cxr-node-*-offline-*.tar
	PYTHON=$(PYTHON) bash deploy/scripts/make_offline.sh

UNSHARE := unshare --net $(if $(filter 0,$(shell id -u)),,--map-root-user)

# In a network namespace of its own, whose only interface is loopback.
try-offline: offline
	rm -rf build/try-offline && mkdir -p build/try-offline
	tar --extract --file dist/cxr-node-*-offline-*.tar --directory build/try-offline --strip-components 1
	$(UNSHARE) $(PYTHON) deploy/scripts/loopback_only.py sh build/try-offline/install.sh $(CURDIR)/build/try-offline/node
	$(UNSHARE) $(PYTHON) deploy/scripts/loopback_only.py $(PYTHON) deploy/scripts/try_node.py build/try-offline/node/bin/cxr-node
	rm -rf build/try-offline

deb: offline
	rm -f dist/cxr-node_*.deb
	PYTHON=$(PYTHON) bash deploy/scripts/make_deb.sh

# In a root file system of Debian, made by mmdebstrap; needs root and an index of Debian's packages.
try-deb: deb
	bash deploy/scripts/try_deb.sh

# Needs buildah, and a registry of images or IMAGE_OPTIONS='--build-arg BASE=...'. The format of Docker has health checks.
container: offline
	buildah bud --format docker --file deploy/container/Containerfile --tag localhost/cxr-node $(IMAGE_OPTIONS) .

# The image on a root file system of Debian, made by mmdebstrap; needs root and no registry, see the script.
try-container:
	PYTHON=$(PYTHON) bash deploy/scripts/try_container.sh

# The services of compose.yaml as processes, by the files that it mounts; needs root, see the script for its packages.
try-compose: $(VENV)/installed-test
	bash deploy/scripts/try_compose.sh

# CycloneDX, of the environment that install.sh makes.
sbom: offline
	rm -rf build/sbom && mkdir -p build/sbom
	tar --extract --file dist/cxr-node-*-offline-*.tar --directory build/sbom --strip-components 1
	PYTHON=$(PYTHON) sh build/sbom/install.sh $(CURDIR)/build/sbom/node
	$(TOOLS)/bin/cyclonedx-py environment build/sbom/node/bin/python --pyproject pyproject.toml --output-reproducible \
	  --output-file dist/cxr-node-$$(build/sbom/node/bin/cxr-node --version | cut -d' ' -f2).cdx.json
	rm -rf build/sbom

# Everything that a release consists of, in dist/: checks, packages, bill of materials, notes, checksums. Publishes nothing.
release:
	$(PYTHON) deploy/scripts/release.py check
	$(MAKE) gates test
	$(PYTEST) -m "ci and not long"
	$(MAKE) deb sbom
	$(PYTHON) deploy/scripts/release.py finish

showcase: $(VENV)/installed
	$(BIN)/python -m deploy.showcase

try-showcase: $(VENV)/installed
	$(BIN)/python -m deploy.showcase --once

tools: $(TOOLS)/installed

quick: $(VENV)/installed-test
	$(BIN)/python -m pytest --quiet --numprocesses 2 --dist worksteal -m "not long and not slow" $(QUICK)

test: $(VENV)/installed-test
	$(PYTEST) -m $(if $(CI),"not long" $(COVERAGE),"not long and not ci")

# What takes longer than a developer waits; each has a short form in `make test`.
test-long: $(VENV)/installed-test
	$(BIN)/python -m pytest -m "long or ci"

soak: $(VENV)/installed-test
	$(BIN)/cxr-node selftest faults --groups chaos,soak --chaos-minutes 60

# Needs Chromium, DICOMscope with Xvfb and xdotool, and for OHIF Orthanc with DICOMweb and npm. Look at each picture
# before you commit it.
pictures: $(VENV)/installed-test
	CXR_NODE_KEEP_PICTURES=1 $(BIN)/python -m pytest --quiet -m long \
	  tests/acceptance/test_results_in_programs.py tests/acceptance/test_ohif.py \
	  tests/acceptance/test_page_pictures.py

# Warnings are errors. Needs no network once its packages are there.
docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going docs build/docs
	@echo "build/docs/index.html"

# Lines that only run in processes of their own, as in most acceptance tests, are not counted.
coverage: $(VENV)/installed-test
	$(PYTEST) -m "not long" $(COVERAGE) \
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
	$(PYTHON) deploy/scripts/lock_extras.py $(TOOLS)/bin/uv pip compile $(LOCK_OPTIONS)

# Known vulnerabilities in what is pinned. Asks the index's service for each package, so it needs the internet.
audit: $(TOOLS)/installed
	$(TOOLS)/bin/pip-audit --strict --disable-pip --require-hashes --requirement deploy/requirements-gpu.txt

$(TOOLS)/installed: deploy/requirements-tools.txt
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip --disable-pip-version-check install --quiet --requirement deploy/requirements-tools.txt
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

$(VENV)/installed-docs: $(VENV)/installed
	$(PIP) --editable '.[docs]'
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	@echo "Installing what the tests need ..."
	$(PIP) --editable '.[test]'
	@# What imported models are held against, out of the way; what it asks for besides is not needed for that.
	$(PIP) --no-deps --target $(VENV)/reference --upgrade torchxrayvision torchvision timm
	@touch $@
