from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mockveo.simulator.jobs import Job, duration_fraction, end, ended, plan, timeline, view
from mockveo.simulator.scenarios import Scenario, built_in, named, scenario

D1 = ("queued", "in_progress", "completed")


def job(scenario: Scenario, job_id: str = "task_x", lifecycle: tuple[str, ...] = D1, pace: float = 1.0) -> Job:
    made = plan(scenario, lifecycle, "failed")
    return Job(job_id, "sk", "veo3-fast", "veo_3_1", "p", {}, (), 0, 10.0, 1000, pace, made, None)


#: Built-in scenarios whose jobs have the document's own statuses.
KEEP_THE_CONTRACT = sorted(
    scenario.name for scenario in built_in() if not any(phase.status for phase in scenario.phases)
)
phases = st.builds(
    lambda shortest, extra, start, span: {
        "duration": [shortest, shortest + extra],
        "progress": {"from": start, "to": start + span},
    },
    st.floats(0, 1e3),
    st.floats(0, 1e3),
    st.integers(0, 40),
    st.integers(0, 59),
)
ids = st.text("abcXYZ019", min_size=1, max_size=8)


@given(st.sampled_from(KEEP_THE_CONTRACT), ids, st.lists(st.floats(0, 4000), max_size=20), st.floats(0.1, 1000))
def test_every_job_unfolds_as_the_contract_says(name: str, job_id: str, times: list[float], pace: float) -> None:
    made = job(named(name), job_id, pace=pace)
    views = [view(made, made.created + time) for time in sorted(times)]
    order = [*D1[:-1], made.plan.final]
    for shown in views:
        assert shown.status in order
        assert isinstance(shown.progress, int)
        assert (shown.progress == 100) == (shown.status == "completed")
        assert shown.progress == 0 or shown.status != "queued"
        assert shown.error is None or shown.status == "failed"
        assert (shown.ended_at is None) == (shown.status not in ("completed", "failed"))
    for before, after in pairwise(views):
        assert order.index(before.status) <= order.index(after.status)
        assert before.progress <= after.progress
    assert len({shown.ended_at for shown in views} - {None}) <= 1


@given(st.lists(phases, min_size=1, max_size=4), ids, st.integers(1, 5))
def test_a_scenario_fits_a_lifecycle_of_any_length(parts: list[dict[str, Any]], job_id: str, waiting: int) -> None:
    lifecycle = (*[f"s{number}" for number in range(waiting)], "done")
    made = job(scenario({"phases": parts}), job_id, lifecycle)
    assert {stage.status for stage in made.plan.stages} == set(lifecycle[:-1][: max(len(parts), waiting)]) & {
        stage.status for stage in made.plan.stages
    }
    assert [stage.status for stage in made.plan.stages] == sorted(
        (stage.status for stage in made.plan.stages), key=lifecycle.index
    )
    if len(parts) <= waiting:
        assert [stage.status for stage in made.plan.stages] == list(lifecycle[:-1])
    shortest = sum(part["duration"][0] for part in parts)
    longest = sum(part["duration"][1] for part in parts)
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
def test_duration_fraction_is_a_share_and_depends_on_the_id_alone(job_id: str) -> None:
    assert 0 <= duration_fraction(job_id) < 1
    assert duration_fraction(job_id) == duration_fraction(job_id)


def test_jobs_differ_in_how_long_they_take() -> None:
    ends = {view(job(named("normal"), f"task_{number}"), 1e9).ended_at for number in range(50)}
    assert len(ends) > 30


def test_a_phase_may_have_a_status_of_another_dialect_and_numbers_that_share_it() -> None:
    data = {"phases": [{"duration": 10}, {"duration": 10, "status": "unknown", "progress": [0, 50]}, {"duration": 10}]}
    made = job(scenario(data))
    views = [view(made, made.created + at) for at in (5, 12, 17, 25, 35)]
    assert [shown.status for shown in views] == ["queued", "unknown", "unknown", "in_progress", "completed"]
    assert [shown.progress for shown in views] == [50, 0, 50, 50, 100]
    assert [(moment.at, moment.status) for moment in timeline(made)] == [
        (10, "queued"), (20, "unknown"), (30, "in_progress"), (40, "completed"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "status", "progress"), [("stuck-queued", "queued", 0), ("stuck-at-99", "in_progress", 99)]
)
def test_a_job_that_never_ends_stays_where_it_is(name: str, status: str, progress: int) -> None:
    made = job(named(name))
    assert view(made, 1e12)[:4] == (status, progress, None, None)
    assert end(made) == math.inf
    assert timeline(made)[-1].status == status


def test_progress_may_go_back_if_the_scenario_says_so() -> None:
    made = job(scenario({"phases": [{"duration": 5}, {"duration": 10, "progress": {"from": 80, "to": 20}}]}))
    shown = [view(made, made.created + seconds).progress for seconds in range(5, 15)]
    assert len(set(shown)) > 5
    assert shown == sorted(shown, reverse=True)
    assert shown[0] == 80
    assert 20 <= shown[-1] <= 30


@given(
    st.sampled_from([scenario.name for scenario in built_in()]),
    ids,
    st.floats(0, 3000),
    st.sampled_from(["normal", "fails"]),
)
def test_an_ending_that_is_forced_leaves_what_was_shown(name: str, job_id: str, now: float, ending: str) -> None:
    made = job(named(name), job_id)
    now += made.created
    assume(end(made) > now)
    forced = ended(made, plan(named(ending), D1, "failed"), now)
    after = view(forced, now + 1e-6)
    assert after.status == ("failed" if ending == "fails" else "completed")
    assert after.ended_at is not None
    assert after.error == (named("fails").error if ending == "fails" else None)
    assert after.progress == (100 if ending == "normal" else view(made, now).progress)
    for share in (0.0, 0.3, 0.9):
        then = made.created + (now - made.created) * share
        if then < now - 1e-6:
            assert view(forced, then).status == view(made, then).status
            assert abs(view(forced, then).progress - view(made, then).progress) <= 1


def test_the_style_of_a_phase_lasts_as_long_as_the_phase() -> None:
    phases = [{"duration": 5, "style": {"omit": ["status"]}}, {"duration": 10}]
    made = job(scenario({"phases": phases}))
    omitted = [bool(view(made, made.created + seconds).styles) for seconds in (0, 4, 6, 20)]
    assert omitted == [True, True, False, False]


def test_the_style_of_the_last_phase_stays_if_the_job_never_ends() -> None:
    made = job(scenario({"phases": [{"duration": 5, "style": {"omit": ["status"]}}], "ending": "never"}))
    assert view(made, made.created + 1000).styles[0].omit == ("status",)
