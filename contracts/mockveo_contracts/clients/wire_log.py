"""The exchanges of a run as lines: what was asked, and what the client was answered, not what the server knew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Final
from urllib.parse import urlsplit

from mockveo.spec.errors import ErrorBody
from mockveo.text import truncate
from mockveo.traffic.exchange import Exchange
from mockveo_contracts.clients.restarts import FIRST, KILLED, OTHER, Start
from mockveo_contracts.clients.testbed import CaseRun
from mockveo_contracts.reports.case_result import LogLine, with_short_ids

#: Exchanges of a case that are kept as lines: a client that polls without a pause makes thousands; arbitrary.
MAX_LINES: Final = 60
#: Characters of an error's message that are shown; arbitrary, so that a line fits a terminal.
MAX_MESSAGE_CHARS: Final = 60


def wire_log(run: CaseRun, marked: Iterable[int] = ()) -> tuple[LogLine, ...]:
    """Return the exchanges of a run as lines with notes, timed in the client's seconds since the first one.

    Of very many, those in the middle are left out, except for the first of the `marked` ones.
    """
    exchanges = run.exchanges
    first = exchanges[0].at if exchanges else 0.0
    numbers = kept([exchange.number for exchange in exchanges], marked, MAX_LINES)
    # An id that the client changed is not one of these, so it is shown whole.
    ids = {exchange.job for exchange in exchanges if exchange.operation == "create"}
    notes = restart_notes(run)
    return tuple(
        LogLine(
            exchange.number,
            round((exchange.at - first) / run.pace, 3),
            "\n".join([_line(exchange, ids), *notes.get(exchange.number, ())]),
        )
        for exchange in exchanges
        if exchange.number in numbers
    )


def restart_notes(run: CaseRun) -> dict[int, list[str]]:
    """Return what happened to the client of a case with restarts, by the number of the exchange after which it did."""
    notes: dict[int, list[str]] = {}
    made = False
    place = 1
    for start, following in zip_longest(run.starts, run.starts[1:]):
        own = [exchange for exchange in run.exchanges if exchange.number in start]
        place = own[-1].number if own else place
        here = notes.setdefault(place, [])
        if not own and start.cause != FIRST:
            here.append(f"* it sent nothing, and reported {_reported(start)}")
        for create in own:
            if create.operation == "create" and create.job and made and start.cause != OTHER:
                notes.setdefault(create.number, []).append(f"* another job for the same call{_price(run, create.job)}")
            made = made or bool(create.job)
        if following is not None:
            here += _between(start, following)
    return notes


def _between(start: Start, following: Start) -> Iterator[str]:
    """Yield what happened between two starts."""
    if start.killed:
        down = f", and was down for {start.down_s:g} s" if start.down_s else ""
        yield f"* the client was KILLED here (SIGKILL){down}"
        if start.damaged:
            yield "* while it was down, the files in its state directory were overwritten"
    else:
        yield f"* the client reported {_reported(start)}"
    again = following.case["restart"]
    if following.cause == OTHER:
        yield "* started again, and asked for another call with the same input first"
    elif following.cause == KILLED:
        yield f"* started again with the same call (restart {again})"
    else:
        yield f"* the same call came again, and no kill (restart {again})"


def _reported(start: Start) -> str:
    return repr(start.outcome["outcome"]) if start.outcome and start.outcome.get("outcome") else "nothing"


def _price(run: CaseRun, job_id: str) -> str:
    costs = [job.cost for job in run.jobs if job.id == job_id and job.cost is not None]
    return f", for {costs[0]} more" if costs else ", which is paid for too"


def kept(numbers: Sequence[int], marked: Iterable[int], most: int) -> set[int]:
    """Return the numbers to keep: all of a few, else those at both ends and of the marked ones."""
    if len(numbers) <= most:
        return set(numbers)
    return {*numbers[: most // 2], *numbers[-most // 4 :], *sorted(marked)[: most // 4]}


def _line(exchange: Exchange, ids: Iterable[str]) -> str:
    origin = "(other origin) " if exchange.other_origin else ""
    query = f"?{exchange.query}" if exchange.query else ""
    plural = "" if len(exchange.files) == 1 else "s"
    files = f" with {len(exchange.files)} file{plural}" if exchange.files else ""
    faults = f"  [{', '.join(exchange.faults)}]" if exchange.faults else ""
    line = f"{origin}{exchange.method} {exchange.path}{query}{files} \u2192 {_answer(exchange)}{faults}"
    notes = [note for note in (*exchange.deviations.values(), exchange.hint) if note]
    return "\n".join([with_short_ids(line, ids), *(f"! {note}" for note in notes)])


def _answer(exchange: Exchange) -> str:
    if not exchange.status:
        return "the client went away" if exchange.client_left else "no answer"
    parts = [f"{exchange.status} {_content(exchange)}".strip()]
    if exchange.undecodable:
        parts.append(f"not {exchange.response_headers.get('content-encoding')}, as its Content-Encoding says")
    elif not exchange.whole:
        parts.append(f"broken off after {exchange.response_bytes} bytes")
    if exchange.retry_after is not None:
        parts.append(f"Retry-After: {exchange.retry_after}")
    return ", ".join(parts)


def _content(exchange: Exchange) -> str:
    """Return what an answer says: a job's state, where a redirect leads, the bytes of a video, or an error."""
    if exchange.state:
        progress = exchange.shown.progress
        state = exchange.state if progress is None else f"{exchange.state} {progress} %"
        return f"{state} {exchange.shown.id}".strip() if exchange.operation == "create" else state
    if 300 <= exchange.status < 400:
        # Without the query, which holds a ticket.
        target = urlsplit(exchange.response_headers.get("location", ""))
        return f"to {target.scheme}://{target.netloc}{target.path}" if target.netloc else f"to {target.path}"
    if exchange.operation in ("content", "delivery") and exchange.status in (200, 206):
        return f"{exchange.response_bytes} bytes"
    if exchange.error_code:
        return exchange.error_code
    return _message(exchange)


def _message(exchange: Exchange) -> str:
    body = exchange.response_body
    if isinstance(body, dict):
        return truncate(ErrorBody.parse(body).message, MAX_MESSAGE_CHARS)
    if not exchange.whole:
        return ""
    if body in (None, ""):
        return "an empty answer"
    return "a page of HTML" if "<html" in str(body).lower() else "not JSON"
