# The commands of the README. `make test` is everything CI runs; `make demo` shows the bridge at work.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
MOSQUITTO = $(shell PATH="$$PATH:/usr/sbin:/usr/local/sbin" command -v mosquitto)
SOURCES = bridge tests benchmarks

.PHONY: demo test lint types unit bench docs clean

# $(call environment,EXTRAS): the virtual environment with the project in it; EXTRAS is a name such as $(ALL), since a
# comma would end the argument. Debian splits venv off: fetch it if we may.
ALL = [demo,dev]

define environment
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, this is $$($(PYTHON) --version); try make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { [ "$$(id -u)" = 0 ] && $(call install,python3-venv); } || \
	  { echo "Python's venv is missing: install it (Debian: apt install python3-venv) and run make again"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.$(1)'
	@touch $@
endef
install = { apt-get update -qq && apt-get install -y -qq $(1); } >/dev/null

$(BIN)/.dev: setup.cfg pyproject.toml
	$(call environment,$(ALL))

# The embedded broker is only fetched where there is no mosquitto.
$(BIN)/.demo: setup.cfg pyproject.toml
	$(call environment,$(if $(MOSQUITTO),,[demo]))

demo: $(BIN)/.demo
	$(BIN)/victron-bridge demo

test: lint types unit

lint: $(BIN)/.dev
	$(BIN)/black --quiet --check --line-length 120 $(SOURCES)
	$(BIN)/ruff check --quiet $(SOURCES)

types: $(BIN)/.dev
	$(BIN)/mypy

unit: $(BIN)/.dev
	@[ -n "$(MOSQUITTO)" ] || { [ "$$(id -u)" = 0 ] && $(call install,mosquitto); } || \
	  { echo "the tests need mosquitto: install it (Debian: apt install mosquitto) and run make again"; exit 2; }
	$(BIN)/python -m pytest

bench: $(BIN)/.dev
	$(BIN)/python benchmarks/bridge.py

docs: $(BIN)/.dev
	$(BIN)/python -m bridge.files.rules_page > docs/rules-catalogue.md

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
