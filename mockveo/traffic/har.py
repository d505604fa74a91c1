"""Exchanges as HAR 1.2, the format that the network tools of browsers save and open.

Source: the HAR 1.2 specification (Jan Odvarko), whose names these are. Credentials are left out; what is ours alone is
in `_mockveo`, as custom fields begin with an underscore.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from mockveo._version import __version__
from mockveo.traffic.record import ExchangeRecord


@dataclass(frozen=True)
class Page:
    """Exchanges that belong together, as those of one case do: what it is about, and its trace."""

    id: str
    title: str
    trace: list[Mapping[str, Any]]
    #: What paths are below; where nothing is said, what the requests' headers tell.
    root: str = ""


def har(exchanges: Iterable[ExchangeRecord], own: str, other: str) -> dict[str, Any]:
    """A log of exchanges with a world whose root is `own`, and `other` at the other origin."""
    return _log(
        [], [_entry(one.to_json(), other if one.elsewhere else own, body=one.answer_body or b"") for one in exchanges]
    )


def har_of_pages(pages: Iterable[Page]) -> dict[str, Any]:
    """A log of traces, a page each. The exchanges are numbered anew, since one number would stand for many."""
    heads: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    for page in pages:
        began = _date(page.trace[0]["time"]) if page.trace else _date(0)
        heads.append({"id": page.id, "title": page.title, "startedDateTime": began, "pageTimings": {}})
        for data in page.trace:
            entry = _entry({**data, "number": len(entries) + 1}, page.root or _root(data))
            entries.append({"pageref": page.id, **entry})
    return _log(heads, entries)


def _log(pages: list[dict[str, Any]], entries: list[dict[str, Any]]) -> dict[str, Any]:
    creator = {"name": "mockveo", "version": __version__}
    return {"log": {"version": "1.2", "creator": creator, "pages": pages, "entries": entries}}


def _root(data: Mapping[str, Any]) -> str:
    """The root of the world that a request came to, as far as its headers tell."""
    hosts = [value for name, value in data["request"]["headers"] if name.lower() == "host"]
    world = data.get("world")
    return f"http://{(hosts or ['localhost'])[0]}{f'/@{world}' if world else ''}"


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _entry(data: Mapping[str, Any], root: str, *, body: bytes = b"") -> dict[str, Any]:
    """An exchange, in its JSON form. `body` is the answer's as it was sent, where that is known."""
    milliseconds = data.get("duration_ms") or 0
    return {
        "startedDateTime": _date(data["time"]),
        "time": milliseconds,
        "request": _request(data["request"], root),
        "response": _response(data.get("response"), body),
        "cache": {},
        "timings": {"send": 0, "wait": milliseconds, "receive": 0},
        "_mockveo": {name: value for name, value in data.items() if name not in ("request", "response")},
    }


def _request(data: Mapping[str, Any], root: str) -> dict[str, Any]:
    query, size = data["query"], data.get("body_bytes") or 0
    request: dict[str, Any] = {
        "method": data["method"],
        "url": f"{root}{data['path']}{f'?{query}' if query else ''}",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(data["headers"]),
        "queryString": _pairs(parse_qsl(query, keep_blank_values=True)),
        "headersSize": -1,
        "bodySize": size,
    }
    if size:
        types = [value for name, value in data["headers"] if name == "content-type"]
        request["postData"] = {"mimeType": (types or [""])[0], "params": list(_params(data)), "text": ""}
    return request


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _params(data: Mapping[str, Any]) -> Iterable[dict[str, str]]:
    for one in data["fields"]:
        value = one["value"]
        yield {"name": one["name"], "value": value if isinstance(value, str) else str(value)}
    for one in data["files"]:
        kind = one.get("content_type") or ""
        yield {"name": one["name"], "fileName": one.get("filename") or "", "contentType": kind}


def _response(data: Mapping[str, Any] | None, body: bytes) -> dict[str, Any]:
    status, size = (data["status"], data["body_bytes"]) if data else (0, 0)
    headers = _pairs(data["headers"]) if data else []
    named = {one["name"]: one["value"] for one in headers}
    content: dict[str, Any] = {"size": size, "mimeType": named.get("content-type", "x-unknown")}
    return {
        "status": status,
        "statusText": HTTPStatus(status).phrase if status in list(HTTPStatus) else "",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": headers,
        "content": content | _text(body, data["body"] if data else None),
        "redirectURL": named.get("location", ""),
        "headersSize": -1,
        "bodySize": size if data else -1,
    }


def _text(body: bytes, shown: Any) -> dict[str, str]:
    """The text of an answer: as it was sent, or of what a trace shows of it."""
    if body:
        try:
            return {"text": body.decode()}
        except UnicodeDecodeError:
            return {"text": b64encode(body).decode(), "encoding": "base64"}
    if shown is None:
        return {}
    return {"text": shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False, separators=(",", ":"))}
