"""The testbed: a server of ours on which cases are played, each in a world of its own."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from secrets import token_hex
from typing import Any, ClassVar, Final, Self

from mockveo.errors import StoreError
from mockveo.rules.bill import Bill, PaidJob
from mockveo.rules.client_rules import client_rules
from mockveo.rules.engine import Verdict
from mockveo.rules.money import bill
from mockveo.rules.trace import CallTrace, Restart
from mockveo.server.billing import jobs_of
from mockveo.server.context import refreshed
from mockveo.server.run import ServerThread
from mockveo.settings import of
from mockveo.simulator.clock import Clock
from mockveo.simulator.fault_selection import Kills
from mockveo.simulator.stores.store import StoredExchanges
from mockveo.simulator.world import World
from mockveo.spec.spec import Spec
from mockveo.traffic.exchange import ClockName, Exchange, ExchangeJson
from mockveo_contracts.case import SPEED, Case, Image, Input
from mockveo_contracts.cases.definitions import TestCase
from mockveo_contracts.cases.images import MEDIA_TYPES, picture
from mockveo_contracts.clients.restarts import Course, Start, of_call, own_call
from mockveo_contracts.clients.virtual_time import CaseClock, VirtualTime
from mockveo_contracts.workspace import workspace

#: Bytes of a stored video; arbitrary, far above any clip of ours.
MAX_VIDEO_BYTES: Final = 2**30
#: Exchanges that a world records: several times what a client that polls without a pause makes of a case.
MAX_EXCHANGES: Final = 5000
#: Source: mockveo/server/app.py.
MAX_WORLD_NAME: Final = 100


@dataclass(frozen=True)
class CaseRun:
    """One case as one client played it: all that the rules need."""

    test_case: TestCase
    #: What the client was given, in the shape of the client protocol.
    case: Mapping[str, Any]
    trace: Sequence[ExchangeJson]
    #: In the shape of the client protocol, with `content`, `leaks` and `ended_by`; None if the client gave none.
    outcome: Mapping[str, Any] | None
    features: Mapping[str, Any]
    defaults: Mapping[str, Any]
    #: Which seconds of an exchange count, "at" = the world's, "time" = ours, and how many pass in one of the client's.
    clock: ClockName
    pace: float
    #: What broke in the adapter, which is never a verdict on the client.
    adapter_error: str = ""
    #: What the client wrote besides its result.
    output: str = field(default="", repr=False)
    #: Our own seconds that it took.
    seconds: float = 0.0
    #: The jobs that it made, and how many creates its budget refused.
    jobs: Sequence[PaidJob] = ()
    refused: int = 0
    #: Of a call that may come more than once.
    starts: Sequence[Start] = ()

    @property
    def exchanges(self) -> list[Exchange]:
        """The exchanges of the trace, by the clock of the client."""
        return [Exchange.from_json(record, clock=self.clock) for record in self.trace]

    @property
    def call_trace(self) -> CallTrace:
        """The whole run as one call."""
        return CallTrace(self.exchanges, self.case, self.outcome, self.features, self.defaults, self.pace)

    @property
    def call_traces(self) -> list[CallTrace]:
        """The run as the rules take it: the call, or each of its starts."""
        whole = self.call_trace
        if not self.starts:
            return [whole]
        return [self._start_trace(start, whole) for start in self.starts]

    def _start_trace(self, start: Start, whole: CallTrace) -> CallTrace:
        """Return one start of the call; what an abandoned start still sends is part of none."""
        before = of_call(self.starts, start)
        earlier = [exchange for exchange in whole.exchanges if any(exchange.number in other for other in before)]
        restart = None
        if before:
            last = before[-1]
            reported = str((last.outcome or {}).get("outcome") or "")
            restart = Restart(last.killed, earlier, reported, damaged=any(other.damaged for other in before))
        return replace(
            whole,
            exchanges=[exchange for exchange in whole.exchanges if exchange.number in start],
            case=start.case,
            outcome=whole.outcome if start is self.starts[-1] else start.outcome,
            restart=restart,
        )

    @property
    def bill(self) -> Bill:
        """What became of its jobs."""
        return bill(self.jobs, [self.call_trace], place=self.test_case.name)

    def verdicts(self) -> list[Verdict]:
        """Return the verdict of each rule; none after an adapter error."""
        return self._verdicts

    @cached_property
    def _verdicts(self) -> list[Verdict]:
        return [] if self.adapter_error else client_rules().judge_all(self.call_traces)


class Testbed:
    """A server and a directory for the cases that are played. A context manager.

    `factor` seconds of the client pass in one of ours, if its time is accelerated.
    """

    #: Not a class of tests, for pytest.
    __test__: ClassVar = False
    #: Whether its faults can kill a client.
    can_kill: ClassVar = True

    def __init__(self, *, factor: float = 1.0, **settings: Any) -> None:
        self.factor = factor
        self._settings = of(render=False, seed=0, max_exchanges=MAX_EXCHANGES, port=0, **settings)
        self._exit = ExitStack()
        self._count = 0

    def __enter__(self) -> Self:
        with ExitStack() as entered:
            self.server = entered.enter_context(ServerThread(self._settings))
            self._directory = entered.enter_context(workspace())
            self._exit = entered.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    @property
    def spec(self) -> Spec:
        """The API description that the server follows."""
        return self.server.app.spec

    def settle(self) -> bool:
        """Let the server take what was sent to it; return whether it is at work on an answer."""
        return self.server.settle()

    def open(self, test_case: TestCase, virtual: VirtualTime | None = None, *, date: float | None = None) -> OpenCase:
        """Open a case in a reset world, by virtual time if there is one.

        `date` is the client's, in Unix seconds, if its calendar is not ours.
        """
        self._count += 1
        directory = self._directory / str(self._count)
        directory.mkdir()
        plan = test_case.restarts
        kills = None if plan is None else Kills(plan.kills)
        world = self._reset(test_case, kills)
        self._set_clock(world, virtual, date)
        images = write_images(test_case, directory)
        call_id, state_dir = own_call(directory)
        case = Case(
            id=str(self._count),
            base_url=f"{self.url}/@{world.name}/v1",
            api_key=test_case.key,
            input=Input(test_case.prompt, test_case.model, test_case.size, tuple(image for image, _ in images)),
            poll_interval_s=test_case.poll_interval * self.factor,
            deadline_s=test_case.deadline * self.factor,
            call_id=call_id,
            state_dir=state_dir,
        )
        course = None
        if plan is not None and kills is not None:
            course = Course(plan, case, world.journal, directory)
            kills.strike = course.strike
        hashes = [sha256 for _, sha256 in images]
        return OpenCase(
            test_case, case, world, hashes, directory, virtual is not None, self.factor, course, self.present
        )

    @property
    def url(self) -> str:
        """The URL that clients call."""
        return self.server.url

    def present(self, world: World) -> World:
        """Return a world as it is now."""
        return world

    def _reset(self, test_case: TestCase, kills: Kills | None) -> World:
        changes = {"seed": test_case.seed}
        return self.server.app.worlds.reset(test_case.world, changes, test_case.scenario, kills=kills)

    def _set_clock(self, world: World, virtual: VirtualTime | None, date: float | None) -> None:
        if virtual is not None:
            world.clock = CaseClock(virtual, SPEED)
            return
        # Dates are the client's, which run faster; a scenario keeps its pace in our seconds, as deadlines do.
        tick = lambda: time.monotonic() * self.factor  # noqa: E731
        world.clock = Clock("wall", speed=SPEED / self.factor, date=date, tick=tick)


class SharedTestbed(Testbed):
    """A testbed of which other servers, with the same store, play the cases: clients call them at a URL.

    Its own server makes the worlds and reads what came to them. It kills no client: the faults are of the others.
    """

    can_kill = False

    def __init__(self, url: str, **settings: Any) -> None:
        super().__init__(**settings)
        self._url = url
        # So that several checks may use the same servers at a time.
        self._prefix = f"{token_hex(3)}-"
        self._names = set[str]()

    def __exit__(self, *_: object) -> None:
        from mockveo.simulator.stores.shared import SharedStores

        stores = self.server.app.worlds.stores
        assert isinstance(stores, SharedStores)
        with suppress(StoreError):
            stores.remove(self._names)
        super().__exit__()

    @property
    def url(self) -> str:
        """The URL that clients call."""
        return self._url

    def present(self, world: World) -> World:
        """Return a world with what other servers have changed in it. Raises StoreError."""
        return self.server.call(refreshed(world))

    def _reset(self, test_case: TestCase, kills: Kills | None) -> World:
        del kills
        settings = self._settings
        changes = {"seed": test_case.seed, "clock": "wall", "speed": SPEED}
        changes |= {name: getattr(settings, name) for name in ("profile", "budget", "max_exchanges")}
        name = f"{self._prefix}{test_case.world}"[:MAX_WORLD_NAME]
        self._names.add(name)
        return self.server.app.worlds.reset(name, changes, test_case.scenario)

    def _set_clock(self, world: World, virtual: VirtualTime | None, date: float | None) -> None:
        """Leave the clock alone: that of the store is the one of all servers."""


def write_images(test_case: TestCase, directory: Path) -> list[tuple[Image, str]]:
    """Write the images of a case, each into its own directory; return each with its SHA-256 in hex."""
    images, data = [], b""
    for number, (filename, size, same) in enumerate(test_case.images):
        content_type = MEDIA_TYPES[Path(filename).suffix.lower()]
        if not (same and data):
            data = picture(content_type, size, f"{test_case.name} {number}")
        path = directory / str(number + 1) / filename
        path.parent.mkdir()
        path.write_bytes(data)
        images.append((Image(str(path), filename, content_type), hashlib.sha256(data).hexdigest()))
    return images


def _read_video(path: Path) -> dict[str, Any]:
    """Return the `sha256` and `bytes` of a stored video. Raises OSError or ValueError."""
    size = path.stat().st_size
    if not path.is_file() or size > MAX_VIDEO_BYTES:
        raise ValueError("it is not a file of ordinary size")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"sha256": digest, "bytes": size}


@dataclass
class OpenCase:
    """A case that is being played. `close` removes its files."""

    test_case: TestCase
    #: As the client gets it at first.
    call: Case
    world: World
    #: SHA-256 of the images, in order.
    hashes: Sequence[str]
    #: Its own directory, which `close` removes.
    directory: Path
    virtual: bool
    factor: float
    #: The starts of a call that may come more than once.
    course: Course | None = None
    #: Returns the world as it is now.
    present: Callable[[World], World] = lambda world: world
    #: By the monotonic clock.
    opened_at: float = field(default_factory=time.monotonic)
    #: Why a video that it stored cannot be read.
    problem: str = ""

    @property
    def case(self) -> Case:
        """The case as the client gets it at present."""
        return self.call if self.course is None else self.course.case

    @property
    def journal(self) -> StoredExchanges:
        """The exchanges so far."""
        self.world = self.present(self.world)
        return self.world.journal

    @property
    def killed(self) -> bool:
        """Whether the present start was killed."""
        return self.course is not None and self.course.killed

    @property
    def _starts(self) -> Sequence[Start]:
        return () if self.course is None else self.course.starts

    @property
    def first(self) -> int:
        """The number of the first exchange of the present start."""
        return 1 if self.course is None else self.course.first

    def goes_on(self, outcome: Mapping[str, Any] | None) -> bool:
        """End the present start, with its outcome unless it was killed; return whether another one comes."""
        if self.course is None:
            return False
        return self.course.end_start(None if self.killed else {**(outcome or {}), "content": self._content(outcome)})

    def _content(self, outcome: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """Return what the client stored; None if it stored nothing, or what it stored cannot be read."""
        path = (outcome or {}).get("content_path")
        if not path:
            return None
        try:
            return _read_video(Path(path))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self.problem = (
                f"the result's content_path {path!r} cannot be read: {reason};"
                " expected the path of the stored video, or null without one"
            )
            return None

    def _message(self, case: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a case as the client gets it, with the hashes of the images."""
        images = zip(case["input"]["images"], self.hashes, strict=True)
        hashed = [{**image, "sha256": sha256} for image, sha256 in images]
        return {**case, "input": {**case["input"], "images": hashed}}

    def run(
        self,
        outcome: Mapping[str, Any] | None,
        features: Mapping[str, Any],
        *,
        leaks: Sequence[str] = (),
        ended_by: str | None = None,
        adapter_error: str = "",
        output: str = "",
    ) -> CaseRun:
        """Return the run, with what the client stored, which is deleted.

        `outcome` is as `case.result` returns it, None if there is none; `leaks` are the places where the key was found.
        """
        result: dict[str, Any] = {"outcome": None, "video": None, "content_path": None, "error": None}
        result |= outcome or {}
        content = self._content(result)
        if content is not None:
            with suppress(OSError):
                Path(result["content_path"]).unlink()
        return CaseRun(
            test_case=self.test_case,
            case=self._message(self.call.message),
            trace=[record.to_json() for record in self.journal],
            outcome={**result, "content": content, "leaks": list(leaks), "ended_by": ended_by},
            features=features,
            defaults=self.world.spec.form.defaults,
            clock="at" if self.virtual else "time",
            pace=SPEED if self.virtual else 1 / self.factor,
            adapter_error=adapter_error or self.problem,
            output=output,
            seconds=time.monotonic() - self.opened_at,
            jobs=jobs_of(self.world),
            refused=self.world.budget.refused if self.world.budget else 0,
            starts=[replace(start, case=self._message(start.case)) for start in self._starts],
        )

    def close(self) -> None:
        """Remove the files of the case."""
        if self.course is not None:
            self.course.close()
        shutil.rmtree(self.directory, ignore_errors=True)
