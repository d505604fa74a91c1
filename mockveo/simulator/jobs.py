"""A job: an immutable record made by a create, and `view(job, now)`, a pure function of it and the time.

There are no timers and no background tasks, and no read writes anything: a late first reader sees the end at once,
and two reads at the same time see the same. All that is random about a job follows from its id.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mockveo.realtime import LAST_DATE_S
from mockveo.simulator.scenarios import Scenario, Style


class Stage(NamedTuple):
    """A phase with its status."""

    status: str
    shortest: float
    longest: float
    start: int
    end: int
    steps: tuple[int, ...] = ()
    #: Styles of responses in this phase.
    styles: tuple[Style, ...] = ()


class JobPlan(NamedTuple):
    """A scenario in the words of a spec, shared by all jobs of the scenario."""

    stages: tuple[Stage, ...]
    #: The status and the progress at the end.
    final: str
    progress: int
    error: Mapping[str, str] | None
    #: Whether it ever ends.
    ends: bool
    scenario: Scenario
    #: Its key among the scenarios of a world, under which creates are counted.
    key: str = ""
    #: Whether it is the course of one job that was ended, so that it does not follow from the scenario.
    cut: bool = False


def plan(scenario: Scenario, lifecycle: tuple[str, ...], failure: str, key: str = "") -> JobPlan:
    """Return the plan of a scenario, given the statuses of a job that succeeds and the one of a failure.

    Phases without a status get those of the lifecycle, one after the other. If the spec has more statuses before the
    end than such phases, the remaining ones share the last phase; if it has fewer, the last status continues.
    """
    way, success = lifecycle[:-1] or lifecycle, lifecycle[-1]
    stages: list[Stage] = []
    index = 0
    for place, phase in enumerate(scenario.phases):
        if phase.status is not None:
            lasts, span = (phase.shortest, phase.longest), (phase.start, phase.end)
            stages.append(Stage(phase.status, *lasts, *span, phase.steps, phase.styles))
            continue
        last = place == len(scenario.phases) - 1 and not phase.steps
        statuses = (way[index:] if last else way[index : index + 1]) or way[-1:]
        index += 1
        rise, share = phase.end - phase.start, len(statuses)
        for step, status in enumerate(statuses):
            start, end = phase.start + rise * step // share, phase.start + rise * (step + 1) // share
            # At least one value; a line that goes down has enough of them.
            end = end if end < start else max(end, start + 1)
            lasts = (phase.shortest / share, phase.longest / share)
            stages.append(Stage(status, *lasts, start, end, phase.steps, phase.styles))
    if scenario.ending == "success":
        return JobPlan(tuple(stages), success, 100, None, True, scenario, key)
    if scenario.ending == "failure":
        return JobPlan(tuple(stages), failure, _last_progress(stages), scenario.error, True, scenario, key)
    status = stages[-1].status if stages else way[0]
    return JobPlan(tuple(stages), status, _last_progress(stages), None, False, scenario, key)


def _last_progress(stages: list[Stage]) -> int:
    if not stages:
        return 0
    return stages[-1].steps[-1] if stages[-1].steps else stages[-1].end - 1


class Job(NamedTuple):
    """The record that a create made. Small on purpose: a server may hold a million."""

    id: str
    #: The bearer key to which it belongs.
    owner: str
    #: The model as it was sent, and the provider's id for it.
    alias: str
    model: str
    prompt: str
    #: Other fields of the form, by name; some answers repeat them.
    echo: Mapping[str, Any]
    #: The bytes of the images, in order; empty if no clip is rendered.
    images: tuple[bytes, ...]
    #: How many images were sent.
    image_count: int
    #: When it was created, in seconds of the world's clock.
    created: float
    #: The same in Unix seconds.
    created_at: int
    #: Seconds of the world's clock in one second of its dates, at that time.
    pace: float
    plan: JobPlan
    #: The plan if it was chosen for this job, by a header, in its prompt or from the queue.
    chosen: JobPlan | None


class View(NamedTuple):
    """A job as it is at one time."""

    status: str
    #: 0..100; 100 exactly with success.
    progress: int
    #: When it ended, in Unix seconds; None before.
    ended_at: int | None
    error: Mapping[str, str] | None
    #: Styles of responses at that time, besides the scenario's own.
    styles: tuple[Style, ...] = ()


def duration_fraction(job_id: str) -> float:
    """Return the place of a job's durations between shortest and longest, in [0, 1)."""
    return zlib.crc32(job_id.encode()) / 2**32


def end(job: Job) -> float:
    """Return when the job ends, in seconds of the world's clock; infinity for never."""
    if not job.plan.ends:
        return math.inf
    moment, draw = job.created, duration_fraction(job.id)
    for stage in job.plan.stages:
        moment += stage.shortest + draw * (stage.longest - stage.shortest)
    return moment


def view(job: Job, now: float) -> View:
    """Return the job as it is at `now`, in seconds of the world's clock."""
    elapsed = max(now - job.created, 0.0)
    total, draw, timeline = 0.0, duration_fraction(job.id), job.plan
    for stage in timeline.stages:
        lasts = stage.shortest + draw * (stage.longest - stage.shortest)
        if elapsed < total + lasts:
            done, first, behind = (elapsed - total) / lasts, stage.start, stage.end
            if stage.steps or behind <= first:
                return View(stage.status, _progress(stage, done), None, None, stage.styles)
            progress = min(first + int((behind - first) * done), behind - 1)
            return View(stage.status, progress, None, None, stage.styles)
        total += lasts
    # A job that was made at a slow pace may end later than any date.
    ended_at = min(job.created_at + int(total / job.pace), LAST_DATE_S) if timeline.ends else None
    styles = timeline.stages[-1].styles if timeline.stages and not timeline.ends else ()
    return View(timeline.final, timeline.progress, ended_at, timeline.error, styles)


def _progress(stage: Stage, done: float) -> int:
    if stage.steps:
        return stage.steps[min(int(done * len(stage.steps)), len(stage.steps) - 1)]
    # A line may go down too, for a server that breaks the contract.
    low, high = sorted((stage.start, stage.end - 1))
    return max(low, min(stage.start + int((stage.end - stage.start) * done), high))


def _stages(job: Job) -> Iterator[tuple[Stage, float]]:
    """Yield the stages of a job and how many seconds each lasts."""
    draw = duration_fraction(job.id)
    for stage in job.plan.stages:
        yield stage, stage.shortest + draw * (stage.longest - stage.shortest)


class Moment(NamedTuple):
    """A change of a job's status: `at` is in seconds of the world's clock.

    Until the next one its progress rises evenly from `progress` to `to`, or takes each of the `steps` for as long.
    """

    at: float
    status: str
    progress: int
    to: int
    steps: tuple[int, ...] = ()


def timeline(job: Job) -> list[Moment]:
    """Return the changes of the job's status, its end included if it has one."""
    at, moments = job.created, []
    for stage, lasts in _stages(job):
        moments.append(Moment(at, stage.status, _progress(stage, 0.0), _progress(stage, 1.0), stage.steps))
        at += lasts
    if job.plan.ends or not moments:
        moments.append(Moment(at, job.plan.final, job.plan.progress, job.plan.progress))
    return moments


def lasting(job: Job) -> list[tuple[Stage, float]]:
    """Return the stages of a job, each with the seconds that it lasts."""
    return list(_stages(job))


def ended(job: Job, ending: JobPlan, now: float) -> Job:
    """Return the job ended now, or stuck, with the ending of another plan; what it has shown so far stays."""
    left, stages = max(now - job.created, 0.0), []
    for stage, lasts in _stages(job):
        if left <= 0:
            break
        seconds = min(lasts, left)
        cut = stage.start + int((stage.end - stage.start) * seconds / lasts) if lasts and not stage.steps else stage.end
        stages.append(stage._replace(shortest=seconds, longest=seconds, end=max(cut, stage.start + 1)))
        left -= seconds
    if left > 0 and not job.plan.ends:
        stages.append(Stage(job.plan.final, left, left, job.plan.progress, job.plan.progress + 1))
    shown = view(job, now)
    progress = ending.progress if ending.scenario.ending == "success" else shown.progress
    # A job that is stuck stays what it is.
    final = ending.final if ending.ends else shown.status
    plan = ending._replace(stages=tuple(stages), progress=progress, final=final)
    return job._replace(plan=plan._replace(scenario=job.plan.scenario, key=job.plan.key, cut=True))
