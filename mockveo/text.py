"""Text for people: cut to a length, and without characters that act on a terminal."""

from __future__ import annotations

from typing import Final

#: The joiners of scripts and emoji are no printable characters to Python, yet they hide nothing.
_JOINERS: Final = "\u200c\u200d"


def truncate(text: str, limit: int) -> str:
    """Return a text, cut after `limit` characters; an ellipsis marks the cut."""
    return text if len(text) <= limit else f"{text[:limit]}..."


def printable(text: str, *, single_line: bool = False) -> str:
    """Return a text with control and bidirectional characters escaped.

    They could act on a terminal, a log or a reader of XML. Line breaks stay, unless with `single_line`.
    """
    if text.isprintable():
        return text
    kept = _JOINERS if single_line else f"\n{_JOINERS}"
    return "".join(
        character if character.isprintable() or character in kept else _escape(ord(character)) for character in text
    )


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
