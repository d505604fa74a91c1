"""The report of a check of a client: its plays, as data."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import Any, Final

from mockveo.rules.client_rules import client_rules
from mockveo.rules.engine import Verdict
from mockveo_contracts.cases.definitions import GENERATED, TestCase
from mockveo_contracts.clients.driver import ClientInfo
from mockveo_contracts.clients.testbed import CaseRun
from mockveo_contracts.clients.wire_log import kept, wire_log
from mockveo_contracts.reports.model import FINDINGS, Report

#: Exchanges of a finding that are kept whole.
MOST_EXCHANGES: Final = 100
#: Characters of what a client wrote that are kept.
MOST_OUTPUT: Final = 4000


class ClientReport(Report):
    """What a check found of a client. `judged` takes plays as they are done.

    `again` is what repeats one case, with {case} in the place of its name or file; the rest is as of a Report.
    """

    def __init__(self, client: ClientInfo, *, again: str = "", **more: Any) -> None:
        about = {"name": client.name, "version": client.version, "features": dict(client.features)}
        super().__init__(subject={"client": about}, rules=client_rules().rules, **more)
        self.client = client
        self._again = again
        #: What went wrong beside the client, e.g. that a case could not be written.
        self.notes: list[str] = []

    @property
    def data(self) -> dict[str, Any]:
        """The report as an object of JSON."""
        return {**super().data, "notes": self.notes}

    def judged(
        self, play: CaseRun, verdicts: Sequence[Verdict] | None = None, *, counted: bool = False
    ) -> list[dict[str, Any]]:
        """Takes a play with its verdicts, or with some of them; the findings of it.

        `counted` says that its verdicts are in `counts` already.
        """
        verdicts = play.verdicts() if verdicts is None else verdicts
        log = wire_log(play, {number for one in verdicts for breach in one.breaches for number in breach.exchanges})
        self.count_in(() if counted else verdicts)
        broken = [self.finding(one, play.test_case.name) for one in verdicts if one.verdict in FINDINGS]
        broken += [self._adapter_error(play)] if play.adapter_error else []
        found = [{**one, **self._what(play, log, one["exchanges"])} for one in broken]
        case = {
            "name": play.test_case.name,
            "says": play.test_case.description,
            "call": play.test_case.data["call"],
            "scenario": play.test_case.data["scenario"],
            "outcome": play.outcome,
            "adapter_error": play.adapter_error or None,
            "log": log,
        }
        self.take(case, verdicts, found)
        return found

    def _adapter_error(self, play: CaseRun) -> dict[str, Any]:
        return {
            "rule": None,
            "severity": None,
            "verdict": "adapter error",
            "says": "What breaks in between says nothing about the client.",
            "message": play.adapter_error,
            "source": "the client protocol",
            "known": None,
            "exchanges": [],
            "case": play.test_case.name,
        }

    def _what(self, play: CaseRun, log: Any, exchanges: Iterable[int]) -> dict[str, Any]:
        data = play.test_case.data
        numbers = kept([one["number"] for one in play.trace], exchanges, MOST_EXCHANGES)
        return {
            "case_says": play.test_case.description,
            "call": data["call"],
            "scenario": data["scenario"],
            "outcome": play.outcome,
            "log": log,
            # What the trace's seconds are, and how many there are in one of the client's.
            "clock": play.clock,
            "pace": play.pace,
            "trace": [one for one in play.trace if one["number"] in numbers],
            "output": play.output[-MOST_OUTPUT:],
            "file": play.test_case.file or None,
            "again": self._repeated(play.test_case),
        }

    def _repeated(self, script: TestCase) -> list[str]:
        if not script.file and script.name.startswith(GENERATED):
            return []  # nobody could find it by its name
        name = shlex.quote(script.file or script.name)
        checked = [self._again.replace("{case}", name)] if self._again else []
        return [*checked, f"mockveo replay {name}"]
