"""What a client under test is given, and what it gives back: the shapes of the client protocol, as Python has them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from mockveo.errors import SettingsError, did_you_mean
from mockveo.text import truncate

#: What a client may say that came of a case.
OUTCOMES: Final = ("completed", "failed", "timeout", "error")
#: Characters of a wrong value in a message; arbitrary.
MAX_SHOWN: Final = 60
#: Features of clients -> what holds where nothing is said. Source: the client protocol.
FEATURES: Final[Mapping[str, Any]] = {
    "images": 2,
    "content": False,
    "deadline": False,
    "poll_interval": False,
    "model": True,
    "size": True,
}


@dataclass(frozen=True, slots=True)
class Image:
    """A reference image: a file, whose extension and media type agree."""

    path: str
    filename: str
    content_type: str


@dataclass(frozen=True, slots=True)
class Input:
    """What a client is to send. None, and no images, for what the caller leaves out."""

    prompt: str
    model: str | None = None
    size: str | None = None
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """A case as a client gets it. Seconds are the client's."""

    id: str
    #: Ends in /v1.
    base_url: str
    api_key: str
    input: Input
    #: A lower bound of the pauses between polls.
    poll_interval_s: float
    #: Counts from when the case is given.
    deadline_s: float

    @property
    def message(self) -> dict[str, Any]:
        """As the line of JSON that programs get."""
        data = asdict(self)
        data["input"]["images"] = list(data["input"]["images"])
        return {"type": "case", **data}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case."""

    #: completed, failed, timeout or error.
    outcome: str
    #: `id`, `status` and `model` as answered.
    video: Mapping[str, Any] | None = None
    #: Where the finished video was stored; the checker deletes it.
    content_path: str | None = None
    #: `type` and `message`.
    error: Mapping[str, Any] | None = None


class JobFailed(Exception):
    """A client raises it where the API says that the job failed; the message is the API's reason."""


class DeadlinePassed(Exception):
    """A client raises it at its own deadline."""


def features(declared: Mapping[str, Any]) -> dict[str, Any]:
    """The features of a client, from those it declares. Raises SettingsError for one that is none."""
    for name, value in declared.items():
        if name not in FEATURES:
            near = did_you_mean(name, FEATURES)
            raise SettingsError(f"{name!r} is no feature; {near}wanted one of {', '.join(FEATURES)}, e.g. images=1")
        count = name == "images"
        if not (isinstance(value, int) and 0 <= value <= 2 and isinstance(value, bool) is not count):
            wanted = "0, 1 or 2" if count else "true or false"
            raise SettingsError(f"the feature {name} is {value!r}, wanted {wanted}")
    return {**FEATURES, **declared}


def features_of(text: str) -> dict[str, Any]:
    """The features that `--features images=1,content` declares. Raises SettingsError."""
    declared: dict[str, Any] = {}
    words = {"true": True, "false": False, "": True}
    for one in filter(None, text.split(",")):
        name, _, value = (part.strip() for part in one.partition("="))
        declared[name] = words[value] if value in words else int(value) if value.isdecimal() else value
    return features(declared)


def result(told: Any) -> dict[str, Any]:
    """An outcome as the protocol's object, in whatever form it was given. Raises ValueError: what is to be mended."""
    data = asdict(told) if isinstance(told, Outcome) else dict(told) if isinstance(told, Mapping) else None
    if data is None:
        raise ValueError(f"the client returned {_shown(told)}; wanted an Outcome, e.g. Outcome('completed')")
    if data.get("outcome") not in OUTCOMES:
        raise ValueError(f"the outcome is {_shown(data.get('outcome'))}; wanted one of {', '.join(OUTCOMES)}")
    for name, kind in (("video", Mapping), ("error", Mapping), ("content_path", str)):
        if not isinstance(data.get(name), kind | None):
            wanted = "a path" if kind is str else "an object"
            raise ValueError(f"{name} of the result is {_shown(data[name])}; wanted {wanted} or null")
    told = {"outcome": data["outcome"], **{name: data.get(name) for name in ("video", "content_path", "error")}}
    try:
        whole: dict[str, Any] = json.loads(json.dumps(told))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"the result holds what JSON cannot say ({error}); wanted texts, numbers and the like"
        ) from None
    return whole


def places_of(key: str, where: Iterable[tuple[str, str]]) -> list[str]:
    """The places, each with its text, that have the key in them."""
    return [place for place, text in where if key in text]


def _shown(value: object) -> str:
    return truncate(repr(value), MAX_SHOWN)
