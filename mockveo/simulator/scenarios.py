"""A scenario: plain data that says how jobs unfold, how responses look and which faults occur.

`scenario.schema.json` is the whole vocabulary, with a sentence for each key; here it becomes typed values for the
rest of mockveo. A person writes a scenario as YAML, a test selects it by name or gives it as a mapping, and a
failing check writes one: `Scenario.data` is what was given, and can always be written to JSON and read again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from mockveo import yamlfiles
from mockveo._paths import built_in_scenarios
from mockveo.errors import ScenarioError, did_you_mean
from mockveo.schemas import DataSchema, shown

SCHEMA: Final = Path(__file__).with_name("scenario.schema.json")
#: How long a `video_url` is valid by default. Source: assumed.
URL_LIFE_S: Final = 3600.0
#: Seconds in the queue ("a few" is all that is known; 5 to 15 is assumed), and of work ("most jobs take 1-3 minutes",
#: say the public pages), for scenarios that name no phases.
USUAL: Final = ({"duration": [5, 15], "progress": 0}, {"duration": [60, 180], "progress": {"from": 0, "to": 99}})


class Phase(NamedTuple):
    """The time that a job stays in one status, and its progress meanwhile."""

    shortest: float
    longest: float
    #: None = the document's.
    status: str | None
    #: From and to, or the numbers that share the phase if there are `steps`.
    start: int
    end: int
    steps: tuple[int, ...]


class Range(NamedTuple):
    """Numbers from `first` to `last`, both included; None = no end."""

    first: int
    last: int | None

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.first <= number and (self.last is None or number <= self.last)


@dataclass(frozen=True, slots=True)
class Style:
    """The look of responses about jobs; the fields are the keys of `style`."""

    extra: Mapping[str, Any] = field(default_factory=dict)
    omit: tuple[str, ...] = ()
    order: str | None = None
    content_type: str | None = None
    model: str | None = None
    statuses: Mapping[str, str] = field(default_factory=dict)
    progress: str | None = None
    envelope: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """The conditions and the effects of a fault; the fields are its keys."""

    operation: str = "any"
    nth: Range | None = None
    every: int | None = None
    attempt: Range | None = None
    probability: float | None = None

    error: str | None = None
    status: int | None = None
    envelope: str | None = None
    code: str | None = ""
    message: str | None = None
    retry_after: float | None = None
    #: Whether Retry-After is a date.
    as_date: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    #: JSON, as bytes.
    json: bytes | None = None
    text: str | None = None
    html: bool = False
    malformed: bool = False
    empty: bool = False
    content_type: str | None = None
    #: The status of a redirect, and whether to another origin.
    redirect: int | None = None
    other_origin: bool = False

    delay: float = 0.0
    bandwidth: float | None = None
    #: Bytes in a piece, and seconds between two.
    drip: tuple[int, float] | None = None
    truncate: int | None = None
    reset: bool = False
    close: bool = False
    #: Whether a create with this fault makes its job all the same.
    applied: bool = True

    @property
    def hides_result(self) -> bool:
        """Whether the client cannot read its job from the response, so that it may retry."""
        refused = self.error is not None or (self.status or 200) >= 400 or self.redirect is not None
        broken = self.reset or self.close or self.truncate is not None or self.malformed or self.html or self.empty
        return refused or broken or self.json is not None or self.text is not None

    @property
    def names(self) -> list[str]:
        """Its effects, in the words of the schema, e.g. ["status", "delay"]."""
        return [name for name in _EFFECTS if getattr(self, name) != _PLAIN[name]]


_EFFECTS: Final = tuple(
    name
    for name in Fault.__dataclass_fields__
    if name not in ("operation", "nth", "every", "attempt", "probability", "as_date", "other_origin", "applied")
)
_PLAIN: Final = {name: getattr(Fault(), name) for name in _EFFECTS}


@dataclass(frozen=True, slots=True)
class Scenario:
    """The behaviour of a world. Scenarios made from the same data are equal."""

    name: str
    summary: str = field(compare=False)
    phases: tuple[Phase, ...] = field(compare=False)
    #: success, failure or never.
    ending: str = field(compare=False)
    error: Mapping[str, str] | None = field(compare=False)
    #: at-end, early, never; None = as the document says.
    completed_at: str | None = field(compare=False)
    #: None = as the document says.
    video_url: bool | None = field(compare=False)
    url_life: float = field(compare=False)
    style: Style | None = field(compare=False)
    faults: tuple[Fault, ...] = field(compare=False)
    #: The data from which it was made.
    data: Mapping[str, Any] = field(repr=False)

    #: Whether responses about jobs look as the document says.
    plain: bool = field(compare=False)

    __hash__ = object.__hash__


@cache
def _vocabulary() -> DataSchema:
    return DataSchema(SCHEMA, "the scenario")


def scenario(data: Any, name: str = "unnamed") -> Scenario:
    """Return the scenario that plain data describes; `name` is for data without a name.

    Raises ScenarioError, whose message names the key, the value, what was expected and the nearest valid word.
    """
    try:
        # A copy, of which everything can be written down again, and within other JSON too.
        data = _whole(orjson.loads(orjson.dumps([[[[data]]]]))[0][0][0][0])
    except (TypeError, ValueError, RecursionError) as problem:
        raise ScenarioError(f"scenario {name} cannot be written as JSON: {problem}") from None
    if not isinstance(data, dict):
        raise ScenarioError(f"scenario {name} is {shown(data)}; expected a mapping, e.g. {{ending: failure}}")
    mistakes = _vocabulary().mistakes(data) or list(_senseless(data))
    if mistakes:
        raise ScenarioError("\n  ".join([f"scenario {_name(data, name)}: {mistakes[0]}", *mistakes[1:]]))
    url = data.get("video_url")
    return Scenario(
        name=_name(data, name),
        summary=data.get("summary", ""),
        phases=tuple(_phase(phase) for phase in data.get("phases", USUAL)),
        ending=data.get("ending", "success"),
        error=data.get("error"),
        completed_at=data.get("completed_at"),
        video_url=None if url is None else url is not False,
        url_life=url["expires"] if isinstance(url, dict) else URL_LIFE_S,
        style=_style(data["style"]) if data.get("style") else None,
        faults=tuple(map(_fault, data.get("faults", ()))),
        data=data,
        plain=not {"completed_at", "video_url", "style"} & set(data),
    )


def _whole(data: Any) -> Any:
    """Return JSON with whole numbers as int; to JSON Schema 10.0 is an integer too."""
    if isinstance(data, dict):
        return {key: _whole(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_whole(value) for value in data]
    return int(data) if isinstance(data, float) and data.is_integer() else data


def named(name: str) -> Scenario:
    """Return a built-in scenario. Raises ScenarioError, which lists the valid names."""
    path = built_in_scenarios().get(name)
    if path is None:
        near = did_you_mean(name, built_in_scenarios())
        raise ScenarioError(
            f"the scenario {name!r} does not exist; {near}expected one of {', '.join(built_in_scenarios())}"
        )
    return _built_in(path)


def forced(ending: Mapping[str, Any]) -> Scenario:
    """Return the scenario of a job that is ended now, as success or as failure with an `error`.

    Without `error` a failure has the usual reason, with None no reason. Raises ScenarioError as `scenario` does.
    """
    usual = {"error": named("fails").error} if ending["ending"] == "failure" else {}
    data = {**usual, **ending}
    return scenario({name: value for name, value in data.items() if value is not None}, "forced")


@cache
def _built_in(path: Path) -> Scenario:
    return read(path)


def read(path: Path) -> Scenario:
    """Return the scenario of a YAML or JSON file. Raises ScenarioError, which names the file."""
    data = yamlfiles.parse(yamlfiles.read(path, ScenarioError), path.name, ScenarioError)
    return scenario(data, path.stem)


def find(name_or_path: str) -> Scenario:
    """Return a built-in scenario by its name, or the scenario of a file."""
    return read(Path(name_or_path)) if is_path(name_or_path) else named(name_or_path)


def is_path(text: str) -> bool:
    """Return whether a text is the path of a file rather than a name."""
    return "/" in text or "\\" in text or text.endswith((".yaml", ".yml", ".json"))


def _name(data: Mapping[str, Any], otherwise: str) -> str:
    name = data.get("name", otherwise)
    return name if isinstance(name, str) else otherwise


def _phase(data: Mapping[str, Any]) -> Phase:
    duration, progress = data["duration"], data.get("progress", {"from": 0, "to": 99})
    shortest, longest = duration if isinstance(duration, list) else (duration, duration)
    steps = tuple(progress) if isinstance(progress, list) else (progress,) if isinstance(progress, int) else ()
    start, end = (steps[0], max(steps) + 1) if steps else (progress["from"], progress["to"] + 1)
    return Phase(float(shortest), float(max(shortest, longest)), data.get("status"), start, end, steps)


def _style(data: Mapping[str, Any]) -> Style:
    return Style(**{**data, "omit": tuple(data.get("omit", ()))})


def _fault(data: Mapping[str, Any]) -> Fault:
    values = dict(data)
    for key in ("nth", "attempt"):
        if key in values:
            values[key] = Range(*values[key]) if isinstance(values[key], list) else Range(values[key], values[key])
    if isinstance(values.get("retry_after"), dict):
        values["retry_after"], values["as_date"] = values["retry_after"]["date"], True
    if "json" in values:
        values["json"] = orjson.dumps(values["json"])
    if "redirect" in values:
        values["other_origin"] = values["redirect"].get("origin") == "other"
        values["redirect"] = values["redirect"]["status"]
    if "drip" in values:
        values["drip"] = (values["drip"]["bytes"], values["drip"]["every"])
    values["applied"] = values.get("applied", not _replaces_the_answer(values))
    return Fault(**values)


def _replaces_the_answer(values: Mapping[str, Any]) -> bool:
    """Return whether nothing of the job's own response is sent."""
    cut = (values.get("reset") or values.get("close")) and "truncate" not in values
    refused = values.get("status", 200) >= 400
    another = {"error", "redirect", "json", "text"} & set(values) or values.get("html") or values.get("empty")
    return bool(cut or refused or another)


def _senseless(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the schema cannot express: keys that are valid alone and meaningless together."""
    for place, phase in enumerate(data.get("phases", ())):
        yield from _backwards(phase, "duration", f"phases[{place}]")
    if "error" in data and data.get("ending") != "failure":
        yield "error is the reason of a failure, and jobs do not fail; expected ending: failure with it"
    for place, fault in enumerate(data.get("faults", ())):
        for mistake in _senseless_fault(fault):
            yield f"faults[{place}]{mistake}"
        for key in ("nth", "attempt"):
            yield from _backwards(fault, key, f"faults[{place}]")


def _backwards(data: Mapping[str, Any], key: str, place: str) -> Iterator[str]:
    ends = data.get(key)
    if isinstance(ends, list) and ends[1] is not None and ends[0] > ends[1]:
        yield f"{place}.{key} is {shown(ends)}; expected the smaller first: {shown(ends[::-1])}"


def _senseless_fault(values: Mapping[str, Any]) -> Iterator[str]:
    effects = [key for key in values if key in _EFFECTS and values[key] is not False]
    if not effects:
        yield f": it does nothing; expected e.g. status: 503, or one of {', '.join(_EFFECTS)}"
    bodies = [key for key in ("json", "text", "html", "malformed", "empty") if key in effects]
    cuts = [key for key in ("reset", "close") if key in effects]
    others = [key for key in ("redirect", "status", "error") if key in effects]
    for exclusive in (bodies, cuts, others if "redirect" in others else []):
        if len(exclusive) > 1:
            yield f": {' and '.join(exclusive)} exclude each other; expected one of them"
    lost = [key for key in effects if key not in (*cuts, "delay")]
    if cuts and lost and "truncate" not in effects:
        yield f": with {cuts[0]} there is no response, so {lost[0]} is lost; expected one of them, or truncate too"
    if {"envelope", "code", "message"} & set(values) and "status" not in values:
        yield ": envelope, code and message describe the error of a `status`; expected e.g. status: 503"
    if "applied" in values and values.get("operation") not in ("create", "any", None):
        yield f".applied is of creates, and the operation is {values['operation']}; expected operation: create"
    if values.get("applied") is False and not _replaces_the_answer(values) and set(bodies) <= {"malformed"}:
        yield (
            ".applied is false, so there is no job to respond with; expected a response, e.g. status: 503,"
            " or reset: true"
        )


def built_in() -> Iterator[Scenario]:
    """Yield all built-in scenarios."""
    for name in built_in_scenarios():
        yield named(name)
