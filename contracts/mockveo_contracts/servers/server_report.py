"""Records the conversations of a verification in its report, without keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from mockveo.rules.engine import Verdict
from mockveo.rules.requirements import FIRST
from mockveo.spec.spec import Spec
from mockveo.text import truncate
from mockveo.traffic.redaction import Redactor
from mockveo_contracts.reports.case_result import CaseResult, LogLine, with_short_ids
from mockveo_contracts.reports.finding import FINDINGS, Finding, exercised
from mockveo_contracts.reports.model import MAX_MESSAGES, Report
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
        #: The conversations that were judged by the document of the run.
        self._judged: list[Conversation] = []

    def compare_profiles(self, documents: Mapping[str, Spec]) -> None:
        """Note the profile under which the most violations would not arise, if there is one."""
        actual = self._violations(None)
        fewer = {name: len(actual - self._violations(spec)) for name, spec in documents.items()}
        rest = {name: len(self._violations(spec)) for name, spec in documents.items()}
        best = min(documents, key=rest.__getitem__, default="")
        if best and rest[best] < len(actual) and fewer[best]:
            self.report.notes.append(
                f"another profile fits better: under --profile {best} {fewer[best]} of these {len(actual)} violations"
                " would not arise"
            )

    def _violations(self, spec: Spec | None) -> set[tuple[int, str]]:
        """Return the violated rules by conversation, under another document if there is one."""
        conversations = [replace(judged, spec=spec) if spec else judged for judged in self._judged]
        return {
            (number, verdict.rule.id)
            for number, conversation in enumerate(conversations)
            for verdict in server_rules().judge(conversation)
            if verdict.verdict == "violation"
        }

    def skip(self, name: str, description: str, reason: str) -> None:
        """Note a check that was not done, or not to its end."""
        self.report.skip(name, description, self._redactor.redact(reason))

    def abort(self, reason: str) -> None:
        """Note that the run ended before its end."""
        self.report.aborted = self._redactor.redact(reason)

    def record(
        self,
        name: str,
        description: str,
        conversation: Conversation,
        again: str,
        *,
        verdicts: Sequence[Verdict] = (),
        since: str = FIRST,
    ) -> list[Finding]:
        """Record a conversation with its verdicts, or judge it; return the findings."""
        if not verdicts:
            self._judged.append(conversation)
            verdicts = server_rules().judge(conversation)
        self.report.count_verdicts(verdicts)
        case = CaseResult(
            name=name,
            description=description,
            log=self._log(conversation),
            verdicts=exercised(verdicts),
            since=since,
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
