"""Requirement sets: what a month asks for."""

from __future__ import annotations

import pytest

from mockveo.errors import RuleError
from mockveo.rules.requirements import FIRST, month, months, newer


def test_first_set_exists_and_is_the_oldest() -> None:
    assert months()[0] == FIRST
    assert month(FIRST) == FIRST


def test_unknown_month_is_refused_with_those_that_exist() -> None:
    with pytest.raises(
        RuleError, match=r"no requirements of '2026-1'; did you mean '2026-11'\?.* e\.g\. --requirements 20"
    ):
        month("2026-1")


@pytest.mark.parametrize(
    ("since", "requirements", "expected"),
    [
        ("2027-01", "2026-11", "2027-01"),
        ("2026-12", "2026-11", "2026-12"),
        ("2026-11", "2026-11", ""),
        ("2026-11", "2027-01", ""),
        ("2099-12", "", ""),
    ],
)
def test_newer_is_what_came_after_the_requirements(since: str, requirements: str, expected: str) -> None:
    assert newer(since, requirements) == expected
