"""The errors that reach a user: one line that names what was wrong, what was wanted and an example that works."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """A question that names the nearest of the right words, with a blank after it; empty where none is near."""
    near = get_close_matches(word, list(words), 1, 0.5)
    return f"did you mean {near[0]!r}? " if near else ""


class MockveoError(Exception):
    """An error that the user can cause and fix; the command line prints it without a traceback."""

    #: What the command line exits with.
    exit_status: ClassVar[int] = 2


class SpecError(MockveoError):
    """The OpenAPI document or an overlay cannot drive the server."""


class SettingsError(MockveoError):
    """A setting has a value that cannot be used."""


class ScenarioError(MockveoError):
    """A scenario does not exist, or its data is none."""


class RuleError(MockveoError):
    """A rule does not exist."""


class TraceError(MockveoError):
    """A file holds no traffic that can be judged."""
