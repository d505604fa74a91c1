"""YAML files, read as the JSON they could be."""

from __future__ import annotations

import re
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import orjson
import yaml

from mockveo.errors import MockveoError

_SAFE: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast
#: Levels of nesting, which the parser would go down by recursion.
MAX_DEPTH: Final = 200
_BRACKETS: Final = re.compile(rb"[\[\]{}]+")
_INDENTED: Final = re.compile(rb"^[-? ]{%d}" % MAX_DEPTH, re.MULTILINE)


class _Loader(_SAFE):  # type: ignore[misc, valid-type]  # which of the two it is depends on the machine
    """A safe loader that refuses a key that is there twice, since one of the two would be lost."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """A mapping."""
        seen = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:merge" and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is there twice", key.start_mark)
            seen.add(key.value if isinstance(key.value, str) else id(key))
        return super().construct_mapping(node, deep=deep)


def read(path: Path, error: type[MockveoError]) -> bytes:
    """The bytes of a file. Raises `error` where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as problem:
        raise error(f"{path}: cannot be read: {problem.strerror}") from None


def parse(text: bytes, name: str, error: type[MockveoError]) -> Any:
    """YAML, hence JSON too, as plain data. Raises `error`, which names the file."""
    try:
        _check_depth(text)
        tree = yaml.load(text, _Loader)  # noqa: S506  # a safe loader
        # Through JSON, so that what YAML alone knows - numbers as keys, dates, cycles - is text or an error.
        return orjson.loads(orjson.dumps(tree, option=orjson.OPT_NON_STR_KEYS))
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as problem:
        told = " ".join(str(problem).split()).replace('in "<byte string>", ', "in ")
        raise error(f"{name}: not YAML that JSON could say: {told}") from None


def _check_depth(text: bytes) -> None:
    # Whoever nests so deeply has as many brackets open, or is as far from the margin; most files are neither, and need
    # not be parsed twice.
    depths = accumulate(1 if bracket in b"[{" else -1 for bracket in b"".join(_BRACKETS.findall(text)))
    if max(depths, default=0) <= MAX_DEPTH and not _INDENTED.search(text):
        return
    depth = 0
    for event in yaml.parse(text, _SAFE):
        depth += isinstance(event, yaml.events.CollectionStartEvent)
        depth -= isinstance(event, yaml.events.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} levels deep")


def dump(tree: Any) -> str:
    """Plain data as YAML, in the order it has."""
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=120)
