"""The files of the dashboard, by the names that its pages use: plain modules and styles, without a build."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

STATIC: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
#: What the pages may load and run: files of their own origin, and nothing inline. No page may frame them.
POLICY: Final = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@cache
def names() -> frozenset[str]:
    """Return the names of the files."""
    return frozenset(path.name for path in STATIC.iterdir() if path.suffix in _TYPES)


@cache
def text(name: str) -> str:
    """Return the text of a file. Raises KeyError for an unknown name."""
    if name not in names():
        raise KeyError(name)
    return (STATIC / name).read_text(encoding="utf-8")


def media_type(name: str) -> str:
    """Return the media type of a file."""
    return _TYPES[Path(name).suffix]
