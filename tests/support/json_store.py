"""A store that keeps nothing but bytes: values as JSON, jobs pickled. It shows that a world's state is plain data."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from mockveo.simulator.jobs import Job
from mockveo.simulator.stores.memory_parts import MemoryCell, MemoryCounters, MemoryFifo, MemoryTable
from mockveo.simulator.stores.store import Plans, StoredExchanges
from mockveo.traffic.journal import Journal

_T = TypeVar("_T")


class JsonCell:
    """A document as JSON."""

    def __init__(self, initial: Any) -> None:
        self._data: MemoryCell[str] = MemoryCell(json.dumps(initial))

    @property
    def value(self) -> Any:
        return json.loads(self._data.value)

    @value.setter
    def value(self, value: Any) -> None:
        self._data.value = json.dumps(value)

    def saved(self) -> Any:
        return self.value

    def load(self, data: Any) -> None:
        self.value = data

    def update(self, change: Callable[[Any], Any]) -> None:
        self._data.update(lambda data: json.dumps(change(json.loads(data))))


class JsonTable(MemoryTable[Any]):
    """Documents as JSON."""

    def get(self, key: str) -> Any:
        data = super().get(key)
        return None if data is None else json.loads(data)

    def put(self, key: str, value: Any) -> None:
        super().put(key, json.dumps(value))

    def values(self) -> list[Any]:
        return list(map(json.loads, super().values()))


class JsonFifo(MemoryFifo[Any]):
    """A queue of JSON."""

    def push(self, value: Any) -> None:
        super().push(json.dumps(value))

    def pop(self) -> Any:
        data = super().pop()
        return None if data is None else json.loads(data)

    def values(self) -> list[Any]:
        return list(map(json.loads, super().values()))


class PickledJobs:
    """Jobs as bytes."""

    def __init__(self) -> None:
        self._jobs: dict[str, bytes] = {}

    def put(self, job: Job) -> None:
        self._jobs[job.id] = pickle.dumps(job)

    def get(self, job_id: str) -> Job | None:
        data = self._jobs.get(job_id)
        return None if data is None else pickle.loads(data)  # type: ignore[no-any-return]

    def remove(self, job_id: str) -> None:
        self._jobs.pop(job_id, None)

    def latest(self, count: int | None = None) -> Iterator[Job]:
        return iter(list(self)[::-1][:count])

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return map(pickle.loads, list(self._jobs.values()))


class JsonStore:
    """All state of one world, as bytes."""

    is_fleeting = True
    repeats_decisions = False

    def __init__(self) -> None:
        self.is_new = True
        self.jobs = PickledJobs()
        self.journal: StoredExchanges = Journal(1000)
        self._parts: dict[tuple[str, str], Any] = {}

    async def transact(self, decision: Callable[[], _T]) -> _T:
        return decision()

    async def refresh(self) -> None:
        pass

    def change(self, decision: Callable[[], _T]) -> _T:
        return decision()

    def parts(self) -> dict[tuple[str, str], Any]:
        return self._parts

    def read_jobs(self, plans: Plans) -> None:
        pass

    def submit(self) -> None:
        pass

    def cell(self, name: str, initial: Any) -> JsonCell:
        return self._parts.setdefault(("cell", name), JsonCell(initial))  # type: ignore[no-any-return]

    def table(self, name: str, limit: int) -> JsonTable:
        return self._parts.setdefault(("table", name), JsonTable(limit))  # type: ignore[no-any-return]

    def counters(self, name: str, limit: int) -> MemoryCounters:
        return self._parts.setdefault(("counters", name), MemoryCounters(limit))  # type: ignore[no-any-return]

    def queue(self, name: str) -> JsonFifo:
        return self._parts.setdefault(("queue", name), JsonFifo())  # type: ignore[no-any-return]
