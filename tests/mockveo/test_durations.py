from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockveo.durations import UNITS, seconds
from mockveo.errors import SettingsError


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        *[(0, 0.0), (90, 90.0), (1.5, 1.5), ("90", 90.0), ("1.5", 1.5), (" 30 ", 30.0)],
        *[("30s", 30.0), ("250ms", 0.25), ("9ms", 0.009), ("2m", 120.0), ("1.5h", 5400.0), ("1d", 86400.0)],
        *[("1m30s", 90.0), ("1m 30s", 90.0), ("1 h 5 m", 3900.0), ("1d2h3m4s5ms", 93784.005), ("0s", 0.0)],
    ],
)
def test_seconds_of_a_duration(duration: float | str, expected: float) -> None:
    assert seconds(duration) == expected
    assert isinstance(seconds(duration), float)


@pytest.mark.parametrize(
    "duration",
    [
        *[
            "",
            " ",
            "s",
            "-1",
            "-1s",
            "+1",
            "1x",
            "1 parsec",
            "30s1m",
            "1s1s",
            "1m30",
            "1S",
            "1e3",
            "1.s",
            ".5s",
            "1,5s",
        ],
        *["inf", "nan", "9" * 400, "٣s", "1s\n2ms x", -1, -0.5, float("inf"), float("nan"), True, None, [1], b"1s"],
    ],
)
def test_invalid_duration_is_refused_with_examples(duration: Any) -> None:
    with pytest.raises(SettingsError) as raised:
        seconds(duration)
    assert str(raised.value) == (
        f"{duration!r} is not a duration; expected seconds, or numbers with the units d, h, m, s, ms in this order,"
        " e.g. 90, 1m30s or 250ms"
    )


@given(st.tuples(*[st.integers(0, 10_000) for _ in UNITS]))
def test_parts_of_a_duration_add_up(numbers: tuple[int, ...]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in zip(numbers, UNITS, strict=True))
    milliseconds = sum(number * round(unit * 1000) for number, unit in zip(numbers, UNITS.values(), strict=True))
    assert seconds(text) == milliseconds / 1000


@given(st.text("0123456789.dhms -"))
def test_any_text_is_a_duration_or_an_error(text: str) -> None:
    with contextlib.suppress(SettingsError):
        assert seconds(text) >= 0
