"""A probe at work: what it asks a server, in the words that probes are written in."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mockveo.http.statuses import REFUSED_FOR_NOW, RETRYABLE
from mockveo.rules.trace import FAILURE, SUCCESS
from mockveo.spec.spec import Form, Spec
from mockveo_contracts.cases.images import png
from mockveo_contracts.servers.exchanges import USUAL, Body, SentExchange, UploadFile
from mockveo_contracts.servers.http_client import RecordingClient, multipart
from mockveo_contracts.servers.pacing import ControlledPace

#: Tries of an ordinary request that meets trouble of the kind the pages advise to retry.
TRIES: Final = 5
#: Polls that do not find a job before it is given up.
LOST: Final = 3
PROMPTS: Final = (
    "A paper kite floats above a field.",
    "Rain falls on a tin roof at night, a cat watches from the window.",
    "A slow pan over a mountain lake at dawn, mist on the water.",
    "A hand turns the pages of an old atlas, close-up.",
)


@dataclass
class Shared:
    """What the probes of a run have in common."""

    wire: RecordingClient
    seed: int
    #: Seconds that a job gets to come to its end.
    job_seconds: float
    control: ControlledPace | None = None
    #: A prompt whose job fails, where one is known.
    failing_prompt: str | None = None
    #: Tells the SHA-256 of the images that arrived with a job, in order, where somebody can.
    images_of: Callable[[str], Sequence[str]] | None = None
    #: Jobs that the server made, in order.
    jobs: list[str] = field(default_factory=list)


class ProbeRun:
    """One probe's hands: `name` is the probe's, from which its random choices follow."""

    def __init__(self, shared: Shared, name: str) -> None:
        self.shared = shared
        self.wire = shared.wire
        self.control = shared.control
        self.dice = random.Random(f"{shared.seed}/{name}")
        self.unended: dict[str, float] = {}
        self.arrived: dict[str, Sequence[str]] = {}
        self._first = len(self.wire.exchanges)

    @property
    def spec(self) -> Spec:
        """The document."""
        return self.wire.spec

    @property
    def form(self) -> Form:
        """The form of a create."""
        form = self.spec.operations["createVideo"].form
        assert form is not None
        return form

    @property
    def exchanges(self) -> list[SentExchange]:
        """Those of this probe."""
        return self.wire.exchanges[self._first :]

    def fields(self, **values: str) -> dict[str, str]:
        """A form that says no more than it must, and these."""
        needed = {
            name: self.value(name) for name in self.form.fields if name in self.form.texts and self.form.requires(name)
        }
        return {**needed, **values}

    def value(self, name: str) -> str:
        """A value that the document allows for a field."""
        node = self.form.fields[name]
        if name == "prompt":
            return self.dice.choice(PROMPTS)
        aliases = list(self.spec.aliases or ()) if name == "model" else []
        known = [
            str(one) for one in (node.get("enum") or node.get("examples") or aliases or [node.get("default", "1")])
        ]
        return self.dice.choice(known)

    def images(self, count: int) -> list[UploadFile]:
        """So many images, each one of its own."""
        names = ("first.png", "last.png", "third.png")
        name = next(iter(sorted(self.form.file_fields)), "input_reference")
        return [UploadFile(name, names[number], "image/png", _picture(self.dice)) for number in range(count)]

    def multipart(self, fields: Mapping[str, str], files: Sequence[UploadFile] = ()) -> Body:
        """A form."""
        return multipart(fields, files, dice=self.dice)

    def create(self, body: Body, *, purpose: str = USUAL, expected: str = "", **more: Any) -> SentExchange:
        """A create, tried again where it is refused for the moment. Whether others made a job nobody knows."""
        for attempt in range(TRIES):
            one = self.wire.ask("createVideo", "", body, purpose=purpose, expected=expected, **more)
            if one.made:
                self.shared.jobs.append(one.made)
            if one.status not in REFUSED_FOR_NOW or one.error_code == "model_not_found":
                break
            self._pause(attempt)
        return one

    def get(self, operation: str, job: str = "", **more: Any) -> SentExchange:
        """A request that changes nothing, tried again where it meets trouble."""
        for attempt in range(TRIES):
            one = self.wire.ask(operation, job, **more)
            if one.status not in (0, *RETRYABLE) and not one.trouble:
                break
            self._pause(attempt)
        return one

    def poll(self, job: str) -> SentExchange:
        """A poll."""
        return self.get("retrieveVideo", job)

    def _pause(self, attempt: int) -> None:
        self.wire.pace.wait(self.wire.pace.interval * 2**attempt)

    def follow(self, job: str) -> SentExchange:
        """Polls a job to its end, or until its time is over."""
        pace, begun, lost = self.wire.pace, self.wire.pace.now(), 0
        while True:
            one = self.poll(job)
            spent = pace.now() - begun
            lost += not one.succeeded
            if one.state in SUCCESS | FAILURE or lost > LOST:
                return one
            if spent >= self.shared.job_seconds:
                self.unended[job] = spent
                return one
            pace.wait(pace.interval)

    def look_at_images(self, create: SentExchange) -> None:
        """Notes which images arrived with a job, where somebody can tell."""
        tell = self.shared.images_of or (self.control.images_of if self.control else None)
        if tell is not None and create.made:
            self.arrived[create.made] = tell(create.made)

    def unknown_id(self) -> str:
        """An id that looks like one, of no job."""
        return "task_" + "".join(self.dice.choices("0123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ", k=32))


def _picture(dice: random.Random) -> bytes:
    """Return a PNG of 320 x 180 in random stripes, so that no two are alike."""
    row = b"\0" + b"".join(dice.randbytes(3) * 40 for _ in range(8))
    return png(320, 180, row * 180)
