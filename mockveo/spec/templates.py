"""The `{name}`s of a text or of JSON, filled with values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_BRACES: Final = re.compile(r"\{(\w+)\}")


def count_names(node: Any) -> int:
    """Return how many `{name}`s a node of JSON has, as often as each occurs."""
    if isinstance(node, str):
        return len(_BRACES.findall(node)) if "{" in node else 0
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return sum(map(count_names, children))


def fill(node: Any, values: Mapping[str, Any]) -> Any:
    """Return a node with each `{name}` replaced by `values[name]`; a name without a value stays.

    A text that is one `{name}` and nothing else becomes the value itself, e.g. a number.
    """
    if isinstance(node, str):
        return _fill_text(node, values) if "{" in node else node
    if isinstance(node, dict):
        return {key: fill(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [fill(value, values) for value in node]
    return node


def _fill_text(text: str, values: Mapping[str, Any]) -> Any:
    whole = _BRACES.fullmatch(text)
    if whole is not None:
        return values.get(whole[1], text)
    return _BRACES.sub(lambda match: str(values.get(match[1], match[0])), text)
