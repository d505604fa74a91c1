"""Where things are, for tests: the repository, its tests, their data and their clients."""

from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
ROOT = TESTS.parent
DATA = TESTS / "data"
CLIENTS = TESTS / "clients"
MUTANTS = TESTS / "mutants"
