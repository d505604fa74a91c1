"""Parameters of tests that `make test` runs, and of tests that only `make test-slow` runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import pytest

_T = TypeVar("_T")


def seeds(count: int) -> list[object]:
    """Return seeds: the first for every run, the others for the slow tests."""
    return slow_unless(lambda seed: seed == 0, range(count))


def slow_unless(quick: Callable[[_T], bool], values: Iterable[_T]) -> list[object]:
    """Return parameters of a test; those that are not quick are left to the slow tests."""
    return [value if quick(value) else pytest.param(value, marks=pytest.mark.slow) for value in values]
