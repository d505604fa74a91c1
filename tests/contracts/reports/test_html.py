"""The HTML page: in a real browser, from a file, self-contained, and safe with any text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from browser import Tab, running_browser
from hypothesis import given
from hypothesis import strategies as st
from mockveo_contracts.reports.html import html
from mockveo_contracts.reports.model import Report, ServerSubject
from sample_reports import HOSTILE, with_findings, with_text

from mockveo.text import printable


@pytest.fixture(scope="module")
def browser() -> Iterator[Tab]:
    with running_browser() as running:
        yield Tab(running.new_context())


def opened(browser: Tab, path: Path, *reports: Report, place: str = "") -> str:
    path.write_text(html(reports), encoding="utf-8")
    url = path.as_uri()
    browser.open(f"{url}{place}")
    return url


TEXT = "document.querySelector('#report').innerText"
PANEL = "document.querySelector('.panel')?.innerText ?? ''"


def test_click_on_a_verdict_shows_and_hides_the_exchanges(browser: Tab, bad: Report, tmp_path: Path) -> None:
    url = opened(browser, tmp_path / "report.html", bad)
    text = browser.run(TEXT)
    assert "the images arrived in the order 2, 1" in text
    assert "known.txt:4: auth-bearer call/* is not broken any more" in text
    assert browser.run(PANEL) == ""
    browser.click("#cell-refs-order-0")
    panel = browser.run(PANEL)
    for wanted in (
        "Two images arrive in the order in which the caller gave them",
        "RFC 7578 section 5.2", "images: [a.png, b.png]",
        "POST /v1/videos with 2 files", "0.051 s", "reported", "mockveo replay image/two",
    ):  # fmt: skip
        assert wanted in panel
    assert browser.run("document.querySelectorAll('.panel tr.bad').length") == 1
    assert browser.run("document.querySelector('.panel tr.bad .n').textContent") == "▶ 1"
    browser.click("#cell-refs-order-0")
    assert browser.run(PANEL) == ""
    assert browser.complaints == []
    assert browser.requested == [url]


def test_enter_on_a_verdict_shows_the_exchanges(browser: Tab, bad: Report, tmp_path: Path) -> None:
    opened(browser, tmp_path / "report.html", bad)
    focused = "document.activeElement.id"
    stops = browser.run("document.querySelectorAll('summary, a, input, button').length")
    for _ in range(stops + 1):
        browser.press("Tab")
        if browser.run(focused).startswith("cell-"):
            break
    assert browser.run(focused).startswith("cell-")
    browser.press("Enter")
    assert browser.run("document.activeElement.getAttribute('aria-expanded')") == "true"
    assert "source" in browser.run(PANEL)
    # The next stop of Tab is in what was opened.
    browser.press("Tab")
    assert browser.run("document.activeElement.closest('.panel') !== null")


def test_passed_rule_shows_the_cases_that_tested_it(browser: Tab, bad: Report, tmp_path: Path) -> None:
    opened(browser, tmp_path / "report.html", bad, place="#cell-auth-bearer-0")
    assert "Passed in 5 cases" in browser.run(PANEL)
    assert "POST /v1/videos" not in browser.run(PANEL)
    browser.click(".panel details details summary")
    browser.wait_for(f"({PANEL}).includes('POST /v1/videos →')")
    browser.click("#cell-auth-cross-origin-0")
    assert "None of the 6 cases that were run tested this rule." in browser.run(TEXT)
    assert "1 case: the client does not declare deadline: job/never-ends" in browser.run(TEXT)


def test_known_failure_is_shown_with_its_reason(browser: Tab, bad: Report, tmp_path: Path) -> None:
    opened(browser, tmp_path / "report.html", bad, place="#cell-no-blind-retry-0")
    assert "not counted" in browser.run("document.querySelector('#cell-no-blind-retry-0').innerText")
    assert "known.txt:3: ticket 4711" in browser.run(PANEL)


def test_filter_shows_only_broken_rules(browser: Tab, bad: Report, tmp_path: Path) -> None:
    opened(browser, tmp_path / "report.html", bad)
    rows = "[...document.querySelectorAll('tr.rule')].filter(row => !row.hidden).length"
    broken = [rule for rule in bad.broken_rules if rule.verdict != "info"]
    assert browser.run(rows) == len(broken)
    browser.click("#only")
    assert browser.run(rows) == len(bad.rules) > len(broken)


def test_finding_has_a_picture_whose_rows_open_to_headers_and_bodies(browser: Tab, bad: Report, tmp_path: Path) -> None:
    lost = next(finding for finding in bad.findings if finding.case.name == "create/lost")
    finding = replace(lost, known_failure=None)
    opened(browser, tmp_path / "report.html", with_findings(bad, finding))
    picture = browser.page.locator(".problem[open] .sequence")
    assert picture.locator(".lost").count() == 1
    assert picture.locator(".marked").count() == len(finding.exchanges)
    picture.locator("button.ask").first.click()
    wire = browser.page.locator(".problem[open] .wire")
    assert "A paper kite floats above a field." in wire.inner_text()
    assert "content-type" in wire.inner_text().lower()
    browser.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    browser.page.locator(".problem[open] .command .copy").first.click()
    browser.page.get_by_text("Copied").wait_for()
    assert browser.complaints == []


def test_several_reports_are_shown_side_by_side(
    browser: Tab, bad: Report, good: Report, adapter: Report, tmp_path: Path
) -> None:
    opened(browser, tmp_path / "report.html", bad, good, good, adapter)
    heads = browser.run("[...document.querySelectorAll('.matrix thead th')].map(cell => cell.textContent)")
    assert heads == ["Rule", "careless", "careful (#1)", "careful (#2)", "broken_adapter"]
    row = "[...document.querySelectorAll('[id^=cell-refs-order-]')].map(cell => cell.innerText.split('\\n')[0])"
    assert browser.run(row) == ["✗ violation", "✓ pass", "✓ pass", "\u2013 not exercised"]
    browser.click("#cell-adapter-3")
    assert "expected an Outcome" in browser.run(PANEL)
    assert browser.complaints == []


def test_rule_for_clients_has_no_verdict_on_a_server(browser: Tab, bad: Report, tmp_path: Path) -> None:
    server = replace(bad, subject=ServerSubject("a server", ""), findings=[], rules={"other": bad.rules["refs-order"]})
    opened(browser, tmp_path / "report.html", bad, server)
    assert browser.run("document.querySelector('#cell-refs-order-0') !== null")
    assert browser.run("document.querySelector('#cell-refs-order-1') === null")
    assert browser.run("document.querySelector('#cell-other-1') !== null")
    assert browser.complaints == []


@pytest.mark.parametrize("width", [400, 1280])
def test_page_fits_narrow_and_wide_windows(browser: Tab, bad: Report, tmp_path: Path, width: int) -> None:
    browser.page.set_viewport_size({"width": width, "height": 800})
    opened(browser, tmp_path / "report.html", bad, place="#cell-refs-order-0")
    assert browser.run("document.documentElement.scrollWidth") <= width


def test_printed_page_has_problems_open(browser: Tab, bad: Report, tmp_path: Path) -> None:
    opened(browser, tmp_path / "report.html", bad)
    assert len(browser.page.pdf()) > 10_000
    assert browser.run("document.querySelectorAll('.problem:not([open])').length") == 0
    named = browser.run("[...document.querySelectorAll('.problem h3 a')].map(link => link.textContent)")
    assert sorted(named) == sorted(str(rule.rule) for rule in bad.broken_rules)


def test_problems_are_listed_first_with_their_rules_and_one_list_of_exchanges(
    browser: Tab, bad: Report, tmp_path: Path
) -> None:
    (finding,) = [finding for finding in bad.findings if finding.rule == "refs-order"]
    wider = replace(finding, rule="refs-exact", exchanges=(1, 2, 3), message="the bytes differ")
    apart = replace(finding, rule="stop-at-terminal", exchanges=(5,))
    opened(browser, tmp_path / "report.html", with_findings(bad, finding, wider, apart))
    first, second = browser.run("[...document.querySelectorAll('.problem summary')].map(each => each.innerText)")
    assert "refs-exact (MUST)" in first
    assert "refs-order (MUST)" in first
    assert "stop-at-terminal (MUST)" in second
    text = browser.run("document.querySelector('.problem[open]').innerText")
    for wanted in ("the bytes differ", "the images arrived in the order 2, 1", "shown by\nexchange 1\n", "image/two"):
        assert wanted in text
    assert browser.run("document.querySelectorAll('.problem[open] table.log').length") == 1
    assert browser.run("document.querySelectorAll('.problem[open] tr.bad').length") == 3
    browser.click(".problem[open] h3 a")
    browser.wait_for(f"({PANEL}).includes('refs-exact')")
    assert browser.complaints == []


def test_head_names_version_date_profile_seed_and_command(browser: Tab, bad: Report, tmp_path: Path) -> None:
    report = replace(bad, date="2026-11-26T02:45:56+00:00", command="mockveo check --python my_client:client")
    opened(browser, tmp_path / "report.html", report)
    text = browser.run("document.querySelector('.subjects').innerText")
    assert f"mockveo {bad.version} · profile docs-2026-03 · seed 0 · 2026-11-26 02:45:56 UTC" in text
    assert "mockveo check --python my_client:client" in text


def test_code_in_the_words_of_rules_is_shown_as_code(browser: Tab, bad: Report, tmp_path: Path) -> None:
    opened(browser, tmp_path / "report.html", bad)
    assert "`" not in browser.run("[...document.querySelectorAll('.description')].map(each => each.innerText).join()")
    code = browser.run("[...document.querySelectorAll('.description code')].map(each => each.innerText)")
    assert "Authorization: Bearer KEY" in code


def test_hostile_text_is_shown_as_text(browser: Tab, bad: Report, tmp_path: Path) -> None:
    report = with_text(bad, HOSTILE)
    url = opened(browser, tmp_path / "report.html", report, place="#cell-refs-order-0")
    assert browser.run("document.title").startswith("Client contracts: </script><script>")
    assert browser.run("document.querySelectorAll('img, iframe, script:not(:is(head, body) > script)').length") == 0
    assert browser.run("document.scripts.length") == 2
    assert "</script><script>document.title='run'</script><img src=x onerror=" in browser.run(PANEL)
    assert browser.complaints == []
    assert [requested.partition("#")[0] for requested in browser.requested] == [url]


def test_content_security_policy_blocks_other_scripts(browser: Tab, good: Report, tmp_path: Path) -> None:
    text = html([good]).replace(
        "</body>", "<script>document.title = 'run'</script><img src='http://127.0.0.1:9/x'></body>"
    )
    (tmp_path / "report.html").write_text(text, encoding="utf-8")
    browser.open((tmp_path / "report.html").as_uri())
    assert browser.run("document.title").startswith("Client contracts")
    assert "Content Security Policy" in json.dumps(browser.complaints)


def test_page_of_300_cases_opens_quickly(browser: Tab, bad: Report, tmp_path: Path) -> None:
    line = bad.cases[0].log[1]
    log = tuple(line._replace(number=number) for number in range(1, 61))
    cases = [replace(bad.cases[n % len(bad.cases)], name=f"case/{n}", log=log) for n in range(300)]
    findings = [replace(finding, case=case) for case in cases for finding in bad.findings[:3]]
    report = replace(bad, cases=cases, findings=findings)
    assert len(html([report]).encode()) < 3_000_000
    opened(browser, tmp_path / "report.html", report)
    took = browser.run("performance.getEntriesByType('navigation')[0].loadEventEnd")
    assert took < 5000
    browser.click("#cell-refs-order-0")
    assert browser.complaints == []


@given(st.text(st.characters()))
def test_page_with_any_text_stays_well_formed(good: Report, text: str) -> None:
    page = html([with_text(good, f"{text}</script><!--{{{{style}}}}")])
    page.encode()
    assert page.count("<script") == page.count("</script>") == 2
    assert page.count("<style>") == 1
    (blob,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert json.loads(blob)["subjects"][0]["aborted"] == printable(f"{text}</script><!--{{{{style}}}}")


def test_page_loads_nothing_from_elsewhere(bad: Report) -> None:
    page = html([bad])
    assert not re.search(r"""(?:src|href|action)=["'](?!data:)|@import|url\(""", page)
