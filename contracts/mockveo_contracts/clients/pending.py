"""The cases that programs are at: what is noted about each, and the states of those of a session.

It is bookkeeping alone: nothing in this file waits, starts a process or reads from one.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from enum import Enum, auto
from functools import lru_cache
from time import monotonic
from typing import Any, Final

from mockveo.text import truncate
from mockveo.traffic.redaction import forms_of
from mockveo_contracts.case import result
from mockveo_contracts.cases.definitions import TestCase
from mockveo_contracts.clients.messages import RESULT, Hello
from mockveo_contracts.clients.processes import Process
from mockveo_contracts.clients.testbed import CaseRun, OpenCase

#: The end of a program's output that a case keeps, in characters; arbitrary, about two screens.
MAX_OUTPUT_CHARS: Final = 4000
#: How often a client that died is started again. Source: docs/client-protocol.md.
MAX_RESTARTS: Final = 1
#: Mistakes of one case that are shown; a program that logs to standard output makes thousands of the same kind.
MAX_MISTAKES: Final = 3
#: Characters of a mistake, which may repeat what the program wrote. Arbitrary: two screens of standard error fit.
MAX_MISTAKE_CHARS: Final = 4000


#: Seconds that a run is held at most. Arbitrary: what a program writes after a result comes at once, and the check must
#: soon know how a case went.
MAX_HELD_S: Final = 1.0


class Mistakes:
    """What broke in the adapter: the first few texts, and how many more there were."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._more = 0

    def append(self, text: str) -> None:
        """Add a text, cut if it is long; the same one counts once."""
        text = truncate(text, MAX_MISTAKE_CHARS)
        if text in self._texts:
            return
        if len(self._texts) < MAX_MISTAKES:
            self._texts.append(text)
        else:
            self._more += 1

    def extend(self, others: Mistakes) -> None:
        """Add other mistakes."""
        for text in others._texts:
            self.append(text)
        self._more += others._more

    def __bool__(self) -> bool:
        return bool(self._texts)

    def __str__(self) -> str:
        more = [f"and {self._more} more"] if self._more else []
        return "; ".join([*self._texts, *more])


class Notes:
    """What is noted about a case while it is played: mistakes of the adapter, and places where a key was."""

    def __init__(self) -> None:
        self.mistakes = Mistakes()
        self.leaks: list[str] = []

    def add_leak(self, place: str) -> None:
        """Note a place where a key was, once."""
        if place not in self.leaks:
            self.leaks.append(place)


class PendingCase(Notes):
    """A case that a program is at."""

    def __init__(self, open_case: OpenCase, features: Mapping[str, Any], patience: float) -> None:
        super().__init__()
        self.open_case = open_case
        self._features = features
        test_case = open_case.test_case
        self._patience = patience if test_case.patience is None else min(patience, test_case.patience)
        #: When it is given up, by the monotonic clock.
        self.until = float("inf")
        #: When the client is started again after a kill, by the monotonic clock.
        self.down_until = 0.0
        self.began()
        #: As `case.result` returns it; None until the result has come.
        self.outcome: dict[str, Any] | None = None
        self.unanswered = False
        #: The end of what the program wrote besides its messages.
        self.output = ""

    def began(self) -> None:
        """Note that a client has begun with it. The deadline is in our seconds, whatever the client's are."""
        self.until = monotonic() + self.open_case.test_case.deadline + self._patience

    def goes_on(self) -> bool:
        """End a start of it; return whether the client gets it once more."""
        course = self.open_case.course
        if self.mistakes or course is None or not self.open_case.goes_on(self.outcome):
            return False
        self.until = float("inf")
        self.down_until = monotonic() + course.down_s / self.open_case.factor
        self.outcome, self.unanswered = None, False
        return True

    @property
    def id(self) -> str:
        """Its id in messages."""
        return self.open_case.case.id

    @property
    def name(self) -> str:
        """The name of the test case."""
        return self.open_case.test_case.name

    @property
    def key(self) -> str:
        """Its API key."""
        return self.open_case.test_case.key

    def add_output(self, place: str, data: bytes, overlap: int = 0) -> None:
        """Add what the program wrote at a place; its first `overlap` bytes were added before."""
        self.look_for_key(place, data, overlap)
        self.output = (self.output + data[overlap:].decode("utf-8", "replace"))[-MAX_OUTPUT_CHARS:]

    def look_for_key(self, place: str, data: bytes, overlap: int = 0) -> None:
        """Note a leak if the case's key is in the data."""
        if holds(data, self.key, overlap):
            self.add_leak(place)

    def answer(self, message: Mapping[str, Any], raw: bytes) -> None:
        """Take the result."""
        self.look_for_key("the result", raw + json.dumps(message, ensure_ascii=False).encode("utf-8", "replace"))
        try:
            self.outcome = result(message)
        except ValueError as error:
            self.mistakes.append(f"{error}; e.g. {RESULT}")
            return
        if "\0" in str(self.outcome["content_path"]):
            self.outcome["content_path"] = None
            self.mistakes.append(f"content_path of the result contains U+0000; expected a path, e.g. {RESULT}")

    def finish(self) -> CaseRun:
        """Return the run, and remove the files of the case."""
        try:
            return self.open_case.run(
                self.outcome,
                self._features,
                leaks=self.leaks,
                ended_by=f"{self._patience:g} s" if self.unanswered else None,
                adapter_error=str(self.mistakes),
                output=self.output,
            )
        finally:
            self.open_case.close()


def holds(data: bytes, key: str, overlap: int = 0) -> bool:
    """Return whether a key is in the data in some form, and not wholly in its first `overlap` bytes."""
    return any(data.find(form, max(overlap - len(form) + 1, 0)) >= 0 for form in _forms(key))


@lru_cache(maxsize=1024)
def _forms(key: str) -> tuple[bytes, ...]:
    return tuple(form.encode() for form in forms_of(key))


class Queue:
    """The cases to play; those that were put back come first."""

    def __init__(self, test_cases: Iterable[TestCase]) -> None:
        self._upcoming = iter(test_cases)
        self._again: deque[TestCase] = deque()
        #: How many of them were taken for the first time.
        self.taken = 0

    @property
    def is_empty(self) -> bool:
        """Whether no case is left."""
        if not self._again:
            test_case = next(self._upcoming, None)
            if test_case is None:
                return True
            self.taken += 1
            self._again.append(test_case)
        return False

    def take(self, busy: Collection[str], *, idle: bool = True) -> TestCase | None:
        """Return the next case; None at the end, or if the next one has to wait.

        That is one that needs a world that is busy, or one with restarts if the client is not idle.
        """
        if self.is_empty or self._again[0].world in busy or (self._again[0].restarts and not idle):
            return None
        return self._again.popleft()

    def put_back(self, test_cases: Iterable[TestCase]) -> None:
        """Put cases back, to be played again."""
        self._again.extendleft(reversed(list(test_cases)))


class State(Enum):
    """Where a case of a session is; clients/sessions.py explains each."""

    OPEN = auto()
    HELD = auto()
    OVER = auto()
    RETURNED = auto()


class Event(Enum):
    """What takes a case of a session to its next state."""

    RESULT = auto()
    ADAPTER_ERROR = auto()
    DEATH = auto()
    LATE = auto()
    #: The process was ended because another case was late.
    WITHDRAWAL = auto()
    HANDED_OUT = auto()


TRANSITIONS: Final[Mapping[State, Mapping[Event, State]]] = {
    State.OPEN: {
        Event.RESULT: State.HELD,
        Event.ADAPTER_ERROR: State.HELD,
        Event.DEATH: State.HELD,
        Event.LATE: State.HELD,
        Event.WITHDRAWAL: State.RETURNED,
    },
    State.HELD: {Event.HANDED_OUT: State.OVER},
    State.OVER: {},
    State.RETURNED: {},
}


class HeldRun(Notes):
    """The run of a case that is done, with what is noted about it since."""

    def __init__(self, case_id: str, run: CaseRun) -> None:
        super().__init__()
        self.case_id = case_id
        self._run = run
        #: By the monotonic clock.
        self.since = monotonic()

    def final(self) -> CaseRun:
        """Return the run with the notes."""
        adapter_error = "; ".join(filter(None, [self._run.adapter_error, str(self.mistakes)]))
        outcome = dict(self._run.outcome or {})
        leaks = outcome.get("leaks", [])
        outcome["leaks"] = [*leaks, *(place for place in self.leaks if place not in leaks)]
        return replace(self._run, adapter_error=adapter_error, outcome=outcome)


class SessionCases:
    """The cases of a session, each in its state."""

    def __init__(self) -> None:
        self._states: dict[str, State] = {}
        #: Those that are OPEN, the longest first.
        self.open: dict[str, PendingCase] = {}
        self._held: HeldRun | None = None
        #: Noted while no case was OPEN or HELD, for the next one.
        self._notes = Notes()

    def add(self, case: PendingCase) -> None:
        """Add an OPEN case."""
        self._states[case.id] = State.OPEN
        self.open[case.id] = case
        case.leaks += self._notes.leaks
        case.mistakes.extend(self._notes.mistakes)
        self._notes = Notes()

    def rename(self, case_id: str, case: PendingCase) -> None:
        """Let an OPEN case have the id of its present start."""
        del self.open[case_id]
        self._states[case.id], self.open[case.id] = State.OPEN, case

    def close(self, case_id: str, event: Event) -> PendingCase:
        """Take a case out of those that are OPEN."""
        self._move(case_id, event)
        return self.open.pop(case_id)

    def close_all(self, event: Event) -> list[PendingCase]:
        """Take out all that are OPEN."""
        return [self.close(case_id, event) for case_id in list(self.open)]

    def hold(self, case: PendingCase) -> list[CaseRun]:
        """Hold the run of a case that is done; return the run that was held before."""
        before = self.release()
        self._held = HeldRun(case.id, case.finish())
        return before

    def release(self) -> list[CaseRun]:
        """Return the run that is held, if there is one."""
        held, self._held = self._held, None
        if held is None:
            return []
        self._move(held.case_id, Event.HANDED_OUT)
        return [held.final()]

    @property
    def is_ripe(self) -> bool:
        """Whether a run has been held long enough, although no other case is done."""
        return self._held is not None and monotonic() - self._held.since >= MAX_HELD_S

    def is_held(self, case_id: str) -> bool:
        """Return whether the run of a case is the one that is held."""
        return self._held is not None and self._held.case_id == case_id

    def blamed(self, case_id: str = "") -> Notes:
        """Return the notes that something belongs to that was seen of a case that is not OPEN, or of no case."""
        if self._held is not None and (self._held.case_id == case_id or not self.open):
            return self._held
        return next(iter(self.open.values()), self._notes)

    def _move(self, case_id: str, event: Event) -> None:
        self._states[case_id] = TRANSITIONS[self._states[case_id]][event]


class KeyWatch:
    """The keys of the cases that a process was given, to be looked for in whatever it writes."""

    def __init__(self) -> None:
        self._cases: dict[str, tuple[str, str]] = {}

    def add(self, case: PendingCase) -> None:
        """Watch for the key of a case."""
        self._cases[case.id] = case.key, case.name

    def found_in(self, data: bytes, overlap: int) -> Iterator[tuple[str, str]]:
        """Yield the id and the name of each case whose key is in the data, and not wholly in its `overlap`."""
        for case_id, (key, name) in self._cases.items():
            if holds(data, key, overlap):
                yield case_id, name


class RestartPolicy:
    """How often a client that died is started again in one session."""

    def __init__(self) -> None:
        self._deaths = 0

    def allows_another_start(self) -> bool:
        """Count a death; return whether the client is started again."""
        self._deaths += 1
        return self._deaths <= MAX_RESTARTS


class Life:
    """A process from its start to its end, with what it was given and what it answered."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.hello: Hello | None = None
        self.keys = KeyWatch()
        self.answered: set[str] = set()
