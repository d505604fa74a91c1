"""Records the conversations of a verification in its report, without keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from mockveo.rules.engine import Verdict
from mockveo.text import truncate
from mockveo.traffic.redaction import Redactor
from mockveo_contracts.reports.case_result import CaseResult, LogLine, with_short_ids
from mockveo_contracts.reports.finding import FINDINGS, Finding
from mockveo_contracts.reports.model import MAX_MESSAGES, Report, exercised
from mockveo_contracts.servers.curl import curl_lines
from mockveo_contracts.servers.exchanges import Conversation, SentExchange
from mockveo_contracts.servers.server_rules import server_rules

#: Characters of one breach in a message. Arbitrary: above the longest of ours.
MAX_BREACH: Final = 600


class ServerRecorder:
    """Records the conversations of a verification in a report, with every key hidden."""

    def __init__(self, report: Report, url: str, redactor: Redactor) -> None:
        self.report = report
        self._url = url
        self._redactor = redactor

    def skip(self, name: str, description: str, reason: str) -> None:
        """Note a check that was not done, or not to its end."""
        self.report.skip(name, description, self._redactor.redact(reason))

    def abort(self, reason: str) -> None:
        """Note that the run ended before its end."""
        self.report.aborted = self._redactor.redact(reason)

    def record(
        self, name: str, description: str, conversation: Conversation, again: str, *, verdicts: Sequence[Verdict] = ()
    ) -> list[Finding]:
        """Record a conversation with its verdicts, or judge it; return the findings."""
        verdicts = verdicts or server_rules().judge(conversation)
        self.report.count_verdicts(verdicts)
        case = CaseResult(
            name=name,
            description=description,
            log=self._log(conversation),
            verdicts=exercised(verdicts),
        )
        findings = [
            self._finding(verdict, case, conversation, again) for verdict in verdicts if verdict.verdict in FINDINGS
        ]
        self.report.record(case, findings)
        return findings

    def _finding(self, verdict: Verdict, case: CaseResult, conversation: Conversation, again: str) -> Finding:
        finding = self.report.finding(verdict, case)
        shown = verdict.breaches[:MAX_MESSAGES]
        shortest = _shortest(conversation, {number for breach in shown for number in breach.exchanges})
        return replace(
            finding,
            message=self._message(finding.message, conversation),
            trace=tuple(self._redactor.redact(exchange.to_json()) for exchange in shortest),
            reproduce=tuple(self._redactor.redact([*curl_lines(self._url, shortest), again])),
        )

    def _message(self, message: str, conversation: Conversation) -> str:
        """Return a message with ids short and whatever a server sent cut; a message has several breaches."""
        short = with_short_ids(self._redactor.redact(message), _ids(conversation))
        return truncate(short, MAX_MESSAGES * MAX_BREACH)

    def _log(self, conversation: Conversation) -> tuple[LogLine, ...]:
        exchanges = conversation.exchanges
        first = exchanges[0].at if exchanges else 0.0
        ids = _ids(conversation)
        return tuple(
            LogLine(
                exchange.number,
                round(exchange.at - first, 3),
                with_short_ids(self._redactor.redact(exchange.line), ids),
            )
            for exchange in exchanges
        )


def _ids(conversation: Conversation) -> set[str]:
    """Return all ids that the server gave, and that it was asked for."""
    asked = {exchange.job for exchange in conversation.exchanges if exchange.job}
    return {*conversation.creates, *conversation.earlier_ids, *asked}


def _shortest(conversation: Conversation, numbers: set[int]) -> list[SentExchange]:
    """Return the exchanges that show a breach, and the creates of their jobs."""
    cited = {exchange.number: exchange for exchange in conversation.exchanges if exchange.number in numbers}
    jobs = {exchange.job for exchange in cited.values() if exchange.job}
    creates = [conversation.creates[job] for job in jobs if job in conversation.creates]
    shortest = cited | {create.number: create for create in creates}
    return [shortest[number] for number in sorted(shortest)]
