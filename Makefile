# Needs Python 3.11 or later, and make. Everything else is fetched into .venv by `make venv`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help venv demo test chaos fuzz lint types schemas dashboards secrets clean

help: ## Say what can be made.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(VENV)/.dev ## Install everything into .venv, the development tools too.

demo: $(VENV)/.demo ## Watch a served model turn unfair, and the monitor undo it.
	@$(BIN)/monitor demo

test: $(VENV)/.dev ## Run all tests, on real Kafka and MLflow, in two processes.
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

chaos: $(VENV)/.dev ## Kill, freeze and cut off everything, for half an hour, and count what is lost.
	@$(BIN)/python -m tests.chaos

fuzz: $(VENV)/.fuzz ## Throw bytes at the decoders, for two minutes, led by what they cover.
	@$(BIN)/python -m tests.fuzz

lint: $(VENV)/.dev ## Check style, format and the layering of the rooms.
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports

types: $(VENV)/.dev ## Check the types.
	@$(BIN)/mypy

schemas: $(VENV)/.dev ## Write schemas/ anew from the types.
	@$(BIN)/python -m monitor.schemas schemas

dashboards: $(VENV)/.dev ## Write grafana/ anew: dashboards and alert rules.
	@$(BIN)/python -m grafana

secrets: ## Draw the secrets that docker-compose.yml wants, where there are none yet.
	@mkdir -p -m 700 secrets
	@for name in influx_password influx_token postgres_password grafana_password jwt_secret; do \
	  test -e secrets/$$name || $(PYTHON) -c 'import secrets; print(secrets.token_urlsafe(32), end="")' > secrets/$$name; done
	@test -e secrets/master_key || \
	  $(PYTHON) -c 'import base64, os; print(base64.b64encode(os.urandom(32)).decode(), end="")' > secrets/master_key
	@touch secrets/slack_webhook secrets/pagerduty_key  # empty: nobody is told that way

clean: ## Remove .venv and everything that was built.
	rm -rf $(VENV) build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is missing, or older than 3.11. Name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot make a virtual environment. On Debian: apt install python3-venv" >&2; exit 1; }

# uv is three times as fast as pip; where it cannot reach a package that pip can, pip does it.
define install
$(BIN)/python -m pip install --quiet --disable-pip-version-check uv \
  && $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --editable $(1) \
  || $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable $(1)
endef

# Each stamp says that the extras of this pyproject.toml are in.
$(VENV)/.demo: EXTRAS := worker,serve,demo,log,web
$(VENV)/.dev: EXTRAS := worker,serve,demo,dev
$(VENV)/.fuzz: EXTRAS := worker,serve,demo,dev,fuzz
$(VENV)/.demo $(VENV)/.dev $(VENV)/.fuzz: pyproject.toml | $(BIN)/python
	@echo "Installing [$(EXTRAS)] into $(VENV); the first time it takes a minute or two ..."
	@$(call install,'.[$(EXTRAS)]')
	@echo "Compiling the loops that count ..."
	@$(BIN)/python -m monitor.kernels
	@touch $@
