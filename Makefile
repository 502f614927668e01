# Every target works from a clean clone: it makes the environment first, once.
# Other Python: make env PYTHON=/path/to/python3.12. Where packages come from is pip's own
# business: set PIP_EXTRA_INDEX_URL or pip.conf to get, say, the CPU build of torch.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PIP    := $(BIN)/python -m pip --disable-pip-version-check
EXTRAS := ibl nwb vision track sweep

# Real recordings beside the project, if they are there; tests that want them skip without.
ifneq ($(wildcard ../shared/data),)
export NEUROHORIZON_DATA ?= $(abspath ../shared/data)
endif

.DEFAULT_GOAL := help
.PHONY: help env lint test demo bench docs extras clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 10

env: $(STAMP) ## make .venv with what the tests ran with; skipped while nothing changed

$(STAMP): pyproject.toml constraints/ci.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet -e '.[dev,nwb]' -c constraints/ci.txt
	$(PIP) install --quiet --no-deps nlb-tools ibl-bwb-eval -c constraints/ci.txt
	@touch $@

lint: env ## ruff, pyright, and the rule of who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo --no-cache

# Two workers that steal work from each other, each with one thread: set before numpy loads.
test: export OMP_NUM_THREADS = 1
test: export OPENBLAS_NUM_THREADS = 1
test: env lint ## everything that must hold before a commit
	$(BIN)/python -m pytest -n 2 --dist worksteal --durations=10

demo: env ## simulate, train, judge, and write the report: some minutes
	$(BIN)/neurohorizon demo forecast

bench: env ## the numbers that the README and the changelog quote: hours
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/streaming.py
	$(BIN)/python benchmarks/prepare.py
	$(BIN)/python benchmarks/forecast.py simulated
	$(BIN)/python benchmarks/conditions.py
	$(BIN)/python benchmarks/experiments.py
	$(BIN)/python benchmarks/decode.py
	$(BIN)/python benchmarks/new_sessions.py
	$(BIN)/python benchmarks/planted_units.py

docs: env ## the documentation as a static site in site/
	$(BIN)/mkdocs build --strict --quiet
	@echo "site/index.html"

extras: env ## resolve every extra afresh and fail if one pulls in torchvision: some minutes
	for extra in $(EXTRAS); do \
		$(PIP) install --quiet --dry-run --ignore-installed --report $(VENV)/extra.json \
			".[$$extra]" && ! grep -q '"name": "torchvision"' $(VENV)/extra.json \
			|| { echo "extra $$extra: not resolved, or pulls in torchvision"; exit 1; }; \
	done

clean: ## remove what was built, downloaded environment included; data/ and runs/ stay
	rm -rf $(VENV) build dist site .hypothesis .import_linter_cache .pytest_cache .ruff_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
