"""A job: an immutable record made by a create, and `view(job, now)`, a pure function of it and the time.

There are no timers and no background tasks, and no read writes anything: a late first reader sees the end at once,
and whoever looks twice at the same time sees the same. All that is random about a job follows from its id.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from mockveo.scenarios import Scenario


class Stage(NamedTuple):
    """A phase with its status."""

    status: str
    shortest: float
    longest: float
    start: int
    end: int


class Plan(NamedTuple):
    """A scenario in the words of a spec. One plan is shared by all jobs of a scenario."""

    stages: tuple[Stage, ...]
    final: str
    #: The progress of a job that has come to its end.
    progress: int
    error: Mapping[str, str] | None


def plan(scenario: Scenario, lifecycle: tuple[str, ...], failure: str) -> Plan:
    """The plan of jobs of a scenario, given the statuses on the way of a job that succeeds and the one that failed.

    Where the spec has more statuses before the end than the scenario has phases, they share its last phase; where
    it has fewer, the last of them lasts through the remaining phases.
    """
    way, success = lifecycle[:-1] or lifecycle, lifecycle[-1]
    stages = []
    for index, phase in enumerate(scenario.phases):
        shared = way[index:] if index == len(scenario.phases) - 1 else way[index : index + 1]
        statuses = shared or way[-1:]
        span = phase.end - phase.start
        for step, status in enumerate(statuses):
            start = phase.start + span * step // len(statuses)
            end = phase.start + span * (step + 1) // len(statuses)
            stages.append(
                Stage(status, phase.shortest / len(statuses), phase.longest / len(statuses), start, max(end, start + 1))
            )
    if scenario.ending == "success":
        return Plan(tuple(stages), success, 100, None)
    return Plan(tuple(stages), failure, stages[-1].end if stages else 0, scenario.error)


class Job(NamedTuple):
    """What a create made. Small on purpose: a server may hold a million."""

    id: str
    #: The bearer key it belongs to.
    owner: str
    #: The provider's id that the alias was resolved to.
    model: str
    prompt: str
    #: Other fields of the form, by name; some answers repeat them.
    echo: Mapping[str, Any]
    #: The bytes of the images, in order; empty where nobody will look at them.
    images: tuple[bytes, ...]
    #: When, in seconds of the world's clock.
    created: float
    #: When, in Unix seconds.
    created_at: int
    #: Seconds of the world's clock in one second of its dates, then.
    pace: float
    plan: Plan


class View(NamedTuple):
    """A job as it is at one time."""

    status: str
    #: 0..100; 100 exactly with success.
    progress: int
    #: When it came to its end, in Unix seconds; None before.
    ended_at: int | None
    error: Mapping[str, str] | None


def luck(job_id: str) -> float:
    """In [0, 1): how long this job's phases last between the shortest and the longest."""
    return zlib.crc32(job_id.encode()) / 2**32


def end(job: Job) -> float:
    """When the job comes to its end, in seconds of the world's clock."""
    total, draw = job.created, luck(job.id)
    for stage in job.plan.stages:
        total += stage.shortest + draw * (stage.longest - stage.shortest)
    return total


def view(job: Job, now: float) -> View:
    """The job at `now`, in seconds of the world's clock."""
    elapsed = max(now - job.created, 0.0)
    total, draw, timeline = 0.0, luck(job.id), job.plan
    for stage in timeline.stages:
        lasts = stage.shortest + draw * (stage.longest - stage.shortest)
        if elapsed < total + lasts:
            done = int((stage.end - stage.start) * ((elapsed - total) / lasts))
            return View(stage.status, min(stage.start + done, stage.end - 1), None, None)
        total += lasts
    return View(timeline.final, timeline.progress, job.created_at + int(total / job.pace), timeline.error)
