"""JSON Schemas whose descriptions and examples become error messages.

Each property of such a schema has a `description`, which says what is expected, and `examples`. A message has the place
of a mistake, its value, what was expected and the nearest right word.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import orjson

from mockveo.errors import did_you_mean
from mockveo.text import MAX_MESSAGE_CHARACTERS, MAX_SHOWN_CHARACTERS, truncate

#: Mistakes reported at once; arbitrary.
MAX_MISTAKES: Final = 10
#: Values of data whose mistakes are all looked for. The validator copies the value around each mistake, so 10,000 wrong
#: names took it a minute. Arbitrary: far more than a person writes.
MAX_VALUES_OF_ALL_MISTAKES: Final = 200


def first_error(validator: jsonschema_rs.Draft202012Validator, data: Any) -> jsonschema_rs.ValidationError | None:
    """Return the first mistake that a validator finds, or None; it looks for no more, which may take long."""
    try:
        validator.validate(data)
    except jsonschema_rs.ValidationError as error:
        return error
    return None


class DataSchema:
    """The schema in a file; `whole` names the data, e.g. "the scenario"."""

    def __init__(self, path: Path, whole: str) -> None:
        self._path = path
        self._whole = whole

    @cached_property
    def _schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = orjson.loads(self._path.read_bytes())
        return schema

    @cached_property
    def _validator(self) -> jsonschema_rs.Draft202012Validator:
        return jsonschema_rs.Draft202012Validator(self._schema)

    def mistakes(self, data: Any) -> list[str]:
        """Return a sentence for each mistake in the data."""
        first = first_error(self._validator, data)
        if first is None:
            return []
        if orjson.dumps(data).count(b",") > MAX_VALUES_OF_ALL_MISTAKES:
            return [self._mistake(first)]
        return list(dict.fromkeys(map(self._mistake, islice(self._validator.iter_errors(data), MAX_MISTAKES))))

    def _mistake(self, error: jsonschema_rs.ValidationError) -> str:
        path = list(error.instance_path)
        place = _place(path) or self._whole
        kind, schema = error.kind, self._described(path)
        if isinstance(kind, jsonschema_rs.ValidationErrorKind.AdditionalProperties):
            key, keys = kind.unexpected[0], schema.get("properties", {})
            return f"{_place([*path, key])} is not a key; {did_you_mean(key, keys)}expected one of {', '.join(keys)}"
        if isinstance(kind, jsonschema_rs.ValidationErrorKind.Required):
            return f"{place} has no {kind.property!r}; expected e.g. {_example(schema)}"
        value = shown(error.instance)
        if isinstance(kind, jsonschema_rs.ValidationErrorKind.Enum):
            near = did_you_mean(str(error.instance), list(map(str, kind.options)))
            return f"{place} is {value}; {near}expected one of {', '.join(map(str, kind.options))}"
        while path and "examples" not in schema:  # e.g. an item of a range: the range describes what is expected
            path.pop()
            schema = self._described(path)
        described = schema.get("description") or truncate(error.message, MAX_MESSAGE_CHARACTERS)
        expected = ": ".join(filter(None, [_kinds(schema), described]))
        keys = [part for part in path if isinstance(part, str)]
        example = f"{keys[-1]}: {_example(schema)}" if keys else _example(schema)
        return f"{place} is {value}; expected {expected}, e.g. {example}"

    def _described(self, path: list[str | int]) -> dict[str, Any]:
        """Return the schema of a path of the data."""
        node: Any = self._schema
        for part in path:
            node = (node.get("items") if isinstance(part, int) else node.get("properties", {}).get(part)) or {}
            if "$ref" in node:
                node = {**self._schema["$defs"][node["$ref"].rpartition("/")[2]], **node}
        return node if isinstance(node, dict) else {}


def shown(value: Any) -> str:
    """Return a value as JSON, truncated."""
    return truncate(orjson.dumps(value).decode(), MAX_SHOWN_CHARACTERS)


def _kinds(schema: Mapping[str, Any]) -> str:
    """Return the types of a schema in words."""
    words = {
        "integer": "a whole number", "number": "a number", "boolean": "true or false", "string": "a text",
        "array": "a list", "object": "a mapping", "null": "null",
    }  # fmt: skip
    kinds = schema.get("type", [])
    if isinstance(kinds, str):
        kinds = [kinds]
    return " or ".join(words[kind] for kind in kinds)


def _place(path: list[str | int]) -> str:
    place = ""
    for part in path:
        place += f"[{part}]" if isinstance(part, int) else f".{truncate(part, MAX_SHOWN_CHARACTERS)}"
    return place.removeprefix(".")


def _example(schema: Mapping[str, Any]) -> str:
    return orjson.dumps(schema.get("examples", ["..."])[0]).decode()
