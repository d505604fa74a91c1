"""Text for people: truncated, and safe for terminals."""

from __future__ import annotations

import re
from typing import Final

#: The joiners of scripts and emoji are no printable characters to Python, yet they hide nothing.
_JOINERS: Final = "\u200c\u200d"
_SURROGATES: Final = re.compile("[\ud800-\udfff]")

#: Characters of a value that an error repeats. Arbitrary: about one line.
MAX_SHOWN_CHARACTERS: Final = 80
#: Characters of a validator's message, which repeats a value. Arbitrary: a few lines.
MAX_MESSAGE_CHARACTERS: Final = 300
#: Digits of a number that is read exactly: 64 bits hold it. int() refuses thousands of digits.
_MAX_DIGITS: Final = 18


def whole_number(digits: str) -> int:
    """Return the number that ASCII digits write; more digits than 64 bits hold count as 10**18."""
    return int(digits) if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS


def truncate(text: str, limit: int) -> str:
    """Return a text, cut after `limit` characters; an ellipsis marks the cut."""
    return text if len(text) <= limit else f"{text[:limit]}..."


def truncate_middle(text: str, limit: int) -> str:
    """Return a text without its middle, if it has more than `limit` characters.

    A validator's message begins with a value, however long it is, and ends with what was expected.
    """
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]}...{text[-half:]}"


def brief(value: object) -> str:
    """Return a value as an error repeats it: cut, and a text in quotes and escaped."""
    if isinstance(value, str):
        return repr(truncate(value, MAX_SHOWN_CHARACTERS))
    return truncate(repr(value), MAX_SHOWN_CHARACTERS)


def is_unicode(text: str) -> bool:
    """Return whether a text has no lone surrogates, which are no Unicode text and cannot be sent."""
    return text.isascii() or not _SURROGATES.search(text)


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
