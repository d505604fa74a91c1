"""The body of a create as the document describes it, and what is wrong with the values of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import jsonschema_rs

from mockveo.spec.openapi import Document, Json, escape
from mockveo.text import truncate

#: Characters of a message about a wrong value, which repeats the value; arbitrary.
MAX_MESSAGE_CHARACTERS: Final = 300


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
    #: Fields that are sent as files.
    file_fields: frozenset[str]
    #: Media type patterns that each file field accepts, e.g. `image/*`; absent if the document names none.
    file_types: Mapping[str, tuple[str, ...]]
    #: File fields whose schema limits the length, in bytes, of a file.
    sized: frozenset[str]
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
    message = truncate(error.message, MAX_MESSAGE_CHARACTERS)
    return Problem(name, blank, f"{name}: {message}" if name else message)


def read_form(document: Document, pointer: str, media_types: tuple[str, ...]) -> Form:
    """Return the form of the media type at a pointer; `media_types` are all of its operation."""
    schema = f"{pointer}/schema"
    fields = {name: document.at(f"{schema}/properties/{escape(name)}") for name in document.at(f"{schema}/properties")}
    encodings = document.find(f"{pointer}/encoding") or {}
    files = {name for name, node in fields.items() if _is_file(node) or _is_file(_items(document, node))}
    return Form(
        media_types=media_types,
        fields=fields,
        defaults={name: node["default"] for name, node in fields.items() if "default" in node},
        typed=frozenset(name for name, node in fields.items() if node.get("type") in ("integer", "number", "boolean")),
        texts=frozenset(set(fields) - files),
        file_fields=frozenset(files),
        file_types={
            name: _patterns(encoding["contentType"])
            for name, encoding in encodings.items()
            if name in files and "contentType" in encoding
        },
        sized=frozenset(
            name for name in files if {"minLength", "maxLength"} & {*fields[name], *_items(document, fields[name])}
        ),
        _validator=document.validator(schema),
    )


def _items(document: Document, node: Mapping[str, Json]) -> Mapping[str, Json]:
    items: Mapping[str, Json] = document.follow(node.get("items", {}))
    return items


def _patterns(content_type: str) -> tuple[str, ...]:
    return tuple(pattern.strip() for pattern in content_type.split(","))


def _is_file(schema: Mapping[str, Json]) -> bool:
    return schema.get("format") == "binary" or "contentMediaType" in schema
