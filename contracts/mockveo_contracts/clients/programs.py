"""Drives a client that is a program, in real time: one process for all cases, or one for each."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from itertools import pairwise
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self

from mockveo.errors import SettingsError
from mockveo.rules.trace import CallTrace
from mockveo.spec.spec import Spec
from mockveo.traffic.exchange import Exchange
from mockveo_contracts.case import Case, features
from mockveo_contracts.cases.definitions import TestCase
from mockveo_contracts.clients.driver import PATIENCE_S, ClientInfo, DriverError
from mockveo_contracts.clients.messages import RESULT, line, message_of, short, variables
from mockveo_contracts.clients.pending import PendingCase, Queue, RestartPolicy
from mockveo_contracts.clients.processes import TICK_S, Process, environment, how_it_ended, wait
from mockveo_contracts.clients.sessions import Session
from mockveo_contracts.clients.testbed import CaseRun, OpenCase, SharedTestbed, Testbed
from mockveo_contracts.interruption import Interrupted

MODES: Final = ("session", "once", "run")
#: Seconds that a program gets to say hello: some compile themselves first.
STARTUP_S: Final = 30.0
#: Seconds that a program gets to exit once it has written its result; arbitrary, most exit at once.
CLIENT_EXIT_TIMEOUT_S: Final = 2.0
#: Processes that run side by side by default. Arbitrary: cases are mostly waits, but their pace is judged, so a machine
#: must not be busy with them. A program as it is may not be made for it.
PARALLEL: Final[Mapping[str, int]] = {"session": 4, "once": 4, "run": 1}
#: Cases that a client plays one by one, to see that it stores each video under a name of its own. More than one: two
#: of the same name show it.
ALONE: Final = 3
#: Exit statuses of a shell that could not run a command. Source: POSIX, Shell Command Language, 2.8.2.
_COMMAND_NOT_RUN: Final = (126, 127)
#: Characters of a program's output that count as the message of its error; arbitrary.
_MAX_ERROR_CHARS: Final = 2000


class Programs:
    """A driver of a program. A context manager.

    `mode` is "session": one process plays all cases; "once": each process plays one, given on standard input; or
    "run": each process plays one, given in the environment. `features` are for the last two. `factor` seconds pass for
    the program in one of ours. At most `parallel` processes play side by side. `through` is the URL of the servers that
    play the cases instead of the check's own. Raises DriverError if that is not possible.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        mode: str = "session",
        features: Mapping[str, Any] | None = None,
        factor: float = 1.0,
        parallel: int | None = None,
        settings: Mapping[str, Any] | None = None,
        through: str | None = None,
        startup: float = STARTUP_S,
        patience: float = PATIENCE_S,
    ) -> None:
        if os.name != "posix":
            raise DriverError(
                "programs are driven on Linux and macOS; on Windows use WSL, or --python my_client:client"
            )
        if not command:
            raise DriverError("the command is empty; expected a program, e.g. mockveo check -- python my_client.py")
        if mode not in MODES:
            raise SettingsError(f"the mode is {mode!r}; expected one of {', '.join(MODES)}, e.g. --mode session")
        if mode == "session" and features:
            raise SettingsError("--features is for --mode once and run; a session declares its features in its hello")
        self._command, self._mode, self._factor = list(command), mode, factor
        self._declared, self._startup, self._patience = dict(features or {}), startup, patience
        settings = settings or {}
        self._testbed = Testbed(factor=factor, **settings) if through is None else SharedTestbed(through, **settings)
        self._exit = ExitStack()
        self._width = _Width(PARALLEL[mode] if parallel is None else parallel)
        #: In mode session one for each process, the first of which has been entered.
        self._sessions: list[Session] = []

    def __enter__(self) -> Self:
        with ExitStack() as entered:
            entered.enter_context(self._testbed)
            variables = environment({}, self._factor)
            if self._mode == "session":
                start = partial(Process, self._command, variables, factor=self._factor)
                restarts = RestartPolicy()
                self._sessions = [
                    Session(start, self._testbed, restarts, startup=self._startup, patience=self._patience)
                    for _ in range(self._width.most)
                ]
                for session in self._sessions:
                    entered.enter_context(session)
                self._sessions[0].greet()
            self._exit = entered.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.__exit__(kind, error, trace)

    @property
    def client(self) -> ClientInfo:
        """The client, as it describes itself in its hello, or else by its command."""
        client = ClientInfo(shlex.join(self._command), "", features(self._declared))
        if self._sessions:
            client = self._sessions[0].client
        return client if self._testbed.can_kill else replace(client, features={**client.features, "resume": False})

    @property
    def spec(self) -> Spec:
        """The API description that the client is checked against."""
        return self._testbed.spec

    def play(self, test_cases: Iterable[TestCase]) -> Iterator[CaseRun]:
        """Play cases, and yield each run when it is done. Raises DriverError if the client cannot be driven."""
        queue = Queue(test_cases)
        with closing(self._play_sessions(queue) if self._sessions else self._play_single_cases(queue)) as runs:
            for run in runs:
                self._width.count(run)
                yield run

    def _play_sessions(self, queue: Queue) -> Generator[CaseRun, None, None]:
        sessions = self._sessions
        try:
            while not queue.is_empty or any(session.worlds for session in sessions):
                yield from self._step(queue)
            if queue.taken > 1:
                # So that the last runs have had their chance, as all others; for a single case it would cost a start.
                for session in sessions:
                    session.close_input()
                for session in sessions:
                    session.finish()
            yield from [run for session in sessions for run in session.release()]
        except (DriverError, Interrupted):
            yield from [run for session in sessions for run in session.release()]
            raise
        finally:
            for session in sessions:
                session.drop()  # if the caller stopped listening

    def _step(self, queue: Queue) -> Iterator[CaseRun]:
        """Give out cases, wait until something happens, and yield the runs that are final by it."""
        width = self._width.now(self.client.features)
        for session in self._sessions[:width]:
            session.give_out(queue, {world for other in self._sessions for world in other.worlds})
        processes = [session.process for session in self._sessions if session.process is not None]
        wait(processes, min([TICK_S, *(session.until - monotonic() for session in self._sessions)]))
        for session in list(self._sessions):
            try:
                yield from session.step(queue)
            except DriverError:
                # It may not be able to start next to the first, which may have taken a port or a file.
                if session.has_greeted or session is self._sessions[0]:
                    raise
                self._sessions.remove(session)

    def _play_single_cases(self, queue: Queue) -> Generator[CaseRun, None, None]:
        running = list[_SingleCase]()
        try:
            while True:
                while len(running) < self._width.now(self.client.features):
                    test_case = queue.take({single.world for single in running})
                    if test_case is None:
                        break
                    running.append(self._begin(test_case))
                if not running:
                    return
                wait([single.process for single in running if single.process is not None], TICK_S)
                for single in [single for single in running if single.over]:
                    run = single.finish()
                    if run is not None:
                        running.remove(single)
                        yield run
        finally:
            for single in running:
                single.close()

    def _begin(self, test_case: TestCase) -> _SingleCase:
        open_case = self._testbed.open(test_case)
        pending = PendingCase(open_case, self.client.features, self._patience)
        single = (_RunCase if self._mode == "run" else _OnceCase)(pending, self._process_of)
        try:
            single.start()
        except DriverError:
            open_case.close()
            raise
        return single

    def _process_of(self, case: Case) -> Process:
        """Start a process that plays a case. Raises DriverError, or ValueError for a case that is too large."""
        in_environment = self._mode == "run"
        outside = variables(case) if in_environment else {}
        process = Process(self._command, environment(outside, self._factor), factor=self._factor)
        process.write(b"" if in_environment else line(case.message), last=True)
        return process


class _Width:
    """How many processes play side by side.

    Those of a client that stores all videos under one name would overwrite each other's. So a client that stores videos
    plays its first cases one by one, and all cases if a name comes a second time.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._runs = 0
        self._paths: set[str] = set()
        self._repeats = False

    def now(self, features: Mapping[str, Any]) -> int:
        """Return how many processes of a client with these features play now."""
        if features["content"] and (self._runs < ALONE or self._repeats):
            return 1
        return self.most

    def count(self, run: CaseRun) -> None:
        """Count a run."""
        outcome = run.outcome or {}
        # A client that runs out of time says little of its videos, and takes long for it.
        self._runs += ALONE if outcome.get("outcome") == "timeout" or outcome.get("ended_by") else 1
        path = outcome.get("content_path")
        if path:
            self._repeats = self._repeats or path in self._paths
            self._paths.add(path)


class _SingleCase:
    """A process that plays one case, and after a kill another one; None while there is none."""

    def __init__(self, case: PendingCase, process_of: Callable[[Case], Process]) -> None:
        self._case = case
        self._process_of = process_of
        self.process: Process | None = None
        #: Whether the client is down after a kill.
        self._down = False
        #: When the process is ended although its deadline has not passed, by the monotonic clock.
        self._until = float("inf")
        #: Our own seconds that it took.
        self._seconds = 0.0

    @property
    def world(self) -> str:
        """The world that its case is played in."""
        return self._case.open_case.test_case.world

    def start(self) -> None:
        """Start the process. Raises DriverError."""
        self._down, self._until = False, float("inf")
        open_case = self._case.open_case
        try:
            self.process = self._process_of(open_case.case)
        except ValueError as error:
            self._case.mistakes.append(f"the case does not fit into environment variables: {error}; use --mode once")
            return
        if open_case.course is not None:
            open_case.course.on_kill = self.process.kill
        self._case.began()

    @property
    def over(self) -> bool:
        """Whether it has ended, or should be ended; start it if it is down for long enough."""
        if self._down and monotonic() >= self._case.down_until:
            self.start()
        if self.process is None:
            return not self._down
        self._read(self.process)
        return self.process.status is not None or monotonic() > min(self._case.until, self._until)

    def finish(self) -> CaseRun | None:
        """End the process; return the run, or None if the client gets the case once more."""
        if self.process is not None:
            by_itself, self._seconds = self.process.status is not None, self.process.age
            self.process.end()
            self._read(self.process)
            if not self._case.open_case.killed:
                self._conclude(self.process, by_itself=by_itself)
        if self._case.goes_on():
            self.process, self._down = None, True
            return None
        return self._case.finish()

    def close(self) -> None:
        """End the process without a run."""
        if self.process is not None:
            self.process.end()
        self._case.open_case.close()

    def _read(self, process: Process) -> None:
        while process.errors:
            self._case.add_output("standard error", *process.errors.popleft())
        while process.lines:
            self._take_line(process.lines.popleft())

    def _take_line(self, raw: bytes) -> None:
        """Take a line of standard output."""
        raise NotImplementedError

    def _conclude(self, process: Process, *, by_itself: bool) -> None:
        """Set the outcome of a process that has ended, by itself or not."""
        raise NotImplementedError


class _OnceCase(_SingleCase):
    """Level 1: the result is a line on standard output."""

    def _take_line(self, raw: bytes) -> None:
        case = self._case
        try:
            message = message_of(raw)
            if message is None:
                return
            self._check(message, raw)
        except ValueError as error:
            case.add_output("standard output", raw + b"\n")
            case.mistakes.append(str(error))
        else:
            case.answer(message, raw)
        self._until = min(self._until, monotonic() + CLIENT_EXIT_TIMEOUT_S)

    def _check(self, message: Mapping[str, Any], raw: bytes) -> None:
        """Raise ValueError for a message that is not the result."""
        case = self._case
        if message["type"] == "adapter_error":
            raise ValueError(f"the adapter says: {message.get('message') or 'nothing more'}")
        if message["type"] != "result" or message.get("id", case.id) != case.id:
            raise ValueError(f"the line {short(raw)} is not the result of {case.id!r}; expected one like {RESULT}")
        if case.outcome is not None:
            raise ValueError(f"a second result came, {short(raw)}; expected one")

    def _conclude(self, process: Process, *, by_itself: bool) -> None:
        case = self._case
        if case.outcome is not None or case.mistakes:
            return
        if not by_itself:
            case.unanswered = True
            return
        end = f"the client {how_it_ended(process)} and wrote no result"
        case.mistakes.append(f"{end}; expected a line like {RESULT}{process.said()}")


class _RunCase(_SingleCase):
    """Level 0: the exit status is the result."""

    def _take_line(self, raw: bytes) -> None:
        self._case.add_output("standard output", raw + b"\n")

    def _conclude(self, process: Process, *, by_itself: bool) -> None:
        case, status = self._case, process.status
        if not by_itself or status is None:
            case.unanswered = True
        elif status in _COMMAND_NOT_RUN and not len(case.open_case.journal):
            output = case.output.strip()[-_MAX_ERROR_CHARS:] or "nothing"
            end = f"the client {how_it_ended(process)}, as a shell does that cannot run a command"
            case.mistakes.append(f"{end}; it wrote {output}")
        elif status == 0:
            case.outcome = {
                "outcome": "completed",
                "video": None,
                "content_path": None,
                "error": None,
                "exit_status": 0,
            }
        else:
            # Its output is all that its caller learns.
            error = {"type": f"exit status {status}", "message": case.output[-_MAX_ERROR_CHARS:]}
            outcome = _likely_outcome(case.open_case, self._seconds)
            nothing = {"video": None, "content_path": None}
            case.outcome = {"outcome": outcome, **nothing, "error": error, "exit_status": status}


def _likely_outcome(open_case: OpenCase, seconds: float) -> str:
    """Return what a program means that exits with a status other than 0 after some of our seconds.

    The status does not say whether it is failed, timeout or error; so it means what the program had reason to say.
    """
    journal = open_case.journal.since(open_case.first - 1)
    exchanges = [Exchange.from_json(record.to_json()) for record in journal]
    trace = CallTrace(exchanges, open_case.case.message, pace=1 / open_case.factor)
    if trace.end is not None and trace.end.shown.meaning == "failure":
        return "failed"
    pauses = [(later.at - earlier.at) for earlier, later in pairwise(trace.exchanges)]
    # A program may give up early if it has no time for another try: a pause may be twice the one before. And a shell
    # counts whole seconds, of which the first may be over at once.
    deadline = open_case.test_case.deadline
    slack = max(2 * max(pauses, default=0.0), min(1 / open_case.factor, deadline / 2))
    late = seconds + slack >= deadline
    return "timeout" if late or trace.out_of_time() else "error"
