"""Reports and exit statuses of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from installed_clients import tool
from run_program import run_program

from mockveo.errors import ReportError
from mockveo.interception.report import ReportTarget
from mockveo.traffic.importing import read

#: A program that breaks a MUST rule: its create has no key.
CARELESS = ["sh", "-c", f"{tool('curl')} -sS --form-string 'prompt=<b>' https://api.cometapi.com/v1/videos >/dev/null"]


def test_reports_are_written_in_each_format(tmp_path: Path) -> None:
    files = {kind: tmp_path / f"run.{kind}" for kind in ("json", "html", "har")}
    options = [word for kind, path in files.items() for word in ("--report", f"{kind}={path}")]
    done = run_program(*options, "--fail-on", "violation", "--", *CARELESS)
    assert done.returncode == 1, done.stderr
    report = json.loads(files["json"].read_text())
    assert (report["exit_status"], report["requests"]) == (0, {"api.cometapi.com": {"createVideo": 1}})
    assert {finding["rule"] for finding in report["findings"]} >= {"auth-bearer"}
    page = files["html"].read_text()
    assert "violation of auth-bearer" in page
    assert "nothing left the machine" in page
    assert "<b>" not in page
    (exchange,) = read(files["har"])
    assert exchange["request"]["path"] == "/v1/videos"


@pytest.mark.slow
def test_finding_does_not_hide_the_status_of_a_program_that_fails() -> None:
    done = run_program("--quiet", "--fail-on", "warning", "--", "sh", "-c", "exit 5")
    assert (done.returncode, done.stdout, done.stderr) == (5, "", "")


@pytest.mark.parametrize("text", ["xml=run.xml", "json=", "run.json"])
def test_report_of_an_unknown_kind_or_without_a_file_is_explained(text: str) -> None:
    with pytest.raises(
        ReportError, match=f"--report is '{text}'; expected KIND=FILE with one of json, html, har, e.g."
    ):
        ReportTarget.parse(text)


def test_report_in_a_missing_directory_is_refused_before_the_program_runs() -> None:
    done = run_program("--report", "json=/nowhere/run.json", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (2, "")
    assert "the report '/nowhere/run.json' cannot be written: No such directory; expected a file in an" in done.stderr


def test_report_that_cannot_be_written_stops_no_other(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    reports = ["--report", f"json={gone}/run.json", "--report", f"har={tmp_path}/run.har"]
    done = run_program("--quiet", *reports, "--", "rmdir", str(gone))
    assert done.returncode == 2
    assert f"the report '{gone}/run.json' cannot be written: No such file or directory; expected" in done.stderr
    assert read(tmp_path / "run.har") == []
