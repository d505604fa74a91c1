"""Exchanges as HAR 1.2, the format of the network tools of browsers.

Source: the HAR 1.2 specification (Jan Odvarko), whose names these are. Credentials are left out; what HAR has no
field for is in `_mockveo`, as custom fields begin with an underscore.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from mockveo._version import __version__
from mockveo.traffic.exchange import ExchangeJson, RequestJson, ResponseJson
from mockveo.traffic.record import ExchangeRecord

#: An object of the HAR specification.
HarJson: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class HarPage:
    """Exchanges that belong together, such as those of one case."""

    id: str
    title: str
    #: The exchanges in their JSON form.
    trace: Sequence[ExchangeJson]
    #: The URL that paths are relative to; "" takes it from the requests' headers.
    root: str = ""


def har(exchanges: Iterable[ExchangeRecord], own: str, other: str) -> HarJson:
    """Return the exchanges of a world with its root and that at the other origin."""
    roots = {False: own, True: other}
    return _log([], [_recorded(record, roots[record.other_origin]) for record in exchanges])


def har_of_pages(pages: Iterable[HarPage]) -> HarJson:
    """Return the exchanges of pages, numbered anew, since numbers repeat between pages."""
    heads: list[HarJson] = []
    entries: list[HarJson] = []
    for page in pages:
        began = _date(page.trace[0]["time"]) if page.trace else _date(0)
        heads.append({"id": page.id, "title": page.title, "startedDateTime": began, "pageTimings": {}})
        for data in page.trace:
            entry = _entry({**data, "number": len(entries) + 1}, page.root or _root(data))
            entries.append({"pageref": page.id, **entry})
    return _log(heads, entries)


def _log(pages: list[HarJson], entries: list[HarJson]) -> HarJson:
    creator = {"name": "mockveo", "version": __version__}
    return {"log": {"version": "1.2", "creator": creator, "pages": pages, "entries": entries}}


def _root(data: ExchangeJson) -> str:
    """Return the root of a request's world by its Host header."""
    hosts = [value for name, value in data["request"]["headers"] if name.lower() == "host"]
    host = hosts[0] if hosts else "localhost"
    world = f"/@{data['world']}" if data.get("world") else ""
    return f"http://{host}{world}"


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _recorded(record: ExchangeRecord, root: str) -> HarJson:
    """Return the entry of a record, with the bytes of its response."""
    entry = _entry(record.to_json(), root)
    if record.response_body:
        content = _content_of_bytes(record.response_body)
        entry["response"]["content"] |= content | {"text": record.redacted(content["text"])}
    return entry


def _entry(data: ExchangeJson, root: str) -> HarJson:
    """Return the entry of an exchange in its JSON form."""
    milliseconds = data.get("duration_ms") or 0
    return {
        "startedDateTime": _date(data["time"]),
        "time": milliseconds,
        "request": _request(data["request"], root),
        "response": _response(data.get("response")),
        "cache": {},
        "timings": {"send": 0, "wait": milliseconds, "receive": 0},
        "_mockveo": {name: value for name, value in data.items() if name not in ("request", "response")},
    }


def _request(data: RequestJson, root: str) -> HarJson:
    query = f"?{data['query']}" if data["query"] else ""
    size = data.get("body_bytes") or 0
    request: HarJson = {
        "method": data["method"],
        "url": f"{root}{data['path']}{query}",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(data.get("headers", [])),
        "queryString": _pairs(parse_qsl(data["query"], keep_blank_values=True)),
        "headersSize": -1,
        "bodySize": size,
    }
    if size or data.get("fields") or data.get("files"):
        types = [value for name, value in data.get("headers", []) if name.lower() == "content-type"]
        request["postData"] = {"mimeType": (types or [""])[0], "params": list(_params(data)), "text": ""}
    return request


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[HarJson]:
    return [{"name": name, "value": value} for name, value in pairs]


def _params(data: RequestJson) -> Iterable[HarJson]:
    for field in data.get("fields", ()):
        yield {"name": field["name"], "value": str(field["value"])}
    for file in data.get("files", ()):
        media_type = file.get("content_type") or ""
        more = {name: value for name, value in file.items() if name in ("content_type", "bytes", "sha256")}
        filename = file.get("filename") or ""
        yield {"name": file["name"], "fileName": filename, "contentType": media_type, "_mockveo": more}


def _response(data: ResponseJson | None) -> HarJson:
    status, size = (data["status"], data.get("body_bytes", -1)) if data else (0, 0)
    headers = dict(data.get("headers", [])) if data else {}
    content: HarJson = {"size": size, "mimeType": headers.get("content-type", "x-unknown")}
    return {
        "status": status,
        "statusText": HTTPStatus(status).phrase if status in list(HTTPStatus) else "",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(data.get("headers", [])) if data else [],
        "content": content | _content_of_json(data.get("body") if data else None),
        "redirectURL": headers.get("location", ""),
        "headersSize": -1,
        "bodySize": size if data else -1,
        "_mockveo": {name: value for name, value in (data or {}).items() if name in ("body_sha256", "undecodable")},
    }


def _content_of_bytes(body: bytes) -> HarJson:
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"text": b64encode(body).decode(), "encoding": "base64"}


def _content_of_json(body: Any) -> HarJson:
    if body is None:
        return {}
    return {"text": body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, separators=(",", ":"))}
