"""Text for people: truncated, and safe for terminals."""

from __future__ import annotations

from typing import Final

#: The joiners of scripts and emoji are no printable characters to Python, yet they hide nothing.
_JOINERS: Final = "\u200c\u200d"


def truncate(text: str, limit: int) -> str:
    """Return a text, cut after `limit` characters; an ellipsis marks the cut."""
    return text if len(text) <= limit else f"{text[:limit]}..."


def ending(text: str, limit: int) -> str:
    """Return the end of a text, from the first line that begins within its last `limit` characters."""
    if len(text) <= limit:
        return text
    cut = text[-limit:]
    return cut.partition("\n")[2] or cut


def counted(number: int, word: str) -> str:
    """Return a number with its noun, e.g. "2 cases"."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def printable(text: str, *, single_line: bool = False) -> str:
    """Return a text with control and bidirectional characters escaped.

    They could act on a terminal, a log or a reader of XML. Line breaks stay, unless with `single_line`.
    """
    if text.isprintable():
        return text
    kept = _JOINERS if single_line else f"\n{_JOINERS}"
    return "".join(_escape(character, kept) for character in text)


def _escape(character: str, kept: str) -> str:
    if character.isprintable() or character in kept:
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
