# Every target but clean first makes sure that .venv holds the pinned packages and the project itself.
# PYTHON=/path/to/python chooses the interpreter; PYTEST_ARGS, BENCH_ARGS and LOCK_ARGS are passed on.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
COMPILE = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet
AS_PINNED = --fork-strategy fewest --constraint requirements.txt
EXTRA = $(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["$(1)"], sep="\n")'
PYTHONS = $(or $(PYTHON),python3.13 python3.12 python3.11 python3)
# Spark, 400 MB, is tested where there is Java to run it.
SPARK = $(if $(shell which java 2>/dev/null),$(VENV)/.spark)
# Schedulers that run the examples, each in an environment of its own: their pins clash with ours.
AIRFLOW := apache-airflow>=3,<4
DAGSTER := dagster>=1.13,<2
BENCHMARKS = $(filter-out benchmarks/_%.py,$(sort $(wildcard benchmarks/*.py)))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-fast bench docs lint lock clean

help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(VENV)/.installed ## Install the pinned packages and healthscore into .venv

demo: setup ## Simulate a company, train, score and report in demo/
	$(BIN)/healthscore demo --folder demo --registry mlruns

# Tests start many processes: they share what is compiled once.
test: lint $(SPARK) ## Lint, then run every test and doctest
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder \
		--durations=25 $(PYTEST_ARGS)

# A contributor's loop: no servers, browsers or walks through the manual.
test-fast: setup ## Run the tests that take a moment, without lint
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder \
		-m "not lasting and not slow and not spark and not postgres and not mysql and not browser and not manual" $(PYTEST_ARGS)

bench: setup $(VENV)/.bench ## Run every benchmark
	@set -e; for benchmark in $(BENCHMARKS); do \
		echo "$$benchmark"; $(BIN)/python $$benchmark $(BENCH_ARGS); \
	done

# What docstrings say of modules that are gone must not stay.
docs: setup ## Build the manual in build/docs; a warning is an error
	rm -rf build/docs docs/reference/api
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs build/docs
	@echo "Open build/docs/index.html"

lint: setup ## Check style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Pins stay as they are unless pyproject.toml forbids them; LOCK_ARGS=--upgrade renews them all.
lock: setup ## Pin what pyproject.toml asks for in requirements*.txt
	$(PIP) install uv
	$(COMPILE) pyproject.toml --extra dev --fork-strategy fewest --output-file requirements.txt $(LOCK_ARGS)
	echo hatchling | $(COMPILE) pyproject.toml - --extra postgres --extra oidc $(AS_PINNED) --output-file requirements-image.txt $(LOCK_ARGS)
	echo hatchling | $(COMPILE) pyproject.toml - --extra postgres --extra server $(AS_PINNED) --output-file requirements-server.txt $(LOCK_ARGS)
	$(call EXTRA,spark) | $(COMPILE) - --output-file requirements-spark.txt $(LOCK_ARGS)
	$(call EXTRA,bench) | $(COMPILE) - --constraint requirements.txt --output-file requirements-bench.txt $(LOCK_ARGS)
	echo '$(AIRFLOW)' | $(COMPILE) - --output-file requirements-airflow.txt $(LOCK_ARGS)
	echo '$(DAGSTER)' | $(COMPILE) - --output-file requirements-dagster.txt $(LOCK_ARGS)

clean: ## Remove .venv, demo/, caches and build products
	rm -rf $(VENV) demo build dist docs/reference/api .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find features models pipelines tests benchmarks notebooks docs container -name __pycache__ -prune -exec rm -rf {} +

# The stamp comes last: an interrupted installation is taken up again by the next make.
$(VENV)/.installed: requirements.txt pyproject.toml
	@python=$$(for candidate in $(PYTHONS); do \
		"$$candidate" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
			&& echo "$$candidate" && break; \
	done); \
	if [ -z "$$python" ]; then \
		echo "Healthscore needs Python 3.11 or newer with its venv module, and tried without success: $(PYTHONS); install it or name it, as in 'make setup PYTHON=/usr/bin/python3.12'." >&2; \
		exit 1; \
	fi; \
	echo "Installing into $(VENV) with $$python (some minutes the first time)"; \
	"$$python" -m venv $(VENV)
	$(PIP) install --require-hashes --requirement requirements.txt
	$(PIP) install --no-index --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.spark: $(VENV)/.installed requirements-spark.txt
	$(PIP) install --require-hashes --no-deps --no-build-isolation --requirement requirements-spark.txt
	@touch $@

# Packages that requirements.txt pins too have the same pin here.
$(VENV)/.bench: $(VENV)/.installed requirements-bench.txt
	$(PIP) install --require-hashes --no-deps --requirement requirements-bench.txt
	@touch $@
