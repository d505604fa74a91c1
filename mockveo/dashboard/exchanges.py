"""An exchange as pages show it: in short for lists and pictures, its messages, and next to another."""

from __future__ import annotations

import json
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any, Final, TypedDict

from mockveo.text import truncate
from mockveo.traffic.exchange import Exchange, ExchangeJson, FileJson, value_text

#: Milliseconds from which an answer is shown as late. Arbitrary: people notice a second.
LATE_MS: Final = 900
#: Characters of a prompt in short, and of a body; lines of a body next to another. Arbitrary: a few screens.
MAX_PROMPT: Final = 200
MAX_BODY: Final = 20_000
MAX_LINES: Final = 300


class Summary(TypedDict):
    """An exchange in short. `control.yaml` says what each key is."""

    number: int
    at: float
    time: float
    operation: str
    method: str
    path: str
    status: int
    answer: str
    tone: str
    fate: str
    trouble: str
    transient: bool
    wait: float | None
    ms: float
    job: str
    progress: int | None
    scenario: str
    faults: list[str]
    remarks: list[str]
    client: str
    key: str | None
    prompt: str
    files: int
    line: str


def summary_of(data: ExchangeJson) -> Summary:
    """Return an exchange in short."""
    exchange = Exchange.from_json(data, clock="at")
    ms = data.get("duration_ms") or 0.0
    fate, trouble = _fate(exchange, ms)
    return {
        "number": exchange.number,
        "at": exchange.at,
        "time": exchange.time,
        "operation": exchange.operation,
        "method": exchange.method,
        "path": exchange.path,
        "status": exchange.status,
        "answer": _answer(exchange, data),
        "tone": "good" if 0 < exchange.status < 400 else "warn" if 400 <= exchange.status < 500 else "bad",
        "fate": fate,
        "trouble": trouble,
        "transient": exchange.transient,
        "wait": exchange.retry_after_s,
        "ms": ms,
        "job": exchange.job,
        "progress": data.get("job_progress"),
        "scenario": data.get("scenario") or "",
        "faults": list(exchange.faults),
        "remarks": [text for text in (*exchange.deviations.values(), exchange.hint) if text],
        "client": exchange.headers.get("user-agent", ""),
        "key": exchange.key,
        "prompt": exchange.prompt[:MAX_PROMPT],
        "files": len(exchange.files),
        "line": exchange.line.partition("\n")[0],
    }


def _fate(exchange: Exchange, ms: float) -> tuple[str, str]:
    """Return what became of an exchange, in a word of ours and in some for people."""
    if exchange.client_left:
        return "gone", "the client went away"
    if not exchange.status:
        return "lost", f"answer lost: {', '.join(exchange.faults)}" if exchange.faults else "no answer"
    if not exchange.whole and not exchange.undecodable:
        return "cut", f"answer cut off after {exchange.response_bytes:,} bytes"
    return ("late", f"answered after {ms / 1000:.2g} s") if ms >= LATE_MS else ("", "")


def _answer(exchange: Exchange, data: ExchangeJson) -> str:
    state, progress = data.get("job_status") or "", data.get("job_progress")
    words = [exchange.error or state]
    if state and not exchange.error and progress is not None:
        words.append(f"{progress} %")
    if exchange.retry_after_s is not None:
        words.append(f"\u00b7 wait {exchange.retry_after_s:g} s")
    if exchange.status and exchange.operation in ("content", "delivery"):
        words.append(f"{max(exchange.response_bytes, 0):,} bytes")
    return " ".join(filter(None, words))


class Message(TypedDict):
    """A request or a response as text; `note` says its size and time, `body` is None where it is a form or not kept."""

    title: str
    line: str
    note: str
    form: list[tuple[str, str]]
    headers: list[tuple[str, str]]
    body: str | None


def messages(data: ExchangeJson) -> list[Message]:
    """Return the request and the response of an exchange."""
    request, response, query = data["request"], data["response"], data["request"].get("query")
    form = [(field["name"], value_text(field)) for field in request.get("fields", ())]
    form += [(file["name"], _described(file)) for file in request.get("files", ())]
    asked: Message = {
        "title": "Request",
        "line": f"{request['method']} {request['path']}{f'?{query}' if query else ''}",
        "note": _size(request.get("body_bytes")),
        "form": form,
        "headers": list(request.get("headers", ())),
        "body": None,
    }
    if response is None:
        return [
            asked,
            {"title": "Response", "line": "", "note": "none was sent", "form": [], "headers": [], "body": None},
        ]
    body, ms = response.get("body"), data.get("duration_ms")
    answered: Message = {
        "title": "Response",
        "line": str(response["status"]),
        "note": f"{_size(response.get('body_bytes'))}{f' in {ms / 1000:.3f} s' if ms else ''}",
        "form": [],
        "headers": list(response.get("headers", ())),
        "body": None if body is None else truncate(_text(body), MAX_BODY),
    }
    return [asked, answered]


def compared(first: ExchangeJson, second: ExchangeJson) -> list[tuple[str | None, str | None, bool]]:
    """Return the lines of two exchanges side by side, each with whether both are the same; None where one has none."""
    rows: list[tuple[str | None, str | None, bool]] = []
    ours, others = ([line for each in messages(data) for line in _lines(each)] for data in (first, second))
    for tag, a, b, c, d in SequenceMatcher(None, ours, others, autojunk=False).get_opcodes():
        rows += [(left, right, tag == "equal") for left, right in zip_longest(ours[a:b], others[c:d])]
    return rows


def _lines(message: Message) -> list[str]:
    pairs = [f"{name} = {value}" for name, value in message["form"]]
    pairs += [f"{name}: {value}" for name, value in message["headers"]]
    return [message["line"] or message["note"], *pairs, "", *(message["body"] or "").split("\n")[:MAX_LINES]]


def _described(file: FileJson) -> str:
    media_type, digest = file.get("content_type") or "no type", (file.get("sha256") or "unknown")[:12]
    return f"{file['filename'] or '(no name)'}, {media_type}, {_size(file.get('bytes'))}, sha256 {digest}"


def _text(body: Any) -> str:
    return body if isinstance(body, str) else json.dumps(body, indent=2, ensure_ascii=False)


def _size(count: int | None) -> str:
    return "" if count is None or count < 0 else f"{count:,} bytes"
