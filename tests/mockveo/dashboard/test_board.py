"""The dashboard in a real browser: jobs on the board, one job, its exchanges, and what buttons do."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from mockveo_contracts.cases.definitions import read as read_case
from playwright.sync_api import expect
from watched import Watched

from mockveo.dashboard import files
from mockveo.server.run import ServerThread
from mockveo.simulator import scenarios

#: All files of the dashboard, uncompressed.
MAX_BYTES = 80 * 1024


def test_job_walks_across_the_board_while_its_client_polls(watched: Watched) -> None:
    watched.open()
    watched.tab.shown("Waiting for the first request")
    watched.tab.shown(f"export COMETAPI_BASE_URL={watched.url}/v1")
    job = watched.create("A paper kite.", model="veo3-fast")
    board = watched.page
    expect(board.get_by_role("list", name="Queued")).to_contain_text("A paper kite.")
    expect(board.get_by_role("list", name="Queued")).to_contain_text("kite-app 1.2")
    watched.advance(40)
    watched.poll(job)
    expect(board.get_by_role("list", name="In progress")).to_contain_text("in_progress")
    assert watched.page.get_by_role("progressbar").get_attribute("aria-valuenow") == str(watched.poll(job)["progress"])
    watched.advance(400)
    expect(board.get_by_role("list", name="Completed")).to_contain_text("100 %")
    assert watched.tab.complaints == []
    origin = watched.server.url
    assert all(url.startswith(origin) for url in watched.tab.requested)


def test_job_shows_axis_clip_and_exchanges_in_full(watched: Watched) -> None:
    job = watched.create(model="veo3")
    for _ in range(3):
        watched.advance(10)
        watched.poll(job)
    watched.advance(500)
    watched.poll(job)
    watched.http.get(f"/videos/{job}/content")
    watched.open(f"#/job/{job}")
    marks = watched.page.locator(".track button")
    expect(marks).to_have_count(6)
    assert re.match(r"exchange 2: retrieve 200 \w+ \d+ % at 10", str(marks.nth(1).get_attribute("aria-label")))
    marks.nth(1).focus()
    expect(watched.page.locator(".axis > figcaption")).to_contain_text("GET")
    watched.tab.wait_for("document.querySelector('.player')?.readyState >= 1")
    assert watched.tab.run("document.querySelector('.player').duration") == pytest.approx(8, abs=0.2)
    expect(watched.page.get_by_text("last frame")).to_be_visible()
    marks.nth(0).click()
    detail = watched.page.locator(".detail")
    expect(detail).to_contain_text("A paper kite floats.")
    expect(detail).to_contain_text("content-type")
    expect(detail).to_contain_text("key ")
    assert "sk-secret" not in watched.page.content()
    assert watched.tab.complaints == []


@pytest.mark.slow
def test_exchanges_are_copied_as_code_and_compared(watched: Watched) -> None:
    job = watched.create("It's a $kite")
    watched.poll(job)
    watched.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    watched.open("#/exchange/1")
    for name, word in (
        ("curl", "--form-string 'prompt=It'\"'\"'s a $kite'"),
        ("Python", "httpx.request("),
        ("JavaScript", "await fetch("),
    ):
        watched.press(name)
        watched.page.get_by_role("button", name="Copied").wait_for()
        text = watched.tab.run("navigator.clipboard.readText()")
        assert word in text
        assert "COMETAPI_KEY" in text
        assert "sk-secret" not in text
        watched.page.get_by_role("button", name=name, exact=True).wait_for()
    watched.page.get_by_label("Compare with").select_option("2")
    expect(watched.page.locator(".diff tr.differs").first).to_contain_text("POST /v1/videos")
    expect(watched.page.locator(".diff tr.differs").first).to_contain_text("GET /v1/videos/")


@pytest.mark.slow
def test_clock_is_frozen_sped_up_and_advanced(watched: Watched) -> None:
    job = watched.create()
    watched.open()
    watched.press("+1 min")
    expect(watched.page.get_by_role("list", name="In progress")).to_contain_text("kite")
    watched.press("\u00d7100")
    expect(watched.page.get_by_role("button", name="\u00d7100", exact=True)).to_have_attribute("aria-pressed", "true")
    assert watched.control.get("clock").json()["speed"] == 100
    watched.press("Freeze")
    expect(watched.page.get_by_role("button", name="Frozen")).to_be_visible()
    assert watched.control.get("clock").json()["mode"] == "manual"
    watched.open(f"#/job/{job}")
    if watched.poll(job)["status"] != "completed":
        watched.press("Clock to its end")
        expect(watched.page.locator(".now")).to_contain_text("completed")
    watched.control.patch("clock", json={"mode": "poll", "step": 7})
    expect(watched.page.locator(".clock")).to_contain_text("+7.00 s a poll")


@pytest.mark.slow
def test_jobs_are_failed_completed_stuck_and_forgotten_by_buttons(watched: Watched) -> None:
    fails, completes, sticks, goes = (watched.create(f"kite {number}") for number in range(4))
    watched.advance(30)
    for job, button, shown in (
        (fails, "Fail", "failed"),
        (completes, "Complete", "completed"),
        (sticks, "Stick", "in_progress"),
    ):
        watched.open(f"#/job/{job}")
        watched.press(button)
        expect(watched.page.locator(".notices")).to_contain_text("The job")
        expect(watched.page.locator(".now")).to_contain_text(shown)
    watched.advance(5000)
    assert [watched.poll(job)["status"] for job in (fails, completes, sticks)] == ["failed", "completed", "in_progress"]
    watched.open(f"#/job/{goes}")
    watched.press("Forget…")
    watched.press("Really forget it")
    expect(watched.page.locator(".board")).not_to_contain_text("kite 3")
    assert watched.http.get(f"/videos/{goes}").status_code == 400


def test_armed_scenario_strikes_the_next_create_and_its_finding_has_a_picture(watched: Watched) -> None:
    watched.open("#/trouble")
    watched.page.get_by_role("button", name="accepted-then-dropped for the next create").click()
    expect(watched.page.locator(".armed")).to_contain_text("1. accepted-then-dropped")
    for _ in range(2):
        try:
            watched.http.post("/videos", files={"prompt": (None, "a kite")})
        except httpx.TransportError:
            continue
    expect(watched.page.locator(".armed")).to_contain_text("on exchange 1, a create")
    watched.page.get_by_role("link", name="Findings").click()
    finding = watched.page.locator(".finding").filter(has_text="no-blind-retry")
    expect(finding.locator(".sequence .lost")).to_have_count(1)
    expect(finding.locator(".sequence .marked")).to_have_count(2)
    finding.get_by_role("link", name="no-blind-retry").click()
    expect(watched.page.locator("dt", has_text="Fix")).to_be_visible()
    watched.page.get_by_role("link", name="Bill").click()
    expect(watched.page.locator(".figures .made")).to_contain_text("2")


@pytest.mark.slow
def test_create_that_fails_and_is_not_sent_again_is_shown_and_saved_as_a_case(watched: Watched) -> None:
    watched.control.post("queue", json={"scenario": "overloaded"})
    assert watched.http.post("/videos", files={"prompt": (None, "a kite")}).status_code == 503
    watched.open("#/findings")
    finding = watched.page.locator(".finding").filter(has_text="was answered 503, and was not sent again")
    finding.wait_for(timeout=20_000)
    expect(finding.locator(".sequence .marked")).to_have_count(1)
    finding.get_by_role("link", name="exchange 1").click()
    watched.press("Save as case")
    with watched.page.expect_download() as download:
        watched.press("Download")
    case = read_case(Path(download.value.path()))
    assert (case.prompt, case.scenario.faults[0].error) == ("a kite", "overloaded")


@pytest.mark.slow
def test_editor_teaches_while_one_types_and_its_scenario_is_met(watched: Watched) -> None:
    watched.open("#/trouble")
    editor = watched.page.get_by_label("A scenario in YAML or JSON")
    editor.fill("faults:\n  - {operation: create, stauts: 503}")
    expect(watched.page.get_by_role("status").filter(has_text="did you mean 'status'?")).to_be_visible()
    editor.fill("faults:\n  - {operation: create, status: 418}")
    expect(watched.page.locator("#scenario-said")).to_have_text("✓ A valid scenario.")
    watched.page.get_by_label("Name").fill("teapot")
    watched.page.locator(".editor").get_by_role("button", name="World").click()
    expect(watched.page.locator(".armed")).to_contain_text("teapot")
    assert watched.http.post("/videos", files={"prompt": (None, "x")}).status_code == 418
    expect(watched.page.locator(".armed")).to_contain_text("struck 1 time")
    watched.press("Back to normal")
    expect(watched.page.locator(".armed")).to_contain_text("Jobs take as long")


@pytest.mark.slow
def test_scenario_for_one_job_leaves_others_alone(watched: Watched) -> None:
    troubled, calm = watched.create("one"), watched.create("two")
    watched.open(f"#/job/{troubled}")
    watched.page.get_by_label("Trouble for this job").select_option("upper-case")
    expect(watched.page.locator(".notices")).to_contain_text("upper-case from now on")
    assert watched.poll(troubled)["status"] == "SUBMITTED"
    assert watched.poll(calm)["status"] == "queued"


def test_job_is_saved_as_a_case_and_a_scenario(watched: Watched) -> None:
    job = watched.create("A red kite.", model="veo3-fast")
    watched.advance(30)
    watched.control.post(f"jobs/{job}/end", json={"ending": "failure", "error": {"code": "x", "message": "No."}})
    watched.open(f"#/job/{job}")
    watched.press("Save as case")
    expect(watched.page.locator(".save pre")).to_contain_text("A red kite.")
    with watched.page.expect_download() as download:
        watched.press("Download")
    case = read_case(Path(download.value.path()))
    assert (case.prompt, case.model, case.scenario.ending) == ("A red kite.", "veo3-fast", "failure")
    watched.page.locator(".save").get_by_role("button", name="Write to").click()
    expect(watched.page.locator(".notices")).to_contain_text("Written to")
    (written,) = Path(watched.control.get("ready").json()["corpus"]).glob(
        f"seen.{job[:12].lower().replace('_', '-')}*.yaml"
    )
    assert read_case(written).data == case.data
    watched.press("Scenario")
    expect(watched.page.locator(".save pre")).not_to_contain_text("call:")
    with watched.page.expect_download() as download:
        watched.press("Download")
    assert scenarios.read(Path(download.value.path())).error == {"code": "x", "message": "No."}


@pytest.mark.slow
def test_worlds_search_har_and_reset(watched: Watched) -> None:
    watched.create("a red kite")
    watched.create("a blue boat")
    watched.open()
    watched.page.keyboard.press("/")
    watched.page.keyboard.type("boat")
    expect(watched.page.locator(".card")).to_have_count(1)
    watched.page.get_by_role("link", name="Exchanges").click()
    expect(watched.page.locator(".row")).to_have_count(1)
    with watched.page.expect_download() as download:
        watched.page.get_by_role("link", name="HAR").click()
    assert '"version":"1.2"' in Path(download.value.path()).read_text()
    watched.press("Reset…")
    watched.press("Cancel")
    assert watched.control.get("jobs").json()["count"] == 2
    watched.press("Reset…")
    watched.press("Reset it")
    watched.tab.shown("Waiting for the first request")
    watched.page.get_by_label("Search").fill("")
    watched.page.get_by_label("World", exact=True).select_option("")
    watched.page.wait_for_url(f"{watched.server.url}/_mockveo/")


def test_root_leads_a_browser_to_the_dashboard_and_answers_clients_as_before(
    watched: Watched, dashboard: ServerThread
) -> None:
    watched.tab.open(f"{dashboard.url}/")
    watched.page.get_by_role("link", name="Open the dashboard").click()
    watched.page.locator(".live.good").wait_for()
    for headers in ({}, {"Accept": "*/*"}, {"Accept": "text/html", "Sec-Fetch-Mode": "cors"}):
        answer = httpx.get(f"{dashboard.url}/", headers=headers)
        assert answer.status_code == 404
        assert "Invalid URL" in answer.text


def test_files_are_protected_and_small(dashboard: ServerThread) -> None:
    for path in ("", "ui/app.js", "health", "nothing", "jobs/none", "ui/none.js"):
        answer = httpx.get(f"{dashboard.url}/_mockveo/{path}")
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert httpx.get(f"{dashboard.url}/_mockveo").headers["location"] == "/_mockveo/"
    assert sum(len(files.text(name).encode()) for name in files.names()) <= MAX_BYTES


def test_server_imports_nothing_of_the_dashboard_before_it_is_asked_for() -> None:
    code = (
        "import asyncio, sys, mockveo\n"
        "import httpx\n"
        "app = mockveo.app(render=False)\n"
        "async def ask(path):\n"
        "    transport = httpx.ASGITransport(app=app)\n"
        "    async with httpx.AsyncClient(transport=transport, base_url='http://127.0.0.1') as http:\n"
        "        return (await http.get(path, headers={'Authorization': 'Bearer k'})).status_code\n"
        "assert asyncio.run(ask('/v1/models')) == 200\n"
        "own = [name for name in sys.modules if name.startswith('mockveo.')]\n"
        "assert not [name for name in own if 'dashboard' in name or 'server.control' in name]\n"
        "assert asyncio.run(ask('/_mockveo/')) == 200\n"
        "assert 'mockveo.dashboard.files' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_library_is_the_published_one() -> None:
    text = files.text("vendor.js").partition("\n")[2]
    published = "72284e8e9079c87817145df1110f74e8a2aa040b2fc384922e18dfcb46fc1fd7"
    assert hashlib.sha256(text.encode()).hexdigest() == published
    assert published in (files.STATIC.parent / "vendor.LICENSE.txt").read_text()
