"""Smaller cases: what a case that broke a rule can be replaced by, so that only what matters is left of it.

A search that replaces a case by one of its candidates, as long as there is one it likes, comes to an end: each
candidate has fewer characters of JSON than the case that it was made from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from mockveo_contracts.cases.definitions import canonical, fit_deadline

Json: TypeAlias = Any

#: Keys that stay: without them a fault says less about when it applies, or lasts longer.
_KEPT_KEYS: Final = frozenset(
    {"operation", "nth", "deadline_s", "filename", "duration", "code", "message", "text", "times"}
)
#: Length of a text from which on only its halves are tried, not each character; arbitrary.
MAX_LETTERS: Final = 30


def size(data: Json) -> int:
    """Return the measure by which every candidate is smaller: the characters of its canonical JSON."""
    return len(canonical(data))


def candidates(case: dict[str, Json]) -> Iterator[dict[str, Json]]:
    """Yield smaller cases, the largest steps first, each with the deadline that it needs.

    A case whose only change is undone by that deadline is left out, as is every other one that is not smaller.
    """
    limit = size(case)
    for data in smaller(case):
        candidate = fit_deadline(data)
        if size(candidate) < limit:
            yield candidate


def smaller(data: Json, key: str = "") -> Iterator[Json]:
    """Yield `data` with something left out, or something in it made smaller, the largest steps first."""
    if isinstance(data, dict):
        yield from _smaller_mapping(data)
    elif isinstance(data, list) and key == "nth":
        yield data[0]
    elif isinstance(data, list):
        yield from _smaller_list(data)
    elif isinstance(data, str) and key in ("prompt", "text") and len(data) > 1:
        yield from _smaller_text(data)


def _smaller_mapping(data: dict[str, Json]) -> Iterator[dict[str, Json]]:
    for name in data:
        if name not in _KEPT_KEYS:
            yield {other: data[other] for other in data if other != name}
    for name, value in data.items():
        for less in smaller(value, name):
            yield {**data, name: less}


def _smaller_list(data: list[Json]) -> Iterator[list[Json]]:
    for place in range(len(data)):
        yield [*data[:place], *data[place + 1 :]]
    for place, item in enumerate(data):
        for less in smaller(item):
            yield [*data[:place], less, *data[place + 1 :]]


def _smaller_text(text: str) -> Iterator[str]:
    half = len(text) // 2
    yield from (text[:half], text[half:])
    if len(text) < MAX_LETTERS:
        yield from (text[:place] + text[place + 1 :] for place in range(len(text)))
