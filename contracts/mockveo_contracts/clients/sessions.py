"""A session: one process that is given all cases, level 2 of the client protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from time import monotonic
from typing import Any, Final, Self

from mockveo.errors import SettingsError
from mockveo_contracts.case import features
from mockveo_contracts.cases.definitions import TestCase
from mockveo_contracts.clients.driver import Client, DriverError
from mockveo_contracts.clients.messages import (
    HELLO,
    RESULT,
    Mistakes,
    PendingCase,
    Queue,
    holds,
    line,
    message_of,
    short,
)
from mockveo_contracts.clients.processes import GENTLY, TICK, Process, wait
from mockveo_contracts.clients.testbed import CaseRun, Testbed

PROTOCOL: Final = 1
#: Seconds that a process gets to exit once its input has ended.
LAST: Final = 2.0
#: Seconds that a case goes on once its adapter has broken: there is nothing to judge any more.
BROKEN: Final = 1.0
#: Cases that are open at once at most, whatever a client says: their pace is to tell of it, not of our machine.
MOST_OPEN: Final = 8
_OUT_OF_STEP: Final = (
    "the client does not load libfaketime, as programs that are linked statically do not; leave --accelerate out"
)
_ERRORS: Final = "standard error"
_OUTPUT: Final = "standard output"


class Session:
    """Speaks with a process that `start` starts. A context manager.

    It is started again where a case has to be ended, and once where it dies.
    """

    def __init__(self, start: Callable[[], Process], stage: Testbed, *, startup: float, patience: float) -> None:
        self._start, self._stage = start, stage
        self._startup, self._patience = startup, patience
        self._process: Process | None = None
        self._client: Client | None = None
        self._width = 1
        self._open: dict[str, PendingCase] = {}
        #: The ids that this process was given -> their keys and the names of their scripts.
        self._given: dict[str, tuple[bytes, str]] = {}
        self._answered: set[str] = set()
        #: A play that is done, with its id; it may turn out that the process has more to say about it.
        self._held: tuple[str, CaseRun] | None = None
        #: What broke after it was done.
        self._late = Mistakes()
        #: What was seen between cases: places where a key was, and what was broken.
        self._loose: tuple[list[str], Mistakes] = ([], Mistakes())
        self._deaths = 0

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._finish()
        self._end()

    @property
    def client(self) -> Client:
        """Who it says it is."""
        assert self._client is not None, "the session has not been entered"
        return self._client

    def play(self, scripts: Iterable[TestCase]) -> Iterator[CaseRun]:
        """Plays scripts, as they are done, each when the next one is: what it says of a case too late counts too."""
        queue = Queue(scripts)
        try:
            yield from self._plays(queue)
        except DriverError:
            if self._held is not None:
                yield self._let_go()
            raise
        finally:
            self._held, self._late = None, Mistakes()
            if self._open:  # nobody waits for them
                self._end()
                self._drop()

    def _plays(self, queue: Queue) -> Iterator[CaseRun]:
        while self._fill(queue) or self._open:
            for case in self._step(queue):
                before = self._let_go() if self._held is not None else None
                self._held = case.id, case.play()
                if before is not None:
                    yield before
        if queue.taken > 1:
            # Of many, the last one is to be known as well as the others; for one alone it would cost a start.
            self._finish()
        if self._held is not None:
            yield self._let_go()

    def _let_go(self) -> CaseRun:
        """The play that is held, with what broke since."""
        assert self._held is not None
        (_, play), self._held = self._held, None
        late, self._late = self._late, Mistakes()
        return replace(play, adapter_error="; ".join(filter(None, [play.adapter_error, str(late)])))

    def _fill(self, queue: Queue) -> bool:
        """Gives out cases; whether there were any."""
        some = False
        while len(self._open) < self._width:
            busy = {one.scene.script.world for one in self._open.values()}
            script = queue.take(busy)
            if script is None:
                break
            process = self._ready()
            case = PendingCase(self._stage.open(script, date=process.date), self.client.features, self._patience)
            self._open[case.id] = case
            self._given[case.id] = script.key.encode(), script.name
            case.leaks += self._loose[0]
            case.mistakes.take(self._loose[1])
            self._loose = ([], Mistakes())
            process.write(line(case.scene.case.message))
            some = True
        return some

    def _ready(self) -> Process:
        """The process, started if there is none that listens."""
        process = self._process
        if process is not None and process.dumb and not self._open:
            self._died(process)
        return self._process or self._begin()

    def _step(self, queue: Queue) -> list[PendingCase]:
        """Waits for something to happen; the cases that are done by it."""
        process = self._process
        assert process is not None
        wait([process], min([TICK, *(one.until - monotonic() for one in self._open.values())]))
        # Before it is read to its end, so that nothing is lost of one that ends meanwhile.
        dumb = process.dumb
        process.receive()
        done = self._listen(process)
        if self._open and dumb:
            return done + self._died(process)
        overdue = [one for one in self._open.values() if monotonic() > one.until]
        if overdue:
            self._end()
            done += self._listen(process)
            for one in overdue:
                if self._open.pop(one.id, None) is not None:
                    one.unanswered = not one.mistakes
                    done.append(one)
            queue.again(self._drop())
        return done

    def _died(self, process: Process) -> list[PendingCase]:
        """Of a process that ended by itself: its cases are lost. Raises DriverError the second time."""
        how = ended(process)
        self._end()
        done = self._listen(process)
        names = " and ".join(one.scene.script.name for one in self._open.values())
        if done and not names:
            return done
        how += f" while it was at {names}" if names else " between two cases"
        self._deaths += 1
        if self._deaths > 1:
            self._drop()
            again = "it was started again before, and is not once more"
            raise DriverError(f"the client {how}; {again}{self._hints(process)}")
        for one in self._open.values():
            one.mistakes.append(f"the client {how}; it is started again once{self._hints(process)}")
        done += self._open.values()
        self._open.clear()
        return done

    def _hints(self, process: Process) -> str:
        once = process.status == 0 and len(self._answered) <= 1
        hint = "; a program that plays one case and exits is driven with --mode once" if once else ""
        return hint + _said(process)

    def _drop(self) -> list[TestCase]:
        """Takes the open cases back."""
        scripts = [one.scene.script for one in self._open.values()]
        for one in self._open.values():
            one.scene.close()
        self._open.clear()
        return scripts

    def _listen(self, process: Process) -> list[PendingCase]:
        """Takes what the process wrote; the cases that were answered."""
        done = []
        # First, as a case is to have what was written before its answer.
        while process.errors:
            self._overhear(_ERRORS, *process.errors.popleft())
        while process.lines:
            raw = process.lines.popleft()
            try:
                message = message_of(raw)
                case = self._answer(message, raw) if message is not None else None
            except ValueError as error:
                self._overhear(_OUTPUT, raw + b"\n")
                self._broken(str(error))
                continue
            if case is not None:
                done.append(case)
        return done

    def _answer(self, message: Mapping[str, Any], raw: bytes) -> PendingCase | None:
        """The case that a message closes. Raises ValueError for one that should not be."""
        kind, number = message["type"], message.get("id")
        if kind == "hello":
            raise ValueError(f"a second hello came: {short(raw)}; wanted one, and then results like {RESULT}")
        if kind == "adapter_error":
            text = f"the adapter says: {message.get('message') or 'nothing more'}"
            case = self._open.pop(str(number), None)
            if case is None:
                self._overhear(_OUTPUT, raw)
                self._broken(text)
                return None
            case.look_for_key("the result", raw)
            case.mistakes.append(text)
            return case
        case = self._open.pop(number, None) if isinstance(number, str) else None
        if case is None:
            self._stray(number, raw)
            return None
        for other in self._open.values():
            other.look_for_key(f"the result of {case.scene.script.name}", raw)
        self._look_for_others(f"the result of {case.scene.script.name}", raw, case.id)
        self._answered.add(case.id)
        case.answer(message, raw)
        return case

    def _stray(self, number: Any, raw: bytes) -> None:
        """Of an answer that no open case is for."""
        self._look_for_others("a result", raw)
        if isinstance(number, str) and number in self._answered:
            self._broken(f"the case {number} was answered twice, the second time with {short(raw)}", number)
            return
        wanted = " or ".join(repr(one) for one in self._open) or "nothing, as no case was open"
        self._broken(f"an answer came for the id {number!r}, wanted {wanted}: {short(raw)}; e.g. {RESULT}")

    def _broken(self, text: str, number: str = "") -> None:
        """Notes that the adapter broke: of the case that it is about, else of the one that has been open longest."""
        if self._held is not None and (self._held[0] == number or not self._open):
            self._late.append(text)
        elif self._open:
            case = next(iter(self._open.values()))
            case.mistakes.append(text)
            case.until = min(case.until, monotonic() + BROKEN)
        else:
            self._loose[1].append(text)

    def _overhear(self, place: str, data: bytes, overlap: int = 0) -> None:
        for case in self._open.values():
            case.overhear(place, data, overlap)
        self._look_for_others(place, data, overlap=overlap)

    def _look_for_others(self, place: str, data: bytes, this: str = "", overlap: int = 0) -> None:
        """Looks for the keys of cases that are done, and notes them with theirs, or with the next best."""
        for number, (key, name) in self._given.items():
            if number == this or number in self._open or not holds(data, key, overlap):
                continue
            if self._held is not None and (self._held[0] == number or not self._open):
                own = self._held[0] == number
                self._leaked_late(f"{place}, after the result" if own else f"{place} (that of {name})")
                continue
            others = next(iter(self._open.values())).leaks if self._open else self._loose[0]
            text = f"{place} (that of {name}, after its result)"
            if text not in others:
                others.append(text)

    def _leaked_late(self, place: str) -> None:
        assert self._held is not None
        number, play = self._held
        told = dict(play.outcome or {})
        if place not in told.get("leaks", ()):
            self._held = number, replace(play, outcome={**told, "leaks": [*told.get("leaks", ()), place]})

    def _begin(self) -> Process:
        """Starts the process, and greets it. Raises DriverError for one that does not greet us as it should."""
        self._given.clear()
        self._answered.clear()
        process = self._process = self._start()
        process.write(line({"type": "hello", "protocol": PROTOCOL}))
        try:
            raw = self._first_line(process)
            error = _no_hello(process, self._startup) if raw is None else ""
        except BaseException:
            self._end()
            raise
        try:
            if raw is not None:
                self._client, self._width = _introduced(raw)
                error = "" if process.in_step else _OUT_OF_STEP
        except DriverError as one:
            error = str(one)
        if error:
            self._end()
            raise DriverError(f"{error}{_said(process)}")
        return process

    def _first_line(self, process: Process) -> bytes | None:
        while process.age < self._startup and (process.lines or not process.dumb):
            while process.lines:
                raw = process.lines.popleft()
                if raw.strip(b"\xef\xbb\xbf\r\n\t "):
                    return raw
            wait([process], TICK)
        return None

    def _finish(self) -> None:
        """Lets the process finish by itself, and hears it out."""
        process = self._process
        if process is None:
            return
        process.write(b"", last=True)
        until = monotonic() + LAST
        while process.status is None and monotonic() < until:
            wait([process], TICK)
        self._end()
        self._listen(process)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.end()


def _introduced(raw: bytes) -> tuple[Client, int]:
    """Who a hello says that it is, and how many cases it takes at once. Raises DriverError."""
    try:
        hello = message_of(raw, HELLO) or {}
        wrong = _wrong(hello, raw)
        can = features(hello.get("features") or {}) if not wrong else {}
    except (ValueError, SettingsError) as error:
        wrong = str(error)
    if wrong:
        raise DriverError(f"the client's hello is none: {wrong}")
    version, width = str(hello.get("version") or ""), hello.get("max_in_flight", 1)
    return Client(hello.get("client") or "unnamed", version, can), min(width, MOST_OPEN)


def _wrong(hello: Mapping[str, Any], raw: bytes) -> str:
    if hello["type"] != "hello":
        return f"the first line was {short(raw)}; wanted a hello like {HELLO}"
    if hello.get("protocol", PROTOCOL) != PROTOCOL:
        return f"the client speaks protocol {hello['protocol']!r}, wanted {PROTOCOL}"
    for name, kind, wanted in (("client", str, "a name"), ("features", dict, 'an object like {"images":2}')):
        if not isinstance(hello.get(name), kind | None):
            return f"{name} of the hello is {hello[name]!r}, wanted {wanted}; e.g. {HELLO}"
    width = hello.get("max_in_flight", 1)
    if not isinstance(width, int) or isinstance(width, bool) or width < 1:
        return f"max_in_flight of the hello is {width!r}, wanted a number from 1; e.g. {HELLO}"
    return ""


def _no_hello(process: Process, startup: float) -> str:
    wanted = f"wanted a line like {HELLO}"
    once = "a program that is not written for sessions is driven with --mode once or --mode run"
    if process.dumb:
        return f"the client {ended(process)} before it said hello; {wanted}; {once}"
    cause = f"does it read its standard input, and flush what it writes? ({once})"
    return f'the client said no hello in {startup:g} s; {wanted} in answer to {{"type":"hello","protocol":1}}; {cause}'


def ended(process: Process) -> str:
    """How a process came to its end, or is about to."""
    until = monotonic() + GENTLY
    while process.status is None and monotonic() < until:
        wait([process], TICK)  # it may be about to
    status = process.status
    if status is None:
        return "closed its standard output"
    return f"ended with exit status {status}" if status >= 0 else f"was ended by signal {-status}"


def _said(process: Process) -> str:
    tail = process.tail.decode("utf-8", "replace").strip()
    return f"\n  standard error: {tail[-1500:]}" if tail else "\n  standard error: nothing"
