"""A case and its outcome: what a client under test gets and returns, in the shapes of the client protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from mockveo.errors import SettingsError, did_you_mean
from mockveo.text import truncate

#: The outcomes that a client may report.
OUTCOMES: Final = ("completed", "failed", "timeout", "error")
#: Seconds of a scenario in one of the client's.
SPEED: Final = 100.0
#: Characters of a wrong value in a message; arbitrary.
MAX_SHOWN_CHARS: Final = 60
#: Features of clients -> their defaults. None means no, and that the client has not said so.
#: Source: docs/client-protocol.md.
FEATURES: Final[Mapping[str, Any]] = {
    "images": 2,
    "content": None,
    "deadline": None,
    "poll_interval": None,
    "resume": None,
    "model": True,
    "size": True,
}


@dataclass(frozen=True, slots=True)
class Image:
    """A reference image: a file whose extension and media type agree."""

    path: str
    filename: str
    content_type: str


@dataclass(frozen=True, slots=True)
class Input:
    """What a client should send. Without a model, a size or images if its caller leaves them out."""

    prompt: str
    model: str | None = None
    size: str | None = None
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """A case as a client gets it. Seconds are the client's own."""

    id: str
    #: Ends in /v1.
    base_url: str
    api_key: str
    input: Input
    #: The shortest pause between two polls.
    poll_interval_s: float
    #: Counts from when the client gets the case.
    deadline_s: float
    #: The same for the same call, whatever happens in between; never used twice.
    call_id: str = ""
    #: A directory of the call's own, empty at first, kept from start to start.
    state_dir: str = ""
    #: How often the call has come before: 0, then 1, 2 and so on.
    restart: int = 0

    @property
    def message(self) -> dict[str, Any]:
        """The case as the JSON object that programs get."""
        data = asdict(self)
        data["input"]["images"] = list(data["input"]["images"])
        return {"type": "case", **data}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a case, as a client reports it."""

    #: completed, failed, timeout or error.
    outcome: str
    #: `id`, `status` and `model`, as the API returned them.
    video: Mapping[str, Any] | None = None
    #: Where the finished video was stored; the check deletes it.
    content_path: str | None = None
    #: `type` and `message`.
    error: Mapping[str, Any] | None = None


class JobFailed(Exception):
    """Raised by a client when the API reports that the job failed; the message is the API's reason."""


class DeadlinePassed(Exception):
    """Raised by a client at its own deadline; `video` is the job that still runs, if there is one."""

    def __init__(self, *args: object, video: Mapping[str, Any] | None = None) -> None:
        super().__init__(*args)
        self.video = video


class Killed(BaseException):
    """Raised out of whatever a function waits for when its process would be killed: do not catch it."""


def features(declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return all features of a client that declares some. Raises SettingsError for an unknown or invalid one."""
    for name, value in declared.items():
        if name not in FEATURES:
            suggestion = did_you_mean(name, FEATURES)
            valid = ", ".join(FEATURES)
            raise SettingsError(f"{name!r} is not a feature; {suggestion}expected one of {valid}, e.g. images=1")
        if value is FEATURES[name]:
            continue
        is_count = name == "images"
        if not (isinstance(value, int) and 0 <= value <= 2 and isinstance(value, bool) is not is_count):
            expected = "0, 1 or 2" if is_count else "true or false"
            raise SettingsError(f"the feature {name} is {value!r}; expected {expected}")
    return {**FEATURES, **declared}


def features_of(text: str) -> dict[str, Any]:
    """Return the features that `--features images=1,content` declares. Raises SettingsError."""
    declared: dict[str, Any] = {}
    words = {"true": True, "false": False, "": True}
    for item in filter(None, text.split(",")):
        name, _, value = (part.strip() for part in item.partition("="))
        if value in words:
            declared[name] = words[value]
        else:
            declared[name] = int(value) if value.isdecimal() else value
    return features(declared)


def result(returned: Any) -> dict[str, Any]:
    """Return an outcome in the shape of the client protocol. Raises ValueError, with what to correct."""
    if isinstance(returned, Outcome):
        data = asdict(returned)
    elif isinstance(returned, Mapping):
        data = dict(returned)
    else:
        raise ValueError(f"the client returned {_shown(returned)}; expected an Outcome, e.g. Outcome('completed')")
    if data.get("outcome") not in OUTCOMES:
        raise ValueError(f"the outcome is {_shown(data.get('outcome'))}; expected one of {', '.join(OUTCOMES)}")
    for name, kind in (("video", Mapping), ("error", Mapping), ("content_path", str)):
        if not isinstance(data.get(name), kind | None):
            expected = "a path" if kind is str else "an object"
            raise ValueError(f"{name} of the result is {_shown(data[name])}; expected {expected} or null")
    outcome = {name: data.get(name) for name in ("outcome", "video", "content_path", "error")}
    try:
        plain: dict[str, Any] = json.loads(json.dumps(outcome))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"the result is not plain JSON ({error}); expected texts, numbers and the like") from None
    return plain


def _shown(value: object) -> str:
    return truncate(repr(value), MAX_SHOWN_CHARS)
