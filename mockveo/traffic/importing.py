"""Saved traffic: our own journal, JSON log or HAR, and HAR of other tools."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from mockveo import yamlfiles
from mockveo.errors import TraceError
from mockveo.spec.job_body import JobBody
from mockveo.spec.spec import Spec, load
from mockveo.traffic.exchange import Exchange, ExchangeJson, FieldJson, FileJson, ResponseJson
from mockveo.traffic.redaction import redact_headers, redact_query

_EXAMPLE: Final = "what `mockveo har`, `mockveo logs --json` or GET /_mockveo/journal prints"


def read(path: Path) -> list[ExchangeJson]:
    """Return the exchanges of a file in their JSON form. Raises TraceError, which names the file."""
    text = yamlfiles.read(path, TraceError)
    try:
        data = orjson.loads(text)
    except ValueError:
        data = _lines(text, path)
    if isinstance(data, dict) and isinstance(data.get("log"), dict):
        return list(_of_har(data["log"], path))
    exchanges = data.get("exchanges") if isinstance(data, dict) else data
    if isinstance(data, dict) and "request" in data:
        exchanges = [data]
    if not isinstance(exchanges, list) or not exchanges or not all(map(_is_exchange, exchanges)):
        raise TraceError(f"{path.name}: holds no exchanges; expected {_EXAMPLE}")
    return exchanges


def _lines(text: bytes, path: Path) -> list[Any]:
    try:
        lines = [orjson.loads(line) for line in text.splitlines() if line.strip()]
        return [line for line in lines if "request" in line]
    except (ValueError, TypeError):
        raise TraceError(f"{path.name}: neither JSON nor JSON lines; expected {_EXAMPLE}") from None


def _is_exchange(data: Any) -> bool:
    try:
        Exchange.from_json(data)
    except (KeyError, TypeError, ValueError, AttributeError):
        return False
    return True


def _of_har(log: Mapping[str, Any], path: Path) -> Iterator[ExchangeJson]:
    spec = load()
    try:
        for number, entry in enumerate(log["entries"], 1):
            exchange = _of_entry(entry, number, spec)
            if exchange is not None:
                yield exchange
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        reason = f"{type(problem).__name__}: {problem}"
        raise TraceError(f"{path.name}: not HAR 1.2 ({reason}); expected {_EXAMPLE}") from None


def _of_entry(entry: Mapping[str, Any], number: int, spec: Spec) -> ExchangeJson | None:
    """Return the exchange of an entry; None for one with another service."""
    ours: Any = entry.get("_mockveo") or {}
    request, url = entry["request"], urlsplit(entry["request"]["url"])
    path = re.sub(r"^/@[^/]+", "", url.path)
    operation = ours.get("operation", _operation(request["method"], path, spec))
    if not ours and operation is None and "/v1/" not in path:
        return None
    began = datetime.fromisoformat(entry["startedDateTime"]).timestamp()
    params = (request.get("postData") or {}).get("params") or []
    response = _response(entry["response"])
    shown = JobBody.parse(response.get("body")) if response else JobBody()
    exchange: ExchangeJson = {
        "number": number,
        "time": began,
        "at": began,
        "operation": operation,
        "error": None if operation else "unknown_path",
        "job": path.split("/")[3] if operation and path.count("/") > 2 else shown.id or None,
        "request": {
            "method": request["method"],
            "path": path,
            "query": redact_query(url.query),
            "headers": redact_headers((header["name"], header["value"]) for header in request["headers"]),
            "fields": [_field(param) for param in params if "fileName" not in param],
            "files": [_file(param) for param in params if "fileName" in param],
        },
        "response": response,
    }
    exchange.update(ours)
    return exchange


def _operation(method: str, path: str, spec: Spec) -> str | None:
    for operation in spec.operations.values():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(operation.path))
        if operation.method == method and re.fullmatch(pattern, path):
            return operation.id
    return None


def _field(param: Mapping[str, Any]) -> FieldJson:
    return {"name": param["name"], "value": param.get("value", "")}


def _file(param: Mapping[str, Any]) -> FileJson:
    media_type = param.get("contentType") or None
    # HAR has neither the bytes of a file nor their hash.
    return {"name": param["name"], "filename": param["fileName"], "content_type": media_type, "bytes": 0, "sha256": ""}


def _response(response: Mapping[str, Any]) -> ResponseJson | None:
    if not response["status"]:
        return None
    text = response["content"].get("text")
    try:
        body = orjson.loads(text) if text and "encoding" not in response["content"] else None
    except ValueError:
        body = text
    headers = [(header["name"], header["value"]) for header in response["headers"]]
    return {"status": response["status"], "headers": headers, "body": body, "body_bytes": response["content"]["size"]}
