"""What an OpenAPI document must look like for mockveo to read it, and what is wrong with one."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import jsonschema_rs

from mockveo.errors import SpecError
from mockveo.text import MAX_MESSAGE_CHARACTERS, truncate_middle

#: Decoded JSON or YAML.
Json = Any


def check_structure(node: Json, place: str, kind: str = "") -> None:
    """Raise SpecError, with the place and an example, for what cannot be a node of this kind, or the document."""
    for error in _validator(kind).iter_errors(node):
        example = ""
        schema: Any = _STRUCTURE if error.schema_path[0] == "$defs" else _schema(kind)
        for part in error.schema_path:
            example = schema.get("x-example", example) if isinstance(schema, dict) else example
            schema = schema[part]
        where = f"{place}/{'/'.join(escape(str(part)) for part in error.instance_path)}".removesuffix("/")
        message = truncate_middle(error.message, MAX_MESSAGE_CHARACTERS)
        raise SpecError(f"{truncate_middle(where, MAX_MESSAGE_CHARACTERS)}: {message}; expected e.g. {example}")


@lru_cache
def _validator(kind: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({**_schema(kind), "$defs": _STRUCTURE["$defs"]})


def _schema(kind: str) -> Json:
    return _STRUCTURE["$defs"][kind] if kind else _STRUCTURE


def escape(name: str) -> str:
    """Return a name as part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def _mapping(values: dict[str, Json], example: str, **more: Json) -> dict[str, Json]:
    return {"type": "object", "additionalProperties": values, "x-example": example, **more}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}


_TEXT: Final = {"type": "string"}
_OBJECT: Final = {"type": "object"}
_SECURITY: Final = {"type": "array", "items": _OBJECT, "x-example": "[{bearer: []}]"}
_PARAMETERS: Final = {
    "type": "array",
    "items": _reference("parameter"),
    "x-example": '[{$ref: "#/components/parameters/VideoId"}]',
}
_SCHEMAS: Final = _mapping(_reference("schema"), "{size: {type: string}}")
_EXAMPLES: Final = _mapping(_reference("example"), "{no_credit: {value: {code: insufficient_quota}}}")

#: Not all of OpenAPI 3.1, but all that `spec.py` relies on, so that a slip in a document is reported with its place
#: and an example instead of a traceback. The kinds are also those of what a `$ref` leads to.
_STRUCTURE: Final[dict[str, Json]] = {
    "type": "object",
    "required": ["paths"],
    "x-example": "{openapi: 3.1.0, paths: {/v1/models: {get: {operationId: listModels, responses: {}}}}}",
    "properties": {
        "paths": _mapping(
            _reference("path"),
            "{/v1/models: {get: {operationId: listModels, responses: {}}}}",
            propertyNames={"pattern": r"^/([^{}]|\{[A-Za-z_][A-Za-z0-9_]*\})*$"},
            minProperties=1,
        ),
        "security": _SECURITY,
        "servers": {"type": "array", "items": _OBJECT, "x-example": '[{url: "http://127.0.0.1:8360"}]'},
        "components": {
            "type": "object",
            "x-example": "{schemas: {Video: {type: object}}}",
            "properties": {
                "schemas": _SCHEMAS,
                "responses": _mapping(_reference("response"), "{NotFound: {description: No such task.}}"),
                "parameters": _mapping(_reference("parameter"), "{VideoId: {name: video_id, in: path}}"),
                "examples": _EXAMPLES,
                "securitySchemes": _mapping(_reference("securityScheme"), "{bearer: {type: http, scheme: bearer}}"),
            },
        },
    },
    "$defs": {
        "path": {
            "type": "object",
            "x-example": "{get: {operationId: listModels, responses: {}}}",
            "properties": {
                "parameters": _PARAMETERS,
                **dict.fromkeys(
                    ("get", "put", "post", "delete", "patch", "head", "options", "trace"), _reference("operation")
                ),
            },
        },
        "operation": {
            "type": "object",
            "required": ["operationId", "responses"],
            "x-example": '{operationId: listModels, responses: {"200": {description: The models.}}}',
            "properties": {
                "operationId": _TEXT,
                "parameters": _PARAMETERS,
                "requestBody": _reference("requestBody"),
                "responses": _mapping(_reference("response"), '{"200": {description: The video.}}'),
                "security": _SECURITY,
            },
        },
        "parameter": {
            "type": "object",
            "x-example": "{name: variant, in: query, schema: {type: string}}",
            "if": {"not": {"required": ["$ref"]}},
            "then": {"required": ["name", "in"]},
            "properties": {"name": _TEXT, "in": _TEXT, "schema": _reference("schema")},
        },
        "requestBody": {
            "type": "object",
            "x-example": "{content: {multipart/form-data: {schema: {type: object}}}}",
            "properties": {"content": _reference("content")},
        },
        "response": {
            "type": "object",
            "x-example": "{description: No such task., content: {application/json: {schema: {type: object}}}}",
            "properties": {
                "content": _reference("content"),
                "x-status": {"type": "integer", "minimum": 400, "maximum": 599, "x-example": "404"},
            },
        },
        "content": _mapping(_reference("media"), "{application/json: {schema: {type: object}}}", minProperties=1),
        "media": {
            "type": "object",
            "x-example": '{schema: {$ref: "#/components/schemas/Video"}}',
            "properties": {
                "schema": _reference("schema"),
                "examples": _EXAMPLES,
                "encoding": _mapping(
                    {"type": "object", "properties": {"contentType": _TEXT}},
                    "{input_reference: {contentType: image/*}}",
                ),
            },
        },
        "object": {"type": "object", "x-example": "{type: string}"},
        "example": {"type": "object", "x-example": "{value: {code: task_not_exist}}"},
        "securityScheme": {"type": "object", "x-example": "{type: http, scheme: bearer}"},
        "schema": {
            "type": "object",
            "x-example": "{type: string}",
            "properties": {
                "properties": _SCHEMAS,
                "items": _reference("schema"),
                "required": {"type": "array", "items": _TEXT, "x-example": "[prompt]"},
                "x-aliases": _mapping(_TEXT, "{veo3-fast: veo_3_1-fast}", minProperties=1),
                "x-transitions": _mapping({"type": "array", "items": _TEXT}, "{queued: [completed], completed: []}"),
            },
        },
    },
}
