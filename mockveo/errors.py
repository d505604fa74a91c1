"""The errors that a user can cause.

Each message is a line with the wrong value, what was expected and an example that works.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from typing import ClassVar

#: How alike two words must be, 0 to 1, to suggest one for the other; below difflib's 0.6, as short words differ more.
_SIMILARITY = 0.5
#: Longer words are no misspelling, and more words no choice: comparing takes time. Arbitrary.
_MAX_WORD_CHARACTERS = 100
_MAX_WORDS = 1000


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return a question with the nearest of the right words, or ""."""
    nearest = nearest_word(word, words)
    return f"did you mean {nearest!r}? " if nearest else ""


def nearest_word(word: str, words: Iterable[str], similarity: float = _SIMILARITY) -> str:
    """Return the right word that is most like another, or "" if none is as similar as that, from 0 to 1."""
    if len(word) > _MAX_WORD_CHARACTERS:
        return ""
    candidates = [right for right in islice(words, _MAX_WORDS) if len(right) <= _MAX_WORD_CHARACTERS]
    return next(iter(get_close_matches(word, candidates, 1, similarity)), "")


class MockveoError(Exception):
    """An error that the user can cause and fix; the command line prints it without a traceback."""

    #: What the command line exits with.
    exit_status: ClassVar[int] = 2


class SpecError(MockveoError):
    """The OpenAPI document or an overlay cannot drive the server."""


class SettingsError(MockveoError):
    """A setting has a value that cannot be used."""


class StoreError(MockveoError):
    """The store cannot keep or show anything at present, e.g. because its disk is full."""

    exit_status = 1


class ScenarioError(MockveoError):
    """The scenario does not exist or is invalid."""


class RuleError(MockveoError):
    """The rule does not exist or its definition is invalid."""


class TraceError(MockveoError):
    """The file holds no traffic that can be judged."""


class ReportError(MockveoError):
    """A report cannot be read or written."""
