# `make serve` and `make test` need Python 3.11 or newer and nothing else; each sets up a virtual environment first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: serve test lint clients pins clean

serve: .venv/runtime
	$(BIN)/mockveo serve

test: .venv/dev
	$(BIN)/python -m pytest -n auto

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/openapi-spec-validator openapi.yaml
	$(BIN)/python scripts/docs.py --check

clients: .venv/dev
	$(BIN)/python scripts/install_clients.py

# Writes the pinned, hashed requirement files anew.
pins: .venv/dev
	$(BIN)/python scripts/pin.py

clean:
	rm -rf .venv .clients

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/runtime: .venv/bin/python requirements/runtime.txt pyproject.toml
	$(BIN)/pip install --quiet --require-hashes -r requirements/runtime.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.venv/dev: .venv/bin/python requirements/dev.txt pyproject.toml
	$(BIN)/pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@ .venv/runtime
