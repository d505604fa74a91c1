"""Exchanges as HAR 1.2, the format that the network tools of browsers save and open.

Source: the HAR 1.2 specification (Jan Odvarko), whose names these are. Credentials are left out; what is ours alone is
in `_mockveo`, as custom fields begin with an underscore.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from mockveo import __version__
from mockveo.journal import Exchange, as_json, shown_answer_headers, shown_query


def har(exchanges: Iterable[Exchange], own: str, other: str) -> dict[str, Any]:
    """A log of exchanges with a world whose root is `own`, and `other` at the other origin."""
    creator = {"name": "mockveo", "version": __version__}
    entries = [_entry(exchange, other if exchange.elsewhere else own) for exchange in exchanges]
    return {"log": {"version": "1.2", "creator": creator, "pages": [], "entries": entries}}


def _entry(exchange: Exchange, root: str) -> dict[str, Any]:
    milliseconds = round(exchange.duration * 1000, 3)
    about = {name: value for name, value in as_json(exchange).items() if name not in ("request", "response")}
    return {
        "startedDateTime": datetime.fromtimestamp(exchange.started, UTC).isoformat(timespec="milliseconds"),
        "time": milliseconds,
        "request": _request(exchange, root),
        "response": _response(exchange),
        "cache": {},
        "timings": {"send": 0, "wait": milliseconds, "receive": 0},
        "_mockveo": about,
    }


def _request(exchange: Exchange, root: str) -> dict[str, Any]:
    query = shown_query(exchange)
    request: dict[str, Any] = {
        "method": exchange.method,
        "url": f"{root}{exchange.path}{f'?{query}' if query else ''}",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": [{"name": name, "value": value} for name, value in exchange.shown_headers],
        "queryString": [{"name": name, "value": value} for name, value in parse_qsl(query, keep_blank_values=True)],
        "headersSize": -1,
        "bodySize": exchange.body_size,
    }
    if exchange.body_size:
        types = [value for name, value in exchange.headers if name == "content-type"]
        request["postData"] = {"mimeType": (types or [""])[0], "params": _params(exchange), "text": ""}
    return request


def _params(exchange: Exchange) -> list[dict[str, str]]:
    params = []
    for part in exchange.parts:
        param = {"name": part.name}
        if part.is_file:
            param |= {"fileName": part.filename or "", "contentType": part.content_type or ""}
        else:
            param["value"] = part.value if isinstance(part.value, str) else str(part.value)
        params.append(param)
    return params


def _response(exchange: Exchange) -> dict[str, Any]:
    headers = shown_answer_headers(exchange)
    named = dict(headers)
    content: dict[str, Any] = {"size": exchange.sent, "mimeType": named.get("content-type", "x-unknown")}
    if exchange.answer_body is not None:
        try:
            content["text"] = exchange.answer_body.decode()
        except UnicodeDecodeError:
            content |= {"text": b64encode(exchange.answer_body).decode(), "encoding": "base64"}
    return {
        "status": exchange.status,
        "statusText": HTTPStatus(exchange.status).phrase if exchange.status in list(HTTPStatus) else "",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": [{"name": name, "value": value} for name, value in headers] if exchange.status else [],
        "content": content,
        "redirectURL": named.get("location", ""),
        "headersSize": -1,
        "bodySize": exchange.sent if exchange.status else -1,
    }
