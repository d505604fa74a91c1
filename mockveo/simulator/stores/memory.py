"""The store that keeps a world in memory, bounded in jobs and in bytes."""

from __future__ import annotations

import math
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from heapq import heapify, heappop, heappush
from itertools import islice
from struct import Struct
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar
from weakref import ref

from mockveo.simulator.jobs import Job, JobPlan, end
from mockveo.simulator.stores.memory_parts import MemoryCell, MemoryCounters, MemoryFifo, MemoryTable
from mockveo.simulator.stores.store import Plans, StoredExchanges
from mockveo.traffic.bounds import SharedBound

#: Characters of a prompt that a job keeps when its images and its prompt have to make room. Arbitrary: a few lines.
KEPT_PROMPT_CHARACTERS: Final = 200
#: Bytes of texts up to which a job has no long ones: such a prompt, at four bytes a character, and short fields.
LIGHT_BYTES: Final = 1200
#: Jobs among which a search for the latest one mostly ends. Arbitrary.
FEW_JOBS: Final = 1000
#: Sets of what jobs have in common that are remembered. Arbitrary: those of the last minutes.
MAX_COMMON: Final = 1000
#: When a job was created.
_CREATED: Final = Struct("d")
_T = TypeVar("_T")


class Bounds(NamedTuple):
    """The bounds that the worlds of a server share."""

    #: Jobs.
    jobs: SharedBound
    #: Bytes of the images and long texts of jobs.
    inputs: SharedBound
    #: Bytes of exchanges.
    journals: SharedBound


class MemoryJobs:
    """Jobs in memory: at most `max_jobs`, and at most `max_bytes` of their inputs.

    To make room it forgets the job with the earliest end, so finished jobs first, and the longest finished of those.
    Inputs are images and long texts; above the bound the oldest jobs lose their inputs but stay. What other worlds keep
    counts too if they share `bounds`.
    """

    def __init__(self, *, max_jobs: int, max_bytes: int, bounds: Bounds | None = None) -> None:
        self._max_jobs = max_jobs
        self._bound = bounds.jobs if bounds else SharedBound(max_jobs)
        self._bound.join(self)
        self._inputs = _Inputs(self, max_bytes, bounds.inputs if bounds else SharedBound(max_bytes))
        self._jobs: dict[str, _Packed | Job] = {}
        #: What jobs have in common, by the identity of its parts.
        self._common: dict[tuple[Any, ...], _Common] = {}
        #: Ids by the second in which their jobs end, and those seconds as a heap.
        self._ending: dict[float, list[str]] = {}
        self._seconds: list[float] = []

    @property
    def kept(self) -> int:
        """The number of jobs."""
        return len(self._jobs)

    def give_way(self, amount: int) -> int:
        """Forget the jobs with the earliest ends, at most `amount`, and return how many."""
        before = len(self._jobs)
        while self._jobs and before - len(self._jobs) < amount:
            self._forget_first()
        return before - len(self._jobs)

    def put(self, job: Job) -> None:
        """Add a job, or replace the job with its id; this may forget another job."""
        is_new = job.id not in self._jobs
        if is_new:
            while len(self._jobs) >= self._max_jobs:
                self._forget_first()
            self._bound.take(1)
        self._jobs[job.id] = self._packed(job) if is_new and not job.images else job
        second = _second(job)
        if second not in self._ending:
            self._ending[second] = []
            heappush(self._seconds, second)
        self._ending[second].append(job.id)
        if is_new:
            weight = _weight(job)
            if job.images or weight > LIGHT_BYTES:
                self._inputs.add(job.id, weight)

    def get(self, job_id: str) -> Job | None:
        """Return the job with an id, or None."""
        kept = self._jobs.get(job_id)
        if kept is None or isinstance(kept, Job):
            return kept
        common, rest = kept
        (created,), prompt = _CREATED.unpack_from(rest), rest[_CREATED.size :].decode("utf-8", "surrogatepass")
        owner, alias, model, echo, image_count, created_at, pace, plan, chosen = common
        return Job(job_id, owner, alias, model, prompt, echo, (), image_count, created, created_at, pace, plan, chosen)

    def latest(self, count: int | None = None) -> Iterator[Job]:
        """Iterate over at most `count` jobs as they are now, the latest first."""
        # Ids are taken in one step, because a server in another thread may add jobs meanwhile. Mostly the latest few
        # are enough, and a million ids take some 20 ms, as they do to be let go at once.
        few = list(islice(reversed(self._jobs), FEW_JOBS if count is None else count))
        yield from filter(None, map(self.get, few))
        if count is None and len(few) == FEW_JOBS:
            shown, left = set(few), list(self._jobs)
            while left:
                job_id = left.pop()
                if job_id not in shown and (job := self.get(job_id)) is not None:
                    yield job

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        # As above.
        return filter(None, map(self.get, list(self._jobs)))

    def forget_inputs(self, job_id: str) -> None:
        """Take the images and the long prompt from a job; forget a job that is heavy without them."""
        job = self.get(job_id)
        if job is None:
            return
        light = job._replace(images=(), prompt=job.prompt[:KEPT_PROMPT_CHARACTERS])
        if _weight(light) > LIGHT_BYTES:
            self._delete(job)
        else:
            self._jobs[job_id] = light
            self._lightened(light)

    def remove(self, job_id: str) -> None:
        """Remove a job if it exists."""
        job = self.get(job_id)
        if job is not None:
            self._delete(job)
            self._inputs.forget(job_id)

    def _delete(self, job: Job) -> None:
        second = _second(job)
        self._ending[second].remove(job.id)
        if not self._ending[second]:
            del self._ending[second]
            self._seconds.remove(second)
            heapify(self._seconds)
        del self._jobs[job.id]
        self._bound.take(-1)
        self._forgotten(job.id)

    def _forgotten(self, job_id: str) -> None:
        """Note that a job had to make room; for stores that keep a copy."""

    def _lightened(self, job: Job) -> None:
        """Note that a job lost its inputs; for stores that keep a copy."""

    def _packed(self, job: Job) -> _Packed:
        key = (
            *(job.owner, job.alias, job.model, id(job.echo), job.image_count),
            *(job.created_at, job.pace, id(job.plan), id(job.chosen)),
        )
        common = self._common.get(key)
        if common is None:
            if len(self._common) >= MAX_COMMON:
                self._common.clear()
            common = self._common[key] = _Common._make(getattr(job, name) for name in _Common._fields)
        return common, _CREATED.pack(job.created) + job.prompt.encode("utf-8", "surrogatepass")

    def _forget_first(self) -> None:
        second = self._seconds[0]
        ids = self._ending[second]
        job_id = ids.pop(0)
        job = self.get(job_id)
        # A job that was replaced is listed at two seconds; only its present one counts.
        if job is not None and _second(job) == second:
            del self._jobs[job_id]
            self._inputs.forget(job_id)
            self._bound.take(-1)
            self._forgotten(job_id)
        if not ids:
            del self._ending[heappop(self._seconds)]


class _Common(NamedTuple):
    """What the jobs of a second usually have in common, so that a million of them take half the memory."""

    owner: str
    alias: str
    model: str
    echo: Mapping[str, Any]
    image_count: int
    created_at: int
    pace: float
    plan: JobPlan
    chosen: JobPlan | None


#: A job without images: what it has in common with others, and as bytes when it was created and its prompt; as objects
#: they would take 48 bytes more.
_Packed: TypeAlias = tuple[_Common, bytes]


class _Inputs:
    """The weight of the jobs that have images or long texts, within `max_bytes` and a shared bound."""

    def __init__(self, jobs: MemoryJobs, max_bytes: int, bound: SharedBound) -> None:
        # Weakly, so that a world that is replaced is gone at once and not when the collector finds the circle.
        self._jobs = ref(jobs)
        self._max_bytes = max_bytes
        self._bound = bound
        bound.join(self)
        self._weights: OrderedDict[str, int] = OrderedDict()
        self.kept = 0

    def add(self, job_id: str, weight: int) -> None:
        """Weigh a job, and take the inputs from the oldest if they weigh too much."""
        self._bound.take(weight)
        self._weights[job_id] = weight
        self.kept += weight
        if self.kept > self._max_bytes:
            self.give_way(self.kept - self._max_bytes)

    def forget(self, job_id: str) -> None:
        """Weigh a job no more."""
        weight = self._weights.pop(job_id, 0)
        self.kept -= weight
        self._bound.take(-weight)

    def give_way(self, amount: int) -> int:
        """Take the inputs from the oldest jobs up to an amount of bytes, and return how many were freed."""
        jobs, freed = self._jobs(), 0
        while jobs is not None and freed < amount and self._weights:
            job_id, weight = self._weights.popitem(last=False)
            jobs.forget_inputs(job_id)
            freed += weight
        self.kept -= freed
        self._bound.take(-freed)
        return freed


class MemoryStore:
    """All state of one world, in memory."""

    is_new = is_fleeting = True
    repeats_decisions = False

    def __init__(
        self, journal: StoredExchanges, *, max_jobs: int, max_bytes: int, bounds: Bounds | None = None
    ) -> None:
        self.journal = journal
        self.jobs = MemoryJobs(max_jobs=max_jobs, max_bytes=max_bytes, bounds=bounds)
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

    async def transact(self, decision: Callable[[], _T]) -> _T:
        """Return what a decision returns."""
        return decision()

    async def refresh(self) -> None:
        """Do nothing: no other process has the world."""

    def change(self, decision: Callable[[], _T]) -> _T:
        """Return what a decision returns."""
        return decision()

    def read_jobs(self, plans: Plans) -> None:
        """Read nothing: a store in memory begins empty."""

    def parts(self) -> Mapping[tuple[str, str], Any]:
        """Return the cells, tables, counters and queues by kind and name."""
        return self._parts

    def submit(self) -> None:
        """Do nothing: what is in memory is kept as long as it can be."""

    def _part(self, kind: str, name: str, make: Callable[[], _T]) -> _T:
        if (kind, name) not in self._parts:
            self._parts[kind, name] = make()
        part: _T = self._parts[kind, name]
        return part


def _weight(job: Job) -> int:
    """Return the bytes of a job's images, and of its texts."""
    texts = len(job.alias) + sum([len(value) for value in job.echo.values() if type(value) is str])
    return sum(map(len, job.images)) + sys.getsizeof(job.prompt) + texts


def _second(job: Job) -> float:
    """Return the second in which a job ends."""
    moment = end(job)
    return moment // 1 if moment < math.inf else moment
