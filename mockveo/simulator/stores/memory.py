"""The store that keeps a world in memory, bounded in jobs and in bytes."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Any, Final, Generic, TypeVar

from mockveo.simulator.jobs import Job, end
from mockveo.simulator.stores.store import StoredExchanges

#: Characters of a prompt that a job keeps when its images and its prompt have to make room. Arbitrary: a few lines.
KEPT_PROMPT_CHARACTERS: Final = 1000
_T = TypeVar("_T")


class MemoryCell(Generic[_T]):
    """One small document in memory."""

    __slots__ = ("_lock", "value")

    def __init__(self, value: _T) -> None:
        self.value = value
        self._lock = threading.Lock()

    def update(self, change: Callable[[_T], _T]) -> None:
        """Replace the value with what `change` returns for it."""
        with self._lock:
            self.value = change(self.value)


class MemoryTable(Generic[_T]):
    """A bounded mapping in memory."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: dict[str, _T] = {}

    def get(self, key: str) -> _T | None:
        """Return the value of a key, or None."""
        return self._values.get(key)

    def put(self, key: str, value: _T) -> None:
        """Set the value of a key, and forget the oldest if there are too many."""
        self._values[key] = value
        if len(self._values) > self._limit:
            del self._values[next(iter(self._values))]

    def remove(self, key: str) -> None:
        """Remove a key if it exists."""
        self._values.pop(key, None)

    def clear(self) -> None:
        """Remove all keys."""
        self._values.clear()

    def values(self) -> list[_T]:
        """Return all values, the oldest first."""
        return list(self._values.values())

    def __len__(self) -> int:
        return len(self._values)


class MemoryCounters:
    """A bounded set of counters in memory."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: OrderedDict[tuple[str, ...], int] = OrderedDict()

    def increment(self, *key: str) -> int:
        """Add one to a counter and return the sum."""
        count = self._counts[key] = self._counts.get(key, 0) + 1
        self._counts.move_to_end(key)
        if len(self._counts) > self._limit:
            self._counts.popitem(last=False)
        return count

    def reset(self, *key: str) -> None:
        """Set a counter to zero."""
        self._counts.pop(key, None)

    def clear(self) -> None:
        """Set all counters to zero."""
        self._counts.clear()

    def __len__(self) -> int:
        return len(self._counts)


class MemoryFifo(Generic[_T]):
    """Values in memory in the order in which they were pushed."""

    def __init__(self) -> None:
        self._values: deque[_T] = deque()

    def push(self, value: _T) -> None:
        """Add a value at the end."""
        self._values.append(value)

    def pop(self) -> _T | None:
        """Remove and return the first value; None if the queue is empty."""
        return self._values.popleft() if self._values else None

    def clear(self) -> None:
        """Remove all values."""
        self._values.clear()

    def values(self) -> list[_T]:
        """Return all values, the first to be popped first."""
        return list(self._values)

    def __len__(self) -> int:
        return len(self._values)


class MemoryJobs:
    """Jobs in memory: at most `max_jobs`, and at most `max_bytes` of their inputs.

    To make room it forgets the job with the earliest end, so finished jobs first, and the longest finished of those.
    Inputs are images and long prompts; above the bound the oldest jobs lose their inputs but stay.
    """

    def __init__(self, *, max_jobs: int, max_bytes: int) -> None:
        self._max_jobs = max_jobs
        self._max_bytes = max_bytes
        self._jobs: dict[str, Job] = {}
        #: Ids by the second in which their jobs end, and those seconds as a heap.
        self._ending: dict[float, deque[str]] = {}
        self._seconds: list[float] = []
        self._heavy: deque[tuple[str, int]] = deque()
        self._bytes = 0

    def put(self, job: Job) -> None:
        """Add a job, or replace the job with its id; this may forget another job."""
        is_new = job.id not in self._jobs
        if is_new:
            while len(self._jobs) >= self._max_jobs:
                self._forget_first()
        self._jobs[job.id] = job
        second = _second(job)
        if second not in self._ending:
            self._ending[second] = deque()
            heappush(self._seconds, second)
        self._ending[second].append(job.id)
        if is_new and (job.images or len(job.prompt) > KEPT_PROMPT_CHARACTERS):
            self._weigh(job)

    def get(self, job_id: str) -> Job | None:
        """Return the job with an id, or None."""
        return self._jobs.get(job_id)

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        # A copy made in one step, because a server in another thread may add jobs meanwhile.
        return iter(list(self._jobs.values()))

    def _forget_first(self) -> None:
        second = self._seconds[0]
        ids = self._ending[second]
        job = self._jobs.get(ids.popleft())
        # A job that was replaced is listed at two seconds; only its present one counts.
        if job is not None and _second(job) == second:
            del self._jobs[job.id]
        if not ids:
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
                self._jobs[job_id] = old._replace(images=(), prompt=old.prompt[:KEPT_PROMPT_CHARACTERS])


class MemoryStore:
    """All state of one world, in memory."""

    def __init__(self, journal: StoredExchanges, *, max_jobs: int, max_bytes: int) -> None:
        self.journal = journal
        self.jobs = MemoryJobs(max_jobs=max_jobs, max_bytes=max_bytes)
        self._parts: dict[tuple[str, str], Any] = {}

    def cell(self, name: str, initial: Any) -> MemoryCell[Any]:
        """Return the cell with a name; `initial` is the value of a new one."""
        return self._part("cell", name, lambda: MemoryCell(initial))

    def table(self, name: str, limit: int) -> MemoryTable[Any]:
        """Return the table with a name, which keeps at most `limit` entries."""
        return self._part("table", name, lambda: MemoryTable(limit))

    def counters(self, name: str, limit: int) -> MemoryCounters:
        """Return the counters with a name, of which it keeps at most `limit`."""
        return self._part("counters", name, lambda: MemoryCounters(limit))

    def queue(self, name: str) -> MemoryFifo[Any]:
        """Return the queue with a name."""
        return self._part("queue", name, MemoryFifo)

    def _part(self, kind: str, name: str, make: Callable[[], _T]) -> _T:
        if (kind, name) not in self._parts:
            self._parts[kind, name] = make()
        part: _T = self._parts[kind, name]
        return part


def _second(job: Job) -> float:
    """Return the second in which a job ends."""
    moment = end(job)
    return moment // 1 if moment < math.inf else moment
