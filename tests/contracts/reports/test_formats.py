"""The formats of reports: each is valid, says what was found, and shows hostile texts as the texts they are."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import jsonschema_rs
import pytest
from hypothesis import given
from json_shapes import ENTRY, HAR, TEXT, shape
from mockveo_contracts.reports.finding import without_verdicts
from mockveo_contracts.reports.formats import FORMATS, parse, prepare, write, write_all
from mockveo_contracts.reports.json_report import read
from mockveo_contracts.reports.model import Report, ServerSubject
from mockveo_contracts.servers.server_rules import server_rules
from sample_reports import ANY_TEXT, HOSTILE, with_text

from mockveo.errors import ReportError
from mockveo.rules.client_rules import client_rules, findings
from mockveo.traffic.importing import read as read_trace


def test_json_of_a_client_has_the_keys_of_the_protocol(bad: Report) -> None:
    data = json.loads(FORMATS["json"]([bad]))
    assert data == bad.data
    assert {"name", "version"} <= set(data["client"])
    assert "server" not in data
    assert {"cases", "violations", "warnings", "skipped", "adapter_errors"} <= set(data["summary"])
    for finding in data["findings"]:
        assert {"rule", "severity", "verdict", "case", "message", "source", "scenario", "trace"} <= set(finding)
    assert {"severity", "pass", "violation"} <= set(data["rules"]["auth-bearer"])


def test_github_has_one_annotation_for_each_rule(bad: Report) -> None:
    lines = FORMATS["github"]([bad]).splitlines()
    assert all(re.match(r"::(error|warning|notice) title=[^:,]+::[^\n]+$", line) for line in lines)
    assert any(line.startswith("::error title=careless%3A violation of refs-order::image/two: ") for line in lines)
    assert any(line.startswith("::warning title=careless%3A warning of retry-after::") for line in lines)
    assert any("stale known failure" in line for line in lines)
    assert len(lines) == len({finding.rule for finding in bad.counted_findings}) + 1


def test_github_of_a_strict_check_has_no_warnings(bad: Report) -> None:
    assert "::warning" not in FORMATS["github"]([replace(bad, strict=True)])


@given(text=ANY_TEXT)
def test_github_with_any_text_has_no_forged_command(small: Report, text: str) -> None:
    output = FORMATS["github"]([with_text(small, f"{text}\n::error title=forged::x\r::{text}%0A")])
    for line in output.split("\n")[:-1]:
        assert re.match(r"::(error|warning|notice) title=[^:,]*::", line)
        assert "forged::x%0A" not in line.partition("::x")[0]
    assert output.count("\n") == len(output.splitlines())


# HAR
PAGE = shape(
    {
        "id": TEXT,
        "title": TEXT,
        "startedDateTime": {"type": "string", "format": "date-time"},
        "pageTimings": shape({}),
    }
)
LOG_OF_PAGES = shape(
    {
        "version": {"const": "1.2"},
        "creator": shape({"name": TEXT, "version": TEXT}),
        "pages": {"type": "array", "items": PAGE},
        "entries": {
            "type": "array",
            "items": {**ENTRY, "properties": {**ENTRY["properties"], "pageref": TEXT}},
        },
    }
)
HAR_OF_PAGES = jsonschema_rs.Draft202012Validator(shape({"log": LOG_OF_PAGES}), validate_formats=True)


def test_har_gives_the_findings_of_the_check(bad: Report, tmp_path: Path) -> None:
    write(parse(f"har={tmp_path / 'findings.har'}"), bad)
    log = json.loads((tmp_path / "findings.har").read_text(encoding="utf-8"))
    HAR_OF_PAGES.validate(log)
    pages = {page["id"]: page["title"] for page in log["log"]["pages"]}
    assert "refs-order" in pages["image/two"]
    entries = log["log"]["entries"]
    traced = {finding.case.name for finding in bad.findings if finding.trace}
    assert {entry["pageref"] for entry in entries} == set(pages) == traced
    assert all("/@image.two/v1/" in entry["request"]["url"] for entry in entries if entry["pageref"] == "image/two")
    wire = Counter(finding.rule for finding in bad.findings if client_rules().rules[str(finding.rule)].wire)
    assert {"retry-after", "no-blind-retry"} <= set(wire)
    assert Counter(breach.rule for breach in findings(read_trace(tmp_path / "findings.har"))) == wire


def test_har_of_a_report_without_findings_is_empty(good: Report) -> None:
    assert good.findings == []
    HAR.validate(json.loads(FORMATS["har"]([good])))


# --report KIND=FILE
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("htlm=a.html", "did you mean 'html'?"),
        ("report.html", "did you mean html=report.html?"),
        ("out/report.xml", "did you mean junit=out/report.xml?"),
        ("", f"expected one of {', '.join(FORMATS)}"),
        ("pdf=a.pdf", f"expected one of {', '.join(FORMATS)}"),
        ("html", "the file is missing; expected e.g. --report html=report.html"),
        ("json=", "the file is missing; expected e.g. --report json=report.json"),
        ("html=.", "is a directory; expected a file, e.g. --report html=report.html"),
    ],
)
def test_parse_of_a_mistake_says_what_is_expected(spec: str, message: str) -> None:
    with pytest.raises(ReportError) as raised:
        parse(spec)
    assert message in str(raised.value)


@pytest.mark.parametrize("kind", sorted(set(FORMATS) - {"html"}))
def test_formats_other_than_html_refuse_two_reports(kind: str, good: Report, bad: Report) -> None:
    with pytest.raises(ReportError, match=f"{kind} holds one report, not 2; html holds several"):
        FORMATS[kind]([good, bad])


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_has_an_example_that_a_mistake_shows(kind: str) -> None:
    message = f"is a directory; expected a file, e.g. --report {kind}={FORMATS[kind].example}"
    with pytest.raises(ReportError, match=re.escape(message)):
        parse(f"{kind}=.")
    assert parse(f"{kind}={FORMATS[kind].example}").path == Path(FORMATS[kind].example)


def test_write_to_a_missing_directory_makes_it(good: Report, tmp_path: Path) -> None:
    path = tmp_path / "new" / "and=odd" / "report.json"
    write(parse(f"json={path}"), good)
    assert json.loads(path.read_text(encoding="utf-8")) == good.data


def test_write_below_a_file_fails(good: Report, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match="the report cannot be written"):
        write(parse(f"json={tmp_path / 'file' / 'report.json'}"), good)


def test_prepared_targets_stay_when_the_directory_changes(
    good: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old.json").write_text("old")
    targets = prepare(["json=old.json", "html=new/a.html", "junit=-"])
    assert [target.path for target in targets] == [tmp_path / "old.json", tmp_path / "new" / "a.html", None]
    assert Path("old.json").read_text() == "old"
    assert not Path("new/a.html").exists()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    write_all(targets[:2], good)
    assert read(tmp_path / "old.json") == good
    assert list(Path.cwd().iterdir()) == []


def test_prepare_does_not_touch_a_pipe(good: Report, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    targets = prepare([f"json={pipe}"])  # Opening it would wait for a reader.
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        small = replace(good, cases=[], findings=[])
        write_all(targets, small)
        assert json.loads(os.read(reader, 2**20)) == small.data
    finally:
        os.close(reader)


def test_write_all_names_all_failures_and_writes_the_rest(good: Report, tmp_path: Path) -> None:
    targets = prepare([f"{kind}={tmp_path / kind / 'r'}" for kind in ("json", "html", "junit")])
    for kind in ("json", "html"):
        (tmp_path / kind).rmdir()
        (tmp_path / kind).write_text("")
    with pytest.raises(ReportError) as raised:
        write_all(targets, good)
    for kind in ("json", "html"):
        assert f"{tmp_path / kind / 'r'}: the report cannot" in str(raised.value)
    assert (tmp_path / "junit" / "r").exists()
    with pytest.raises(ReportError, match="json/r: the report cannot be written"):
        prepare([f"json={tmp_path / 'json' / 'r'}"])


@pytest.fixture
def no_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


@pytest.mark.usefixtures("no_summary")
@pytest.mark.parametrize("spec", ["github", "github=", "github=-", "junit=-"])
def test_write_to_standard_output(spec: str, bad: Report, capsys: pytest.CaptureFixture[str]) -> None:
    write(parse(spec), bad)
    assert capsys.readouterr().out == FORMATS[spec.partition("=")[0]]([bad])


def test_github_writes_a_table_to_the_summary_of_the_step(
    bad: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    write(parse("github"), with_text(bad, HOSTILE))
    assert "::error" in capsys.readouterr().out
    text = path.read_text(encoding="utf-8")
    assert text.startswith("before\n### ")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert all(line.count("|") == 5 for line in rows)
    assert any(line.startswith("| violation | refs-order | ") for line in rows)
    assert "<" not in text
    write(parse(f"json={tmp_path / 'a.json'}"), bad)
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_with_hostile_text_can_be_written(kind: str, bad: Report, tmp_path: Path) -> None:
    write(parse(f"{kind}={tmp_path / 'report'}"), with_text(bad, HOSTILE))
    text = (tmp_path / "report").read_bytes().decode("utf-8")
    assert text
    assert "\x1b" not in text


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_of_a_server_names_it(kind: str, tmp_path: Path) -> None:
    report = Report(
        subject=ServerSubject("a server", "http://127.0.0.1:1"),
        rules=without_verdicts(server_rules().rules),
        profile="docs-2026-03",
        seed=0,
        aborted="it is gone",
    )
    write(parse(f"json={tmp_path / 'report.json'}"), report)
    text = FORMATS[kind]([read(tmp_path / "report.json")])
    if kind != "har":
        assert "it is gone" in text
        assert "a server" in text
    assert kind != "html" or "<title>Server contracts: a server</title>" in text


def test_html_of_a_client_and_a_server_names_both(bad: Report) -> None:
    server = replace(bad, subject=ServerSubject("a server", "http://127.0.0.1:1"))
    assert "<title>Client and server contracts: careless, a server</title>" in FORMATS["html"]([bad, server])
