"""Known failures: findings that are accepted for now.

A file with a line for each: a rule, a case and, after `#`, the reason.

    no-blind-retry  create/502*    # our gateway retries; ticket 4711

The case is a name or a shell pattern. The case is still run, but the rule does not fail the check there. An entry whose
rule is not broken any more is stale, which fails the check.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from mockveo import yamlfiles
from mockveo.errors import MockveoError, RuleError, did_you_mean
from mockveo.rules.client_rules import client_rules
from mockveo.text import brief

EXAMPLE: Final = "retry-after create/*  # reason"


class KnownFailuresError(MockveoError):
    """A file of known failures cannot be used."""


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """A line of the file: a rule that may be broken in a case."""

    rule: str
    case: str
    reason: str
    #: The file and line, e.g. "known.txt:3".
    place: str

    def covers(self, rule: str, case: str) -> bool:
        """Return whether it is about a rule in a case."""
        return rule == self.rule and fnmatchcase(case, self.case)

    @property
    def stale_message(self) -> str:
        """What to do about an entry that is stale."""
        return f"{self.place}: {self.rule} {self.case} is not broken any more; remove the line"

    def __str__(self) -> str:
        return f"{self.place}: {self.rule} {self.case}"


def read(path: Path, find: Callable[[str], object] | None = None) -> list[KnownFailure]:
    """Return the entries of a file, whose rules `find` finds, by default among those for clients.

    Raises KnownFailuresError, which names the line.
    """
    entries = []
    find = find or client_rules().find
    text = _decoded(yamlfiles.read(path, KnownFailuresError), path.name)
    for number, line in enumerate(text.splitlines(), 1):
        content, _, reason = line.partition("#")
        words = content.split()
        if not words:
            continue
        if len(words) != 2:
            raise KnownFailuresError(
                f"{path.name}:{number} is {brief(line.strip())}; expected a rule and a case, e.g. {EXAMPLE}"
            )
        try:
            find(words[0])
        except RuleError as error:
            raise KnownFailuresError(f"{path.name}:{number}: {error}") from None
        entries.append(KnownFailure(words[0], words[1], reason.strip(), f"{path.name}:{number}"))
    return entries


def _decoded(data: bytes, name: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        # `>` writes UTF-16 in some shells of Windows.
        is_utf_16 = data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or b"\0" in data
        encoding = "UTF-16" if is_utf_16 else "not UTF-8"
        raise KnownFailuresError(f"{name} is {encoding}; expected UTF-8 text, with lines like {EXAMPLE}")
    return text


def check_cases(entries: Iterable[KnownFailure], names: Collection[str]) -> None:
    """Raise KnownFailuresError for an entry about no existing case; generated cases may not exist."""
    for entry in entries:
        if not any(fnmatchcase(name, entry.case) for name in names) and not entry.case.startswith("generated/"):
            near = did_you_mean(entry.case, names)
            raise KnownFailuresError(
                f"{entry.place}: no case is named {brief(entry.case)}; {near}expected the name of a case, or a pattern"
            )
