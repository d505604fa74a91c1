"""Saved traffic is judged as it was when it happened."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from commands import CLEAN

from mockveo.errors import TraceError
from mockveo.rules import client_rules
from mockveo.server.run import ServerThread
from mockveo.simulator.scenarios import named
from mockveo.traffic.importing import read

KEY = {"Authorization": "Bearer sk-secret"}


def findings(trace: list[dict[str, Any]]) -> list[tuple[str, list[int]]]:
    return sorted((finding.rule, list(finding.exchanges)) for finding in client_rules.findings(trace))


@pytest.fixture
def bad_day(server: ServerThread) -> list[dict[str, Any]]:
    """What a client with many bad habits has left behind."""
    world = server.app.worlds.reset("bad-day", {}, named("accepted-then-dropped"))
    with httpx.Client(base_url=f"{server.url}/@bad-day", headers=KEY) as http:
        for _ in range(2):
            with suppress(httpx.ReadError):
                answer = http.post("/v1/videos", files={"prompt": (None, "p"), "image": ("a.png", b"1", "image/png")})
        job = answer.json()["id"]
        http.get(f"/v1/videos/{job}/content")
        http.get("/v1/nope")
        http.get(f"/v1/videos/{job}?api_key=sk-secret", headers={"Authorization": "sk-secret"})
        http.get("/v1/videos/undefined")
        with suppress(httpx.ReadError):
            http.post("/v1/videos", json={"prompt": "p"}, headers={"Idempotency-Key": "1"})
        return [record.to_json() for record in world.journal]


WRONG = [
    ("auth-bearer", [5]), ("auth-in-url", [5]), ("content-after-completed", [3]), ("idempotency-key", [7]),
    ("known-operation", [4]), ("multipart-wellformed", [7]), ("no-blind-retry", [1, 2]), ("poll-own-id", [6]),
    ("unknown-parts", [1]), ("unknown-parts", [2]),
]  # fmt: skip


def test_journal_log_and_har_are_judged_alike(
    server: ServerThread, bad_day: list[dict[str, Any]], tmp_path: Path
) -> None:
    trace = bad_day
    assert findings(trace) == WRONG
    root = f"{server.url}/@bad-day/_mockveo"
    (tmp_path / "journal.json").write_bytes(httpx.get(f"{root}/journal").content)
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, [*trace, {"finding": {}}])))
    (tmp_path / "day.har").write_bytes(httpx.get(f"{root}/journal.har").content)
    (tmp_path / "one.json").write_text(json.dumps(trace[3]))
    for name in ("journal.json", "log.jsonl", "day.har"):
        assert findings(read(tmp_path / name)) == WRONG, name
    assert findings(read(tmp_path / "one.json")) == [("known-operation", [4])]
    assert "sk-secret" not in (tmp_path / "day.har").read_text()


@pytest.mark.usefixtures("bad_day")
def test_har_of_another_tool_is_judged_as_far_as_it_goes(server: ServerThread, tmp_path: Path) -> None:
    har = httpx.get(f"{server.url}/@bad-day/_mockveo/journal.har").json()
    for entry in har["log"]["entries"]:
        del entry["_mockveo"]
        for header in entry["request"]["headers"]:
            if header["name"] == "authorization":
                header["value"] = header["value"].replace("(key ", "sk-").rstrip(")")
    elsewhere = json.loads(json.dumps(har["log"]["entries"][0]))
    elsewhere["request"]["url"] = "https://fonts.example/a.woff"
    har["log"]["entries"].append(elsewhere)
    (tmp_path / "other.har").write_text(json.dumps(har))
    rules = [rule for rule, _ in findings(read(tmp_path / "other.har"))]
    assert {"auth-bearer", "auth-in-url", "known-operation", "content-after-completed", "no-blind-retry"} <= set(rules)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no exchanges; expected what `mockveo har`"),
        ("[1", "neither JSON nor JSON lines: line 1"),
        ("{}", "holds no exchanges; expected what `mockveo har`"),
        ("[]x", "neither JSON nor JSON lines"),
        ("[1]", "entry 1: the exchange is 1; expected a mapping"),
        ('{"exchanges": [{"request": {}}]}', "entry 1: the exchange has no 'number'; expected e.g."),
        ('{"log": {}}', "not HAR 1.2: log.entries is no list"),
        ('{"log": {"entries": [{"request": {"method": "GET", "url": "/v1/x"}}]}}', "entry 1 is not HAR 1.2"),
    ],
)
def test_file_without_exchanges_is_refused_with_the_reason(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(TraceError) as caught:
        read(tmp_path / "bad.json")
    assert str(caught.value).startswith("bad.json: ")
    assert message in str(caught.value)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mockveo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=CLEAN, check=False)


def test_judge_command_prints_findings_with_their_sources(bad_day: list[dict[str, Any]], tmp_path: Path) -> None:
    trace = bad_day
    (tmp_path / "bad.json").write_text(json.dumps(trace))
    (tmp_path / "good.json").write_text(json.dumps(trace[:1]))
    bad = run("judge", str(tmp_path / "bad.json"))
    assert (bad.returncode, bad.stderr) == (1, "")
    assert bad.stdout.endswith("7 exchanges, 10 findings, by the rules that requests alone can show\n")
    assert "warning of no-blind-retry: 2 creates for one call, after a lost response: 1 job is paid" in bad.stdout
    assert "  source: RFC 9110 section 9.2.2" in bad.stdout
    assert (
        "\nbill: 3 made, 0 delivered, 1 wasted, 1 open, 1 lost (1 doubled by the retry of a lost answer); "
        in bad.stdout
    )
    assert "\n  wasted task_" in bad.stdout
    good = run("judge", str(tmp_path / "good.json"), "--json")
    assert (good.returncode, json.loads(good.stdout)["exchanges"]) == (0, 1)
    assert json.loads(good.stdout)["bill"]["uncertain"] == 0
    assert "\n1 exchange, 1 finding, by the rules" in run("judge", str(tmp_path / "good.json")).stdout
    assert run("judge", str(tmp_path / "gone.json")).returncode == 2
    assert run("judge", str(tmp_path / "bad.json"), "--requirements", "2026-11").stdout == bad.stdout
    assert "e.g. --requirements 2026-11" in run("judge", str(tmp_path / "bad.json"), "--requirements", "may").stderr
    listed = run("rules").stdout
    assert re.search(r"no-blind-retry +SHOULD +A create whose answer was lost is not sent again", listed)
    explained = run("explain", "retry-after").stdout
    assert explained.startswith("retry-after (SHOULD)\n")
    assert "RFC 9110 section 10.2.3" in explained
    assert "did you mean 'backoff'?" in run("explain", "backof").stderr
