"""The errors that a user can cause.

Each message is a line with the wrong value, what was expected and an example that works.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar

#: How alike two words must be, 0 to 1, to suggest one for the other; below difflib's 0.6, as short words differ more.
_SIMILARITY = 0.5


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return a question with the nearest of the right words, or ""."""
    nearest = get_close_matches(word, list(words), 1, _SIMILARITY)
    return f"did you mean {nearest[0]!r}? " if nearest else ""


class MockveoError(Exception):
    """An error that the user can cause and fix; the command line prints it without a traceback."""

    #: What the command line exits with.
    exit_status: ClassVar[int] = 2


class SpecError(MockveoError):
    """The OpenAPI document or an overlay cannot drive the server."""


class SettingsError(MockveoError):
    """A setting has a value that cannot be used."""


class ScenarioError(MockveoError):
    """The scenario does not exist or is invalid."""


class RuleError(MockveoError):
    """The rule does not exist or its definition is invalid."""


class TraceError(MockveoError):
    """The file holds no traffic that can be judged."""


class ReportError(MockveoError):
    """A report cannot be read or written."""
