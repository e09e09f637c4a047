# The commands of the README. `make test` is everything CI runs; `make demo` shows the bridge at work.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test lint types unit bench clean

$(BIN)/.dev: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[demo,dev]'
	touch $@

$(BIN)/.demo: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[demo]'
	touch $@

demo: $(BIN)/.demo
	$(BIN)/victron-bridge demo

test: lint types unit

lint: $(BIN)/.dev
	$(BIN)/black --quiet --check --line-length 120 bridge tests benchmarks
	$(BIN)/ruff check bridge tests benchmarks

types: $(BIN)/.dev
	$(BIN)/mypy

unit: $(BIN)/.dev
	@command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq mosquitto; } || \
	  { echo "mosquitto is needed for the tests: install it (Debian: apt install mosquitto) and run make test again"; exit 2; }
	$(BIN)/python -m pytest

bench: $(BIN)/.dev
	$(BIN)/python benchmarks/bridge.py

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
