"""A parsed OpenAPI document: its nodes, compiled schemas and shapes of responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import jsonschema_rs

from mockveo.errors import SpecError

_MISSING: Final = object()
#: Keywords next to a `$ref` that do not change what it means.
_IGNORED_SIBLINGS: Final = frozenset({"$ref", "description", "summary", "x-source"})

#: Decoded JSON or YAML.
Json = Any


class Document:
    """A parsed OpenAPI document: look-up by JSON pointer through `$ref`s, and compiled schemas."""

    def __init__(self, tree: Json) -> None:
        version = tree.get("openapi") if isinstance(tree, dict) else type(tree).__name__
        if not str(version).startswith("3.1"):
            raise SpecError(f"`openapi` is {version!r}; expected an OpenAPI 3.1 document, e.g. openapi: 3.1.0")
        self.tree: dict[str, Json] = tree
        for error in jsonschema_rs.Draft202012Validator(_STRUCTURE).iter_errors(tree):
            raise SpecError(f"/{'/'.join(escape(str(part)) for part in error.instance_path)}: {error.message}")
        self._validators: dict[int, jsonschema_rs.Draft202012Validator] = {}
        self._merged: dict[int, Json] = {}

    def find(self, pointer: str) -> Json | None:
        """Return the node at a JSON pointer, through every `$ref` on the way; None if it is missing."""
        node: Json = self.tree
        for part in pointer.split("/")[1:]:
            node, key = self.follow(node), part.replace("~1", "/").replace("~0", "~")
            if not isinstance(node, Mapping) or key not in node:
                return None
            node = node[key]
        return self.follow(node)

    def at(self, pointer: str) -> Json:
        """Return the node at a JSON pointer; raise SpecError if it is missing."""
        node = self.find(pointer)
        if node is None:
            raise SpecError(f"{pointer} is missing from the OpenAPI document")
        return node

    def follow(self, node: Json) -> Json:
        """Return the target of a `$ref`; any other node as it is."""
        if not isinstance(node, Mapping) or "$ref" not in node:
            return node
        reference = node["$ref"]
        if not isinstance(reference, str) or not reference.startswith("#/"):
            raise SpecError(f"$ref {reference!r} points outside the document; expected e.g. #/components/schemas/Video")
        try:
            target = self.at(reference[1:])
        except RecursionError:
            raise SpecError(f"$ref {reference!r} leads back to itself") from None
        siblings = {key: value for key, value in node.items() if key not in _IGNORED_SIBLINGS}
        if not siblings:
            return target
        # The same object each time, since compiled schemas are cached by identity.
        return self._merged.setdefault(id(node), {**target, **siblings})

    def validator(self, pointer: str) -> jsonschema_rs.Draft202012Validator:
        """Return the compiled schema at a JSON pointer."""
        node = self.at(pointer)
        if id(node) not in self._validators:
            self._validators[id(node)] = self.compiled(node, pointer)
        return self._validators[id(node)]

    def compiled(self, schema: Mapping[str, Json], place: str) -> jsonschema_rs.Draft202012Validator:
        """Return a compiled schema; raise SpecError with the place for an invalid one."""
        components = {"components": {"schemas": self.tree.get("components", {}).get("schemas", {})}}
        try:
            return jsonschema_rs.Draft202012Validator({**schema, **components}, offline=True)
        except (jsonschema_rs.ValidationError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise SpecError(f"the schema at {place} is not valid JSON Schema 2020-12: {reason}") from None


class Shape:
    """A response schema as a filter: picks the values it names, in its order.

    A property without a value takes the schema's `const` or `default`, or is omitted.
    """

    __slots__ = ("_fields", "_items")

    def __init__(self, document: Document, pointer: str) -> None:
        schema = document.at(pointer)
        if unsupported := {"oneOf", "anyOf", "allOf", "patternProperties"} & set(schema):
            raise SpecError(
                f"{pointer}: `{min(unsupported)}` in a success response is not supported, since it does not determine"
                " which fields to send; expected them under `properties`"
            )
        self._items = Shape(document, f"{pointer}/items") if "items" in schema else None
        self._fields: list[tuple[str, Shape | None, Json]] = []
        for name in schema.get("properties", {}):
            child = f"{pointer}/properties/{escape(name)}"
            node = document.at(child)
            nested = Shape(document, child) if {"properties", "items"} & set(node) else None
            fixed = node.get("const", node.get("default", _MISSING))
            self._fields.append((name, nested, fixed))

    @property
    def names(self) -> list[str]:
        """Return the names of the properties, in the order of the document."""
        return [name for name, _, _ in self._fields]

    def render(self, values: Json) -> Json:
        """Return the response for `values`: a mapping for an object, a sequence for an array."""
        if self._items is not None:
            return [self._items.render(item) for item in values]
        body = {}
        for name, nested, fixed in self._fields:
            value = values.get(name, _MISSING)
            if value is _MISSING:
                if fixed is _MISSING:
                    continue
                value = fixed
            elif nested is not None:
                value = nested.render(value)
            body[name] = value
        return body


def escape(name: str) -> str:
    """Return a name as part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def _mapping(values: dict[str, Json], **more: Json) -> dict[str, Json]:
    return {"type": "object", "additionalProperties": values, **more}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}


_TEXTS: Final = {"type": "array", "items": {"type": "string"}}

#: What an OpenAPI document must look like for mockveo to read it: not all of OpenAPI 3.1, but all that `spec.py` relies
#: on, so that a slip in a document is reported with its place instead of a traceback.
_STRUCTURE: Final[dict[str, Json]] = {
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
