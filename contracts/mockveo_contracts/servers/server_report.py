"""The report of a verification: what was found of a server, as data of the same shape as that of a client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mockveo.rules.engine import Verdict
from mockveo.traffic.redaction import Redactor
from mockveo_contracts.reports.model import FINDINGS, Report
from mockveo_contracts.servers.exchanges import Conversation, SentExchange
from mockveo_contracts.servers.http_client import curl_lines
from mockveo_contracts.servers.server_rules import server_rules


class ServerReport(Report):
    """What a verification found of a server; the rest is as of a Report. No secret is in what it hands out."""

    def __init__(self, url: str, name: str, secrets: Redactor, **more: Any) -> None:
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
        found: dict[str, Any] = self._secrets.redact(super().data)
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
                    "trace": [seen.to_json() for seen in shortest],
                    "output": "",
                    "again": [*curl_lines(self._url, shortest), again],
                    "file": None,
                }
                found.append({**self.finding(one, name), **shown})
        case: dict[str, Any] = {"name": name, "says": says, "call": {}, "scenario": {}, "outcome": None}
        case |= {"adapter_error": None, "log": log}
        self.take(case, verdicts, found)
        told: list[dict[str, Any]] = self._secrets.redact(found)
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
