"""A session: one process of the client that plays all cases, level 2 of the client protocol.

Theory of operation
-------------------
A session has one process at a time; several sessions can play from one queue, side by side. Their driver repeats two
steps until all cases are played: `give_out` gives the process as many cases as it takes at once (`max_in_flight` of its
hello), and once a process has written something, has ended, or is late, `step` returns the runs that are final by that.
Neither waits: a process that starts says hello while the others play.

Each case is in one of four states; TRANSITIONS in pending.py is the table of what takes it from one to the next:

    OPEN      the process was given the case, and owes a result
    HELD      the case is done, and its run is kept back until the next case is done, for a second at most
    OVER      the run was handed out, and is final
    RETURNED  the process ended because of another case; this one is played again, under a new id

Why runs are held: a program may write something about a case after its result, such as the key, on standard error, or
a second result. Once the next case is done, a second has passed, or the process has finished, it has had its chance.

Who is to blame: what goes wrong is noted for the case that it names. Often it names none, such as a line that is not
JSON; then it is noted for the case that has been open longest. If no case is open, it is noted for the run that is
held, and if no run is held, for the case that comes next. `SessionCases.blamed` is this rule.

The process ends early for one of two reasons:

    late      A case has no result by its deadline and the patience on top. The process is killed, which is a
              verdict on that case; the others that are open are RETURNED.
    dead      The process ended by itself. All open cases have an adapter error, which is never a verdict on the
              client. RestartPolicy says whether another process is started.

Keys: each case has its own key, and `KeyWatch` looks for the keys of all cases that this process was given in whatever
it writes. A key is a leak of its own case: where the case is OPEN or HELD, it is noted there; where it is OVER, it is
noted for the case to blame, with the name of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from time import monotonic
from typing import Any, Final, Self

from mockveo_contracts.cases.definitions import TestCase
from mockveo_contracts.clients.driver import ClientInfo, DriverError
from mockveo_contracts.clients.messages import PROTOCOL, RESULT, Hello, hello_of, line, message_of, short
from mockveo_contracts.clients.pending import Event, HeldRun, Life, PendingCase, Queue, RestartPolicy, SessionCases
from mockveo_contracts.clients.processes import TICK_S, Process, how_it_ended, wait
from mockveo_contracts.clients.testbed import CaseRun, Testbed

#: Seconds that a process gets to exit once its input has ended; arbitrary, most exit at once.
EXIT_TIMEOUT_S: Final = 2.0
#: Seconds that a case goes on once its adapter has broken: the result may follow, but nothing is judged any more.
BROKEN_ADAPTER_TIMEOUT_S: Final = 1.0
#: Cases that are open at once at most, whatever a client declares: more would measure our machine, not the client.
MAX_OPEN_CASES: Final = 8
_STDERR: Final = "standard error"
_STDOUT: Final = "standard output"


class Session:
    """Speaks with a process that `start` starts. A context manager, which ends it."""

    def __init__(
        self,
        start: Callable[[], Process],
        testbed: Testbed,
        restarts: RestartPolicy,
        *,
        startup: float,
        patience: float,
    ) -> None:
        self._start, self._testbed, self._restarts = start, testbed, restarts
        self._startup, self._patience = startup, patience
        self._hello: Hello | None = None
        self._life: Life | None = None
        self._cases = SessionCases()
        #: The case whose client was killed, until it has been started again.
        self._resuming: PendingCase | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.finish()
        self.end()

    def greet(self) -> None:
        """Start the process, and wait for its hello. Raises DriverError."""
        life = self._begin()
        while life.hello is None:
            wait([life.process], TICK_S)
            self._greet(life)

    @property
    def client(self) -> ClientInfo:
        """The client, as its hello describes it."""
        assert self._hello is not None, "the session has not said hello"
        return self._hello.client

    @property
    def has_greeted(self) -> bool:
        """Whether a process of it has said hello."""
        return self._hello is not None

    @property
    def process(self) -> Process | None:
        """The process, if there is one."""
        return None if self._life is None else self._life.process

    @property
    def worlds(self) -> set[str]:
        """The worlds that its open cases are played in."""
        return {case.open_case.test_case.world for case in self._cases.open.values()}

    @property
    def until(self) -> float:
        """When the first of its open cases is late, by the monotonic clock."""
        return min((case.until for case in self._cases.open.values()), default=float("inf"))

    def give_out(self, queue: Queue, busy: Collection[str]) -> None:
        """Give the process as many cases as it takes; start one for them if there is none.

        `busy` are the worlds of the cases that other sessions are at.
        """
        while not queue.is_empty and self._resuming is None:
            life = self._listening()
            if life.hello is None or len(self._cases.open) >= min(life.hello.max_in_flight, MAX_OPEN_CASES):
                return
            # A case with restarts is alone in its process, which the others would lose.
            is_alone = any(case.open_case.course for case in self._cases.open.values())
            test_case = None if is_alone else queue.take(self.worlds.union(busy), idle=not self._cases.open)
            if test_case is None:
                return
            open_case = self._testbed.open(test_case, date=life.process.date)
            case = PendingCase(open_case, life.hello.client.features, self._patience)
            self._cases.add(case)
            self._give(life, case)

    def _give(self, life: Life, case: PendingCase) -> None:
        life.keys.add(case)
        if case.open_case.course is not None:
            case.open_case.course.on_kill = life.process.kill
        case.began()
        life.process.write(line(case.open_case.case.message))

    def _listening(self) -> Life:
        """Return the process; start one if there is none that listens."""
        life = self._life
        if life is not None and life.hello is not None and life.process.dumb and not self._cases.open:
            self._died(life)
        return self._life or self._begin()

    def step(self, queue: Queue) -> list[CaseRun]:
        """Take what the process has written; return the runs that are final by that.

        Cases that are lost with the process, though it was not theirs, go back to the queue.
        """
        runs = []
        for case in self._done(queue):
            runs += self._cases.hold(case)
        return runs or (self._cases.release() if self._cases.is_ripe else [])

    def _done(self, queue: Queue) -> list[PendingCase]:
        if self._resuming is not None:
            return self._resume(self._resuming)
        life = self._life
        if life is None:
            return []
        # Asked before the last of its output is read, so that nothing is lost of a process that ends meanwhile.
        dumb = life.process.dumb
        life.process.receive()
        if life.hello is None:
            self._greet(life)
            return []
        done = self._read(life)
        killed = [case for case in self._cases.open.values() if case.open_case.killed]
        if killed:
            self.end()
            done += self._read(life)
            return done + [case for case in killed if not self._goes_on(case)]
        if self._cases.open and dumb:
            return done + self._died(life)
        late = [case for case in self._cases.open.values() if monotonic() > case.until]
        if late:
            self.end()
            done += self._read(life)
            for case in late:
                if case.id in self._cases.open:  # it may have answered just before its end
                    case.unanswered = not case.mistakes
                    done += [] if self._goes_on(case) else [self._cases.close(case.id, Event.LATE)]
            queue.put_back(self._withdraw())
        return done

    def _goes_on(self, case: PendingCase) -> bool:
        """End a start of a case; return whether the client gets it once more.

        That is in a new process after a kill, else in this one.
        """
        case_id = case.id
        if not case.goes_on():
            return False
        self._cases.rename(case_id, case)
        course = case.open_case.course
        if self._life is not None and course is not None and course.same_process:
            self._give(self._life, case)
        else:
            self.end()
            self._resuming = case
        return True

    def _resume(self, case: PendingCase) -> list[PendingCase]:
        """Start a process for a case whose client was killed; return the case if that fails."""
        if self._life is None:
            if monotonic() < case.down_until:
                return []
            self._begin()
        life = self._life
        assert life is not None
        life.process.receive()
        first = self._hello
        try:
            self._greet(life)
            problem = "" if life.hello in (None, first) else "its hello differs from the first one; expected the same"
        except DriverError as error:
            problem = str(error)
        if problem:
            self._resuming = None
            case.mistakes.append(f"after a kill the client was started again: {problem}")
            return [self._cases.close(case.id, Event.ADAPTER_ERROR)]
        if life.hello is not None:
            self._resuming = None
            self._give(life, case)
        return []

    def release(self) -> list[CaseRun]:
        """Return the run that is held, which is final then."""
        return self._cases.release()

    def drop(self) -> None:
        """Forget the cases that are open or held, which the caller does not want any more."""
        self._cases.release()
        if self._cases.open:
            self.end()
            self._withdraw()
            self._resuming = None

    def _died(self, life: Life) -> list[PendingCase]:
        """Return the cases that were lost with a process that ended by itself. Raises DriverError the second time."""
        how = how_it_ended(life.process)
        self.end()
        done = self._read(life)
        names = " and ".join(case.name for case in self._cases.open.values())
        if done and not names:
            return done
        how += f" while it was at {names}" if names else " between two cases"
        hint = life.process.said()
        if life.process.status == 0 and len(life.answered) <= 1:
            hint = f"; a program that plays one case and exits is driven with --mode once{hint}"
        if not self._restarts.allows_another_start():
            self._withdraw()
            raise DriverError(f"the client {how}; it had been started again once before{hint}")
        lost = self._cases.close_all(Event.DEATH)
        for case in lost:
            case.mistakes.append(f"the client {how}; it is started again once{hint}")
        return done + lost

    def _withdraw(self) -> list[TestCase]:
        """Take the open cases back."""
        cases = self._cases.close_all(Event.WITHDRAWAL)
        for case in cases:
            case.open_case.close()
        return [case.open_case.test_case for case in cases]

    def _read(self, life: Life) -> list[PendingCase]:
        """Read what the process wrote; return the cases that it answered."""
        done = []
        # Standard error first, so that a case has what was written before its result.
        while life.process.errors:
            self._take_output(life, _STDERR, *life.process.errors.popleft())
        while life.process.lines:
            raw = life.process.lines.popleft()
            try:
                message = message_of(raw)
                case = self._take(life, message, raw) if message is not None else None
            except ValueError as error:
                self._take_output(life, _STDOUT, raw + b"\n")
                self._adapter_broke(str(error))
                continue
            if case is not None:
                done.append(case)
        return done

    def _take(self, life: Life, message: Mapping[str, Any], raw: bytes) -> PendingCase | None:
        """Return the case that a message closes. Raises ValueError for a message that should not be sent."""
        kind, case_id = message["type"], message.get("id")
        if kind == "hello":
            raise ValueError(f"a second hello came: {short(raw)}; expected one, and then results like {RESULT}")
        if kind == "adapter_error":
            return self._take_adapter_error(life, message, raw)
        if not isinstance(case_id, str) or case_id not in self._cases.open:
            self._take_stray_result(life, case_id, raw)
            return None
        case = self._cases.open[case_id]
        if case.open_case.course is not None:
            case.answer(message, raw)
            if self._goes_on(case):
                return None
        case = self._cases.close(case_id, Event.RESULT)
        place = f"the result of {case.name}"
        for other in self._cases.open.values():
            other.look_for_key(place, raw)
        self._look_for_closed_keys(life, place, raw, own=case_id)
        life.answered.add(case_id)
        if case.open_case.course is None:
            case.answer(message, raw)
        return case

    def _take_adapter_error(self, life: Life, message: Mapping[str, Any], raw: bytes) -> PendingCase | None:
        text = f"the adapter says: {message.get('message') or 'nothing more'}"
        case_id = str(message.get("id"))
        if case_id not in self._cases.open:
            self._take_output(life, _STDOUT, raw)
            self._adapter_broke(text)
            return None
        case = self._cases.close(case_id, Event.ADAPTER_ERROR)
        case.look_for_key("the result", raw)
        case.mistakes.append(text)
        return case

    def _take_stray_result(self, life: Life, case_id: object, raw: bytes) -> None:
        """Note a result that no open case waits for."""
        self._look_for_closed_keys(life, "a result", raw)
        if isinstance(case_id, str) and case_id in life.answered:
            self._adapter_broke(f"the case {case_id} was answered twice, the second time with {short(raw)}", case_id)
            return
        expected = " or ".join(map(repr, self._cases.open)) or "nothing, as no case was open"
        self._adapter_broke(f"a result came for the id {case_id!r}; expected {expected}: {short(raw)}; e.g. {RESULT}")

    def _adapter_broke(self, text: str, case_id: str = "") -> None:
        notes = self._cases.blamed(case_id)
        notes.mistakes.append(text)
        if isinstance(notes, PendingCase):
            notes.until = min(notes.until, monotonic() + BROKEN_ADAPTER_TIMEOUT_S)

    def _take_output(self, life: Life, place: str, data: bytes, overlap: int = 0) -> None:
        for case in self._cases.open.values():
            case.add_output(place, data, overlap)
        self._look_for_closed_keys(life, place, data, overlap=overlap)

    def _look_for_closed_keys(self, life: Life, place: str, data: bytes, *, own: str = "", overlap: int = 0) -> None:
        """Note the keys of cases that are not open any more, but for `own`."""
        for case_id, name in life.keys.found_in(data, overlap):
            if case_id == own or case_id in self._cases.open:
                continue
            notes = self._cases.blamed(case_id)
            if self._cases.is_held(case_id):
                notes.add_leak(f"{place}, after the result")
            elif isinstance(notes, HeldRun):
                notes.add_leak(f"{place} (that of {name})")
            else:
                notes.add_leak(f"{place} (that of {name}, after its result)")

    def _begin(self) -> Life:
        """Start the process, and say hello to it."""
        life = self._life = Life(self._start())
        life.process.write(line({"type": "hello", "protocol": PROTOCOL}))
        return life

    def _greet(self, life: Life) -> None:
        """Take the hello of a process, if it has come. Raises DriverError if none will come."""
        try:
            life.hello = hello_of(life.process, self._startup)
        except DriverError as error:
            self.end()
            raise DriverError(f"{error}{life.process.said()}") from None
        self._hello = life.hello or self._hello

    def finish(self) -> None:
        """Let the process exit, and read the last of its output."""
        life = self._life
        if life is None or life.hello is None:
            self.end()
            return
        self.close_input()
        until = monotonic() + EXIT_TIMEOUT_S
        while life.process.status is None and monotonic() < until:
            wait([life.process], TICK_S)
        self.end()
        self._read(life)

    def close_input(self) -> None:
        """End the input of the process: no more cases come."""
        if self._life is not None:
            self._life.process.write(b"", last=True)

    def end(self) -> None:
        """End the process."""
        life, self._life = self._life, None
        if life is not None:
            life.process.end()
