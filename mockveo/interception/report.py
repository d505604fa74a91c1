"""The reports of a run: five lines for a terminal, JSON, HAR and HTML."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mockveo._paths import write_whole
from mockveo.errors import ReportError
from mockveo.interception.outcome import RunOutcome
from mockveo.interception.page import html_page
from mockveo.interception.proof import WORTH, Proof
from mockveo.interception.variables import hide_keys
from mockveo.server.run import ServerThread
from mockveo.spec.operations import short_name
from mockveo.text import counted, printable, truncate
from mockveo.traffic.har import har

#: Characters of a finding's message, and names of strangers, that a line shows. Arbitrary: a few lines of a terminal.
_MAX_MESSAGE: Final = 300
_MAX_NAMES: Final = 5
#: Characters of the command that the first line shows. Arbitrary.
_MAX_COMMAND: Final = 100


def opening(server: ServerThread, proof: Proof, command: tuple[str, ...]) -> str:
    """Return the line before the program starts."""
    world = server.app.world
    shown = truncate(hide_keys(shlex.join(command)), _MAX_COMMAND)
    text = (
        f"mockveo: playing {world.origins.own} for {shown}  (scenario {world.plan.scenario.name}, isolation"
        f" {proof.isolation}); watch it with mockveo logs --follow --url {server.url}"
    )
    return printable(text, single_line=True)


def summary(outcome: RunOutcome) -> str:
    """Return the last lines of a run: five, and one for each problem."""
    lines = [_end(outcome), _isolation(outcome.proof), _requests(outcome), _findings(outcome), _bill(outcome)]
    return "\n".join(f"mockveo: {printable(line, single_line=True)}" for line in [*lines, *outcome.problems])


def _end(outcome: RunOutcome) -> str:
    name, status = outcome.command[0], outcome.exit_status
    text = f"{name} ended with status {status} after {outcome.duration_s:.1f} s"
    left = outcome.proof.left
    if left:
        text += (
            f"; {_counted(left, 'process', 'processes')} outlived it and had to be ended: start it in the foreground"
        )
    if outcome.environment.keys:
        text += f"; a fake key replaced {', '.join(outcome.environment.keys)}"
    if outcome.environment.proxies:
        text += f"; without your {', '.join(outcome.environment.proxies)}"
    return text


def _isolation(proof: Proof) -> str:
    text = f"isolated by {proof.isolation}, {WORTH[proof.isolation]}"
    if proof.isolation == "namespace" and proof.level != "kernel":
        text = f"isolated by namespace, but its network was changed: interfaces {', '.join(proof.interfaces)}"
    refusals = [f"no {name}: {reason}" for name, reason in proof.refusals.items()]
    return "; ".join([text, *refusals, *_strangers(proof)])


def _strangers(proof: Proof) -> Iterator[str]:
    """Yield what was refused, what left, and whether anything else can have left."""
    refused = proof.refused_names | proof.refused_hosts
    if refused:
        yield f"refused {_shown(refused)} (mockveo run --host NAME plays it)"
    if proof.no_route:
        yield f"{_counted(proof.no_route, 'connection or packet', 'connections or packets')} without a route"
    if proof.strangers:
        yield f"connections to {', '.join(proof.strangers[:_MAX_NAMES])}"
    for option, traffic in proof.holes.items():
        yield f"{option}: {counted(traffic.connections, 'connection')}, {traffic.sent} bytes out"
    if proof.level == "kernel":
        allowed = any(traffic.connections for option, traffic in proof.holes.items() if option.startswith("--allow"))
        yield "nothing else left the machine" if allowed else "nothing left the machine"
    elif not (proof.sampled or proof.isolation == "namespace"):
        yield "its connections cannot be seen on this system"


def _requests(outcome: RunOutcome) -> str:
    hosts = [f"{host} {_counts(operations)}" for host, operations in outcome.by_host().items()]
    forgotten = sum(world.journal.count - len(world.journal) for world in outcome.worlds)
    if forgotten:
        hosts.append(f"{forgotten} earlier ones, which --max-exchanges would keep")
    return f"requests: {'; '.join(hosts) or 'none'}"


def _bill(outcome: RunOutcome) -> str:
    bill = outcome.bill
    if not bill.made:
        return "bill: no job was made"
    text = f"bill: {bill.line}"
    abandoned = outcome.abandoned_jobs
    return f"{text}; the program never asked for {', '.join(abandoned[:_MAX_NAMES])}" if abandoned else text


def _counted(number: int, word: str, words: str) -> str:
    return f"{number} {word if number == 1 else words}"


def _counts(operations: Mapping[str, int]) -> str:
    return ", ".join(f"{short_name(name) or name} {count}" for name, count in operations.items())


def _shown(counts: Mapping[str, int]) -> str:
    shown = [f"{name} ({count})" for name, count in list(counts.items())[:_MAX_NAMES]]
    rest = len(counts) - len(shown)
    return ", ".join([*shown, f"{rest} more"] if rest else shown)


def _findings(outcome: RunOutcome) -> str:
    broken = outcome.findings
    if not broken:
        return "findings: none"
    order = {"violation": 0, "warning": 1}
    broken = sorted(broken, key=lambda finding: order.get(finding.verdict, 2))
    first = broken[0]
    label = f"{first.verdict} of {first.rule}"
    text = f"findings: {label}: {truncate(first.message, _MAX_MESSAGE)}"
    labels = dict.fromkeys(f"{finding.verdict} of {finding.rule}" for finding in broken)
    others = [other for other in labels if other != label]
    return f"{text}; {', '.join(others)}" if others else text


def to_json(outcome: RunOutcome) -> dict[str, Any]:
    """Return the report as one object."""
    return {
        "command": list(map(hide_keys, outcome.command)),
        "exit_status": outcome.exit_status,
        "duration_s": round(outcome.duration_s, 3),
        "proof": outcome.proof.to_json(),
        "replaced_keys": outcome.environment.keys,
        "replaced_proxies": outcome.environment.proxies,
        "requests": outcome.by_host(),
        "bill": outcome.bill.to_json(),
        "abandoned_jobs": outcome.abandoned_jobs,
        "findings": [finding.to_json() for finding in outcome.findings],
        "problems": outcome.problems,
        "exchanges": [exchange.to_json() for exchange in outcome.exchanges],
    }


def _json_text(outcome: RunOutcome) -> str:
    return json.dumps(to_json(outcome), indent=1) + "\n"


def _har_text(outcome: RunOutcome) -> str:
    origins = outcome.server.app.origins
    return json.dumps(har(outcome.exchanges, origins.own, origins.other)) + "\n"


def _html_text(outcome: RunOutcome) -> str:
    return html_page(to_json(outcome), summary(outcome))


_FORMATS: Final[Mapping[str, Callable[[RunOutcome], str]]] = {
    "json": _json_text,
    "html": _html_text,
    "har": _har_text,
}


def write_reports(targets: Iterable[ReportTarget], outcome: RunOutcome) -> None:
    """Write all reports, whichever of them fail. Raises ReportError that names all failures."""
    problems = []
    for target in targets:
        try:
            target.write(outcome)
        except ReportError as problem:
            problems.append(str(problem))
    if problems:
        raise ReportError("\n  ".join(problems))


@dataclass(frozen=True, slots=True)
class ReportTarget:
    """A report that was asked for: its kind and its file."""

    kind: str
    path: Path

    @classmethod
    def parse(cls, text: str) -> ReportTarget:
        """Read KIND=FILE. Raises ReportError."""
        kind, _, file = text.partition("=")
        if kind not in _FORMATS or not file:
            raise ReportError(
                f"--report is {text!r}; expected KIND=FILE with one of {', '.join(_FORMATS)}, e.g."
                " --report json=run.json"
            )
        target = cls(kind, Path(file))
        # Before the program runs, which may take long.
        if not target.path.parent.is_dir():
            raise target.problem("No such directory")
        if not os.access(target.path if target.path.exists() else target.path.parent, os.W_OK):
            raise target.problem("No permission to write there")
        return target

    def write(self, outcome: RunOutcome) -> None:
        """Write it. Raises ReportError."""
        try:
            write_whole(self.path, _FORMATS[self.kind](outcome).encode(errors="backslashreplace"))
        except OSError as error:
            raise self.problem(str(error.strerror)) from None

    def problem(self, reason: str) -> ReportError:
        """Return the error of a file that cannot be written."""
        return ReportError(
            f"the report {str(self.path)!r} cannot be written: {reason}; expected a file in an existing directory, e.g."
            " --report json=run.json"
        )
