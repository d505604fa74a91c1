from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mockveo.jobs import Job, luck, plan, view
from mockveo.scenarios import BUILT_IN, Phase, Scenario, named

D1 = ("queued", "in_progress", "completed")


def job(scenario: Scenario, job_id: str = "task_x", lifecycle: tuple[str, ...] = D1, pace: float = 1.0) -> Job:
    return Job(job_id, "sk", "veo_3_1", "p", {}, (), 10.0, 1000, pace, plan(scenario, lifecycle, "failed"))


phases = st.builds(
    lambda shortest, extra, start, span: Phase(shortest, shortest + extra, start, start + span),
    st.floats(0, 1e3),
    st.floats(0, 1e3),
    st.integers(0, 40),
    st.integers(1, 60),
)
ids = st.text("abcXYZ019", min_size=1, max_size=8)


@given(st.sampled_from(sorted(BUILT_IN)), ids, st.lists(st.floats(0, 4000), max_size=20), st.floats(0.1, 1000))
def test_every_job_unfolds_as_the_contract_says(name: str, job_id: str, times: list[float], pace: float) -> None:
    made = job(named(name), job_id, pace=pace)
    seen = [view(made, made.created + time) for time in sorted(times)]
    order = [*D1[:-1], made.plan.final]
    for one in seen:
        assert one.status in order
        assert isinstance(one.progress, int)
        assert (one.progress == 100) == (one.status == "completed")
        assert one.progress == 0 or one.status != "queued"
        assert (one.error is not None) == (one.status == "failed")
        assert (one.ended_at is None) == (one.status not in ("completed", "failed"))
    for before, after in pairwise(seen):
        assert order.index(before.status) <= order.index(after.status)
        assert before.progress <= after.progress
    assert len({one.ended_at for one in seen} - {None}) <= 1


@given(st.lists(phases, min_size=1, max_size=4), ids, st.integers(1, 5))
def test_a_scenario_fits_a_lifecycle_of_any_length(parts: list[Phase], job_id: str, waiting: int) -> None:
    lifecycle = (*[f"s{number}" for number in range(waiting)], "done")
    made = job(Scenario("x", "x", tuple(parts)), job_id, lifecycle)
    assert {stage.status for stage in made.plan.stages} == set(lifecycle[:-1][: max(len(parts), waiting)]) & {
        stage.status for stage in made.plan.stages
    }
    assert [stage.status for stage in made.plan.stages] == sorted(
        (stage.status for stage in made.plan.stages), key=lifecycle.index
    )
    if len(parts) <= waiting:
        assert [stage.status for stage in made.plan.stages] == list(lifecycle[:-1])
    shortest = sum(part.shortest for part in parts)
    longest = sum(part.longest for part in parts)
    assume(longest > 0)
    assert view(made, made.created + longest * 1.001 + 1e-6).status == "done"
    if shortest > 0.001:
        assert view(made, made.created + shortest * 0.999 - 1e-6).status != "done"


def test_the_default_pace_is_the_real_one() -> None:
    made = job(named("normal"))
    assert view(made, made.created + 4.9).status == "queued"
    assert view(made, made.created + 15.1).status == "in_progress"
    assert view(made, made.created + 64.9).status == "in_progress"
    assert view(made, made.created + 195.1).status == "completed"


def test_a_late_first_reader_sees_the_end_at_once_and_when_it_was() -> None:
    made = job(named("normal"))
    early, late = view(made, made.created + 200), view(made, made.created + 1e9)
    assert early == late
    assert early.ended_at is not None
    assert 65 <= early.ended_at - made.created_at <= 195


def test_the_date_of_the_end_follows_the_pace() -> None:
    slow, fast = job(named("normal")), job(named("normal"), pace=10)
    slow_end, fast_end = view(slow, 1e9).ended_at, view(fast, 1e9).ended_at
    assert slow_end is not None
    assert fast_end is not None
    assert (fast_end - 1000) == pytest.approx((slow_end - 1000) / 10, abs=1)


def test_a_failed_job_says_why_and_its_progress_stays_below_100() -> None:
    end = view(job(named("fails")), 1e9)
    assert (end.status, end.progress) == ("failed", 60)
    assert end.error == {"code": "generation_failed", "message": "The video could not be generated."}


def test_a_clock_set_back_shows_the_beginning_not_an_error() -> None:
    assert view(job(named("normal")), 0.0).status == "queued"


@given(ids)
def test_luck_is_a_share_and_depends_on_the_id_alone(job_id: str) -> None:
    assert 0 <= luck(job_id) < 1
    assert luck(job_id) == luck(job_id)


def test_jobs_differ_in_how_long_they_take() -> None:
    ends = {view(job(named("normal"), f"task_{number}"), 1e9).ended_at for number in range(50)}
    assert len(ends) > 30
