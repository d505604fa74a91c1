"""A fault of a scenario: when it applies to an exchange, and what it does to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson


class Range(NamedTuple):
    """Numbers from `first` to `last`, both included; None = no end."""

    first: int
    last: int | None

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.first <= number and (self.last is None or number <= self.last)


@dataclass(frozen=True, slots=True)
class Fault:
    """The conditions and the effects of a fault; the fields are its keys."""

    operation: str = "any"
    nth: Range | None = None
    every: int | None = None
    attempt: Range | None = None
    probability: float | None = None
    #: Of creates: the media type of a file, a pattern such as "image/*", or "none" for a file without one.
    file_type: str | None = None

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
    #: The coding in which the body is sent.
    encode: str | None = None
    #: What Content-Length says: a number, or "decoded" = the length before `encode`.
    content_length: int | str | None = None
    #: The status of a redirect, and whether to another origin.
    redirect: int | None = None
    other_origin: bool = False
    #: Whether a request that follows the redirect is redirected too.
    endless: bool = False

    delay: float = 0.0
    bandwidth: float | None = None
    #: Bytes in a piece, and seconds between two.
    drip: tuple[int, float] | None = None
    truncate: int | None = None
    reset: bool = False
    close: bool = False
    #: When the client's process is killed: "before" the answer, or "during" its body.
    kill: str | None = None
    #: Whether a create with this fault makes its job all the same.
    applied: bool = True

    @property
    def hides_result(self) -> bool:
        """Whether the client cannot read its job from the response, so that it may retry."""
        refused = self.error is not None or (self.status or 200) >= 400 or self.redirect is not None
        cut = self.reset or self.close or self.kill is not None or self.truncate is not None
        broken = cut or self.malformed or self.html or self.empty
        return refused or broken or not (self.json is None and self.text is None and self.content_length is None)

    @property
    def names(self) -> list[str]:
        """Its effects, in the words of the schema, e.g. ["status", "delay"]."""
        return [name for name in _EFFECTS if getattr(self, name) != _PLAIN[name]]


_EFFECTS: Final = tuple(
    name
    for name in Fault.__dataclass_fields__
    if name
    not in (
        *("operation", "nth", "every", "attempt", "probability", "file_type", "as_date", "other_origin", "endless"),
        "applied",
    )
)
_PLAIN: Final = {name: getattr(Fault(), name) for name in _EFFECTS}


def parse_fault(data: Mapping[str, Any]) -> Fault:
    """Return the fault that valid data describes."""
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
        values["endless"] = values["redirect"].get("endless", False)
        values["redirect"] = values["redirect"]["status"]
    if "drip" in values:
        values["drip"] = (values["drip"]["bytes"], values["drip"]["every"])
    values["applied"] = values.get("applied", not _replaces_the_answer(values))
    return Fault(**values)


def _replaces_the_answer(values: Mapping[str, Any]) -> bool:
    """Return whether nothing of the job's own response is sent."""
    cut = (values.get("reset") or values.get("close")) and "truncate" not in values
    cut = cut or values.get("kill") == "before"
    refused = values.get("status", 200) >= 400
    another = {"error", "redirect", "json", "text"} & set(values) or values.get("html") or values.get("empty")
    return bool(cut or refused or another)


def senseless_fault(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a fault although each of its keys is valid."""
    effects = [key for key in values if key in _EFFECTS and values[key] is not False]
    if not effects:
        yield f": it does nothing; expected e.g. status: 503, or one of {', '.join(_EFFECTS)}"
    bodies = [key for key in ("json", "text", "html", "malformed", "empty") if key in effects]
    cuts = [key for key in ("reset", "close", "kill") if key in effects]
    others = [key for key in ("redirect", "status", "error") if key in effects]
    for exclusive in (bodies, cuts, others if "redirect" in others else []):
        if len(exclusive) > 1:
            yield f": {' and '.join(exclusive)} exclude each other; expected one of them"
    lost = [key for key in effects if key not in (*cuts, "delay")]
    if cuts and lost and ("truncate" not in effects or "kill" in cuts):
        remedy = "expected one of them" if "kill" in cuts else "expected one of them, or truncate too"
        yield f": with {cuts[0]} there is no response, so {lost[0]} is lost; {remedy}"
    yield from _lost_words(values, bodies)
    yield from _only_of_creates(values)
    if values.get("kill") == "during" and values.get("operation") not in ("content", "delivery"):
        operation = values.get("operation", "any")
        yield f".kill is during, which is of downloads, and the operation is {operation}; expected operation: content"
    if values.get("applied") is False and not _replaces_the_answer(values) and set(bodies) <= {"malformed"}:
        yield (
            ".applied is false, so there is no job to respond with; expected a response, e.g. status: 503,"
            " or reset: true"
        )
    if values.get("content_length") == "decoded" and "encode" not in values:
        yield ".content_length is decoded, and the body is not encoded; expected encode: gzip with it"


def _lost_words(values: Mapping[str, Any], bodies: Sequence[str]) -> Iterator[str]:
    """Yield the keys whose words would not be sent, because another key replaces them."""
    words = [key for key in ("envelope", "code", "message") if key in values]
    replacing = [key for key in ("error", *bodies) if key in values and key != "malformed"]
    if words and "status" not in values:
        yield ": envelope, code and message describe the error of a `status`; expected e.g. status: 503"
    elif words and replacing:
        yield (
            f".{words[0]} is lost, since {replacing[0]} is the body; expected either {' and '.join(words)} or"
            f" {replacing[0]}, e.g. json: {{code: busy, message: Come back later.}}"
        )
    headers = {name.lower() for name in values.get("headers", {})}
    for key, name in {"content_type": "content-type", "retry_after": "retry-after", "redirect": "location"}.items():
        if key in values and name in headers:
            yield f".{key} is lost, since headers has {name} too; expected one of them"


def _only_of_creates(values: Mapping[str, Any]) -> Iterator[str]:
    for key in ("applied", "file_type"):
        if key in values and values.get("operation") not in ("create", "any", None):
            yield f".{key} is of creates, and the operation is {values['operation']}; expected operation: create"
