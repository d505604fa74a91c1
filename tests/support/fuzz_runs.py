"""Runs of hostile requests, and what they gave: `benchmarks/hostile.py fuzz` and the tests share them."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wild_requests import CANARY, Wild, WildRequest

import mockveo


@dataclass
class FuzzVerdict:
    """What a run of hostile requests gave."""

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    #: The first requests that met what must not be, each with what it was.
    faults: list[str] = field(default_factory=list)
    #: Those that got a 5xx which no scenario asked for, and outputs that showed the canary.
    unasked: int = 0
    leaks: int = 0
    tracebacks: int = 0

    def add(self, kind: str, asked: WildRequest | bytes, evidence: object) -> None:
        """Keep what must not be."""
        self.faults.append(f"{kind}: {asked!r:.3000} -> {evidence!r:.600}")


class _Tracebacks(logging.Handler):
    """Counts what the server logs as an error."""

    def __init__(self, verdict: FuzzVerdict) -> None:
        super().__init__(logging.ERROR)
        self._verdict = verdict

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the first ones."""
        self._verdict.tracebacks += 1
        self._verdict.add("log", b"", f"{record.getMessage()} {record.exc_info}")


def is_unasked(status: int, body: bytes, *, control: bool) -> bool:
    """Return whether an answer is an error of ours."""
    return status >= 500 and (control or b'"internal_error"' in body or b'"self_check"' in body)


def fuzz_in_process(seed: int, count: int, corpus: Path, **settings: Any) -> FuzzVerdict:
    """Send requests to an application in process."""
    verdict, wild = FuzzVerdict(), Wild(seed)
    app = mockveo.app(seed=seed, render=False, corpus=corpus, **settings)
    handler = _Tracebacks(verdict)
    logging.getLogger("mockveo").addHandler(handler)

    async def run() -> None:
        for _ in range(count):
            asked = wild.request()
            await _ask(app, asked, wild, verdict)

    try:
        asyncio.run(run())
    finally:
        logging.getLogger("mockveo").removeHandler(handler)
    return verdict


async def _ask(app: Callable[..., Awaitable[None]], asked: WildRequest, wild: Wild, verdict: FuzzVerdict) -> None:
    messages: Iterator[Any] = iter([{"type": "http.request", "body": asked.body}])
    status, body = 0, b""

    async def receive() -> Any:
        return next(messages, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        nonlocal status, body
        status = message.get("status", status)
        body += message.get("body", b"")

    scope = {
        "type": "http",
        "method": asked.method,
        "path": asked.path,
        "raw_path": asked.path.encode(),
        "root_path": "",
        "query_string": asked.query,
        "headers": list(asked.headers),
        "client": ("127.0.0.1", 1),
        "scheme": "http",
    }
    verdict.requests += 1
    try:
        await app(scope, receive, send)
    except ConnectionError:
        status = 0  # a fault of the connection
    except Exception as error:  # noqa: BLE001 - counted
        verdict.tracebacks += 1
        verdict.add("exception", asked, repr(error))
    verdict.statuses[status] += 1
    control = "/_mockveo/" in asked.path
    if is_unasked(status, body, control=control):
        verdict.unasked += 1
        verdict.add("unasked", asked, (status, body[:300]))
    # A saved world is a copy of it, keys and all, as its document says.
    if CANARY.encode() in body and not asked.path.endswith("/_mockveo/state"):
        verdict.leaks += 1
        verdict.add("leak", asked, body[max(body.index(CANARY.encode()) - 100, 0) :][:300])
    if asked.method == "POST" and asked.path.endswith("/v1/videos") and status == 200:
        wild.ids += re.findall(r'"id": ?"([^"]+)"', body.decode("utf-8", "replace"))[:1]
        del wild.ids[:-50]
    if asked.path.endswith("/_mockveo/state") and asked.method == "GET" and status == 200:
        wild.states = [*wild.states[-3:], body]
