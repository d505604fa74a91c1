"""Reports of clients with known bad habits, and texts that are out to break whatever shows them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import httpx
from hypothesis import strategies as st
from mockveo_contracts import Case, JobFailed, Outcome
from mockveo_contracts.cases.definitions import parse_case
from mockveo_contracts.clients.functions import Functions
from mockveo_contracts.clients.recorder import ClientRecorder
from mockveo_contracts.reports.case_result import SkippedCase
from mockveo_contracts.reports.finding import Finding, without_verdicts
from mockveo_contracts.reports.known_failures import KnownFailure
from mockveo_contracts.reports.model import ClientSubject, Report

from mockveo.rules.client_rules import client_rules

#: What would run, end, forge or garble something if it were not escaped.
HOSTILE = (
    "</script><script>document.title='run'</script><img src=x onerror=\"document.title='run'\"> ]]> & %0A::error::x"
    " | `x` \x1b[31m \x00 \ud800 \u202e \uffff \u2028 {{data}} \n::error title=forged::x"
)
CASES = [
    {"name": "call/plain", "says": "Nothing out of the ordinary."},
    {"name": "image/two", "says": "Two images.", "call": {"images": [{"filename": "a.png"}, {"filename": "b.png"}]}},
    {
        "name": "create/lost",
        "says": "The answer to the create is lost.",
        "scenario": {"faults": [{"operation": "create", "attempt": 1, "applied": True, "reset": True}]},
    },
    {
        "name": "poll/429-retry-after",
        "says": "The response to a poll asks to wait for a second.",
        "scenario": {"faults": [{"operation": "retrieve", "nth": 2, "error": "rate_limited", "retry_after": 1}]},
    },
    {
        "name": "job/fails",
        "says": "The job fails and says why.",
        "scenario": {"ending": "failure", "error": {"code": "x", "message": HOSTILE.replace("\ud800", "")}},
    },
    {"name": "text/hostile", "says": HOSTILE, "call": {"prompt": HOSTILE.replace("\ud800", "")}},
]
KNOWN = (
    KnownFailure("no-blind-retry", "create/lost", "ticket 4711", "known.txt:3"),
    KnownFailure("auth-bearer", "call/*", "long ago", "known.txt:4"),
)


def http_of(case: Case) -> httpx.Client:
    return httpx.Client(
        base_url=case.base_url, headers={"Authorization": f"Bearer {case.api_key}"}, verify=False, trust_env=False
    )


def form_of(case: Case, images: Sequence[Any]) -> list[Any]:
    files = []
    for image in images:
        with open(image.path, "rb") as file:  # noqa: PTH123
            files.append(("input_reference", (image.filename, file.read(), image.content_type)))
    return [("prompt", (None, case.input.prompt)), *files]


def careless(case: Case) -> Outcome:
    """Swap the images, repeat a lost create, ignore Retry-After, and take a failure for a success."""
    print(f"a client that prints {HOSTILE}")  # noqa: T201
    if case.input.prompt.startswith("</script>"):
        raise RuntimeError(HOSTILE)
    with http_of(case) as http:
        while True:
            try:
                job = http.post("/videos", files=form_of(case, case.input.images[::-1])).json()
                break
            except httpx.TransportError:
                continue
        while job.get("status") not in ("completed", "failed"):
            time.sleep(case.poll_interval_s)
            answer = http.get(f"/videos/{job['id']}")
            job = answer.json() if answer.status_code == 200 else job
        return Outcome("completed", video=job)


def careful(case: Case) -> Outcome:
    """Do what the cases above ask for, correctly."""
    with http_of(case) as http:
        job = http.post("/videos", files=form_of(case, case.input.images)).json()
        while job["status"] not in ("completed", "failed"):
            time.sleep(case.poll_interval_s)
            answer = http.get(f"/videos/{job['id']}")
            if answer.status_code == 429:
                time.sleep(float(answer.headers["retry-after"]))
            job = answer.json() if answer.status_code == 200 else job
        if job["status"] == "failed":
            raise JobFailed(job["error"]["message"])
        return Outcome("completed", video=job)


def broken_adapter(case: Case) -> Any:
    return f"no outcome for {case.id}"


def report_of(client: Callable[[Case], Any], names: Sequence[str] = (), **settings: Any) -> Report:
    """Return the report of a client that runs the cases above, or some of them."""
    with Functions(client, name=client.__name__) as driver:
        subject = ClientSubject(driver.client.name, driver.client.version, driver.client.features)
        rules = without_verdicts(client_rules().rules)
        report = Report(subject=subject, rules=rules, **{"seed": 0, "profile": "docs-2026-03", **settings})
        recorder = ClientRecorder(report, reproduce="mockveo check --python my_client:client --case {case}")
        for run in driver.play(parse_case(case) for case in CASES if not names or case["name"] in names):
            recorder.record(run)
    report.seconds = 1.25
    return report


def reread(report: Report) -> Report:
    """Return a report as it is read back from a file."""
    return Report.from_json(json.loads(json.dumps(report.to_json())))


#: Any text that Python can hold, since a client may write it.
ANY_TEXT = st.text(st.characters(), max_size=30)


def with_text(report: Report, text: str) -> Report:
    """Return a report with a text in every place that text from outside may reach."""
    case = {
        "call": {"prompt": text, "images": [{"filename": text}]},
        "scenario": {"summary": text},
        "outcome": {"outcome": "error", "error": {"type": text, "message": text}},
    }
    cases = [replace(old, log=tuple(line._replace(line=text) for line in old.log[:2]), **case) for old in report.cases]
    new = {id(old): case for old, case in zip(report.cases, cases, strict=True)}
    return replace(
        report,
        subject=ClientSubject(text, text),
        aborted=text,
        cases=cases,
        findings=[
            replace(old, case=new[id(old.case)], message=text, output=text, reproduce=(text,), file=text or None)
            for old in report.findings
        ],
        skipped=[SkippedCase("a", text, text)],
        notes=[text],
    )


def with_findings(report: Report, *findings: Finding) -> Report:
    """Return a report of these findings and their cases."""
    cases = list({id(finding.case): finding.case for finding in findings}.values())
    return replace(report, findings=list(findings), cases=cases)
