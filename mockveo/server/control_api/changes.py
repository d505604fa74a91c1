"""What the control API has changed in each world, for those who listen at this server or at another one."""

from __future__ import annotations

from secrets import token_hex
from typing import Any, Final
from weakref import WeakKeyDictionary

from mockveo.simulator.stores.store import Cell
from mockveo.simulator.world import World

#: Changes of jobs that are remembered for listeners. Arbitrary: those of a tenth of a second.
MAX_CHANGES: Final = 100
#: The cell of a world's store, which is not saved.
CELL: Final = "_changed_jobs"


class JobChanges:
    """What the control API has changed in each world, and a name of each world that no other has."""

    def __init__(self) -> None:
        self._runs: WeakKeyDictionary[World, str] = WeakKeyDictionary()

    def run_of(self, world: World) -> str:
        """Return the name of a world: another after a reset, and in another process."""
        return self._runs.setdefault(world, token_hex(6))

    def note(self, world: World, job_id: str) -> None:
        """Note that a job was changed or forgotten."""
        _cell(world).update(lambda state: (state[0] + 1, [*state[1], job_id][-MAX_CHANGES:]))

    def count(self, world: World) -> int:
        """Return how many changes there were."""
        return int(_cell(world).value[0])

    def since(self, world: World, count: int) -> list[str]:
        """Return the jobs that were changed after so many changes."""
        present, changed = _cell(world).value
        return list(changed[-(present - count) :]) if present > count else []


def _cell(world: World) -> Cell[Any]:
    return world.store.cell(CELL, (0, []))
