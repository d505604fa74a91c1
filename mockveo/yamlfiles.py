"""YAML files as plain data: what JSON can express, and no more."""

from __future__ import annotations

import re
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import orjson
import yaml

from mockveo.errors import MockveoError

_SAFE: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the loader of libyaml is ten times as fast
#: Levels of nesting; the parser recurses, so more could exhaust the stack. Arbitrary.
MAX_DEPTH: Final = 200
_BRACKETS: Final = re.compile(rb"[\[\]{}]+")
_INDENTED: Final = re.compile(rb"^[-? ]{%d}" % MAX_DEPTH, re.MULTILINE)


class _Loader(_SAFE):  # type: ignore[misc, valid-type]  # which of the two it is depends on the machine
    """A safe loader without duplicate keys, which would lose a value."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Return a mapping; raise ConstructorError for a duplicate key."""
        keys = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:merge" and key.value in keys:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is a duplicate key", key.start_mark)
            keys.add(key.value if isinstance(key.value, str) else id(key))
        return super().construct_mapping(node, deep=deep)


def read(path: Path, error: type[MockveoError]) -> bytes:
    """Return the bytes of a file; raise `error` if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as problem:
        raise error(f"{path}: cannot be read: {problem.strerror}") from None


def parse(text: bytes, name: str, error: type[MockveoError]) -> Any:
    """Return YAML, hence JSON too, as plain data; raise `error`, which names the file."""
    try:
        _check_depth(text)
        tree = yaml.load(text, _Loader)  # noqa: S506  # a safe loader
        # Through JSON, so that what only YAML has (numeric keys, dates, cycles) becomes text or an error.
        return orjson.loads(orjson.dumps(tree, option=orjson.OPT_NON_STR_KEYS))
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as problem:
        reason = " ".join(str(problem).split()).replace('in "<byte string>", ', "in ")
        raise error(f"{name}: not valid YAML: {reason}") from None


def _check_depth(text: bytes) -> None:
    # Text that is nested too deeply has as many open brackets, or is indented as far. Most files have neither, which
    # saves parsing them twice.
    # 1 for each opening bracket, -1 for each closing one.
    steps = (2 * (bracket in b"[{") - 1 for bracket in b"".join(_BRACKETS.findall(text)))
    depths = accumulate(steps)
    if max(depths, default=0) <= MAX_DEPTH and not _INDENTED.search(text):
        return
    depth = 0
    for event in yaml.parse(text, _SAFE):
        depth += isinstance(event, yaml.events.CollectionStartEvent)
        depth -= isinstance(event, yaml.events.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} levels deep")


def dump(tree: Any) -> str:
    """Return plain data as YAML, in its own order."""
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=120)
