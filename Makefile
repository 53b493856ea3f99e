# Every target does its own set-up: Python 3.11+, make and a package index are all it needs.
# Another interpreter:  make test PYTHON=/path/to/python3

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
WORKERS ?= 2
EXPERIMENT := 123

# The first interpreter that runs, is new enough and can make a virtual environment.
FITS := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c '$(FITS)' </dev/null >/dev/null 2>&1 && echo $$python && break; done)

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: $(VENV)/.with-lint $(VENV)/.with-test ## Make .venv with the package (editable), the checks and the test tools

.PHONY: demo
demo: $(VENV)/.package ## Generate a project in ./demo, load its experiment, show the results
	@test -e demo/staging.yml || { rm -rf demo/data && $(BIN)/python -m statsig_staging init demo --demo; }
	$(BIN)/python -m statsig_staging run --project demo --experiment $(EXPERIMENT)
	$(BIN)/python -m statsig_staging results --project demo --experiment $(EXPERIMENT)

.PHONY: test
test: $(VENV)/.with-test ## Run the tests, without the slow ones
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow"

.PHONY: test-long
test-long: $(VENV)/.with-test ## Run the slow tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m slow

.PHONY: check
check: $(VENV)/.with-lint $(VENV)/.with-test ## Lint, formatting, types and import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

.PHONY: golden
golden: $(VENV)/.with-test ## Rewrite the golden files; read the difference before you commit it
	$(BIN)/python -m pytest tests/test_golden.py tests/test_templates.py --update-golden

BENCHED := full_load one_more_day nothing_changed late_file new_metric

.PHONY: bench
bench: $(VENV)/.package ## Measure the scenarios of loads at scale S, and check the gates (benchmarks/README.md)
	$(BIN)/python -m benchmarks run $(BENCHED) --scale S --gates

PEERS := $(notdir $(basename $(wildcard benchmarks/peers/*.txt)))

.PHONY: bench-peers
bench-peers: $(PEERS:%=.bench-venv/%/.installed) ## Install what the benchmarks measure against, apart from .venv

.bench-venv/%/.installed: benchmarks/peers/%.txt | $(VENV)/.package
	$(BIN)/python -m venv .bench-venv/$*
	.bench-venv/$*/bin/python -m pip --disable-pip-version-check --quiet install --requirement $<
	@touch $@

.PHONY: build
build: $(VENV)/.with-test ## Build the source distribution and the wheel into ./dist
	rm -rf dist
	$(BIN)/python -m build

.PHONY: ci
ci: ## What continuous integration runs: the checks, the tests, the slow tests
	$(MAKE) check
	$(MAKE) test
	$(MAKE) test-long

.PHONY: clean
clean: ## Remove the demo, builds and caches; .venv stays
	rm -rf demo dist build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find statsig_staging tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Groups of dependencies ("--group") came with pip 25.1; what Python brings along is often older.
$(VENV)/.package: pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "make: no Python 3.11 or newer with venv was found." >&2; \
		echo "Install one (on Debian and Ubuntu: python3 and python3-venv), or name it: make PYTHON=/path/to/python3" >&2; \
		exit 1; \
	fi
	@$(PYTHON) -c '$(FITS)' || { echo "make: $(PYTHON) is not Python 3.11 or newer with venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade "pip>=25.1"
	$(PIP) install --editable '.[compiled]'
	@touch $@

# gbstats insists on numpy 1 and pandas 1; what the tests use of it runs with any (docs/adr/0065).
$(VENV)/.with-test: $(VENV)/.package
	$(PIP) install --group test
	$(PIP) install --no-deps "gbstats==0.8.0"
	@touch $@

$(VENV)/.with-%: $(VENV)/.package
	$(PIP) install --group $*
	@touch $@
