"""The exchanges of a play for people: what was asked, and what the client was told - not what the server knew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from mockveo.spec.errors import ErrorBody
from mockveo.text import truncate
from mockveo.traffic.exchange import Exchange
from mockveo_contracts.clients.testbed import CaseRun

#: Exchanges of a case that are kept as lines: a client that polls without a pause makes thousands.
MOST_LINES: Final = 60
#: Characters of an error's message that are shown.
LONG: Final = 60
#: Ids of this length or longer are shown by their ends.
LONG_ID: Final = 20


def wire_log(play: CaseRun, marked: Iterable[int] = ()) -> list[dict[str, Any]]:
    """The exchanges of a play: number, seconds of the client's since the first one, and a line, with lines of notes.

    Where there are very many, those in the middle are left out, but for the first of the `marked` ones.
    """
    seen = [Exchange.from_json(one, clock=play.clock) for one in play.trace]
    first = seen[0].at if seen else 0.0
    numbers = kept([one.number for one in seen], marked, MOST_LINES)
    # An id that a client changed is none of these, so it is shown whole.
    ids = {one.job for one in seen if one.operation == "create" and len(one.job) >= LONG_ID}
    return [
        {"number": one.number, "at": round((one.at - first) / play.pace, 3), "line": _line(one, ids)}
        for one in seen
        if one.number in numbers
    ]


def kept(numbers: Sequence[int], marked: Iterable[int], most: int) -> set[int]:
    """The numbers that are kept: all where they are few, else from both ends and of the marked ones."""
    if len(numbers) <= most:
        return set(numbers)
    return {*numbers[: most // 2], *numbers[-most // 4 :], *sorted(marked)[: most // 4]}


def _line(one: Exchange, ids: Iterable[str]) -> str:
    where = "(other origin) " if one.elsewhere else ""
    query = f"?{one.query}" if one.query else ""
    files = f" with {len(one.files)} file{'' if len(one.files) == 1 else 's'}" if one.files else ""
    faults = f"  [{', '.join(one.faults)}]" if one.faults else ""
    line = f"{where}{one.method} {one.path}{query}{files} \u2192 {_answer(one)}{faults}"
    for job in ids:
        line = line.replace(job, f"{job[:9]}\u2026{job[-4:]}")
    return "\n".join([line, *(f"! {note}" for note in (*one.deviations.values(), one.hint) if note)])


def _answer(one: Exchange) -> str:
    if not one.status:
        return "the client went away" if one.client_left else "no answer"
    parts = [f"{one.status} {_told(one)}".strip()]
    if not one.whole:
        parts.append(f"broken off after {one.sent} bytes")
    if one.retry_after is not None:
        parts.append(f"Retry-After: {one.retry_after}")
    return ", ".join(parts)


def _told(one: Exchange) -> str:
    if one.state:
        progress = one.body.get("progress")
        shown = f"{one.state} {progress} %" if isinstance(progress, int) else one.state
        return f"{shown} {one.body.get('id', '')}".strip() if one.operation == "create" else shown
    if 300 <= one.status < 400:
        # Without the query, which holds a ticket.
        place = urlsplit(one.answer_headers.get("location", ""))
        return f"to {place.scheme}://{place.netloc}{place.path}" if place.netloc else f"to {place.path}"
    if one.operation in ("content", "delivery") and one.status in (200, 206):
        return f"{one.sent} bytes"
    if one.error_code:
        return one.error_code
    return _message(one.answer, whole=one.whole)


def _message(body: Any, *, whole: bool) -> str:
    if isinstance(body, dict):
        return truncate(ErrorBody.parse(body).message, LONG)
    if not whole:
        return ""
    return "an empty answer" if body in (None, "") else "a page of HTML" if "<html" in str(body).lower() else "no JSON"
