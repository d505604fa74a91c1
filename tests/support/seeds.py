"""Seeds of tests that are repeated with several: the first is always run, the others by `make test-slow`."""

from __future__ import annotations

import pytest


def seeds(count: int) -> list[object]:
    return [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, count))]
