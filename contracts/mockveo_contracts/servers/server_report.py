"""The report of a verification: what was found of a server, as data of the same shape as that of a client."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import quote

from mockveo.rules.engine import Verdict
from mockveo_contracts.reports.model import FINDINGS, Report
from mockveo_contracts.servers.exchanges import Conversation, SentExchange
from mockveo_contracts.servers.http_client import curl_lines
from mockveo_contracts.servers.server_rules import server_rules

#: What stands in the place of a key.
HIDDEN: Final = "(key)"
#: Characters of a key by which it is known where the rest was cut off.
_PART: Final = 12
#: A key that is shorter is a word of a test, which is no secret; it is hidden where it stands alone.
_WORD: Final = 8
#: How texts are written inside other texts.
_WRITTEN: Final[tuple[Callable[[str], str], ...]] = (
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    lambda text: repr(text)[1:-1],
    lambda text: quote(text, safe=""),
    html.escape,
)


class Secrets:
    """What nobody is to read in a report: keys, in every form that a server may send them back in."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._forms = sorted({form.casefold() for key in keys for form in _forms(key)})
        self._longest = max(map(len, self._forms), default=0)
        # Without forms it finds nothing: an empty alternative would be everywhere.
        self._begins = re.compile("|".join(dict.fromkeys(map(_begin, self._forms))) or "(?!)", re.IGNORECASE)

    def hidden(self, data: Any) -> Any:
        """Data of JSON, or a text, without them."""
        if isinstance(data, str):
            return "".join(self._pieces(data))
        if isinstance(data, dict):
            return {self.hidden(name): self.hidden(value) for name, value in data.items()}
        return [self.hidden(one) for one in data] if isinstance(data, list | tuple) else data

    def _pieces(self, text: str) -> Iterator[str]:
        end = 0
        while found := self._begins.search(text, end):
            yield text[end : found.start()] + HIDDEN
            # What reports cut short may end within a key, so as much is hidden as agrees with one.
            rest = text[found.start() :][: self._longest].casefold()
            end = found.start() + max(_agree(rest, form) for form in self._forms)
        yield text[end:]


def _forms(key: str) -> Iterator[str]:
    plain = {key, *_inside_base64(key)}
    once = {write(one) for one in plain for write in _WRITTEN}
    yield from plain | once | {write(one) for one in once for write in _WRITTEN}


def _inside_base64(key: str) -> Iterator[str]:
    """What base64 makes of a key after a user's name, whose length decides where in a character the key begins."""
    yield base64.b64encode(f":{key}".encode()).decode()
    for before, lost in enumerate((0, 2, 3)):
        whole = (before + len(key)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(b"\0" * before + key.encode()).decode()[lost:whole]
            if len(text) >= _WORD:
                yield text


def _agree(one: str, other: str) -> int:
    """Characters by which two texts begin alike."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _begin(form: str) -> str:
    return re.escape(form[:_PART]) if len(form) >= _WORD else rf"(?<!\w){re.escape(form)}(?!\w)"


class ServerReport(Report):
    """What a verification found of a server; the rest is as of a Report. No secret is in what it hands out."""

    def __init__(self, url: str, name: str, secrets: Secrets, **more: Any) -> None:
        about = {"name": name, "version": "", "features": {}}
        super().__init__(
            subject={"server": {"name": name, "url": url}, "client": about}, rules=server_rules().rules, **more
        )
        self._url = url
        self._secrets = secrets

    def spent(self, jobs: int, requests: int) -> None:
        """Notes how many jobs were made, and requests sent, so far."""
        self.more = {"jobs": jobs, "requests": requests}

    @property
    def data(self) -> dict[str, Any]:
        """The report as an object of JSON."""
        found: dict[str, Any] = self._secrets.hidden(super().data)
        return found

    def judged(
        self, name: str, says: str, conversation: Conversation, again: str, *, verdicts: Sequence[Verdict] = ()
    ) -> list[dict[str, Any]]:
        """Takes a conversation with its verdicts, or has it judged; the findings."""
        verdicts = verdicts or server_rules().judge(conversation)
        self.count_in(verdicts)
        log = _log(conversation.exchanges)
        found = []
        for one in verdicts:
            if one.verdict in FINDINGS:
                shortest = _shortest(
                    conversation, {number for breach in one.breaches[:3] for number in breach.exchanges}
                )
                shown: dict[str, Any] = {
                    "case_says": says,
                    "call": {},
                    "scenario": {},
                    "outcome": None,
                    "log": log,
                    "trace": [seen.as_json() for seen in shortest],
                    "output": "",
                    "again": [*curl_lines(self._url, shortest), again],
                    "file": None,
                }
                found.append({**self.finding(one, name), **shown})
        case: dict[str, Any] = {"name": name, "says": says, "call": {}, "scenario": {}, "outcome": None}
        case |= {"adapter_error": None, "log": log}
        self.take(case, verdicts, found)
        told: list[dict[str, Any]] = self._secrets.hidden(found)
        return told


def _shortest(conversation: Conversation, numbers: set[int]) -> list[SentExchange]:
    """The exchanges that show a breach, and the creates of the jobs they are about."""
    cited = [one for one in conversation.exchanges if one.number in numbers]
    jobs = {one.job for one in cited if one.job}
    creates = [conversation.creates[job] for job in jobs if job in conversation.creates]
    return sorted({one.number: one for one in (*creates, *cited)}.values(), key=lambda one: one.number)


def _log(exchanges: Sequence[SentExchange]) -> list[dict[str, Any]]:
    first = exchanges[0].at if exchanges else 0.0
    return [{"number": one.number, "at": round(one.at - first, 3), "line": one.line} for one in exchanges]
