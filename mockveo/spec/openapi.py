"""A parsed OpenAPI document: nodes by JSON pointer, compiled schemas, and schemas as shapes of answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import jsonschema_rs

from mockveo.errors import SpecError
from mockveo.spec.structure import STRUCTURE

_MISSING: Final = object()

Json = Any


class Document:
    """A parsed OpenAPI document: look-up by JSON pointer through `$ref`s, and compiled schemas."""

    def __init__(self, tree: Json) -> None:
        version = tree.get("openapi") if isinstance(tree, dict) else type(tree).__name__
        if not str(version).startswith("3.1"):
            raise SpecError(f"`openapi` is {version!r}, wanted an OpenAPI 3.1 document that begins with openapi: 3.1.0")
        self.tree: dict[str, Json] = tree
        for error in jsonschema_rs.Draft202012Validator(STRUCTURE).iter_errors(tree):
            raise SpecError(f"/{'/'.join(escape(str(part)) for part in error.instance_path)}: {error.message}")
        self._validators: dict[int, jsonschema_rs.Draft202012Validator] = {}
        self._merged: dict[int, Json] = {}

    def find(self, pointer: str) -> Json | None:
        """The node at a JSON pointer, every `$ref` on the way followed; None where there is none."""
        node: Json = self.tree
        for part in pointer.split("/")[1:]:
            node, key = self.follow(node), part.replace("~1", "/").replace("~0", "~")
            if not isinstance(node, Mapping) or key not in node:
                return None
            node = node[key]
        return self.follow(node)

    def at(self, pointer: str) -> Json:
        """Like `find`, but what is not there is a SpecError."""
        node = self.find(pointer)
        if node is None:
            raise SpecError(f"{pointer} is missing from the OpenAPI document")
        return node

    def follow(self, node: Json) -> Json:
        """The node that a `$ref` leads to; any other node as it is."""
        if not isinstance(node, Mapping) or "$ref" not in node:
            return node
        reference = node["$ref"]
        if not isinstance(reference, str) or not reference.startswith("#/"):
            raise SpecError(f"$ref {reference!r} points outside the document; wanted one such as #/components/...")
        try:
            target = self.at(reference[1:])
        except RecursionError:
            raise SpecError(f"$ref {reference!r} leads back to itself") from None
        beside = {
            key: value for key, value in node.items() if key not in ("$ref", "description", "summary", "x-source")
        }
        if not beside:
            return target
        # One object for each node, as compiled schemas are remembered by it.
        return self._merged.setdefault(id(node), {**target, **beside})

    def validator(self, pointer: str) -> jsonschema_rs.Draft202012Validator:
        """The compiled schema at a JSON pointer."""
        node = self.at(pointer)
        if id(node) not in self._validators:
            self._validators[id(node)] = self.compiled(node, pointer)
        return self._validators[id(node)]

    def compiled(self, schema: Mapping[str, Json], place: str) -> jsonschema_rs.Draft202012Validator:
        """A compiled schema. Raises SpecError, which names the place, where it is none."""
        components = {"components": {"schemas": self.tree.get("components", {}).get("schemas", {})}}
        try:
            return jsonschema_rs.Draft202012Validator({**schema, **components}, offline=True)
        except (jsonschema_rs.ValidationError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise SpecError(f"the schema at {place} is not valid JSON Schema 2020-12: {reason}") from None


class Shape:
    """A response schema as a filter: of all values at hand, those it names, in its order.

    A property without a value takes the schema's `const` or `default`, or is left out.
    """

    __slots__ = ("_fields", "_items")

    def __init__(self, document: Document, pointer: str) -> None:
        schema = document.at(pointer)
        if unsupported := {"oneOf", "anyOf", "allOf", "patternProperties"} & set(schema):
            raise SpecError(
                f"{pointer}: `{min(unsupported)}` in a success answer is not supported, since mockveo could not tell"
                " which fields to send. Name them under `properties`."
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
        """The names of the properties, in the order of the document."""
        return [name for name, _, _ in self._fields]

    def render(self, values: Json) -> Json:
        """The answer made of `values`: a mapping for an object, a sequence for an array."""
        if self._items is not None:
            return [self._items.render(item) for item in values]
        answer = {}
        for name, nested, fixed in self._fields:
            value = values.get(name, _MISSING)
            if value is _MISSING:
                if fixed is _MISSING:
                    continue
                value = fixed
            elif nested is not None:
                value = nested.render(value)
            answer[name] = value
        return answer


def escape(name: str) -> str:
    """A name as part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")
