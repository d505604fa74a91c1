"""Targets of overlays: JSONPath (RFC 9535) within bounds of time, since a path may take any.

Source: RFC 9535 section 4 names regular expressions and nested descents as what an attacker would send. The regular
expressions are those of the Rust crate `regex`, whose time is linear; RFC 9485, I-Regexp, is a part of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import jsonpath
import jsonschema_rs
from jsonpath.function_extensions import ExpressionType, FilterFunction

#: Nodes that one target may look at. Arbitrary: dozens of times those of our document.
MAX_NODES: Final = 100_000
#: Filters, in one another or one after the other, each of which looks at all below a node. Arbitrary.
MAX_FILTERS: Final = 2
#: A query from the root, which looks at the whole document again for each node. A quoted `$ref` is a name.
_FROM_THE_ROOT: Final = re.compile(r"\$\s*(?:[.\[\])&|=<>!,]|$)")


class TargetError(Exception):
    """A target is not a JSONPath, or it looks at too much."""


def select(target: str, document: Any) -> list[jsonpath.JSONPathMatch]:
    """Return what a target selects in a document. Raises TargetError."""
    if not target:  # of which the library's error cannot be shown
        raise TargetError("it is empty; expected a path, e.g. $.info")
    looked_at, filters = 0, target.partition("?")[2]
    if target.count("?") > MAX_FILTERS or _FROM_THE_ROOT.search(filters):
        raise TargetError(f"it has more than {MAX_FILTERS} filters, or one that begins at $; expected e.g. [?@.title]")

    class CountedMatch(jsonpath.JSONPathMatch):
        """A node that a path has come to."""

        __slots__ = ()

        def __init__(self, **values: Any) -> None:
            nonlocal looked_at
            looked_at += 1
            if looked_at > MAX_NODES:
                raise TargetError(f"it looks at more than {MAX_NODES} nodes; expected fewer descents, e.g. $.info")
            super().__init__(**values)

    environment = jsonpath.JSONPathEnvironment(strict=True)  # without the =~ that is of no standard
    environment.function_extensions["match"] = _LinearPattern("^(?:%s)$")
    environment.function_extensions["search"] = _LinearPattern("%s")
    try:
        path = environment.compile(target)
        if not isinstance(path, jsonpath.JSONPath):
            raise TargetError("it joins several paths; expected one, e.g. $.info")
        # As `finditer` does, which would begin with a node that does not count.
        root = CountedMatch(filter_context={}, obj=document, parent=None, path="$", parts=(), root=document)
        matches: Iterable[jsonpath.JSONPathMatch] = [root]
        for segment in path.segments:
            matches = segment.resolve(matches)
        return list(matches)
    except jsonpath.JSONPathError as error:
        raise TargetError(str(error)) from None
    except RecursionError:
        raise TargetError("it has too many steps; expected e.g. $.info") from None


class _LinearPattern(FilterFunction):
    """`match` or `search`; of a pattern that is not valid it says no, as RFC 9535 section 2.4.6 asks for."""

    arg_types = [ExpressionType.VALUE, ExpressionType.VALUE]  # noqa: RUF012 - the library's way to declare them
    return_type = ExpressionType.LOGICAL

    def __init__(self, form: str) -> None:
        self._form = form

    def __call__(self, value: object, pattern: object) -> bool:
        """Return whether a text fits the pattern."""
        if not isinstance(value, str) or not isinstance(pattern, str):
            return False
        validator = _compiled(self._form % pattern)
        return validator is not None and validator.is_valid(value)


@lru_cache
def _compiled(pattern: str) -> jsonschema_rs.Draft202012Validator | None:
    try:
        return jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=jsonschema_rs.RegexOptions())
    except ValueError:
        return None
