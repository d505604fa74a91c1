"""What is said between the checker and a program: lines of JSON, and what becomes of a case meanwhile.

The client protocol fixes the words. Nothing here knows a process.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from time import monotonic
from typing import Any, Final

from mockveo.errors import did_you_mean
from mockveo.text import truncate
from mockveo_contracts.case import result
from mockveo_contracts.cases.definitions import TestCase
from mockveo_contracts.clients.testbed import CaseRun, OpenCase

#: What a program may say.
TYPES: Final = ("hello", "result", "adapter_error")
#: Lines as they should be.
HELLO: Final = (
    '{"type":"hello","client":"my-client","version":"1.4","features":{"images":2,"content":true},"max_in_flight":1}'
)
RESULT: Final = (
    '{"type":"result","id":"17","outcome":"completed","video":{"id":"task_...","status":"completed"},'
    '"content_path":null,"error":null}'
)
#: Characters of a line of a program in a message; arbitrary.
MAX_LINE: Final = 100
#: Characters of what a program writes that are kept of a case.
KEPT: Final = 4000
#: Texts of what broke in a case that are kept; more of the same kind say no more.
MOST_MISTAKES: Final = 3


def line(message: Mapping[str, Any]) -> bytes:
    """A message as a line. All of it is ASCII, as some languages end lines at characters that JSON need not escape."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def message_of(raw: bytes, example: str = RESULT) -> dict[str, Any] | None:
    """The message in a line that a program wrote; None for a blank one. Raises ValueError, which says what is wrong."""
    text = raw.removeprefix(b"\xef\xbb\xbf").strip()
    if not text:
        return None
    try:
        message = json.loads(text.decode())
    except (ValueError, RecursionError):
        what = f"the line {short(raw)} on standard output is no JSON"
        hint = "standard output is for messages, anything else goes to standard error"
        raise ValueError(f"{what}; wanted lines like {example} - {hint}") from None
    if not isinstance(message, dict) or message.get("type") not in TYPES:
        given = message.get("type") if isinstance(message, dict) else None
        near = did_you_mean(given, TYPES) if isinstance(given, str) else ""
        raise ValueError(f"the line {short(raw)} has no type that is known; {near}wanted {example}")
    return message


def holds(data: bytes, key: bytes, overlap: int = 0) -> bool:
    """Whether a key is in what was written, and not wholly in the `overlap` of what was written before."""
    return data.find(key, max(overlap - len(key) + 1, 0)) >= 0


def short(raw: bytes) -> str:
    """A line for people."""
    return repr(truncate(raw.decode("utf-8", "replace").strip(), MAX_LINE))


class Mistakes:
    """What broke in a case: the first few texts, and how many there were beside them."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._more = 0

    def append(self, text: str) -> None:
        """Takes one; the same one counts once."""
        if text in self._texts:
            return
        if len(self._texts) < MOST_MISTAKES:
            self._texts.append(text)
        else:
            self._more += 1

    def take(self, others: Mistakes) -> None:
        """Takes those of another list."""
        for text in others._texts:
            self.append(text)
        self._more += others._more

    def __bool__(self) -> bool:
        return bool(self._texts)

    def __str__(self) -> str:
        return "; ".join([*self._texts, *([f"and {self._more} more"] if self._more else [])])


class PendingCase:
    """A case that a program is at."""

    def __init__(self, scene: OpenCase, features: Mapping[str, Any], patience: float) -> None:
        self.scene = scene
        self._key = scene.script.key.encode()
        self._features = features
        self._patience = patience
        #: When it is ended, by the monotonic clock. The script's seconds are ours, whatever the client's are.
        self.until = monotonic() + scene.script.deadline + patience
        #: As `case.result` has it; None until there is one.
        self.outcome: dict[str, Any] | None = None
        #: What broke in between.
        self.mistakes = Mistakes()
        self.leaks: list[str] = []
        self.unanswered = False
        self._output = ""

    @property
    def id(self) -> str:
        """What it is called in messages."""
        return self.scene.case.id

    def overhear(self, place: str, data: bytes, overlap: int = 0) -> None:
        """Notes what the program wrote somewhere; the first bytes of it, of an `overlap`, for the second time."""
        self.look_for_key(place, data, overlap)
        self._output = (self._output + data[overlap:].decode("utf-8", "replace"))[-KEPT:]

    def look_for_key(self, place: str, data: bytes, overlap: int = 0) -> None:
        """Notes where the key was found."""
        if holds(data, self._key, overlap) and place not in self.leaks:
            self.leaks.append(place)

    @property
    def output(self) -> str:
        """The end of what the program wrote beside its messages."""
        return self._output

    def answer(self, message: Mapping[str, Any], raw: bytes) -> None:
        """Takes the result."""
        self.look_for_key("the result", raw + json.dumps(message, ensure_ascii=False).encode("utf-8", "replace"))
        try:
            self.outcome = result(message)
        except ValueError as error:
            self.mistakes.append(f"{error}; e.g. {RESULT}")
            return
        if "\0" in str(self.outcome["content_path"]):
            self.outcome["content_path"] = None
            self.mistakes.append(f"content_path of the result has the character 0 in it; wanted a path, e.g. {RESULT}")

    def play(self) -> CaseRun:
        """What was played."""
        try:
            return self.scene.play(
                self.outcome,
                self._features,
                leaks=self.leaks,
                ended_by=f"{self._patience:g} s" if self.unanswered else None,
                adapter_error=str(self.mistakes),
                output=self._output,
            )
        finally:
            self.scene.close()


class Queue:
    """Scripts that are to be played, those first that are to be played again."""

    def __init__(self, scripts: Iterable[TestCase]) -> None:
        self._upcoming = iter(scripts)
        self._again: deque[TestCase] = deque()
        #: How many of them were taken for the first time.
        self.taken = 0

    def take(self, busy: Collection[str]) -> TestCase | None:
        """The next script; None where there is none, or where it is to be played in a world that is busy."""
        if not self._again:
            script = next(self._upcoming, None)
            if script is None:
                return None
            self.taken += 1
            self._again.append(script)
        return None if self._again[0].world in busy else self._again.popleft()

    def again(self, scripts: Iterable[TestCase]) -> None:
        """Puts scripts back, to be played again."""
        self._again.extendleft(reversed(list(scripts)))
