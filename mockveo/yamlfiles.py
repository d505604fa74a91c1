"""YAML and JSON of others as plain data: what JSON can express and the rest of mockveo can write, and no more."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
import yaml

from mockveo.errors import MockveoError
from mockveo.text import MAX_MESSAGE_CHARACTERS, truncate_middle

#: Levels of nesting that any JSON or YAML may have; libraries recurse, so more could exhaust the stack. Arbitrary.
MAX_DEPTH: Final = 200
#: Bytes of a file. Arbitrary: hours of saved traffic fit, and devices without an end do not.
MAX_FILE_BYTES: Final = 256 * 2**20
#: Levels that orjson writes.
_WRITABLE_DEPTH: Final = 254
_JSON_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SAFE: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the loader of libyaml is ten times as fast
#: Characters of a file with its aliases written out, unless it has as many without. Arbitrary: a large document fits.
MAX_EXPANDED: Final = 10_000_000
_UNICODE_BREAKS: Final = re.compile("[\x85\u2028\u2029]")
_BRACKETS: Final = re.compile(rb"[\[\]{}]+")
_INDENTED: Final = re.compile(rb"^[-? ]{%d}" % MAX_DEPTH, re.MULTILINE)
_ANCHOR: Final = re.compile(rb"(?:^|[\s,\[{:?-])&[^\s,\[\]{}]")


class _Dumper(yaml.SafeDumper):
    """A safe dumper that quotes the line breaks which only Unicode has: unquoted they are read back as blanks."""


def _represented(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _UNICODE_BREAKS.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represented)


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

    def construct_yaml_float(self, node: Any) -> float:
        """Return a number; raise ConstructorError for what JSON cannot hold."""
        value: float = super().construct_yaml_float(node)
        if not math.isfinite(value):
            raise yaml.constructor.ConstructorError(
                None, None, f"{node.value} is not a number of JSON", node.start_mark
            )
        return value


_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)


def read(path: Path, error: type[MockveoError]) -> bytes:
    """Return the bytes of a file; raise `error` if it cannot be read, or does not end as a device does."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES + 1)
    except OSError as problem:
        raise error(f"{path}: cannot be read: {problem.strerror}") from None
    if len(text) > MAX_FILE_BYTES:
        raise error(f"{path}: has more than {MAX_FILE_BYTES // 2**20} MB; expected a smaller file, e.g. a part of it")
    return text


def parse(text: bytes, name: str, error: type[MockveoError]) -> Any:
    """Return YAML, hence JSON too, as plain data; raise `error`, which names the file."""
    try:
        _check_size(text)
        tree = yaml.load(text, _Loader)  # noqa: S506  # a safe loader
        # Through JSON, so that what only YAML has (numeric keys, dates, cycles) becomes text or an error.
        return orjson.loads(orjson.dumps(tree, option=orjson.OPT_NON_STR_KEYS))
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as problem:
        reason = " ".join(str(problem).split()).replace('in "<byte string>", ', "in ")
        raise error(f"{name}: not valid YAML: {truncate_middle(reason, MAX_MESSAGE_CHARACTERS)}") from None


def parse_json(text: bytes | str, *, most: int | None = None) -> Any:
    """Return the value of a JSON text, of at most so many values.

    Raises ValueError, whose text is the end of a sentence, for anything else: deep nesting, NaN, lone surrogates.
    """
    if isinstance(text, str):
        text = text.encode()
    if most is not None and _separators(text) > most and _separators(_JSON_STRING.sub(b"", text)) > most:
        raise ValueError(f"it has more than {most} values")
    value = orjson.loads(text)
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH:
        check_depth(value)
    return value


def parse_foreign_json(text: bytes | str, *, depth: int = MAX_DEPTH) -> Any:
    """Return the value of a JSON text that may have what the rest of mockveo cannot write.

    A client or server under test may send numbers beyond 64 bits and lone surrogates, which is for its rules to judge.
    Raises ValueError for what is not JSON, and for deep nesting.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError(f"it is nested more than {depth} levels deep") from None
    level = [value]
    for _ in range(depth):
        level = [child for parent in level for child in _children(parent)]
    if level:
        raise ValueError(f"it is nested more than {depth} levels deep")
    return value


def _children(parent: Any) -> Iterable[Any]:
    if isinstance(parent, dict):
        return parent.values()
    return parent if isinstance(parent, list) else ()


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


def check_depth(value: Any) -> None:
    """Raise ValueError for a value of JSON that is nested too deeply."""
    for _ in range(_WRITABLE_DEPTH - MAX_DEPTH):
        value = [value]
    try:
        orjson.dumps(value)
    except TypeError:
        raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep") from None


def _separators(text: bytes) -> int:
    """Return how often a text begins a value: after a bracket, a brace or a comma."""
    return text.count(b",") + text.count(b"[") + text.count(b"{")


class _Size(NamedTuple):
    """The size of a node with all its aliases written out: its characters and nodes, and its levels."""

    weight: int
    height: int


def _check_size(text: bytes) -> None:
    """Raise ValueError for text that is nested too deeply, or would be huge with its aliases written out.

    Text that is nested too deeply has as many open brackets, or is indented as far; an alias needs an anchor. Most
    files have neither, which saves parsing them twice.
    """
    # 1 for each opening bracket, -1 for each closing one.
    steps = (2 * (bracket in b"[{") - 1 for bracket in b"".join(_BRACKETS.findall(text)))
    is_deep = max(accumulate(steps), default=0) > MAX_DEPTH or _INDENTED.search(text)
    if not is_deep and not _ANCHOR.search(text):
        return
    anchors: dict[str, _Size | None] = {}
    # The collections around the present node: anchor, weight and height so far.
    stack: list[tuple[str | None, int, int]] = [(None, 0, 0)]
    for event in yaml.parse(text, _SAFE):
        if isinstance(event, yaml.events.CollectionStartEvent):
            stack.append((event.anchor, 1, 1))
            anchors |= {event.anchor: None} if event.anchor else {}
            size = _Size(1, 0)
        elif isinstance(event, yaml.events.CollectionEndEvent):
            anchor, weight, height = stack.pop()
            size = _Size(weight, height)
            anchors |= {anchor: size} if anchor else {}
        elif isinstance(event, yaml.events.ScalarEvent):
            size = _Size(1 + len(event.value), 0)
            anchors |= {event.anchor: size} if event.anchor else {}
        elif isinstance(event, yaml.events.AliasEvent):
            size = _aliased(anchors, str(event.anchor))
        else:
            continue
        anchor, weight, height = stack[-1]
        stack[-1] = (anchor, weight + size.weight, max(height, size.height + 1))
        if len(stack) - 1 + size.height > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
        if weight > max(MAX_EXPANDED, len(text)):
            raise ValueError(f"with its aliases written out it has more than {MAX_EXPANDED} characters")


def _aliased(anchors: Mapping[str, _Size | None], name: str) -> _Size:
    size = anchors.get(name, _Size(1, 0))  # the parser refuses an unknown alias
    if size is None:
        raise ValueError(f"the alias *{name} stands within what it stands for")
    return size


def dump(tree: Any) -> str:
    """Return plain data as YAML, in its own order."""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
