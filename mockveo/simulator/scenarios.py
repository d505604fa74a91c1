"""A scenario: plain data that says how jobs unfold, how responses look and which faults occur.

`scenario.schema.json` is the whole vocabulary, with a sentence for each key; here it becomes typed values for the
rest of mockveo. A person writes a scenario as YAML, a test selects it by name or gives it as a mapping, and a
failing check writes one: `Scenario.data` is what was given, and can always be written to JSON and read again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import orjson

from mockveo import yamlfiles
from mockveo._paths import built_in_scenarios
from mockveo.errors import ScenarioError, did_you_mean
from mockveo.schemas import DataSchema, shown
from mockveo.settings import MAX_WHOLE
from mockveo.simulator.fault import Fault, parse_fault, senseless_fault
from mockveo.spec.templates import count_names
from mockveo.text import brief

#: Names in braces that one response may have, since `{prompt}` may stand for a megabyte. Arbitrary.
MAX_NAMES: Final = 20
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
    #: Styles that apply in this phase, after the scenario's own.
    styles: tuple[Style, ...] = ()


@dataclass(frozen=True, slots=True)
class Style:
    """The look of responses about jobs; the fields are the keys of `style`."""

    operation: str = "any"
    extra: Mapping[str, Any] = field(default_factory=dict)
    omit: tuple[str, ...] = ()
    order: str | None = None
    content_type: str | None = None
    model: str | None = None
    statuses: Mapping[str, str] = field(default_factory=dict)
    progress: str | None = None
    id: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    nulls: tuple[str, ...] = ()
    #: How often the outer envelope wraps a response.
    envelope: int = 0

    def applies(self, operation: str) -> bool:
        """Return whether it applies to an operation, by its short name."""
        return self.operation in (operation, "any")


@dataclass(frozen=True, slots=True)
class VideoUrl:
    """The `video_url` of a scenario's jobs; the fields are the keys of `video_url`."""

    #: Seconds of the world's clock that a signed one is valid.
    expires: float = URL_LIFE_S
    #: "other" = signed, at the other origin; "own" = the API's /content; "path" = its path alone.
    origin: str = "other"
    #: Whether polls carry it before the end.
    early: bool = False


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
    #: The form of new ids, with {task}, {digits} or {uuid}; None = the document's.
    ids: str | None = field(compare=False)
    #: What an Idempotency-Key does: honoured, refused; None = nothing.
    idempotency: str | None = field(compare=False)
    #: None = as the document says, False = never.
    video_url: VideoUrl | Literal[False] | None = field(compare=False)
    styles: tuple[Style, ...] = field(compare=False)
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
        data = orjson.loads(orjson.dumps(_whole(data)))
        yamlfiles.check_depth(data)
    except (TypeError, ValueError, RecursionError) as problem:
        raise ScenarioError(f"scenario {name} cannot be written as JSON: {problem}") from None
    if not isinstance(data, dict):
        raise ScenarioError(f"scenario {name} is {shown(data)}; expected a mapping, e.g. {{ending: failure}}")
    mistakes = _vocabulary().mistakes(data) or list(_senseless(data))
    if mistakes:
        raise ScenarioError("\n  ".join([f"scenario {_name(data, name)}: {mistakes[0]}", *mistakes[1:]]))
    return Scenario(
        name=_name(data, name),
        summary=data.get("summary", ""),
        phases=tuple(_phase(phase) for phase in data.get("phases", USUAL)),
        ending=data.get("ending", "success"),
        error=data.get("error"),
        completed_at=data.get("completed_at"),
        ids=data.get("ids"),
        idempotency=data.get("idempotency"),
        video_url=_video_url(data.get("video_url")),
        styles=_styles(data),
        faults=tuple(map(parse_fault, data.get("faults", ()))),
        data=data,
        plain=not {"completed_at", "video_url", "style"} & set(data)
        and not any("style" in phase for phase in data.get("phases", ())),
    )


def _whole(data: Any) -> Any:
    """Return JSON with whole numbers as int; to JSON Schema 10.0 is an integer too.

    Larger ones than JSON keeps exactly stay as they are, as not every int can be written.
    """
    if isinstance(data, dict):
        return {key: _whole(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_whole(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        raise ValueError(f"{data} is not a number of JSON")
    return int(data) if isinstance(data, float) and data.is_integer() and abs(data) <= MAX_WHOLE else data


def named(name: str) -> Scenario:
    """Return a built-in scenario. Raises ScenarioError, which lists the valid names."""
    path = built_in_scenarios().get(name)
    if path is None:
        near = did_you_mean(name, built_in_scenarios())
        raise ScenarioError(
            f"the scenario {brief(name)} does not exist; {near}expected one of {', '.join(built_in_scenarios())}"
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
    # The name of a file may be bytes that are not UTF-8, which no response could repeat.
    return scenario(data, path.stem.encode("utf-8", "replace").decode())


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
    styles = _styles(data)
    return Phase(float(shortest), float(max(shortest, longest)), data.get("status"), start, end, steps, styles)


def _video_url(data: Any) -> VideoUrl | Literal[False] | None:
    if isinstance(data, dict):
        return VideoUrl(**data)
    return VideoUrl() if data else data


def _styles(data: Mapping[str, Any]) -> tuple[Style, ...]:
    """Return the styles of a scenario or a phase, which has one mapping or a list of them."""
    styles = data.get("style", [])
    return tuple(_style(style) for style in (styles if isinstance(styles, list) else [styles]))


def _style_data(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield each style of a scenario and its phases."""
    for holder in (data, *data.get("phases", ())):
        styles = holder.get("style", [])
        yield from styles if isinstance(styles, list) else [styles]


def _style(data: Mapping[str, Any]) -> Style:
    lists = {key: tuple(data[key]) for key in ("omit", "nulls") if key in data}
    wraps = {False: 0, True: 1, "twice": 2}[data.get("envelope", False)]
    return Style(**{**data, **lists, "envelope": wraps})


def _senseless(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the schema cannot express: keys that are valid alone and meaningless together."""
    for place, phase in enumerate(data.get("phases", ())):
        yield from _backwards(phase, "duration", f"phases[{place}]")
    if "error" in data and data.get("ending") != "failure":
        yield "error is the reason of a failure, and jobs do not fail; expected ending: failure with it"
    yield from _too_many_names("the style", list(_style_data(data)), "extra: {hint: '{id} is {status}'}")
    for style in _style_data(data):
        if "id" in style and data.get("ids") != "{digits}":
            yield f'ids is {shown(data.get("ids"))}, and style.id is number; expected ids: "{{digits}}" with it'
    for place, fault in enumerate(data.get("faults", ())):
        yield from _too_many_names(f"faults[{place}]", fault, "text: '{id} is {status}'")
        for mistake in senseless_fault(fault):
            yield f"faults[{place}]{mistake}"
        for key in ("nth", "attempt"):
            yield from _backwards(fault, key, f"faults[{place}]")


def _too_many_names(place: str, data: Any, example: str) -> Iterator[str]:
    count = count_names(data)
    if count > MAX_NAMES:
        yield f"{place} has {count} names in braces; expected at most {MAX_NAMES} in one response, e.g. {example}"


def _backwards(data: Mapping[str, Any], key: str, place: str) -> Iterator[str]:
    ends = data.get(key)
    if isinstance(ends, list) and ends[1] is not None and ends[0] > ends[1]:
        yield f"{place}.{key} is {shown(ends)}; expected the smaller first: {shown(ends[::-1])}"


def built_in() -> Iterator[Scenario]:
    """Yield all built-in scenarios."""
    for name in built_in_scenarios():
        yield named(name)
