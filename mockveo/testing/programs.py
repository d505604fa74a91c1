"""Programs that are run against the fake, for tests: what they did, and the proof that nothing left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any, Final

from mockveo.errors import SettingsError
from mockveo.interception.options import RunOptions
from mockveo.interception.proof import Proof
from mockveo.interception.report import summary
from mockveo.interception.run import RunHooks, run_program
from mockveo.rules.bill import Bill
from mockveo.settings import Settings, typed
from mockveo.simulator.scenarios import scenario
from mockveo.testing.requests import Requests, request_of

#: Keywords of a run that are not settings of its server -> the option.
_OPTIONS: Final = {
    **{name: name for name in ("isolate", "require_proof", "hosts", "allow", "local", "keep_key")},
    "env": "environment",
    "cwd": "directory",
    "timeout": "timeout_s",
}
_LISTS: Final = ("hosts", "allow", "local")


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """What a program did. As text it is the last lines of `mockveo run`."""

    #: 128 + N if signal N ended it.
    exit_status: int
    stdout: str = field(repr=False)
    stderr: str = field(repr=False)
    requests: Requests
    #: Where the program broke the contract, as far as requests alone show it.
    findings: list[dict[str, Any]]
    proof: Proof
    bill: Bill
    #: What went wrong between the program and the fake, with what to do.
    problems: list[str]
    _summary: str = field(repr=False, compare=False)

    def __str__(self) -> str:
        return self._summary


def run(command: Sequence[str], settings: Settings, keywords: Mapping[str, Any]) -> ProgramResult:
    """Run a program to its end on a server of its own. `keywords` are those of RunKeywords. Raises MockveoError."""
    if isinstance(command, str):
        raise SettingsError(f"the command is {command!r}; expected a list of texts, e.g. ['node', 'bot.mjs']")
    options = {option: keywords[name] for name, option in _OPTIONS.items() if name in keywords}
    options |= {name: tuple(options[name]) for name in _LISTS if name in options}
    if "directory" in options:
        options["directory"] = Path(options["directory"])
    changes = {name: value for name, value in keywords.items() if name not in _OPTIONS}
    own = changes.pop("scenario", None)
    if isinstance(own, str | PurePath):
        changes["scenario"], own = own, None
    elif isinstance(own, Mapping):
        own = scenario(own, "unnamed")
    settings = replace(settings, **{"port": 0, "other_port": 0, **typed(changes)})
    program = RunOptions(tuple(map(str, command)), **options)
    outcome = run_program(program, settings, RunHooks(capture=True), scenario=own)
    return ProgramResult(
        exit_status=outcome.exit_status,
        stdout=outcome.stdout,
        stderr=outcome.stderr,
        requests=Requests(map(request_of, outcome.exchanges)),
        findings=[finding.to_json() for finding in outcome.findings],
        proof=outcome.proof,
        bill=outcome.bill,
        problems=outcome.problems,
        _summary=summary(outcome),
    )
