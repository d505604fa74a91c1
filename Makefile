# All that `make serve` and `make test` need is Python 3.11 or newer; each sets up a virtual environment first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: serve test test-slow lint clients pins clean

serve: .venv/runtime
	$(BIN)/mockveo serve

# Two workers more than cores, since tests wait a third of their time for sockets, e.g. for an answer that is slow on
# purpose. They share the cached bytecode of tests, whatever the environment says.
WORKERS ?= $(shell $(PYTHON) -c "import os; print((os.cpu_count() or 1) + 2)")
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(WORKERS)

test: .venv/dev
	$(PYTEST) -m "not slow"

# The slowest tests: more seeds, every SDK, one process a case, and generated cases for the whole zoo.
test-slow: .venv/dev
	$(PYTEST) -m slow

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/openapi-spec-validator openapi.yaml
	$(BIN)/python scripts/docs.py --check

clients: .venv/dev
	$(BIN)/python scripts/install_clients.py

# Update the pinned, hashed requirement files.
pins: .venv/dev
	$(BIN)/python scripts/pin.py

clean:
	rm -rf .venv .clients

# Said before anything is made, in words that Python 2 understands too; half an environment would break the next try.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("$(PYTHON) is Python %d.%d; expected 3.11 or newer, e.g. make PYTHON=python3.12" % (v[0], v[1]))'
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.venv/runtime: .venv/bin/python requirements/runtime.txt pyproject.toml
	$(BIN)/pip install --quiet --require-hashes -r requirements/runtime.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.venv/dev: .venv/bin/python requirements/dev.txt pyproject.toml
	$(BIN)/pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@ .venv/runtime
