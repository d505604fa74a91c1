"""The starts of a call that comes more than once: after a kill, or again after its client has reported.

It is bookkeeping alone, the same for programs and functions: a driver starts the client and says what it reported, the
server says when a fault has killed it, and `Course` says what comes next. The fault strikes in the server's thread.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias
from uuid import uuid4

from mockveo.simulator.stores.store import StoredExchanges
from mockveo_contracts.case import Case
from mockveo_contracts.cases.definitions import RestartPlan

Json: TypeAlias = Mapping[str, Any]

#: What the files of a damaged state are overwritten with: neither JSON, nor SQLite, nor UTF-8.
DAMAGE: Final = b"\x00\xffdamaged by the check\xfe\n" * 8
#: Why a start comes: the first one, after a kill, the same call again, or another call while the first is down.
FIRST, KILLED, AGAIN, OTHER = "first", "killed", "again", "other call"


@dataclass(frozen=True)
class Start:
    """One start of a call, with what came of it."""

    #: FIRST, KILLED, AGAIN or OTHER.
    cause: str
    #: What the client was given.
    case: Json
    #: Numbers of its first exchange and of its last one; none if the last is smaller.
    first: int
    last: int
    #: Whether it ended in a kill, and the client's seconds that it was down then.
    killed: bool
    down_s: float
    #: Whether its state was overwritten while it was down.
    damaged: bool
    #: In the shape of a run's outcome; None after a kill.
    outcome: Json | None

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last

    def to_json(self) -> dict[str, Any]:
        """Return it as a report has it."""
        return {
            "restart": self.case["restart"],
            "cause": self.cause,
            "first": self.first,
            "last": self.last,
            "killed": self.killed,
            "down_s": self.down_s,
            "outcome": self.outcome and self.outcome.get("outcome"),
        }


def own_call(directory: Path) -> tuple[str, str]:
    """Return the id of a new call, and its state directory, made in a directory."""
    call_id = uuid4().hex
    state = directory / f"state-{call_id[:8]}"
    state.mkdir()
    return call_id, str(state)


class Course:
    """The starts of one call, the present one last. Only `strike` is called by another thread."""

    def __init__(self, plan: RestartPlan, case: Case, journal: StoredExchanges, directory: Path) -> None:
        self._plan, self._journal, self._directory = plan, journal, directory
        #: The case of the present start.
        self.case = case
        self._call = case
        self._cause = FIRST
        self._first = 1
        self._struck = threading.Event()
        self._last = 0
        self._closed = False
        self._met_other = not plan.meanwhile
        self._came_again = not plan.again_after
        #: Kills the process of the present start.
        self.on_kill: Callable[[], None] = lambda: None
        #: The starts that are over.
        self.starts: list[Start] = []

    @property
    def killed(self) -> bool:
        """Whether the present start was killed."""
        return self._struck.is_set()

    @property
    def down_s(self) -> float:
        """The client's seconds before the present start."""
        return self.starts[-1].down_s if self.starts else 0.0

    @property
    def same_process(self) -> bool:
        """Whether the present start is in the process of the one before, which was not killed."""
        return bool(self.starts) and not self.starts[-1].killed

    @property
    def first(self) -> int:
        """The number of the first exchange of the present start."""
        return self._first

    def strike(self) -> None:
        """Kill the client, in the middle of an exchange."""
        if self._closed or self.killed:
            return
        self._last = self._journal.count
        self._struck.set()
        self.on_kill()

    def end_start(self, outcome: Json | None) -> bool:
        """End the present start, with its outcome unless it was killed; return whether another one comes."""
        killed, plan = self.killed, self._plan
        last = self._last if killed else self._journal.count
        damaged = killed and plan.damaged
        outcome = None if killed else outcome
        down_s = plan.down_s if killed else 0.0
        start = Start(self._cause, self.case.message, self._first, last, killed, down_s, damaged, outcome)
        self.starts.append(start)
        cause = KILLED if killed or self._cause == OTHER else self._again_after(outcome)
        if not cause:
            return False
        self._begin(cause)
        return True

    def close(self) -> None:
        """Let no fault strike any more."""
        self._closed = True

    def _again_after(self, outcome: Json | None) -> str:
        """Return the cause of another start after an outcome; empty for none."""
        expected = {"timeout": ("timeout", "error"), "completed": ("completed",)}.get(self._plan.again_after, ())
        if self._came_again or (outcome or {}).get("outcome") not in expected:
            return ""
        self._came_again = True
        return AGAIN

    def _begin(self, cause: str) -> None:
        """Begin the next start."""
        self._struck.clear()
        self._first = self._journal.count + 1
        if cause == KILLED and not self._met_other:
            self._met_other, self._cause = True, OTHER
            call_id, state_dir = own_call(self._directory)
            other = f"{self._call.id}-other"
            self.case = replace(self._call, id=other, call_id=call_id, state_dir=state_dir, restart=0)
            return
        if cause == KILLED:
            self._spoil()
        self._cause = cause
        self.case = self._call = replace(self._call, restart=self._call.restart + 1)

    def _spoil(self) -> None:
        """Spoil what the case says that does not survive, while the client is down."""
        if self._plan.damaged:
            for path in Path(self._call.state_dir).rglob("*"):
                if path.is_file() and not path.is_symlink():
                    path.write_bytes(DAMAGE)
        if self._plan.images_gone:
            for image in self._call.input.images:
                shutil.rmtree(Path(image.path).parent, ignore_errors=True)


def of_call(starts: Sequence[Start], start: Start) -> list[Start]:
    """Return the earlier starts of the same call."""
    return [other for other in starts[: starts.index(start)] if other.case["call_id"] == start.case["call_id"]]
