"""Reports of clients with known bad habits, and texts that are out to break whatever shows them."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx
from hypothesis import strategies as st
from mockveo_contracts import Case, JobFailed, Outcome
from mockveo_contracts.cases.definitions import parse_case
from mockveo_contracts.clients.client_report import ClientReport
from mockveo_contracts.clients.functions import Functions
from mockveo_contracts.reports.known_failures import Entry
from mockveo_contracts.reports.model import Report

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
        "says": "A poll is told to come back in a second.",
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
    Entry("no-blind-retry", "create/lost", "ticket 4711", "known.txt:3"),
    Entry("auth-bearer", "call/*", "long ago", "known.txt:4"),
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
    """Swaps the images, sends a lost create again, knows no Retry-After, and takes a failure for a success."""
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
    """Does what the cases above ask for as it should be done."""
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
    """What comes of playing the cases above, or some of them."""
    with Functions(client, name=client.__name__) as driver:
        again = "mockveo check --python my_client:client --case {case}"
        report = ClientReport(driver.client, again=again, **{"seed": 0, "profile": "docs-2026-03", **settings})
        for play in driver.play(parse_case(one) for one in CASES if not names or one["name"] in names):
            report.judged(play)
    report.seconds = 1.25
    return report


def plain(report: Report) -> dict[str, Any]:
    """A report as it is read back from a file."""
    found: dict[str, Any] = json.loads(json.dumps(report.data))
    return found


#: Text with whatever Python's texts may have, as a client's output may.
ANY_TEXT = st.text(st.characters(), max_size=30)


def with_text(data: dict[str, Any], text: str) -> dict[str, Any]:
    """A report with a text wherever one may come from outside."""
    data = copy.deepcopy(data)
    data["client"] |= {"name": text, "version": text}
    data["stopped"] = text
    for one in (*data["findings"], *data["cases"]):
        one["log"] = [{**row, "line": text} for row in one["log"][:2]]
        one["call"] = {"prompt": text, "images": [{"filename": text}]}
        one["scenario"] = {"summary": text}
        one["outcome"] = {"outcome": "error", "error": {"type": text, "message": text}}
    for one in data["findings"]:
        one |= {"message": text, "case_says": text, "output": text, "again": [text], "file": text or None}
    data["skipped"] = [{"case": "a", "says": text, "why": text}]
    return data
