"""A store in memory that notes what changes, for stores that outlive the process or are shared by several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from operator import itemgetter
from typing import Any

from mockveo.simulator.jobs import Job
from mockveo.simulator.stores.changes import Changes, StampedEntry
from mockveo.simulator.stores.lasting_parts import LastingCell, LastingCounters, LastingFifo, LastingTable
from mockveo.simulator.stores.memory import Bounds, MemoryJobs
from mockveo.simulator.stores.records import job_from_bytes, job_to_bytes
from mockveo.simulator.stores.store import Plans
from mockveo.traffic.bounds import SharedBound
from mockveo.traffic.journal import Feed, Journal
from mockveo.traffic.record import ExchangeRecord


class LastingJobs(MemoryJobs):
    """Jobs whose changes are noted.

    What is not kept yet is apart from the rest, so that it can be undone without a trace.
    """

    def __init__(self, changes: Changes, path: str, *, max_jobs: int, max_bytes: int, bounds: Bounds | None) -> None:
        super().__init__(max_jobs=max_jobs, max_bytes=max_bytes, bounds=bounds)
        self._changes, self._path = changes, path
        self._stamps: dict[str, int] = {}
        #: What is not kept yet, None for a job that is removed.
        self._pending: dict[str, Job | None] = {}
        #: Whether what it forgets was noted by another.
        self._is_applying = False
        self._plans: Plans | None = None
        #: What was read before the plans were there.
        self._unread: list[StampedEntry] = []

    def put(self, job: Job) -> None:
        """Add a job, or replace the job with its id; this may forget another job, once it is kept."""
        self._pending[job.id] = job
        stamp = self._changes.put(f"{self._path}/{job.id}", job_to_bytes(job), self._stamps.get(job.id, 0))
        self._stamps[job.id] = stamp
        if self._changes.undo is None:
            self.settle()
        else:
            self._changes.undo[id(self)] = self._drop

    def get(self, job_id: str) -> Job | None:
        """Return the job with an id, or None."""
        return self._pending[job_id] if job_id in self._pending else super().get(job_id)

    def __len__(self) -> int:
        return len(list(iter(self))) if self._pending else super().__len__()

    def __iter__(self) -> Iterator[Job]:
        if not self._pending:
            return super().__iter__()
        jobs = {**{job.id: job for job in super().__iter__()}, **self._pending}
        return iter([job for job in jobs.values() if job is not None])

    def latest(self, count: int | None = None) -> Iterator[Job]:
        """Iterate over at most `count` jobs as they are now, the latest first."""
        return islice(reversed(list(self)), count) if self._pending else super().latest(count)

    def remove(self, job_id: str) -> None:
        """Remove a job if it exists."""
        if self._changes.undo is None:
            super().remove(job_id)
        elif self.get(job_id) is not None:
            self._changes.remove(f"{self._path}/{job_id}")
            self._pending[job_id] = None
            self._changes.undo[id(self)] = self._drop

    def settle(self) -> None:
        """Add what is kept by now to the rest, and note what had to make room for it."""
        pending, self._pending = self._pending, {}
        for job_id, job in pending.items():
            if job is None:
                super().remove(job_id)
            else:
                super().put(job)

    def use(self, plans: Plans) -> None:
        """Set what returns the plan of a job, and read the jobs that wait for it."""
        self._plans = plans
        unread, self._unread = self._unread, []
        self._read(unread, plans)

    def apply(self, entry: StampedEntry) -> None:
        """Take the job that another has written."""
        if entry.value is None:
            self._is_applying = True
            super().remove(entry.key.partition("/")[2])
            self._is_applying = False
            return
        if self._plans is None:
            self._unread.append(entry)
        else:
            self._read([entry], self._plans)

    def _read(self, entries: Iterable[StampedEntry], plans: Plans) -> None:
        put, stamps = super().put, self._stamps
        for stamp, _, value in entries:
            if value is not None:
                job = job_from_bytes(value, plans)
                stamps[job.id] = stamp
                put(job)

    def _drop(self) -> None:
        for job_id in self._pending:
            if job_id not in self._jobs:
                self._stamps.pop(job_id, None)
        self._pending = {}

    def _forgotten(self, job_id: str) -> None:
        self._stamps.pop(job_id, None)
        if not self._is_applying:
            self._changes.remove(f"{self._path}/{job_id}")

    def _lightened(self, job: Job) -> None:
        self._changes.put(f"{self._path}/{job.id}", job_to_bytes(job), self._stamps.get(job.id, 0))


class LastingJournal(Journal):
    """A journal that notes what is new in it."""

    def __init__(
        self, limit: int, feed: Feed | None, world: str, bound: SharedBound | None, remind: Callable[[], None]
    ) -> None:
        super().__init__(limit, feed, world, bound)
        #: Called after each change.
        self._remind = remind
        #: What was added since it was last taken, what was amended of what was taken, and whether it was cleared.
        self.new: list[ExchangeRecord] = []
        self.amended: list[ExchangeRecord] = []
        self.is_cleared = False

    def add(self, exchange: ExchangeRecord) -> None:
        """Number and keep an exchange."""
        super().add(exchange)
        self.new.append(exchange)
        self._remind()

    def amend(self, exchange: ExchangeRecord) -> None:
        """Note an exchange as it is now."""
        new = self.new
        if not new or exchange.number < new[0].number:
            self.amended.append(exchange)
            self._remind()

    def clear(self) -> None:
        """Forget all exchanges; numbers go on."""
        super().clear()
        self.new, self.amended, self.is_cleared = [], [], True

    def take(self) -> tuple[list[ExchangeRecord], list[ExchangeRecord]]:
        """Return what is new and what was amended, and begin anew."""
        new, self.new, self.is_cleared = self.new, [], False
        amended, self.amended = self.amended, []
        return new, amended


class LastingParts:
    """The parts of a world's state by the paths of their entries."""

    def __init__(self, *, max_jobs: int, max_bytes: int, bounds: Bounds | None = None) -> None:
        self.changes = Changes()
        self.jobs = LastingJobs(self.changes, "job", max_jobs=max_jobs, max_bytes=max_bytes, bounds=bounds)
        self._parts: dict[tuple[str, str], Any] = {}
        #: What was read before the part to which it belongs was made, in order.
        self._waiting: dict[tuple[str, str], list[StampedEntry]] = {}

    def cell(self, name: str, initial: Any) -> LastingCell:
        """Return the cell with a name; `initial` is the value of a new one."""
        path = f"cell/{name}"
        is_new = ("cell", name) not in self._parts and ("cell", name) not in self._waiting
        cell: LastingCell = self._part("cell", name, lambda: LastingCell(self.changes, path, initial))
        if is_new:
            cell.note()
        return cell

    def table(self, name: str, limit: int) -> LastingTable:
        """Return the table with a name, which keeps at most `limit` entries."""
        return self._part(  # type: ignore[no-any-return]
            "table", name, lambda: LastingTable(self.changes, f"table/{name}", limit)
        )

    def counters(self, name: str, limit: int) -> LastingCounters:
        """Return the counters with a name, of which it keeps at most `limit`."""
        return self._part(  # type: ignore[no-any-return]
            "counters", name, lambda: LastingCounters(self.changes, f"counters/{name}", limit)
        )

    def queue(self, name: str) -> LastingFifo:
        """Return the queue with a name."""
        return self._part(  # type: ignore[no-any-return]
            "queue", name, lambda: LastingFifo(self.changes, f"queue/{name}")
        )

    def parts(self) -> Mapping[tuple[str, str], Any]:
        """Return the cells, tables, counters and queues by kind and name, but for those of the store itself."""
        return {key: part for key, part in self._parts.items() if key[1] not in ("launch", "last_exchange")}

    def apply(self, entries: Iterable[tuple[str, bytes | None]]) -> None:
        """Take entries that were read; those of the same part in the order of their stamps."""
        parsed = [StampedEntry.parse(key, value) for key, value in entries]
        parsed.sort(key=itemgetter(0))
        for entry in parsed:
            if entry.key.startswith("job/"):
                self.jobs.apply(entry)
                continue
            kind, name, *rest = entry.key.split("/", 2)
            part = self._parts.get((kind, name))
            if part is None:
                self._waiting.setdefault((kind, name), []).append(entry)
            else:
                part.apply("".join(rest), entry.stamp, entry.value)
        if parsed:
            self.changes.stamp = max(self.changes.stamp, parsed[-1].stamp)

    def _part(self, kind: str, name: str, make: Callable[[], Any]) -> Any:
        part = self._parts.get((kind, name))
        if part is None:
            part = self._parts[kind, name] = make()
            for entry in self._waiting.pop((kind, name), ()):
                part.apply("".join(entry.key.split("/", 2)[2:]), entry.stamp, entry.value)
        return part
