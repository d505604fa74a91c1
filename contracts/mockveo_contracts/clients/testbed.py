"""The stage: a server of ours on which scripts are played, each in a world of its own."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Self

from mockveo.rules.client_rules import client_rules
from mockveo.rules.engine import Verdict
from mockveo.rules.trace import CallTrace
from mockveo.server.app import ServerThread
from mockveo.settings import of
from mockveo.simulator.clock import Clock
from mockveo.simulator.world import World
from mockveo.spec.spec import Spec
from mockveo.traffic.exchange import Exchange
from mockveo_contracts.case import Case, Image, Input
from mockveo_contracts.cases.definitions import SPEED, TestCase
from mockveo_contracts.cases.images import MEDIA_TYPES, picture
from mockveo_contracts.clients.virtual_time import CaseClock, VirtualTime

#: Bytes of a stored video, at most.
MOST_BYTES = 2**30
#: Exchanges that are kept of a case.
KEPT = 5000


@dataclass(frozen=True)
class CaseRun:
    """A script that a client has played: all that the judge needs."""

    script: TestCase
    #: What the client was given, as the protocol has it.
    case: Mapping[str, Any]
    trace: Sequence[Mapping[str, Any]]
    #: As the protocol has it, with `content`, `leaks` and `ended_by`; None where the client gave none.
    outcome: Mapping[str, Any] | None
    features: Mapping[str, Any]
    defaults: Mapping[str, Any]
    #: What the trace's seconds are, "at" = the world's, "time" = ours, and how many there are in one of the client's.
    clock: str
    pace: float
    #: What broke in between, which says nothing about the client.
    adapter_error: str = ""
    #: What the client wrote beside its result.
    output: str = field(default="", repr=False)

    @property
    def story(self) -> CallTrace:
        """What happened, for the judge."""
        seen = [Exchange.from_json(one, clock=self.clock) for one in self.trace]
        return CallTrace(seen, self.case, self.outcome, self.features, self.defaults, self.pace)

    def verdicts(self) -> list[Verdict]:
        """What the judge says, rule by rule; nothing where no client was to be judged."""
        return [] if self.adapter_error else client_rules().judge(self.story)


class Testbed:
    """A server and a directory for as many scripts as are played. A context manager.

    `factor` is how many seconds of the client's pass in one of ours, where its time is made to run faster.
    """

    #: Not a class of tests, for pytest.
    __test__: ClassVar = False

    def __init__(self, *, factor: float = 1.0, **settings: Any) -> None:
        self.factor = factor
        self._settings = of(render=False, seed=0, max_exchanges=KEPT, port=0, **settings)
        self._exit = ExitStack()
        self._count = 0

    def __enter__(self) -> Self:
        with ExitStack() as entered:
            self.server = entered.enter_context(ServerThread(self._settings))
            self._directory = Path(
                entered.enter_context(TemporaryDirectory(prefix="mockveo-", ignore_cleanup_errors=True))
            )
            self._exit = entered.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    @property
    def spec(self) -> Spec:
        """The document that is played."""
        return self.server.app.spec

    def settle(self) -> bool:
        """Lets the server take what was sent to it; whether it is at work on an answer."""
        return self.server.settle()

    def open(self, script: TestCase, virtual: VirtualTime | None = None, *, date: float | None = None) -> OpenCase:
        """The scene of a script, in a world as new; with a time of its own if that is virtual.

        `date` is the client's, in Unix seconds, where its calendar is not ours.
        """
        self._count += 1
        place = self._directory / str(self._count)
        place.mkdir()
        world = self.server.app.worlds.reset(script.world, {"seed": script.seed}, script.scenario)
        world.clock = self._clock(virtual, date)
        images = pictures(script, place)
        case = Case(
            id=str(self._count),
            base_url=f"{self.server.url}/@{script.world}/v1",
            api_key=script.key,
            input=Input(script.prompt, script.model, script.size, tuple(image for image, _ in images)),
            poll_interval_s=script.poll_interval * self.factor,
            deadline_s=script.deadline * self.factor,
        )
        return OpenCase(script, case, world, [sha256 for _, sha256 in images], place, virtual is not None, self.factor)

    def _clock(self, virtual: VirtualTime | None, date: float | None) -> Clock:
        if virtual is not None:
            return CaseClock(virtual, SPEED)
        # Dates are the client's, which run faster; a scenario keeps its pace in our seconds, as deadlines do.
        return Clock("wall", speed=SPEED / self.factor, date=date, tick=lambda: time.monotonic() * self.factor)


def pictures(script: TestCase, place: Path) -> list[tuple[Image, str]]:
    """Writes the images of a script, each into a directory of its own; the images with their SHA-256, in hex."""
    made = []
    for number, (filename, size) in enumerate(script.images):
        content_type = MEDIA_TYPES[Path(filename).suffix]
        data = picture(content_type, size, f"{script.name} {number}")
        path = place / str(number + 1) / filename
        path.parent.mkdir()
        path.write_bytes(data)
        made.append((Image(str(path), filename, content_type), hashlib.sha256(data).hexdigest()))
    return made


def _taken(path: Path) -> dict[str, Any]:
    """What a file holds, `sha256` and `bytes`; the file is deleted. Raises OSError or ValueError for what is none."""
    size = path.stat().st_size
    if not path.is_file() or size > MOST_BYTES:
        raise ValueError("it is no file of ordinary size")
    with path.open("rb") as file:
        found = {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "bytes": size}
    path.unlink(missing_ok=True)
    return found


@dataclass(frozen=True)
class OpenCase:
    """A script that is being played. `close` takes its files away."""

    script: TestCase
    case: Case
    world: World
    #: SHA-256 of the images, in order.
    hashes: Sequence[str]
    #: A directory of its own, for what is to be gone afterwards.
    place: Path
    virtual: bool
    factor: float

    def play(
        self,
        outcome: Mapping[str, Any] | None,
        features: Mapping[str, Any],
        *,
        leaks: Sequence[str] = (),
        ended_by: str | None = None,
        adapter_error: str = "",
        output: str = "",
    ) -> CaseRun:
        """What was played, with the file that the client stored, which is deleted.

        `outcome` is as `case.result` has it, None where there is none; `leaks` are the places where the key was found.
        """
        told: dict[str, Any] = {"outcome": None, "video": None, "content_path": None, "error": None, **(outcome or {})}
        stored = None
        if told["content_path"]:
            try:
                stored = _taken(Path(told["content_path"]))
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or str(error)
                adapter_error = adapter_error or (
                    f"the result's content_path {told['content_path']!r} cannot be read: {why};"
                    " wanted the path of the stored video, or null where there is none"
                )
        message = self.case.message
        for image, sha256 in zip(message["input"]["images"], self.hashes, strict=True):
            image["sha256"] = sha256
        return CaseRun(
            script=self.script,
            case=message,
            trace=[one.to_json() for one in self.world.journal],
            outcome={**told, "content": stored, "leaks": list(leaks), "ended_by": ended_by},
            features=features,
            defaults=self.world.spec.form.defaults,
            clock="at" if self.virtual else "time",
            pace=SPEED if self.virtual else 1 / self.factor,
            adapter_error=adapter_error,
            output=output,
        )

    def close(self) -> None:
        """Takes the files of the case away."""
        shutil.rmtree(self.place, ignore_errors=True)
