from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from mockveo_contracts import Case, Outcome
from mockveo_contracts.cases.definitions import CaseError, TestCase, catalogue, parse_case, write
from mockveo_contracts.clients.check import CheckPlan, check, drive, usual_count
from mockveo_contracts.clients.driver import Driver, DriverError
from mockveo_contracts.clients.functions import Functions
from mockveo_contracts.clients.messages import MAX_NAME_CHARS
from mockveo_contracts.clients.programs import Programs
from mockveo_contracts.clients.testbed import CaseRun
from mockveo_contracts.reports.formats import FORMATS
from mockveo_contracts.reports.formats import parse as parse_format
from mockveo_contracts.reports.formats import write as write_report
from mockveo_contracts.reports.known_failures import KnownFailuresError, read
from mockveo_contracts.reports.model import Report
from zoo_client import CorrectClient

from mockveo.errors import MockveoError, SettingsError

TEXT = CheckPlan(cases=("text/*",), generated=0)


def correct(case: Case) -> Outcome:
    return CorrectClient(case)()


correct.features = CorrectClient.features  # type: ignore[attr-defined]


class _Cutting(CorrectClient):
    def prompt(self) -> str:
        return self.input.prompt.partition("\n")[0]


class _Swapping(CorrectClient):
    def images(self) -> Any:
        return self.input.images[::-1]


def cutting(case: Case) -> Outcome:
    return _Cutting(case)()


def swapping(case: Case) -> Outcome:
    return _Swapping(case)()


def checked(client: Any, plan: CheckPlan, **more: Any) -> Report:
    with drive(client, **more) as driver:
        return check(driver, plan)


def test_a_correct_client() -> None:
    report = checked(correct, TEXT)
    assert report.findings == []
    assert report.exit_status == 0
    names = [name for name in catalogue() if name.startswith("text/")]
    assert [case.name for case in report.cases] == names
    assert report.data["summary"]["cases"] == len(names)
    assert report.data["rules"]["prompt-exact"]["pass"] == len(names)
    assert report.data["rules"]["refs-order"]["not exercised"] == len(names)


def hasty(case: Case) -> Outcome:
    """Give up after one bad poll, and create again if a create was not answered."""
    with httpx.Client(base_url=case.base_url, headers={"Authorization": f"Bearer {case.api_key}"}) as http:
        form = {"prompt": (None, case.input.prompt)}
        try:
            job = http.post("/videos", files=form).json()
        except httpx.TransportError:
            job = http.post("/videos", files=form).json()
        while job["status"] in ("queued", "in_progress"):
            time.sleep(case.poll_interval_s)
            response = http.get(f"/videos/{job['id']}")
            if response.status_code != 200:
                return Outcome("error")
            job = response.json()
        return Outcome(job["status"], job)


def test_report_has_the_bill_of_the_cases() -> None:
    plan = CheckPlan(cases=("call/prompt-only", "create/reset", "poll/503", "job/fails"), generated=0)
    bill = checked(hasty, plan).bill
    assert bill is not None
    assert bill.line == (
        "5 made, 3 delivered, 2 wasted (1 doubled by the retry of a lost answer, 1 abandoned while running);"
        " the price of veo3-fast is unknown"
    )
    assert [(job.place, job.waste) for job in bill.wasted.jobs] == [
        ("create/reset", "retried"),
        ("poll/503", "abandoned"),
    ]
    assert bill.wasted.jobs[1].reason.startswith("abandoned while running: the client gave it up with error after 503 ")


def test_budget_is_that_of_each_case() -> None:
    plan = CheckPlan(cases=("call/prompt-only", "create/reset"), generated=0, budget="1")
    bill = checked(hasty, plan, budget="1").bill
    assert bill is not None
    assert (bill.made, bill.refused, bill.budget) == (2, 1, "1")


def test_a_broken_client() -> None:
    report = checked(cutting, replace(TEXT, again="mockveo check --case '{case}' --python x:y"))
    assert {finding.rule for finding in report.findings} == {"prompt-exact"}
    assert [finding.case.name for finding in report.findings] == ["text/newlines", "text/crlf", "text/boundary"]
    (first, *_) = report.findings
    assert first.verdict == "violation"
    assert first.message.startswith("the prompt arrived as 'A kite.'; expected 'A kite.\\n\\n")
    assert first.source.startswith("The API's create page")
    assert first.reproduce == ("mockveo check --case 'text/newlines' --python x:y", "mockveo replay text/newlines")
    assert first.exchanges == (1,)
    assert first.trace[0]["request"]["fields"] == [{"name": "prompt", "value": "A kite."}]
    assert report.exit_status == 1
    json.dumps(report.data)


def test_progress_counts_every_case() -> None:
    calls: list[tuple[int, int, str, int]] = []
    plan = CheckPlan(cases=("image/*",), progress=lambda *arguments: calls.append(arguments), generated=0)
    report = checked(correct, plan)
    total = len(report.cases)
    assert [call[:2] for call in calls] == [(number, total) for number in range(1, total + 1)]


def test_what_a_client_has_no_features_for_is_skipped_by_name() -> None:
    report = checked(correct, CheckPlan(generated=0, cases=("image/*", "content/*")), features={"images": 1})
    why = {skipped.case: skipped.reason for skipped in report.skipped}
    assert why["image/two-ordered"] == "the client does not declare images=2"
    assert why["content/503"] == "the client does not declare content"
    assert "image/one" not in why
    assert {case.name for case in report.cases} & set(why) == set()


def test_what_a_profile_refuses_is_skipped() -> None:
    report = checked(correct, CheckPlan(generated=0, cases=("call/*",), profile="docs-2026-10"), profile="docs-2026-10")
    assert {skipped.case for skipped in report.skipped} >= {"call/size", "call/everything"}
    assert "the profile docs-2026-10 refuses its call" in report.skipped[0].reason
    assert report.findings == []


def test_strict() -> None:
    class Polling(CorrectClient):
        def interval(self) -> float:
            return 0.01

    def client(case: Case) -> Outcome:
        return Polling(case)()

    client.features = CorrectClient.features  # type: ignore[attr-defined]
    plan = CheckPlan(cases=("job/long",), generated=0)
    report = checked(client, plan)
    assert (report.count("warning"), report.exit_status) == (1, 0)
    assert checked(client, replace(plan, strict=True)).exit_status == 1


def test_known_failures(tmp_path: Path) -> None:
    file = tmp_path / "known.txt"
    file.write_text("# ours\n\nprompt-exact text/*  # ticket 7\n")
    plan = replace(TEXT, known=tuple(read(file)))
    report = checked(cutting, plan)
    assert report.exit_status == 0
    assert {finding.known_failure and finding.known_failure.reason for finding in report.findings} == {"ticket 7"}
    assert report.data["summary"]["known"] == len(report.findings)
    assert report.count("violation") == 0


def test_a_known_failure_that_is_none_any_more_is_stale(tmp_path: Path) -> None:
    file = tmp_path / "known.txt"
    file.write_text("prompt-exact text/at\nprompt-exact text/*\n")
    plan = replace(TEXT, known=tuple(read(file)))
    report = checked(correct, plan)
    # A pattern may be about cases that were left out.
    assert [str(entry) for entry in report.stale] == ["known.txt:1: prompt-exact text/at"]
    assert report.exit_status == 3
    assert checked(correct, replace(plan, cases=("image/one",))).exit_status == 0
    whole = checked(correct, replace(plan, cases=()))
    assert [entry.case for entry in whole.stale] == ["text/at", "text/*"]


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ("prompt-exact", KnownFailuresError, r"known.txt:2 is 'prompt-exact'; expected a rule and a case, e.g."),
        ("a b c", KnownFailuresError, "expected a rule and a case"),
        (
            "prompt-exat text/*",
            KnownFailuresError,
            r"known.txt:2: the rule 'prompt-exat' .* did you mean 'prompt-exact'",
        ),
    ],
)
def test_a_mistake_in_the_known_failures(line: str, error: type[Exception], message: str, tmp_path: Path) -> None:
    file = tmp_path / "known.txt"
    file.write_text(f"# first\n{line}\n")
    with pytest.raises(error, match=message):
        read(file)


def test_a_known_failure_of_a_case_that_does_not_exist(tmp_path: Path) -> None:
    file = tmp_path / "known.txt"
    file.write_text("prompt-exact text/nope\n")
    with pytest.raises(KnownFailuresError, match=r"known.txt:1: no case is named 'text/nope'; did you mean 'text/"):
        checked(correct, replace(TEXT, known=tuple(read(file))))
    file.write_text("prompt-exact generated/1234\nprompt-exact text/a*\n")
    assert checked(correct, replace(TEXT, known=tuple(read(file)))).exit_status == 0


def test_a_case_is_repeated_by_its_file_where_it_has_one(tmp_path: Path) -> None:
    test_case = write(parse_case({"call": {"prompt": "a\nb"}}, "mine"), tmp_path / "a corpus")
    plan = CheckPlan(
        cases=("mine",), corpus=tmp_path / "a corpus", generated=0, again="mockveo check --case {case} -- x"
    )
    for cases in (("mine",), (test_case.file,)):
        (finding,) = checked(cutting, replace(plan, cases=cases)).findings
        assert finding.reproduce == (
            f"mockveo check --case '{test_case.file}' -- x",
            f"mockveo replay '{test_case.file}'",
        )


def test_a_generated_case_without_a_file_cannot_be_repeated_by_its_name() -> None:
    with Functions(swapping, features=CorrectClient.features) as driver:
        report = check(driver, CheckPlan(generated=60, again="mockveo check --case {case} -- x"), test_cases=())
    (finding,) = report.findings
    assert finding.reproduce == ()
    assert finding.case.description == "A generated case that broke refs-order."


def test_a_document_that_wants_a_model_gets_one() -> None:
    report = checked(
        correct, CheckPlan(generated=0, cases=("text/at", "poll/503"), profile="gateway"), profile="gateway"
    )
    assert report.findings == []
    assert report.rules["report-completed"].counts["pass"] == 2
    assert {(case.outcome or {})["outcome"] for case in report.cases} == {"completed"}


def test_a_corpus_is_played_after_the_catalogue(tmp_path: Path) -> None:
    write(parse_case({"call": {"prompt": "a\nb"}, "says": "Mine."}, "mine"), tmp_path)
    report = checked(cutting, CheckPlan(cases=("mine", "text/newlines"), corpus=tmp_path, generated=0))
    assert [finding.case.name for finding in report.findings] == ["mine", "text/newlines"]
    whole = checked(cutting, CheckPlan(cases=("*",), corpus=tmp_path, generated=0))
    assert whole.cases[-1].name == "mine"


def test_a_case_that_does_not_exist() -> None:
    with pytest.raises(CaseError, match="no case is named 'image/on'; did you mean 'image/one'"):
        checked(correct, CheckPlan(cases=("image/on",)))


def test_generated_failures_are_written_to_the_corpus_and_found_again(tmp_path: Path) -> None:
    only = CheckPlan(corpus=tmp_path / "corpus", generated=60)
    with Functions(swapping, features=CorrectClient.features) as driver:
        report = check(driver, only, test_cases=())
    assert report.generated > 30
    findings = {finding.rule: finding for finding in report.findings}
    assert set(findings) == {"refs-order"}
    (path,) = (tmp_path / "corpus").iterdir()
    assert findings["refs-order"].reproduce[-1] == f"mockveo replay {path}"
    case = findings["refs-order"].case
    assert len(case.call["images"]) == 2
    assert set(case.call) == {"images"}
    assert set(case.scenario) == {"phases"}
    again = checked(swapping, CheckPlan(cases=(case.name,), corpus=only.corpus, generated=0))
    assert [finding.rule for finding in again.findings] == ["refs-order"]
    by_file = checked(swapping, CheckPlan(cases=(str(path),), generated=0))
    assert [finding.rule for finding in by_file.findings] == ["refs-order"]


def test_what_the_catalogue_has_shown_is_not_searched_for_again(tmp_path: Path) -> None:
    chosen = [catalogue()["image/two-ordered"]]
    with Functions(swapping, features=CorrectClient.features) as driver:
        report = check(driver, CheckPlan(corpus=tmp_path, generated=40), test_cases=chosen)
    assert [finding.case.name for finding in report.findings] == ["image/two-ordered"]
    assert list(tmp_path.iterdir()) == []


class _Breaking:
    """A driver that breaks after two plays, or whose plays say nothing."""

    def __init__(self, driver: Driver, *, adapter_error: str = "") -> None:
        self.driver = driver
        self.client = driver.client
        self.spec = driver.spec
        self.left = 2
        self.adapter_error = adapter_error

    def play(self, scripts: Iterable[TestCase]) -> Iterator[CaseRun]:
        for run in self.driver.play(scripts):
            self.left -= 1
            if self.left < 0 and not self.adapter_error:
                raise DriverError("it is gone")
            yield replace(run, adapter_error=self.adapter_error)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None: ...


def test_a_driver_that_breaks_ends_the_check_with_2() -> None:
    with Functions(correct) as driver:
        report = check(_Breaking(driver), TEXT)
        assert (report.aborted, report.exit_status, len(report.cases)) == ("it is gone", 2, 2)
        searched = check(_Breaking(driver), CheckPlan(generated=20), test_cases=())
        assert (searched.aborted, searched.exit_status) == ("it is gone", 2)


def test_no_case_that_could_be_judged_ends_with_2() -> None:
    with Functions(correct) as driver:
        report = check(_Breaking(driver, adapter_error="it broke"), TEXT)
        assert report.exit_status == 2
        assert {finding.verdict for finding in report.findings} == {"adapter error"}
        searched = check(_Breaking(driver, adapter_error="it broke"), CheckPlan(generated=5), test_cases=())
        assert [finding.message for finding in searched.findings] == ["in each of the first 3 cases: it broke"]


def elsewhere(_: Case) -> Outcome:
    return Outcome("error", error={"type": "ConnectError", "message": "Connection refused"})


def misspelling(case: Case) -> Outcome:
    httpx.get(case.base_url)
    return Outcome(case.url)  # type: ignore[attr-defined]


def misspelling_sometimes(case: Case) -> Outcome:
    return misspelling(case) if "\n" in case.input.prompt else correct(case)


def without_outcome(_: Case) -> str:
    return "done"


ALIKE = [
    (elsewhere, {}, "no request came in the first 3 cases; each ended with ConnectError: Connection refused;"),
    (misspelling, {}, "of the first 3 cases each ended with AttributeError: 'Case' object has no attribute 'url'; "),
    (without_outcome, {}, "in each of the first 3 cases: the client returned 'done'; expected an Outcome"),
    (["sh", "no-such.sh"], {"mode": "run"}, "no request came in the first 3 cases; each ended with exit status"),
    (["sh", "no-such.sh"], {"mode": "once"}, "in each of the first 3 cases: the client ended with exit status"),
    (["no-such-program"], {"mode": "once"}, ""),
]


@pytest.mark.parametrize(("client", "more", "message"), ALIKE)
def test_cause_of_every_failure_is_reported_once_and_early(client: Any, more: dict[str, str], message: str) -> None:
    report = checked(client, CheckPlan(generated=20), **more)
    assert report.exit_status == 2
    assert report.aborted
    assert report.generated == 0
    assert [finding.message[: len(message)] for finding in report.findings] == [message][: bool(message)]
    assert {finding.verdict for finding in report.findings} <= {"adapter error"}
    assert all(word in report.findings[0].message for word in ("base URL", "hard-coded") if "no request" in message)


def test_two_silent_cases_are_judged() -> None:
    report = checked(elsewhere, CheckPlan(cases=("call/size", "call/model"), generated=0))
    assert (report.aborted, report.exit_status) == ("", 1)
    assert {finding.rule for finding in report.findings} == {"did-create"}


def test_client_that_fails_in_some_of_the_first_cases_is_judged() -> None:
    report = checked(misspelling_sometimes, TEXT)
    assert (report.aborted, report.exit_status) == ("", 1)
    assert "adapter error" not in {finding.verdict for finding in report.findings}


@pytest.mark.parametrize("client", [lambda: None, isinstance], ids=["none", "two"])
def test_function_with_other_parameters_is_refused_before_it_runs(client: Any) -> None:
    with pytest.raises(SettingsError, match=r"takes \(.*\); expected one that takes a case, e.g. def client"):
        drive(client)


def test_what_drives_what() -> None:
    assert usual_count(correct) == 200
    assert usual_count(["python", "x.py"]) == 40
    assert isinstance(drive(correct), Functions)
    assert not isinstance(drive(["no-such-program"]), Functions)
    with pytest.raises(MockveoError, match="expected one of session, once, run"):
        drive(["x"], mode="sesion")


def test_a_client_that_has_to_be_ended_time_and_again_is_given_no_more() -> None:
    """It sends a request, and then answers nothing."""
    mute = ["sh", "-c", "curl -s $COMETAPI_BASE_URL/videos/x; sleep 60"]
    plays = {"deadline": 5, "content": 10}
    cases = [parse_case({"call": {"deadline_s": 0.05}}, f"case-{number}") for number in range(12)]
    for feature, most in plays.items():
        with Programs(mute, mode="run", features={feature: True}, patience=0.2) as driver:
            report = check(driver, CheckPlan(generated=0), test_cases=cases)
        # Two processes at a time, where their processors are two.
        assert most <= len(report.cases) <= most + 1
        assert report.exit_status == 2
        assert f"had to be ended in {most} cases in a row" in report.aborted
        assert ("it declares deadline" in report.aborted) is (feature == "deadline")


def test_a_client_that_answers_in_between_is_given_all() -> None:
    quick = {"call": {"deadline_s": 0.05}}
    named = [f"{'answers' if number % 5 == 4 else 'mute'}-{number}" for number in range(12)]
    answers = 'curl -s $COMETAPI_BASE_URL/videos/x; case "$COMETAPI_BASE_URL" in *answers*) exit 1;; esac; sleep 60'
    with Programs(
        ["sh", "-c", answers], mode="run", features={"content": True, "deadline": True}, patience=0.2
    ) as driver:
        report = check(driver, CheckPlan(generated=0), test_cases=[parse_case(quick, name) for name in named])
    assert (report.aborted, len(report.cases)) == ("", 12)


def test_an_end_that_costs_nothing_stops_nothing() -> None:
    def waiting(case: Case) -> Outcome:
        httpx.get(case.base_url)
        time.sleep(1e6)
        return Outcome("error")

    cases = [parse_case({}, f"case-{number}") for number in range(12)]
    with Functions(waiting, features={"deadline": True}) as driver:
        report = check(driver, CheckPlan(generated=0), test_cases=cases)
    assert (report.aborted, len(report.cases)) == ("", 12)
    assert all((case.outcome or {})["ended_by"] for case in report.cases)


def test_what_was_found_is_kept_when_a_search_ends_before_its_time() -> None:
    class Ending(_Breaking):
        def play(self, scripts: Iterable[TestCase]) -> Iterator[CaseRun]:
            for run in self.driver.play(scripts):
                if self.left < -18:
                    raise DriverError("it is gone")
                self.left -= 1
                yield run

    with Functions(swapping, features=CorrectClient.features) as driver:
        report = check(Ending(driver), CheckPlan(generated=60), test_cases=())
    assert (report.aborted, report.exit_status) == ("it is gone", 2)
    assert {finding.rule for finding in report.findings} == {"refs-order"}
    assert report.generated == 21


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_known_failures_may_begin_with_a_mark(encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "known.txt"
    file.write_text("prompt-exact text/*  # für später\n", encoding=encoding)
    (entry,) = read(file)
    assert (entry.rule, entry.reason) == ("prompt-exact", "für später")


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("utf-16", "UTF-16"), ("utf-16-le", "UTF-16"), ("utf-16-be", "UTF-16"), ("latin-1", "not UTF-8")],
)
def test_known_failures_that_are_not_utf_8(encoding: str, name: str, tmp_path: Path) -> None:
    file = tmp_path / "known.txt"
    file.write_text("prompt-exact text/*  # für später\n", encoding=encoding)
    with pytest.raises(
        KnownFailuresError, match=f"known.txt is {name}; expected UTF-8 text, with lines like retry-after"
    ):
        read(file)


TALKATIVE = """
import json, sys
sys.stdin.readline()
print(json.dumps({"type": "hello", "client": "{0}", "version": "{0}", "features": {}}), flush=True)
for line in sys.stdin:
    if "{1}":
        print(json.dumps({"type": "adapter_error", "id": "1", "message": "{0}"}), flush=True)
        continue
    outcome = {"outcome": "failed", "video": {"id": "{0}", "{0}": 1}, "error": {"message": "{0}"}}
    print(json.dumps({"type": "result", "id": json.loads(line)["id"], "content_path": None, **outcome}), flush=True)
"""


@pytest.mark.parametrize("breaks", ["", "its adapter"])
def test_what_a_client_says_is_cut_in_reports(breaks: str, tmp_path: Path) -> None:
    source = tmp_path / "client.py"
    source.write_text(TALKATIVE.replace("{0}", '" + "n" * 300_000 + "').replace("{1}", breaks))
    with Programs([sys.executable, str(source)], parallel=1) as driver:
        report = check(driver, CheckPlan(cases=("call/prompt-only",), generated=0))
    assert report.findings
    assert report.subject.name.startswith("n" * MAX_NAME_CHARS)
    for kind in FORMATS:
        write_report(parse_format(f"{kind}={tmp_path / kind}"), report)
        assert "n" * 5000 not in (tmp_path / kind).read_text(), kind
