# The commands of this house. `make serve` and `make test` do all set-up themselves, on a machine with Python 3.11+ and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ROOMS := base store aws auth registry server config
# what runs a second time with servers that keep what they keep in PostgreSQL and S3
SHARED := tests/wire

.PHONY: help serve test check bench bundle lock clean

help:
	@echo "make serve   all set-up, then the server on 127.0.0.1:5000, data in ./var (ARGS= for options of longshore serve)"
	@echo "make test    all set-up, then every check and test (PYTEST= for options of pytest)"
	@echo "make check   format, lint, types, import arrows"
	@echo "make bundle  what a machine without a network installs from, in ./dist; see docs/operate.md"
	@echo "make bench   the measured comparison with other registries; see bench/README.md"

serve: $(VENV)/.serve
	@exec $(BIN)/longshore serve $(ARGS)

test: check
	$(BIN)/python -m pytest $(PYTEST)
	$(if $(PYTEST),,$(BIN)/python -m pytest --backing postgres+s3 $(SHARED))

check: $(VENV)/.test
	$(BIN)/ruff format --check $(ROOMS) tests bench bundle plugins
	$(BIN)/ruff check $(ROOMS) tests bench bundle plugins
	$(BIN)/mypy
	$(BIN)/mypy plugins/pytest-longshore/src/pytest_longshore
	$(BIN)/lint-imports

bench: $(VENV)/.test
	$(BIN)/python -m bench $(ARGS)

bundle: $(VENV)/.serve
	@bundle/build $(BIN)/python dist

# the lock files, from what pyproject.toml asks for
lock: $(VENV)/.test
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --generate-hashes --strip-extras --no-header --no-emit-index-url --no-emit-find-links \
		--no-emit-trusted-host --allow-unsafe --output-file requirements.lock pyproject.toml
	$(BIN)/pip-compile --quiet --generate-hashes --strip-extras --no-header --no-emit-index-url --no-emit-find-links \
		--no-emit-trusted-host --allow-unsafe --extra dev --output-file requirements-dev.lock pyproject.toml

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or later is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.12 ..." >&2; \
		exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments: on Debian and Ubuntu install the package python3-venv (apt-get install python3-venv)" >&2; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.serve: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.test: requirements-dev.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@
