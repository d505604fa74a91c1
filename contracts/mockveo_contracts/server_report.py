"""The report of a verification: what was found of a server, as data of the same shape as that of a client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mockveo.rules import Verdict
from mockveo_contracts.report import FINDINGS, Report
from mockveo_contracts.server_exchanges import Conversation, Exchange
from mockveo_contracts.server_rules import catalogue, judge
from mockveo_contracts.server_wire import curl_lines


class ServerReport(Report):
    """What a verification found of a server; the rest is as of a Report."""

    def __init__(self, url: str, name: str, **more: Any) -> None:
        about = {"name": name, "version": "", "features": {}}
        super().__init__(subject={"server": {"name": name, "url": url}, "client": about}, rules=catalogue(), **more)
        self._url = url

    def spent(self, jobs: int, requests: int) -> None:
        """Notes how many jobs were made, and requests sent, so far."""
        self.more = {"jobs": jobs, "requests": requests}

    def judged(
        self, name: str, says: str, conversation: Conversation, again: str, *, verdicts: Sequence[Verdict] = ()
    ) -> list[dict[str, Any]]:
        """Takes a conversation with its verdicts, or has it judged; the findings."""
        verdicts = verdicts or judge(conversation)
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
        return found


def _shortest(conversation: Conversation, numbers: set[int]) -> list[Exchange]:
    """The exchanges that show a breach, and the creates of the jobs they are about."""
    cited = [one for one in conversation.exchanges if one.number in numbers]
    jobs = {one.job for one in cited if one.job}
    creates = [conversation.creates[job] for job in jobs if job in conversation.creates]
    return sorted({one.number: one for one in (*creates, *cited)}.values(), key=lambda one: one.number)


def _log(exchanges: Sequence[Exchange]) -> list[dict[str, Any]]:
    first = exchanges[0].at if exchanges else 0.0
    return [{"number": one.number, "at": round(one.at - first, 3), "line": one.line} for one in exchanges]
