"""The formats of reports: each is valid, says what was found, and shows hostile texts as the texts they are."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from json_shapes import ENTRY, HAR, TEXT, shape
from mockveo_contracts.reports.formats import FORMATS, parse, prepare, write, write_all
from mockveo_contracts.reports.model import ReportError, as_text, read
from mockveo_contracts.servers.server_report import ServerReport
from sample_reports import ANY_TEXT, HOSTILE, with_text

from mockveo.rules.client_rules import client_rules, findings
from mockveo.traffic.importing import read as read_trace
from mockveo.traffic.redaction import Redactor


def test_json_is_as_the_protocol_page_has_it(bad: dict[str, Any]) -> None:
    data = json.loads(FORMATS["json"]([bad]))
    assert data == bad
    assert {"name", "version"} <= set(data["client"])
    assert {"cases", "violations", "warnings", "skipped", "adapter_errors"} <= set(data["summary"])
    for one in data["findings"]:
        assert {"rule", "severity", "verdict", "case", "message", "source", "scenario", "trace"} <= set(one)
    assert {"severity", "pass", "violation"} <= set(data["rules"]["auth-bearer"])


def test_github_has_one_annotation_for_each_rule(bad: dict[str, Any]) -> None:
    lines = FORMATS["github"]([bad]).splitlines()
    assert all(re.match(r"::(error|warning|notice) title=[^:,]+::[^\n]+$", line) for line in lines)
    assert any(line.startswith("::error title=careless%3A violation of refs-order::image/two: ") for line in lines)
    assert any(line.startswith("::warning title=careless%3A warning of retry-after::") for line in lines)
    assert any("stale known failure" in line for line in lines)
    rules = {one["rule"] for one in bad["findings"] if not one["known"]}
    assert len(lines) == len(rules) + 1
    strict = FORMATS["github"]([{**bad, "strict": True}])
    assert "::warning" not in strict


@given(text=ANY_TEXT)
def test_no_text_forges_a_command(small: dict[str, Any], text: str) -> None:
    made = FORMATS["github"]([with_text(small, f"{text}\n::error title=forged::x\r::{text}%0A")])
    for line in made.split("\n")[:-1]:
        assert re.match(r"::(error|warning|notice) title=[^:,]*::", line)
        assert "forged::x%0A" not in line.partition("::x")[0]
    assert made.count("\n") == len(made.splitlines())


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


def test_har_is_judged_as_the_check_judged_it(bad: dict[str, Any], tmp_path: Path) -> None:
    write(f"har={tmp_path / 'findings.har'}", bad)
    found = json.loads((tmp_path / "findings.har").read_text(encoding="utf-8"))
    HAR_OF_PAGES.validate(found)
    pages = {one["id"]: one["title"] for one in found["log"]["pages"]}
    assert "refs-order" in pages["image/two"]
    entries = found["log"]["entries"]
    assert {one["pageref"] for one in entries} == set(pages) == {one["case"] for one in bad["findings"] if one["trace"]}
    assert all("/@image.two/v1/" in one["request"]["url"] for one in entries if one["pageref"] == "image/two")
    wire = Counter(one["rule"] for one in bad["findings"] if client_rules().rules[one["rule"]].wire)
    assert {"retry-after", "no-blind-retry"} <= set(wire)
    assert Counter(one.rule for one in findings(read_trace(tmp_path / "findings.har"))) == wire


def test_har_of_nothing_is_empty(good: dict[str, Any]) -> None:
    assert good["findings"] == []
    HAR.validate(json.loads(FORMATS["har"]([good])))


# --report KIND=FILE
@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("htlm=a.html", "did you mean 'html'?"),
        ("report.html", "did you mean html=report.html?"),
        ("out/report.xml", "did you mean junit=out/report.xml?"),
        ("", "wanted one of json, junit, html, sarif, github, har"),
        ("pdf=a.pdf", "wanted one of json, junit, html, sarif, github, har"),
        ("html", "no file; wanted e.g. --report html=report.html"),
        ("json=", "no file; wanted e.g. --report json=report.json"),
        ("html=.", "is a directory; wanted a file, e.g. --report html=report.html"),
    ],
)
def test_a_mistake_is_told_before_anything_is_played(spec: str, wanted: str) -> None:
    with pytest.raises(ReportError) as told:
        parse(spec)
    assert wanted in str(told.value)


@pytest.mark.parametrize("kind", sorted(set(FORMATS) - {"html"}))
def test_most_kinds_hold_one_report(kind: str, good: dict[str, Any], bad: dict[str, Any]) -> None:
    with pytest.raises(ReportError, match=f"{kind} holds one report, not 2; html holds several"):
        FORMATS[kind]([good, bad])


def test_a_directory_that_is_missing_is_made(good: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "new" / "and=odd" / "report.json"
    write(f"json={path}", [good])
    assert json.loads(path.read_text(encoding="utf-8")) == good


def test_a_file_that_cannot_be_written_is_told(good: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match="the report cannot be written"):
        write(f"json={tmp_path / 'file' / 'report.json'}", good)


def test_what_is_prepared_holds_in_any_directory(
    good: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old.json").write_text("old")
    targets = prepare(["json=old.json", "html=new/a.html", "junit=-"])
    assert [one.path for one in targets] == [tmp_path / "old.json", tmp_path / "new" / "a.html", None]
    assert Path("old.json").read_text() == "old"
    assert not Path("new/a.html").exists()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    write_all(targets[:2], good)
    assert read(tmp_path / "old.json") == good
    assert list(Path.cwd().iterdir()) == []


def test_a_pipe_is_not_touched_before_its_report_is_written(good: dict[str, Any], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    targets = prepare([f"json={pipe}"])  # it would wait for a reader
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        small = {**good, "cases": [], "findings": []}
        write_all(targets, small)
        assert json.loads(os.read(reader, 2**20)) == small
    finally:
        os.close(reader)


def test_all_that_fails_is_told_and_the_rest_is_written(good: dict[str, Any], tmp_path: Path) -> None:
    targets = prepare([f"{kind}={tmp_path / kind / 'r'}" for kind in ("json", "html", "junit")])
    for kind in ("json", "html"):
        (tmp_path / kind).rmdir()
        (tmp_path / kind).write_text("")
    with pytest.raises(ReportError) as told:
        write_all(targets, good)
    assert [f"{tmp_path / kind / 'r'}: the report cannot" in str(told.value) for kind in ("json", "html")] == [True] * 2
    assert (tmp_path / "junit" / "r").exists()
    with pytest.raises(ReportError, match="json/r: the report cannot be written"):
        prepare([f"json={tmp_path / 'json' / 'r'}"])


@pytest.fixture
def no_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


@pytest.mark.usefixtures("no_summary")
@pytest.mark.parametrize("spec", ["github", "github=", "github=-", "junit=-"])
def test_standard_output_takes_a_report_too(spec: str, bad: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    write(spec, bad)
    assert capsys.readouterr().out == FORMATS[spec.partition("=")[0]]([bad])


def test_the_summary_of_a_step_has_a_table(
    bad: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    write("github", with_text(bad, HOSTILE))
    assert "::error" in capsys.readouterr().out
    text = path.read_text(encoding="utf-8")
    assert text.startswith("before\n### ")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert all(line.count("|") == 5 for line in rows)
    assert any(line.startswith("| violation | refs-order | ") for line in rows)
    assert "<" not in text
    write("json=" + str(tmp_path / "a.json"), bad)
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("kind", FORMATS)
def test_every_kind_can_be_written_whatever_a_text_holds(kind: str, bad: dict[str, Any], tmp_path: Path) -> None:
    write(f"{kind}={tmp_path / 'report'}", with_text(bad, HOSTILE))
    text = (tmp_path / "report").read_bytes().decode("utf-8")
    assert "\x1b" not in text
    assert as_text(bad) not in ("", text)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_report_of_a_server_has_the_same_formats(kind: str, tmp_path: Path) -> None:
    data = ServerReport(
        "http://127.0.0.1:1", "a server", Redactor(()), profile="docs-2026-03", seed=0, stopped="it is gone"
    ).data
    (tmp_path / "report.json").write_text(as_text(data), encoding="utf-8")
    text = FORMATS[kind]([read(tmp_path / "report.json")])
    if kind != "har":
        assert "it is gone" in text
    assert kind != "html" or "<title>Server contracts: a server</title>" in text
