"""No false alarms: of correct clients, by many libraries, nothing is found; and what is found of SDKs as they come.

The clients are in tests/clients/contract. With MOCKVEO_WHOLE set each of them plays the whole catalogue and generated
cases with five seeds, which takes half an hour; without, programs share the cases between them, as theirs take time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
from installed_clients import environment, tool
from mockveo_contracts.cases import definitions
from mockveo_contracts.cases.definitions import TestCase
from mockveo_contracts.clients.check import CheckPlan, check
from mockveo_contracts.clients.driver import Driver
from mockveo_contracts.clients.functions import Functions, load
from mockveo_contracts.clients.programs import Programs
from mockveo_contracts.reports.model import Report
from paths import CLIENTS, ROOT
from seeds import seeds, slow_unless

FINDINGS = ROOT / "docs" / "findings.md"
#: Programs import their neighbours by name, and so do the functions.
sys.path.append(os.fspath(CLIENTS / "contract"))

WHOLE = bool(os.environ.get("MOCKVEO_WHOLE"))
SEEDS = 5
FULL = {"content": True, "deadline": True, "poll_interval": True}


class Reason(NamedTuple):
    """A finding that is right about a client, and why there is nothing that it could do."""

    rule: str
    verdict: str
    #: One of the cases that show it.
    case: str
    why: str


class ContractClient(NamedTuple):
    """A program that is a client."""

    command: tuple[str, ...]
    #: The environment it lives in; empty where it needs none.
    home: str = ""
    reasons: tuple[Reason, ...] = ()
    mode: str = "session"
    #: It plays one in so many cases, if it should not play all.
    share: int = 6


FLAT = Reason("error-envelopes", "info", "create/flat-error", "the SDK drops the body of an error that is not nested")
MODEL = Reason(
    "omit-unset", "warning", "call/prompt-only", "litellm always sends a model; this one is the page's own default"
)
FUNCTIONS = [
    "with_http_client:client",
    "with_urllib:client",
    "with_requests:client",
    "with_httpx:client",
    "with_httpx:async_client",
]
PROGRAMS = {
    "curl-sh": ContractClient(("sh", "curl.sh"), mode="run", share=16),
    "urllib-once": ContractClient(("python", "with_urllib.py"), mode="once", share=16),
    "requests": ContractClient(("python", "with_requests.py"), "cometapi"),
    "httpx": ContractClient(("python", "with_httpx.py"), "cometapi"),
    "aiohttp": ContractClient(("python", "with_aiohttp.py"), "cometapi"),
    "curl": ContractClient(("python", "with_curl.py")),
    "fetch": ContractClient(("node", "with_fetch.mjs")),
    "net-http": ContractClient(("client.go",)),
    "openai-py": ContractClient(("python", "with_openai.py", "openai"), "openai"),
    "cometapi-py": ContractClient(("python", "with_openai.py", "cometapi"), "cometapi"),
    "openai-node": ContractClient(("node", "with_openai.mjs", "openai"), "node", (FLAT,)),
    "cometapi-node": ContractClient(("node", "with_openai.mjs", "cometapi"), "node", (FLAT,)),
    "litellm": ContractClient(("python", "with_litellm.py"), "litellm", (MODEL,)),
}
AS_THEY_COME = {
    "openai-py": ContractClient(("python", "as_it_comes.py", "openai"), "openai"),
    "cometapi-py": ContractClient(("python", "as_it_comes.py", "cometapi"), "cometapi"),
    "openai-node": ContractClient(("node", "as_it_comes.mjs", "openai"), "node"),
    "cometapi-node": ContractClient(("node", "as_it_comes.mjs", "cometapi"), "node"),
    "litellm": ContractClient(("python", "as_it_comes_litellm.py"), "litellm", (MODEL,)),
}


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where a download breaks off some programs leave what they have.
    monkeypatch.setenv("TMPDIR", os.fspath(tmp_path))


def command(client: ContractClient, place: Path) -> list[str]:
    """The command that starts a client; skips where its environment is missing."""
    home = environment(client.home) if client.home else Path()
    program, *arguments = (
        os.fspath(CLIENTS / "contract" / argument) if "." in argument else argument for argument in client.command
    )
    if program.endswith(".go"):
        return [compiled(program, place)]
    if program == "python":
        return [os.fspath(home / "bin" / "python") if client.home else sys.executable, *arguments]
    return [tool(program), *arguments, *([os.fspath(home)] if client.home == "node" else [])]


def compiled(source: str, place: Path) -> str:
    target = os.fspath(place / "client")
    outside = {**os.environ, "GOFLAGS": "", "GOPROXY": "off", "GOTOOLCHAIN": "local", "GO111MODULE": "off"}
    built = [tool("go"), "build", "-o", target, source]
    subprocess.run(built, env={**outside, "GOCACHE": os.fspath(place / "cache")}, check=True, timeout=300)
    return target


def played(driver: Driver, cases: Iterable[TestCase], seed: int, generated: int) -> Report:
    """The report of a client on these cases, with another seed than their own."""
    report = check(
        driver,
        CheckPlan(generated=generated, seed=seed),
        [definitions.parse_case({**test_case.data, "seed": seed}) for test_case in cases],
    )
    assert not report.aborted
    return report


def share(number: int, count: int) -> list[TestCase]:
    """Every nth case of the catalogue without restarts, which test_restarts.py plays, beginning with this one."""
    return [case for case in definitions.catalogue().values() if case.restarts is None][number % count :: count]


def findings_of(report: Report) -> set[tuple[str, str, str]]:
    return {(finding.rule, finding.verdict, finding.case.name) for finding in report.findings}


def shown(report: Report, reasons: Iterable[Reason] = ()) -> list[str]:
    """Return the findings without a reason, as lines that show what happened."""
    excused = {(reason.rule, reason.verdict) for reason in reasons}
    return [
        f"{finding.verdict} {finding.rule}: {finding.message} - case {finding.case} {finding.output[-500:]}"
        for finding in report.findings
        if (finding.rule, finding.verdict) not in excused
    ]


def wasted(report: Report) -> list[str]:
    """Return the jobs that the client wasted."""
    assert report.bill is not None
    assert report.bill.made
    return report.bill.wasted.lines


def is_no_sdk(name: str) -> bool:
    return not name.startswith(("openai", "cometapi", "litellm"))


@pytest.mark.parametrize("seed", seeds(SEEDS))
@pytest.mark.parametrize("name", FUNCTIONS)
def test_nothing_is_found_of_a_correct_function(name: str, seed: int) -> None:
    # The other seeds share the catalogue between them.
    cases = share(0, 1) if WHOLE or seed == 0 else share(seed, SEEDS - 1)
    with Functions(load(name)) as driver:
        report = played(driver, cases, seed, 200 if WHOLE else 20)
    assert shown(report) == []
    assert wasted(report) == []
    assert len(report.cases) >= len(cases)
    assert not report.skipped


@pytest.mark.parametrize("seed", seeds(SEEDS if WHOLE else 1))
@pytest.mark.parametrize("name", slow_unless(is_no_sdk, PROGRAMS))
def test_nothing_is_found_of_a_correct_program(name: str, seed: int, tmp_path: Path) -> None:
    client = PROGRAMS[name]
    cases = dict.fromkeys(share(0, 1) if WHOLE else share(list(PROGRAMS).index(name), client.share))
    cases |= dict.fromkeys(definitions.find(reason.case) for reason in client.reasons)
    declared = {} if client.mode == "session" else FULL
    with Programs(command(client, tmp_path), mode=client.mode, features=declared) as driver:
        report = played(driver, cases, seed, 20 if WHOLE else 0)
    assert shown(report, client.reasons) == []
    assert wasted(report) == []
    assert {(reason.rule, reason.verdict, reason.case) for reason in client.reasons} <= findings_of(report)
    assert {skipped.reason for skipped in report.skipped} <= {"the client does not declare images=2"}


def documented() -> dict[str, tuple[str, dict[tuple[str, str, str], bool]]]:
    """SDK -> its version, and of each rule, verdict and case of its table whether that is found."""
    tables: dict[str, tuple[str, dict[tuple[str, str, str], bool]]] = {}
    for table in FINDINGS.read_text("utf-8").split("\n\n"):
        if not table.startswith("| rule |"):
            continue
        head, _, *rows = ([cell.strip(" `") for cell in line.strip("|").split("|")] for line in table.splitlines())
        for column, title in enumerate(head[3:], 3):
            name, version = title.split()
            tables[name] = version, {(row[0], row[1], row[2]): row[column] == "yes" for row in rows}
    return tables


@pytest.mark.parametrize("name", slow_unless(is_no_sdk, AS_THEY_COME))
def test_document_lists_what_each_sdk_breaks(name: str, tmp_path: Path) -> None:
    version, says = documented()[name]
    cases = definitions.matching(tuple(dict.fromkeys(case for *_, case in says)), definitions.catalogue())
    # Cases that never end need no long wait.
    with Programs(command(AS_THEY_COME[name], tmp_path), patience=1.0) as driver:
        report = played(driver, cases, 0, 0)
    assert driver.client.version == version
    excused = {(reason.rule, reason.verdict) for reason in AS_THEY_COME[name].reasons}
    assert {finding for finding in findings_of(report) if finding[:2] not in excused} == {
        finding for finding, is_found in says.items() if is_found
    }
    assert not [case for case in report.cases if case.adapter_error]


def test_curl_sends_again_on_a_connection_that_it_has_used(tmp_path: Path) -> None:
    faults = [
        {"operation": "create", "nth": 1, "redirect": {"status": 307}},
        {"operation": "create", "nth": 2, "reset": True},
    ]
    case = definitions.parse_case({"name": "redirected-and-reset", "scenario": {"faults": faults}})
    follow = ContractClient(("python", "with_curl.py", "follow"))
    for client, wanted in ((follow, {("no-blind-retry", "warning", case.name)}), (PROGRAMS["curl"], set())):
        with Programs(command(client, tmp_path)) as driver:
            assert findings_of(played(driver, [case], 0, 0)) == wanted
