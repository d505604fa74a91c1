"""The body of a create as the document describes it, and what is wrong with the values of one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jsonschema_rs

from mockveo.spec.openapi import Document
from mockveo.spec.structure import Json, escape
from mockveo.text import MAX_MESSAGE_CHARACTERS, truncate


class Problem(NamedTuple):
    """A problem of one value: `missing` if its field was omitted or blank."""

    field: str
    missing: bool
    message: str


@dataclass(frozen=True, slots=True)
class Form:
    """The body of a create, of one media type, as the document describes it."""

    #: All media types of the operation.
    media_types: tuple[str, ...]
    fields: Mapping[str, Mapping[str, Json]]
    defaults: Mapping[str, Json]
    #: Fields that are sent as text, and those of them that are a number or a boolean.
    texts: frozenset[str]
    typed: frozenset[str]
    #: Those that hold an image as text, or several: its URL, or its bytes in Base64.
    image_texts: frozenset[str]
    #: Fields that are sent as files.
    file_fields: frozenset[str]
    #: Media type patterns that each file field accepts, e.g. `image/*`; absent if the document names none.
    file_types: Mapping[str, tuple[str, ...]]
    #: File fields whose schema limits the length, in bytes, of a file.
    sized: frozenset[str]
    #: Fields by the names of headers that somebody may take for them.
    by_header: Mapping[bytes, str]
    _validator: jsonschema_rs.Draft202012Validator

    def requires(self, name: str) -> bool:
        """Return whether a field is required."""
        return any(problem.missing and problem.field == name for problem in self.problems({}))

    def problems(self, values: Mapping[str, Json]) -> list[Problem]:
        """Return what is wrong with `values`, in the document's order. A file counts as text of its length."""
        if self._validator.is_valid(values):
            return []
        try:
            problems = [_problem(error, values) for error in self._validator.iter_errors(values)]
        except ValueError as error:  # a value nested too deeply for the validator
            return [Problem("", False, str(error))]
        order = {name: place for place, name in enumerate(self.fields)}
        return sorted(problems, key=lambda problem: order.get(problem.field, len(order)))


def _problem(error: jsonschema_rs.ValidationError, values: Mapping[str, Json]) -> Problem:
    kind = error.kind
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.Required):
        return Problem(kind.property, True, f"{kind.property} is required")
    name = str(error.instance_path[0]) if error.instance_path else ""
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.Enum):
        wanted = ", ".join(map(str, kind.options))
        return Problem(name, False, f"{name}: {str(error.instance)[:80]!r} is not one of {wanted}")
    blank = isinstance(values.get(name), str) and not values[name].strip()
    message = _message(error)
    return Problem(name, blank, f"{name}: {message}" if name else message)


def _message(error: jsonschema_rs.ValidationError) -> str:
    """Return the message, which begins with the value, without the end of a long value.

    A value is kept from its beginning only, since a key in it can be recognised by its beginning and must be hidden.
    """
    message = error.message
    if len(message) <= MAX_MESSAGE_CHARACTERS:
        return message
    value = json.dumps(error.instance, ensure_ascii=False, separators=(",", ":"))
    rest = message[len(value) :] if message.startswith(value) else ""
    return truncate(message.removesuffix(rest), MAX_MESSAGE_CHARACTERS // 2) + truncate(rest, MAX_MESSAGE_CHARACTERS)


def read_form(document: Document, pointer: str, media_types: tuple[str, ...]) -> Form:
    """Return the form of the media type at a pointer; `media_types` are all of its operation."""
    schema = f"{pointer}/schema"
    encodings = document.at(pointer, "media").get("encoding", {})
    names = document.at(schema, "schema").get("properties", {})
    fields = {name: document.at(f"{schema}/properties/{escape(name)}", "schema") for name in names}
    files = {name for name, node in fields.items() if _is_file(node) or _is_file(_items(document, node))}
    return Form(
        media_types=media_types,
        fields=fields,
        defaults={name: node["default"] for name, node in fields.items() if "default" in node},
        typed=frozenset(name for name, node in fields.items() if node.get("type") in ("integer", "number", "boolean")),
        texts=frozenset(set(fields) - files),
        image_texts=frozenset(name for name, node in fields.items() if node.get("x-images")),
        file_fields=frozenset(files),
        file_types={
            name: _patterns(encoding["contentType"])
            for name, encoding in encodings.items()
            if name in files and "contentType" in encoding
        },
        sized=frozenset(
            name for name in files if {"minLength", "maxLength"} & {*fields[name], *_items(document, fields[name])}
        ),
        by_header=_by_header(fields),
        _validator=document.validator(schema),
    )


def _by_header(fields: Iterable[str]) -> dict[bytes, str]:
    names = {field: field.replace("_", "-").encode() for field in fields}
    return {header: field for field, name in names.items() for header in (name, b"x-" + name)}


def _items(document: Document, node: Mapping[str, Json]) -> Mapping[str, Json]:
    items: Mapping[str, Json] = document.follow(node.get("items", {}), "schema")
    return items


def _patterns(content_type: str) -> tuple[str, ...]:
    return tuple(pattern.strip() for pattern in content_type.split(","))


def _is_file(schema: Mapping[str, Json]) -> bool:
    return schema.get("format") == "binary" or "contentMediaType" in schema
