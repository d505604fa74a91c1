"""A parsed OpenAPI document: its nodes, compiled schemas and shapes of responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import jsonschema_rs

from mockveo.errors import SpecError
from mockveo.spec.structure import Json, check_structure, escape
from mockveo.text import MAX_MESSAGE_CHARACTERS, brief, truncate_middle

_MISSING: Final = object()
#: Keywords next to a `$ref` that do not change what it means.
_IGNORED_SIBLINGS: Final = frozenset({"$ref", "description", "summary", "x-source"})


class Document:
    """A parsed OpenAPI document: look-up by JSON pointer through `$ref`s, and compiled schemas."""

    def __init__(self, tree: Json) -> None:
        version = tree.get("openapi") if isinstance(tree, dict) else type(tree).__name__
        if not str(version).startswith("3.1"):
            raise SpecError(f"`openapi` is {brief(version)}; expected an OpenAPI 3.1 document, e.g. openapi: 3.1.0")
        self.tree: dict[str, Json] = tree
        check_structure(tree, "")
        self._checked: set[tuple[int, str]] = set()
        self._validators: dict[int, jsonschema_rs.Draft202012Validator] = {}
        self._merged: dict[int, Json] = {}

    def find(self, pointer: str, kind: str = "object") -> Json | None:
        """Return the node at a JSON pointer, through every `$ref` on the way; None if it is missing.

        Raises SpecError if a `$ref` leads to what is no node of this kind, e.g. "response".
        """
        node: Json = self.tree
        for part in pointer.split("/")[1:]:
            node, key = self.follow(node), part.replace("~1", "/").replace("~0", "~")
            if not isinstance(node, Mapping) or key not in node:
                return None
            node = node[key]
        return self.follow(node, kind)

    def at(self, pointer: str, kind: str = "object") -> Json:
        """Return the node at a JSON pointer, of this kind; raise SpecError if it is missing or another."""
        node = self.find(pointer, kind)
        if node is None:
            raise SpecError(f"{pointer} is missing from the OpenAPI document")
        return node

    def follow(self, node: Json, kind: str = "object") -> Json:
        """Return the target of a `$ref`, of this kind; any other node as it is."""
        if not isinstance(node, Mapping) or "$ref" not in node:
            return node
        reference = node["$ref"]
        if not isinstance(reference, str) or not reference.startswith("#/"):
            example = "#/components/schemas/Video"
            raise SpecError(f"$ref {brief(reference)} points outside the document; expected e.g. {example}")
        try:
            target = self.at(reference[1:], kind)
        except RecursionError:
            raise SpecError(f"$ref {brief(reference)} leads back to itself; expected a chain that ends") from None
        if (id(target), kind) not in self._checked:
            check_structure(target, reference[1:], kind)
            self._checked.add((id(target), kind))
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
            reason = truncate_middle(str(error).splitlines()[0], MAX_MESSAGE_CHARACTERS)
            raise SpecError(f"the schema at {place} is not valid JSON Schema 2020-12: {reason}") from None


class Shape:
    """A response schema as a filter: picks the values it names, in its order.

    A property without a value takes the schema's `const` or `default`, or is omitted. `sample` has a value for all that
    is sent. Raises SpecError if the schema makes an object or a list of another value.
    """

    __slots__ = ("_fields", "_items")

    def __init__(self, document: Document, pointer: str, sample: Json) -> None:
        schema = document.at(pointer, "schema")
        if unsupported := {"oneOf", "anyOf", "allOf", "patternProperties"} & set(schema):
            raise SpecError(
                f"{pointer}: `{min(unsupported)}` in a success response is not supported, since it does not determine"
                " which fields to send; expected them under `properties`"
            )
        if ("items" in schema) != isinstance(sample, list) or not isinstance(sample, list | dict):
            message = f"the schema at {pointer} is {'a list' if 'items' in schema else 'an object'}"
            raise SpecError(f"{message}, and mockveo sends e.g. {brief(sample)}; expected the schema of that")
        self._items = Shape(document, f"{pointer}/items", sample[0]) if "items" in schema else None
        self._fields: list[tuple[str, Shape | None, Json]] = []
        for name in schema.get("properties", {}):
            child = f"{pointer}/properties/{escape(name)}"
            node = document.at(child, "schema")
            is_nested = name in sample and {"properties", "items"} & set(node)
            nested = Shape(document, child, sample[name]) if is_nested else None
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
