# make demo    a farm on this machine: a master, two slaves, a real job; Ctrl-C ends it   (ONCE=1: ends after the job)
# make demo-packages   packages of Debian and RPM, from sources to signed repositories; ONCE=1: ends after the table
# make test    everything that tests need is installed into .venv, and all tests run: a quarter of an hour on two cores
# make coverage   the same, and which lines no test reached
# make full    coverage, torture and hostile: takes half an hour
# make check   lint, format, types, layers
# make torture SEED=... MINUTES=... CUTS=...   random accidents, and that often a cut line, to a farm on this machine
# make hostile     hostile connections to a master here: its memory, builds meanwhile, a million hostile inputs
# make screenshots   every page of a made-up farm as a picture, in .screenshots/
# make bench   this farm and Buildbot 4.3 in turn, on this machine; takes a while
#
# PYTHON=... chooses another Python than the first of these that is new enough.

PYTHON ?= $(shell for each in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done)
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --config-settings editable_mode=compat

.PHONY: demo demo-packages test coverage full check torture hostile bench screenshots format clean

demo: $(VENV)/.with-test
	@exec $(BIN)/python docs/demo/demo.py

demo-packages: $(VENV)/.with-test
	@exec $(BIN)/python docs/demo/packages/demo.py

# OPTIONS are pytest's.
test: $(VENV)/.with-test
	@echo "all tests: about a quarter of an hour on two cores; for some of them, OPTIONS='-k WORD'"
	@$(BIN)/python -m pytest -n auto $(OPTIONS) test

coverage: $(VENV)/.with-test
	@$(BIN)/python -m pytest -n auto --cov --cov-report=term:skip-covered $(OPTIONS) test

check: $(VENV)/.with-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.with-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

full: coverage torture hostile

SEED ?= 1
MINUTES ?= 5
CUTS ?= 1000
torture: $(VENV)/.with-test
	@$(BIN)/python -m test.torture --seed $(SEED) --minutes $(MINUTES) --cuts $(CUTS)
	@$(BIN)/python -m test.torture.package_campaign --seed $(SEED) --minutes $(MINUTES)
	@$(BIN)/python -m test.torture.signing_kills --seed $(SEED)

hostile: $(VENV)/.with-test
	@$(BIN)/python -m test.hostile

bench: $(VENV)/.with-test
	@exec $(BIN)/python bench/run.py

screenshots: $(VENV)/.with-test
	@exec $(BIN)/python -m test.browser.screenshots

clean:
	rm -rf $(VENV) .screenshots .demo .demo-packages build dist *.egg-info

# One marker for each set of packages; setup.cfg says what they are.  The set dev contains the set test.
$(VENV)/.with-%: setup.cfg pyproject.toml | $(BIN)/pip
	@echo "installing buildbot-lite[$*] into $(VENV), which takes one to three minutes"
	@$(INSTALL) -e '.[$*]' >$(VENV)/install.log 2>&1 || { cat $(VENV)/install.log >&2; exit 1; }
	@touch $@ $(if $(filter dev,$*),$(VENV)/.with-test)

# pip and not python is what to look for: Debian without python3-venv leaves half an environment behind.
$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; say where it is: make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "On Debian: apt install python3-venv" >&2; exit 1; }
