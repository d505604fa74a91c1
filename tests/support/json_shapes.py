"""JSON schemas of formats that mockveo writes: HAR 1.2, from the tables of its specification, and pieces for others."""

from __future__ import annotations

from typing import Any

import jsonschema_rs

PAIR = {
    "type": "object",
    "required": ["name", "value"],
    "properties": {"name": {"type": "string"}, "value": {"type": "string"}},
}
PAIRS = {"type": "array", "items": PAIR}
NUMBER = {"type": "number"}


def shape(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a schema of an object without other members, except those that begin with `_`."""
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
        "patternProperties": {"^_": {}},
        "additionalProperties": False,
    }


TEXT = {"type": "string"}
PARAM = shape({"name": TEXT}, {"value": TEXT, "fileName": TEXT, "contentType": TEXT})
COMMON = {"httpVersion": TEXT, "cookies": PAIRS, "headers": PAIRS, "headersSize": NUMBER, "bodySize": NUMBER}
REQUEST = shape(
    {"method": TEXT, "url": {"type": "string", "format": "uri"}, "queryString": PAIRS, **COMMON},
    {"postData": shape({"mimeType": TEXT, "params": {"type": "array", "items": PARAM}, "text": TEXT})},
)
CONTENT = shape({"size": NUMBER, "mimeType": TEXT}, {"text": TEXT, "encoding": {"const": "base64"}})
RESPONSE = shape({"status": {"type": "integer"}, "statusText": TEXT, "redirectURL": TEXT, "content": CONTENT, **COMMON})
ENTRY = shape(
    {
        "startedDateTime": {"type": "string", "format": "date-time"},
        "time": {"type": "number", "minimum": 0},
        "request": REQUEST,
        "response": RESPONSE,
        "cache": {"const": {}},
        "timings": shape({"send": NUMBER, "wait": NUMBER, "receive": NUMBER}),
    }
)
LOG = shape(
    {
        "version": {"const": "1.2"},
        "creator": shape({"name": TEXT, "version": TEXT}),
        "pages": {"const": []},
        "entries": {"type": "array", "items": ENTRY},
    }
)
HAR = jsonschema_rs.Draft202012Validator(shape({"log": LOG}), validate_formats=True)
