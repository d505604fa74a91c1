"""Saved traffic, read for the judge: our own journal and JSON log, and HAR, as far as it carries what a rule needs."""

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
from mockveo.spec.spec import Spec, load
from mockveo.traffic.redaction import redact_headers, redact_query

_EXAMPLE: Final = "what `mockveo har`, `mockveo logs --json` or GET /_mockveo/journal prints"


def read(path: Path) -> list[dict[str, Any]]:
    """The exchanges of a file, in their JSON form. Raises TraceError, which names the file."""
    text = yamlfiles.read(path, TraceError)
    try:
        found = orjson.loads(text)
    except ValueError:
        found = _lines(text, path)
    if isinstance(found, dict) and isinstance(found.get("log"), dict):
        return list(_of_har(found["log"], path))
    exchanges = found.get("exchanges") if isinstance(found, dict) else found
    if isinstance(found, dict) and "request" in found:
        exchanges = [found]
    if not isinstance(exchanges, list) or not exchanges or not all(map(_is_exchange, exchanges)):
        raise TraceError(f"{path.name}: holds no exchanges; wanted {_EXAMPLE}")
    return exchanges


def _lines(text: bytes, path: Path) -> list[Any]:
    try:
        return [one for one in map(orjson.loads, filter(None, map(bytes.strip, text.splitlines()))) if "request" in one]
    except (ValueError, TypeError):
        raise TraceError(f"{path.name}: neither JSON nor JSON lines; wanted {_EXAMPLE}") from None


def _is_exchange(one: object) -> bool:
    if not isinstance(one, dict) or not isinstance(one.get("request"), dict):
        return False
    return {"number", "time"} <= set(one) and {"method", "path", "query", "headers", "fields", "files"} <= set(
        one["request"]
    )


def _of_har(log: Mapping[str, Any], path: Path) -> Iterator[dict[str, Any]]:
    spec = load()
    try:
        for number, entry in enumerate(log["entries"], 1):
            exchange = _of_entry(entry, number, spec)
            if exchange is not None:
                yield exchange
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise TraceError(f"{path.name}: no HAR 1.2 ({type(problem).__name__}: {problem}); wanted {_EXAMPLE}") from None


def _of_entry(entry: Mapping[str, Any], number: int, spec: Spec) -> dict[str, Any] | None:
    """An exchange of ours from an entry; None for one with another service."""
    ours = entry.get("_mockveo") or {}
    request, url = entry["request"], urlsplit(entry["request"]["url"])
    path = re.sub(r"^/@[^/]+", "", url.path)
    operation = ours.get("operation", _operation(request["method"], path, spec))
    if not ours and operation is None and "/v1/" not in path:
        return None
    began = datetime.fromisoformat(entry["startedDateTime"]).timestamp()
    data = request.get("postData") or {}
    params = data.get("params") or []
    answer = _answer(entry["response"])
    body = answer["body"] if answer and isinstance(answer["body"], dict) else {}
    return {
        "number": number,
        "time": began,
        "at": began,
        "operation": operation,
        "error": None if operation else "unknown_path",
        "job": body.get("id") or (path.split("/")[3] if operation and path.count("/") > 2 else None),
        "job_status": body.get("status"),
        **ours,
        "request": {
            "method": request["method"],
            "path": path,
            "query": redact_query(url.query),
            "headers": redact_headers((one["name"], one["value"]) for one in request["headers"]),
            "fields": [_pair(one) for one in params if "fileName" not in one],
            "files": [_file(one) for one in params if "fileName" in one],
        },
        "response": answer,
    }


def _operation(method: str, path: str, spec: Spec) -> str | None:
    for one in spec.operations.values():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(one.path))
        if one.method == method and re.fullmatch(pattern, path):
            return one.id
    return None


def _pair(param: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": param["name"], "value": param.get("value", "")}


def _file(param: Mapping[str, Any]) -> dict[str, Any]:
    known = {"name": param["name"], "filename": param["fileName"], "content_type": param.get("contentType") or None}
    return {**known, "bytes": 0, "sha256": ""}


def _answer(response: Mapping[str, Any]) -> dict[str, Any] | None:
    if not response["status"]:
        return None
    text = response["content"].get("text")
    try:
        body = orjson.loads(text) if text and "encoding" not in response["content"] else None
    except ValueError:
        body = text
    headers = [(one["name"], one["value"]) for one in response["headers"]]
    return {"status": response["status"], "headers": headers, "body": body, "body_bytes": response["content"]["size"]}
