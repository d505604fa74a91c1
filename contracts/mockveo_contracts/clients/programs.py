"""Drives a client that is a program, in real time: one process for all cases, or one for each."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self

from mockveo.errors import SettingsError
from mockveo.rules.trace import FAILURE, CallTrace
from mockveo.spec.spec import Spec
from mockveo.traffic.exchange import Exchange
from mockveo_contracts.case import Case, features
from mockveo_contracts.cases.definitions import TestCase
from mockveo_contracts.clients.driver import PATIENCE, Client, DriverError
from mockveo_contracts.clients.messages import RESULT, PendingCase, Queue, line, message_of, short
from mockveo_contracts.clients.processes import TICK, Process, environment, wait
from mockveo_contracts.clients.sessions import Session, ended
from mockveo_contracts.clients.testbed import CaseRun, OpenCase, Testbed

MODES: Final = ("session", "once", "run")
#: Seconds that a program gets to say hello: some compile themselves first.
STARTUP: Final = 30.0
#: Seconds that a program gets to exit once it has answered.
LINGER: Final = 2.0
#: Exit statuses of a shell that could not run a command.
_NO_COMMAND: Final = (126, 127)
#: Characters of what it wrote that are taken for what it says of an error.
_SAID: Final = 2000


class Programs:
    """A driver of a program. A context manager.

    `mode` is how it is spoken to: "session" - one process that is given all cases -, "once" - one for each
    case, given on standard input - or "run" - one for each, given in the environment; `features` are for the last two.
    `factor` seconds pass for it in one of ours. Raises DriverError where that cannot be.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        mode: str = "session",
        features: Mapping[str, Any] | None = None,
        factor: float = 1.0,
        stage: Mapping[str, Any] | None = None,
        startup: float = STARTUP,
        patience: float = PATIENCE,
    ) -> None:
        if os.name != "posix":
            raise DriverError(
                "programs are driven on Linux and macOS; on Windows use WSL, or --python my_client:client"
            )
        if not command:
            raise DriverError("no program is named; wanted a command, e.g. mockveo check -- python my_client.py")
        if mode not in MODES:
            raise SettingsError(f"the mode is {mode!r}, wanted one of {', '.join(MODES)}, e.g. --mode session")
        if mode == "session" and features:
            raise SettingsError("--features is for --mode once and run; a session says in its hello what it can do")
        self._command, self._mode, self._factor = list(command), mode, factor
        self._declared, self._startup, self._patience = dict(features or {}), startup, patience
        self._stage = Testbed(factor=factor, **(stage or {}))
        self._exit = ExitStack()
        self._session: Session | None = None

    def __enter__(self) -> Self:
        with ExitStack() as entered:
            entered.enter_context(self._stage)
            outside = environment({}, self._factor)
            if self._mode == "session":
                start = lambda: Process(self._command, outside, seconds=self._factor)  # noqa: E731
                session = Session(start, self._stage, startup=self._startup, patience=self._patience)
                self._session = entered.enter_context(session)
            self._exit = entered.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.__exit__(kind, error, trace)

    @property
    def client(self) -> Client:
        """Who it is, and what it can do."""
        if self._session is not None:
            return self._session.client
        return Client(shlex.join(self._command), "", features(self._declared))

    @property
    def spec(self) -> Spec:
        """The document that the client is held against."""
        return self._stage.spec

    def play(self, scripts: Iterable[TestCase]) -> Iterator[CaseRun]:
        """Plays scripts, as they are done. Raises DriverError where the client cannot be driven any more."""
        if self._session is not None:
            yield from self._session.play(scripts)
            return
        # Programs that store a video may do so under the same name, and would meet.
        width = 1 if self.client.features["content"] else min(os.cpu_count() or 1, 2)
        queue, running = Queue(scripts), list[_Single]()
        try:
            while True:
                while len(running) < width and (script := queue.take({one.world for one in running})) is not None:
                    running.append(self._begun(script))
                if not running:
                    return
                wait([one.process for one in running if one.process is not None], TICK)
                for one in [one for one in running if one.over]:
                    running.remove(one)
                    yield one.play()
        finally:
            for one in running:
                one.close()

    def _begun(self, script: TestCase) -> _Single:
        scene = self._stage.open(script)
        case = PendingCase(scene, self.client.features, self._patience)
        run = self._mode == "run"
        try:
            process = Process(
                self._command,
                environment(variables(scene.case) if run else {}, self._factor),
                seconds=self._factor,
            )
        except ValueError as error:
            case.mistakes.append(f"the case cannot be told in environment variables: {error}; --mode once can tell it")
            return (_Run if run else _Once)(case, None)
        except DriverError:
            scene.close()
            raise
        process.write(b"" if run else line(scene.case.message), last=True)
        return (_Run if run else _Once)(case, process)


def variables(case: Case) -> dict[str, str]:
    """A case as environment variables; what its caller leaves out is not among them."""
    given = case.input
    values = {
        "COMETAPI_BASE_URL": case.base_url,
        "COMETAPI_KEY": case.api_key,
        "OPENAI_BASE_URL": case.base_url,
        "OPENAI_API_KEY": case.api_key,
        "MOCKVEO_PROMPT": given.prompt,
        "MOCKVEO_MODEL": given.model,
        "MOCKVEO_SIZE": given.size,
        "MOCKVEO_IMAGES": os.pathsep.join(image.path for image in given.images) or None,
        "MOCKVEO_CASE": json.dumps(case.message, ensure_ascii=False),
        "MOCKVEO_POLL_INTERVAL_S": f"{case.poll_interval_s:g}",
        "MOCKVEO_DEADLINE_S": f"{case.deadline_s:g}",
    }
    return {name: value for name, value in values.items() if value is not None}


class _Single:
    """A process of one case."""

    def __init__(self, case: PendingCase, process: Process | None) -> None:
        self._case = case
        self.process = process
        self._lingers_until = float("inf")
        #: Ours, that it took.
        self._seconds = 0.0

    @property
    def world(self) -> str:
        """Where its case is played."""
        return self._case.scene.script.world

    @property
    def over(self) -> bool:
        """Whether it has ended, or is to be ended."""
        if self.process is None:
            return True
        self._take(self.process)
        return self.process.status is not None or monotonic() > min(self._case.until, self._lingers_until)

    def play(self) -> CaseRun:
        """What was played, of one that is over."""
        if self.process is not None:
            by_itself, self._seconds = self.process.status is not None, self.process.age
            self.process.end()
            self._take(self.process)
            self._conclude(self.process, by_itself=by_itself)
        return self._case.play()

    def close(self) -> None:
        """Ends one that nobody waits for."""
        if self.process is not None:
            self.process.end()
        self._case.scene.close()

    def _take(self, process: Process) -> None:
        while process.errors:
            self._case.overhear("standard error", *process.errors.popleft())
        while process.lines:
            self._line(process.lines.popleft())

    def _line(self, raw: bytes) -> None:
        """Takes a line of standard output."""
        raise NotImplementedError

    def _conclude(self, process: Process, *, by_itself: bool) -> None:
        """Makes something of a process that has ended, by itself or not."""
        raise NotImplementedError


class _Once(_Single):
    """Level 1: the result is a line on standard output."""

    def _line(self, raw: bytes) -> None:
        case = self._case
        try:
            message = message_of(raw)
            wrong = "" if message is None else self._wrong(message, raw)
        except ValueError as error:
            message, wrong = None, str(error)
        if wrong:
            case.overhear("standard output", raw + b"\n")
            case.mistakes.append(wrong)
        elif message is None:
            return
        else:
            case.answer(message, raw)
        self._lingers_until = min(self._lingers_until, monotonic() + LINGER)

    def _wrong(self, message: Mapping[str, Any], raw: bytes) -> str:
        case = self._case
        if message["type"] == "adapter_error":
            return f"the adapter says: {message.get('message') or 'nothing more'}"
        if message["type"] != "result" or message.get("id", case.id) != case.id:
            return f"the line {short(raw)} is not the result of {case.id!r}; wanted one like {RESULT}"
        return f"a second result came, {short(raw)}; wanted one" if case.outcome is not None else ""

    def _conclude(self, process: Process, *, by_itself: bool) -> None:
        case = self._case
        if case.outcome is not None or case.mistakes:
            return
        if not by_itself:
            case.unanswered = True
            return
        said = process.tail.decode("utf-8", "replace").strip()
        what = f"the client {ended(process)} and wrote no result; wanted a line like {RESULT}"
        case.mistakes.append(f"{what}\n  standard error: {said[-1500:] or 'nothing'}")


class _Run(_Single):
    """Level 0: the exit status is the result."""

    def _line(self, raw: bytes) -> None:
        self._case.overhear("standard output", raw + b"\n")

    def _conclude(self, process: Process, *, by_itself: bool) -> None:
        case, status = self._case, process.status
        if not by_itself or status is None:
            case.unanswered = True
        elif status in _NO_COMMAND and not len(case.scene.world.journal):
            said = case.output.strip()[-_SAID:] or "nothing"
            what = f"the client {ended(process)}, as a shell's does that finds no command"
            case.mistakes.append(f"{what}; it wrote {said}")
        elif status == 0:
            case.outcome = {"outcome": "completed", "video": None, "content_path": None, "error": None}
        else:
            # What it wrote is all that its caller learns.
            error = {"type": f"exit status {status}", "message": case.output[-_SAID:]}
            word = _word(case.scene, self._seconds)
            case.outcome = {"outcome": word, "video": None, "content_path": None, "error": error}


def _word(scene: OpenCase, seconds: float) -> str:
    """What a program that exits with another status than 0, after some of our seconds, means by it.

    Failed, timeout and error are not told apart, so it means what it had reason to.
    """
    story = CallTrace(
        [Exchange.from_json(one.to_json()) for one in scene.world.journal], scene.case.message, pace=1 / scene.factor
    )
    if story.end is not None and story.end.state in FAILURE:
        return "failed"
    pauses = [(later.at - one.at) for one, later in pairwise(story.exchanges)]
    # Whoever has no time for another try may give up now: a pause may be twice the one before. And the seconds of a
    # shell are whole ones, of which the first may be over at once.
    slack = max(2 * max(pauses, default=0.0), min(1 / scene.factor, scene.script.deadline / 2))
    late = seconds + slack >= scene.script.deadline
    return "timeout" if late or story.out_of_time() else "error"
