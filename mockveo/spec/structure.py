"""What an OpenAPI document has to look like for mockveo to read it, as JSON Schema.

Not all of OpenAPI 3.1 - its own schema says that - but all that `spec.py` relies on, so that a slip in somebody's
document is told by its place and not by a traceback.
"""

from __future__ import annotations

from typing import Any, Final


def _mapping(values: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": values, **more}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}


_TEXTS: Final = {"type": "array", "items": {"type": "string"}}

STRUCTURE: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["paths"],
    "properties": {
        "paths": _mapping(
            _reference("path"), propertyNames={"pattern": r"^/([^{}]|\{[A-Za-z_][A-Za-z0-9_]*\})*$"}, minProperties=1
        ),
        "components": {
            "type": "object",
            "properties": {
                "schemas": _mapping(_reference("schema")),
                "responses": _mapping(_reference("response")),
                "parameters": _mapping(_reference("parameter")),
                "examples": _mapping(_reference("example")),
            },
        },
    },
    "$defs": {
        "path": {
            "type": "object",
            "properties": {
                "parameters": {"type": "array", "items": _reference("parameter")},
                **dict.fromkeys(
                    ("get", "put", "post", "delete", "patch", "head", "options", "trace"), _reference("operation")
                ),
            },
        },
        "operation": {
            "type": "object",
            "required": ["operationId", "responses"],
            "properties": {
                "operationId": {"type": "string"},
                "parameters": {"type": "array", "items": _reference("parameter")},
                "requestBody": {"type": "object", "properties": {"content": _reference("content")}},
                "responses": _mapping(_reference("response")),
                "security": {"type": "array", "items": {"type": "object"}},
            },
        },
        "parameter": {
            "type": "object",
            "if": {"not": {"required": ["$ref"]}},
            "then": {"required": ["name", "in"]},
            "properties": {"name": {"type": "string"}, "in": {"type": "string"}, "schema": _reference("schema")},
        },
        "response": {
            "type": "object",
            "properties": {"content": _reference("content"), "x-status": {"type": "integer"}},
        },
        "content": _mapping(
            {
                "type": "object",
                "properties": {
                    "schema": _reference("schema"),
                    "examples": _mapping(_reference("example")),
                    "encoding": _mapping({"type": "object", "properties": {"contentType": {"type": "string"}}}),
                },
            },
            minProperties=1,
        ),
        "example": {"type": "object"},
        "schema": {
            "type": "object",
            "properties": {
                "properties": _mapping(_reference("schema")),
                "items": _reference("schema"),
                "required": _TEXTS,
                "x-aliases": _mapping({"type": "string"}, minProperties=1),
                "x-transitions": _mapping(_TEXTS),
            },
        },
    },
}
