# make help lists the targets. From a bare clone they need python3 (3.11 or later) and make.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt
CLUSTER := tests/slurm/cluster.py
BROWSER := tests/report/browser.py
# The two states of the environment: what runs need, and what tests and checks need on top.
RUNS := .venv/.installed-runs
TESTS := .venv/.installed-tests
# Two tests at a time: libraries that compute are to start no threads beside them.
PAIRED := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

.PHONY: help demo test test-slow check lint unit networks journeys browser-packages slurm-packages slurm-up slurm-down faults soak bench clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*##/  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(RUNS)  ## a small study from the grid file to the table, on this machine
	@$(BIN)/python -m tests.demo

test: browser-packages unit networks journeys slurm-packages  ## all tests but the slow ones, those on the real Slurm included
	@echo "== tests on the Slurm test cluster"
	@$(BIN)/pytest -m "slurm and not slow" -n 2 --dist loadscope

test-slow: $(TESTS) slurm-packages  ## the slow tests
	@echo "== slow tests"
	@$(PAIRED) -m "slow and not slurm" --dist loadscope
	@echo "== slow tests on the Slurm test cluster"
	@$(BIN)/pytest -m "slow and slurm" --durations 60 --durations-min 20

check: lint unit  ## ruff, mypy and the quick tests: before every commit

lint: $(TESTS)
	@echo "== ruff"
	@$(BIN)/ruff check .
	@echo "== mypy"
	@$(BIN)/mypy

unit: $(TESTS)
	@echo "== tests without a cluster"
	@$(PAIRED) -m "not slurm and not slow and not journey and not network"

journeys: $(TESTS)
	@echo "== tests that drive the command line"
	@$(PAIRED) -m "journey and not slow"

browser-packages: $(TESTS)
	@$(BIN)/python $(BROWSER) install || [ "$$CI" != true ]

networks: $(TESTS)
	@echo "== tests that compute with networks and volumes"
	@$(PAIRED) -m "network and not slow"

slurm-packages: $(TESTS)
	@$(BIN)/python $(CLUSTER) install || [ "$$CI" != true ]

slurm-up:  ## start the Slurm test cluster (root) and print its SLURM_CONF
	@$(PYTHON) $(CLUSTER) install
	@$(PYTHON) $(CLUSTER) up

slurm-down:  ## stop it
	@$(PYTHON) $(CLUSTER) down

faults: $(TESTS)  ## how many failures are told apart, kill points and faults survived: the figures of docs/failures.md
	@$(BIN)/python -m tests.faults

soak: $(TESTS) slurm-packages  ## a thousand runs and a fault every few seconds on the Slurm test cluster, for twenty minutes and more
	@$(BIN)/python -m tests.slurm.soak

bench: $(TESTS)  ## measure speed on this machine
	@$(BIN)/python -m benchmarks

clean:  ## remove what tools and builds left, and the environment
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNS): setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "$(PYTHON) is $$($(PYTHON) --version 2>&1); mrsweep needs 3.11 or later. Choose with: make PYTHON=python3.11 ..."; exit 1; }
	@echo "[1/3] environment .venv from $$($(PYTHON) --version)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) setuptools
	@echo "[2/3] packages: torch, numpy, pandas ... (about a minute)"
	@$(PIP) torch numpy pandas
	@echo "[3/3] mrsweep and the rest"
	@$(PIP) --no-build-isolation --editable '.[mri,report]'
	@touch $@

$(TESTS): $(RUNS)
	@echo "[tests] pytest, mypy, ruff"
	@$(PIP) --no-build-isolation --editable '.[mri,convert,report,messages,test,dev]'
	@$(PIP) --no-deps fastmri  # what our networks are compared with; its own requirements would bring lightning
	@touch $@
