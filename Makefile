# make demo   the main job, end to end, in front of your eyes
# make test   every test; needs nothing but Python 3.11 or newer, and Debian's packages if a tool is not on PATH

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
QUICK := $(addprefix tests/,unit contract rules project integration browser campaigns)

.DEFAULT_GOAL := help
SEEDS ?= 1 2 3 4
.PHONY: help demo test campaign first-hour bench bench-detection coverage mutants lock clean screenshots

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 22

demo: $(BIN)/.ready .tools/.ready ## a bad version, noticed and rolled back (SCENARIO=name, BREAK=name, REAL=1)
	@$(BIN)/python -m demo $(if $(SCENARIO),--scenario $(SCENARIO)) $(if $(BREAK),--break $(BREAK)) $(if $(REAL),--real)

test: $(BIN)/.ready .tools/.ready .tools/.browser ## all tests (ARGS="-k word" for some of them)
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	$(BIN)/python -m pytest --numprocesses=auto --dist=loadfile $(QUICK)
	$(BIN)/python -m pytest --numprocesses=5 --dist=loadgroup tests/acceptance
endif

campaign: $(BIN)/.ready .tools/.ready ## the campaigns at full size, one line of figures each (ARGS="-k word" for some of them)
	$(BIN)/python -m pytest tests/campaigns --full $(ARGS)

# Nothing is shared with this checkout but the commit: packages and tools are fetched anew.
first-hour: $(BIN)/.ready .tools/.ready ## the commands of README and docs/install.md in an empty directory, in real time (ports as shipped)
	FIRST_HOUR=real $(BIN)/python -m pytest --capture=no tests/acceptance/test_first_hour.py

bench: $(BIN)/.ready .tools/.ready ## what the programs cost and how fast they are, beside what one would take instead (ARGS="--only intake")
	$(BIN)/python -m bench $(ARGS)

bench-detection: $(BIN)/.ready ## how often the rules are wrong, and how late right (SEEDS="1 2", ARGS="--quick"); 1 if a goal is missed
	$(BIN)/python -m bench.detection --seed $(SEEDS) $(ARGS)

# The second limit is for what decides, and for what keeps the records.
coverage: $(BIN)/.ready .tools/.ready .tools/.browser ## branch coverage of the quick tests (all but acceptance), with its limits
	$(BIN)/python -m pytest --numprocesses=auto --dist=loadfile --cov --cov-report= $(QUICK)
	$(BIN)/coverage report --fail-under=95
	$(BIN)/coverage report --fail-under=100 --include='receiver/policy.py,receiver/payload.py,receiver/target.py,receiver/store/**'

mutants: $(BIN)/.ready .tools/.ready ## mutation testing of what decides; survivors have their reason in tests/mutants.toml
	$(BIN)/python dev/mutants.py

lock: ## write requirements.lock anew from pyproject.toml
	$(PYTHON) -m venv .lock-venv
	.lock-venv/bin/pip install --quiet uv
	.lock-venv/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
		--all-extras --group dev pyproject.toml --output-file requirements.lock
	rm -rf .lock-venv

clean: ## remove everything that make has set up
	rm -rf $(VENV) .tools .demo dist mutants .coverage

# The lock has every package with its hashes, so nothing is resolved: pip forgets a pin where a package is wanted with an
# extra (coverage[toml]), and then takes a newer release, without a hash. The project itself is linked, so that its commands exist.
$(BIN)/.ready: requirements.lock pyproject.toml
	@echo "setting up $(VENV) (a minute, once)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; PYTHON=python3.12 make ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed: on Debian and Ubuntu install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m pip --disable-pip-version-check check
	@touch $@

.tools/.ready: dev/install-tools dev/grafana-schema/package-lock.json
	@dev/install-tools
	@touch $@

# Only the tests of the console need it: without it they fail and say the cure, and all others run.
.tools/.browser: dev/install-tools
	@if dev/install-tools browser; then touch $@; fi

screenshots: $(BIN)/.ready .tools/.browser ## docs/console/*.png anew, from a console with something going on
	@$(BIN)/python -m pytest tests/browser/test_screenshots.py --screenshots
