"""Several processes of a program side by side: the same verdicts as with one, and what keeps a program from it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from mockveo_contracts.case import features_of
from mockveo_contracts.cases.definitions import parse_case
from mockveo_contracts.clients.check import CheckPlan, check
from mockveo_contracts.clients.driver import DriverError
from mockveo_contracts.clients.programs import ALONE, Programs
from mockveo_contracts.reports.model import Report
from paths import CLIENTS
from seeds import slow_unless

HERE = CLIENTS / "programs"
#: A client of the tests, with some lines before it begins.
PROGRAM = """
import os, sys, time
sys.path.insert(0, {here!r})
import client
{change}
client.main(*sys.argv[1:])
"""
#: It ends prompts at the first line break, and sends images in the wrong order.
SPOILED = """
form = client.form
def spoiled(given):
    return form({**given, "prompt": given["prompt"].partition("\\n")[0], "images": given["images"][::-1]})
client.form = spoiled
"""
#: It writes down when each process plays which case.
NOTED = """
play = client.play
def noted(case, **more):
    with open("noted", "a") as file:
        file.write(f"{os.getpid()} begins\\n")
    try:
        return play(case, **more)
    finally:
        with open("noted", "a") as file:
            file.write(f"{os.getpid()} ends\\n")
client.play = noted
"""
#: One process for each case takes long, and is driven like sessions are.
MODES = slow_unless(lambda mode: mode == "session", ["session", "once"])
#: It stores every video in one file, slowly.
ONE_FILE = """
play = client.play
def one_file(case, **more):
    result = play(case)
    if result["content_path"]:
        with open(result["content_path"], "rb") as source, open("video.mp4", "wb") as target:
            target.write(source.read(1000))
            target.flush()
            time.sleep(0.1)
            target.write(source.read())
        os.unlink(result["content_path"])
        result["content_path"] = os.path.abspath("video.mp4")
    return result
client.play = one_file
"""
#: Only one process can run at a time.
LOCKED = """
import fcntl
lock = open("lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
"""
CASES = ("call/*", "text/newlines", "text/quotes", "image/two-ordered", "job/fails", "poll/503", "create/429*")


def command(change: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM.format(here=str(HERE), change=change), *arguments]


def checked(change: str, mode: str = "session", **options: Any) -> Report:
    features = None if mode == "session" else features_of("content,deadline,poll_interval")
    with Programs(command(change, mode), mode=mode, features=features, **options) as driver:
        return check(driver, CheckPlan(cases=CASES, generated=8))


def findings_of(report: Report) -> list[tuple[str, str | None, str]]:
    """Return the findings, in their order; which other rules a case exercises may depend on its pace."""
    return [(finding.case.name, finding.rule, finding.verdict) for finding in report.findings]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("change", slow_unless(bool, ["", SPOILED]), ids=["correct", "spoiled"])
def test_processes_side_by_side_give_the_verdicts_of_one(change: str, mode: str) -> None:
    alone, side_by_side = (checked(change, mode, parallel=parallel) for parallel in (1, 4))
    assert findings_of(side_by_side) == findings_of(alone)
    assert [case.name for case in side_by_side.cases] == [case.name for case in alone.cases]
    assert side_by_side.generated == alone.generated
    assert {finding.rule for finding in alone.findings} == ({"prompt-exact", "refs-order"} if change else set())


@pytest.mark.parametrize(("mode", "parallel"), [("session", None), ("once", None), ("once", 1), ("run", None)])
def test_processes_play_side_by_side_unless_the_program_runs_as_it_is(
    mode: str, parallel: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    features = None if mode == "session" else features_of("deadline")
    cases = [parse_case({}, f"case-{number}") for number in range(ALONE + 8)]
    with Programs(command(NOTED, mode), mode=mode, features=features, parallel=parallel) as driver:
        assert len(list(driver.play(cases))) == len(cases)
    most, playing = 0, set[str]()
    for line in (tmp_path / "noted").read_text().splitlines():
        number, event = line.split()
        playing = playing | {number} if event == "begins" else playing - {number}
        most = max(most, len(playing))
    alone = mode == "run" or parallel == 1
    assert (most == 1) is alone, most
    assert most <= 4


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["session", "once"])
def test_program_that_stores_all_videos_in_one_file_is_found_correct(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report = checked(ONE_FILE, mode)
    assert report.findings == []
    assert report.rules["content-exact"].counts["pass"] > ALONE


def test_program_that_runs_only_once_at_a_time_plays_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report = checked(LOCKED)
    assert (report.findings, report.aborted) == ([], "")


def test_generated_cases_follow_the_others_in_the_same_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    started = "open('started', 'a').write('once ')"
    report = checked(started)
    assert (report.findings, report.generated) == ([], 8)
    assert len((tmp_path / "started").read_text().split()) <= 4


def test_crash_in_any_process_counts_as_one_of_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    dies = (
        "client.play = lambda case, **more: os._exit(3) if 'die' in case['base_url'] else {**RESULT, 'id': case['id']}"
    )
    result = "RESULT = {'type': 'result', 'outcome': 'error', 'video': None, 'content_path': None, 'error': None}"
    names = ["one", "two", "three", "four", "die", "six", "seven", "eight", "die-too", "ten", "eleven", "twelve"]
    with Programs(command(f"{result}\n{dies}", "session")) as driver:
        done = []
        with pytest.raises(DriverError, match="exit status 3 while it was at die-too; it had been started again once"):
            done.extend(run.test_case.name for run in driver.play([parse_case({}, name) for name in names]))
    assert set(done) >= {"one", "two", "three", "four"}
