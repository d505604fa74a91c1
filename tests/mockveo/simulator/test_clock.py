import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockveo.errors import SettingsError
from mockveo.settings import CLOCK_MODES
from mockveo.simulator.clock import STILL_DATE_S, Clock


class Ticks:
    """Our own seconds, turned by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_wall_time_runs_at_the_speed_and_dates_at_ours() -> None:
    ticks = Ticks()
    clock = Clock(speed=10, date=1000, tick=ticks)
    ticks.seconds += 3
    assert clock.now() == 30
    assert clock.date() == 1003


@pytest.mark.parametrize("mode", ["manual", "poll"])
def test_a_clock_that_stands_still_moves_only_when_advanced(mode: str) -> None:
    ticks = Ticks()
    clock = Clock(mode, tick=ticks)
    ticks.seconds += 1000
    assert (clock.now(), clock.date()) == (0, STILL_DATE_S)
    clock.advance(90)
    assert (clock.now(), clock.date()) == (90, STILL_DATE_S + 90)


@pytest.mark.parametrize(("name", "value"), [("speed", 5e-324), ("speed", 1e10), ("step", math.inf), ("mode", "sun")])
def test_clock_refuses_a_value_out_of_bounds_and_keeps_its_own(name: str, value: Any) -> None:
    clock = Clock()
    before = getattr(clock, name)
    with pytest.raises(SettingsError, match=f"{name} is {value!r}; expected"):
        setattr(clock, name, value)
    assert getattr(clock, name) == before


@pytest.mark.parametrize("seconds", [-1, 1e10, math.nan])
def test_clock_refuses_to_advance_out_of_bounds(seconds: float) -> None:
    clock = Clock("manual")
    with pytest.raises(SettingsError, match=r"seconds is .*; expected 0 to 1e\+09, e.g. seconds 10"):
        clock.advance(seconds)
    assert clock.now() == 0


def test_a_poll_is_a_step_of_the_poll_clock_and_of_no_other() -> None:
    moved = {}
    for mode in CLOCK_MODES:
        clock = Clock(mode, step=7, tick=lambda: 0.0)
        clock.poll()
        moved[mode] = clock.now()
    assert moved == {"wall": 0, "manual": 0, "poll": 7}


def test_a_change_of_speed_keeps_the_time_that_has_passed() -> None:
    ticks = Ticks()
    clock = Clock(speed=10, date=0, tick=ticks)
    ticks.seconds += 2
    clock.speed = 1
    assert clock.now() == 20
    ticks.seconds += 2
    assert clock.now() == 22
    clock.mode = "manual"
    ticks.seconds += 2
    assert (clock.now(), clock.date()) == (22, 4)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("tick"), st.floats(0, 1e4)),
        st.tuples(st.just("advance"), st.floats(0, 1e4)),
        st.tuples(st.just("speed"), st.sampled_from([0.5, 1.0, 10.0, 1000.0])),
        st.tuples(st.just("mode"), st.sampled_from(CLOCK_MODES)),
        st.tuples(st.just("poll"), st.none()),
    )
)


@given(steps)
def test_clock_never_goes_back(steps: list[tuple[str, Any]]) -> None:
    ticks = Ticks()
    clock = Clock(date=0, tick=ticks)
    for action, value in steps:
        before = clock.now(), clock.date()
        if action == "tick":
            ticks.seconds += value
        elif action == "advance":
            clock.advance(value)
        elif action == "poll":
            clock.poll()
        else:
            setattr(clock, action, value)
        assert clock.now() >= before[0] - 1e-6
        assert clock.date() >= before[1] - 1e-6
