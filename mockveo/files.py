"""YAML files, read as the JSON they could be."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import orjson
import yaml

from mockveo.errors import MockveoError

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast


def read(path: Path, error: type[MockveoError]) -> bytes:
    """The bytes of a file. Raises `error` where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as problem:
        raise error(f"{path}: cannot be read: {problem.strerror}") from None


def parse(text: bytes, name: str, error: type[MockveoError]) -> Any:
    """YAML, hence JSON too, as plain data. Raises `error`, which names the file."""
    try:
        tree = yaml.load(text, _LOADER)  # noqa: S506  # one of the two safe loaders
        # Through JSON, so that what YAML alone knows - numbers as keys, dates, cycles - is text or an error.
        return orjson.loads(orjson.dumps(tree, option=orjson.OPT_NON_STR_KEYS))
    except (yaml.YAMLError, TypeError, ValueError) as problem:
        raise error(f"{name}: not YAML that JSON could say: {' '.join(str(problem).split())}") from None


def dump(tree: Any) -> str:
    """Plain data as YAML, in the order it has."""
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=120)
