"""Where jobs are kept: the Store protocol and Memory, which is bounded in jobs and in bytes."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Protocol

from mockveo.simulator.jobs import Job, end

#: Characters of a prompt that a job keeps when its images and its prompt have to make room.
KEPT_PROMPT = 1000


class Store(Protocol):
    """Holds the jobs of one world."""

    def add(self, job: Job) -> None:
        """Keeps a job; may forget another."""

    def get(self, job_id: str) -> Job | None:
        """The job of that id, None where there is none."""

    def replace(self, job: Job) -> None:
        """Keeps a job instead of the one with its id."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Job]:
        """The jobs; the order is the store's own."""


class Memory:
    """Jobs in memory: at most `max_jobs`, and at most `max_bytes` of their inputs.

    To make room for a job the one goes whose end is the earliest, so finished ones first, the longest finished of
    all. Inputs are images and long prompts; where they exceed the bound the oldest jobs lose theirs, not their lives.
    """

    def __init__(self, *, max_jobs: int, max_bytes: int) -> None:
        self._max_jobs = max_jobs
        self._max_bytes = max_bytes
        self._jobs: dict[str, Job] = {}
        #: Ids by the second their jobs end in, and those seconds as a heap.
        self._ending: dict[float, deque[str]] = {}
        self._seconds: list[float] = []
        self._heavy: deque[tuple[str, int]] = deque()
        self._bytes = 0

    def add(self, job: Job) -> None:
        """Keeps a job."""
        while len(self._jobs) >= self._max_jobs:
            self._forget_one()
        self.replace(job)
        if job.images or len(job.prompt) > KEPT_PROMPT:
            self._weigh(job)

    def get(self, job_id: str) -> Job | None:
        """The job of that id, None where there is none."""
        return self._jobs.get(job_id)

    def replace(self, job: Job) -> None:
        """Keeps a job instead of the one with its id, if there is one."""
        self._jobs[job.id] = job
        second = _second(job)
        if second not in self._ending:
            self._ending[second] = deque()
            heappush(self._seconds, second)
        self._ending[second].append(job.id)

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        # A copy, made in one step: a server in another thread may add to them meanwhile.
        return iter(list(self._jobs.values()))

    def _forget_one(self) -> None:
        second = self._seconds[0]
        first = self._ending[second]
        job = self._jobs.get(first.popleft())
        # One that was replaced stands at two places, and goes by the one that is its own.
        if job is not None and _second(job) == second:
            del self._jobs[job.id]
        if not first:
            del self._ending[heappop(self._seconds)]

    def _weigh(self, job: Job) -> None:
        weight = sum(map(len, job.images)) + len(job.prompt)
        self._heavy.append((job.id, weight))
        self._bytes += weight
        while self._bytes > self._max_bytes and self._heavy:
            job_id, weight = self._heavy.popleft()
            self._bytes -= weight
            if job_id in self._jobs:
                old = self._jobs[job_id]
                self._jobs[job_id] = old._replace(images=(), prompt=old.prompt[:KEPT_PROMPT])


def _second(job: Job) -> float:
    """The second that a job ends in."""
    moment = end(job)
    return moment // 1 if moment < math.inf else moment
