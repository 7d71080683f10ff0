# Every target sets up what it needs; `make` alone lists them.
PYTHON ?= python3
# Passed to pip as it is: choose another torch build, an index, a proxy.
PIP_ARGS ?=
# Processes that share the tests.
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
# The tools that want Node. Versions are pinned: another release formats differently.
TSC := npx --yes --package typescript@5.9.3 tsc
PRETTIER := npx --yes prettier@3.6.2
FRONTEND := 'frontend/**/*.{js,css}'
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help setup lab test test-portable check bench format clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | awk -F ':.*?## ' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## make .venv and install the lab into it (PIP_ARGS="…" goes to pip)

$(VENV)/.ready: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the lab into $(VENV) (the first time this takes some minutes) …"
	@$(BIN)/python -m pip install -qq $(PIP_ARGS) --editable '.[dev]'
	@touch $@

lab: $(VENV)/.ready ## set up and serve the lab; GRADLAB_* variables are passed on
	@exec $(BIN)/gradlab serve

test: $(VENV)/.ready chromium ## set up and run the whole test suite
	@$(BIN)/python -m pytest -n $(JOBS) --no-loadscope-reorder $(ARGS)

# Other instruction sets and numbers of threads sum in another order: no test may depend on it.
# Threads that wait must sleep: where they outnumber the processors, spinning ones take ten times as long.
PORTABLE := default:1 avx2:2 default:4
test-portable: $(VENV)/.ready chromium ## every test, on other CPU capabilities and threads (nightly)
	@for each in $(PORTABLE); do \
	   echo "ATEN_CPU_CAPABILITY=$${each%:*} OMP_NUM_THREADS=$${each#*:}"; \
	   OMP_WAIT_POLICY=PASSIVE ATEN_CPU_CAPABILITY=$${each%:*} OMP_NUM_THREADS=$${each#*:} \
	     $(BIN)/python -m pytest -n $(JOBS) --no-loadscope-reorder -m "" $(ARGS) || exit 1; \
	 done

# The browser of the browser tests: the system's, else Debian's package, else playwright's own build.
.PHONY: chromium
chromium: $(VENV)/.ready
	@$(BIN)/python -m tests.browser.chromium

check: $(VENV)/.ready ## lint, formatting and types (for JavaScript, Node is needed)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/pyright
	@if command -v npx >/dev/null; then $(TSC) --project jsconfig.json && $(PRETTIER) --check $(FRONTEND); \
	 else echo "Node is not installed: JavaScript types and formatting were not checked"; fi

bench: $(VENV)/.ready chromium ## measure the budgets, each as a ratio to a peer or a limit
	@$(BIN)/python -m benchmarks $(ARGS)

format: $(VENV)/.ready ## format Python and JavaScript, and sort imports
	@$(BIN)/ruff check --fix-only . && $(BIN)/ruff format .
	@if command -v npx >/dev/null; then $(PRETTIER) --log-level warn --write $(FRONTEND); \
	 else echo "Node is not installed: JavaScript was not formatted"; fi

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache *.egg-info
