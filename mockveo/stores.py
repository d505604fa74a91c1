"""Where jobs are kept: the Store protocol and Memory, which is bounded in jobs and in bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from mockveo.jobs import Job

#: Characters of a prompt that a job keeps when its images and its prompt have to make room.
KEPT_PROMPT = 1000
#: How many unfinished jobs may be passed over to find a finished one to forget.
PATIENCE = 64


class Store(Protocol):
    """Holds the jobs of one world."""

    def add(self, job: Job) -> None:
        """Keeps a job; may forget another."""

    def get(self, job_id: str) -> Job | None:
        """The job of that id, None where there is none."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Job]:
        """The jobs; the order is the store's own."""


class Memory:
    """Jobs in memory: at most `max_jobs`, the oldest finished first out, and at most `max_bytes` of their inputs.

    Inputs are images and long prompts; where they exceed the bound the oldest jobs lose theirs, not their lives.
    `finished` says of a job whether it has come to its end.
    """

    def __init__(self, *, max_jobs: int, max_bytes: int, finished: Callable[[Job], bool]) -> None:
        self._max_jobs = max_jobs
        self._max_bytes = max_bytes
        self._finished = finished
        self._jobs: dict[str, Job] = {}
        self._queue: deque[str] = deque()
        self._heavy: deque[tuple[str, int]] = deque()
        self._bytes = 0

    def add(self, job: Job) -> None:
        """Keeps a job."""
        while len(self._jobs) >= self._max_jobs:
            self._forget_one()
        self._jobs[job.id] = job
        self._queue.append(job.id)
        if job.images or len(job.prompt) > KEPT_PROMPT:
            self._weigh(job)

    def get(self, job_id: str) -> Job | None:
        """The job of that id, None where there is none."""
        return self._jobs.get(job_id)

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs.values())

    def _forget_one(self) -> None:
        for _ in range(min(PATIENCE, len(self._queue) - 1)):
            if self._finished(self._jobs[self._queue[0]]):
                break
            self._queue.rotate(-1)
        del self._jobs[self._queue.popleft()]

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
