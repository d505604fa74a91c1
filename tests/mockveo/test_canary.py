"""The key of a caller is masked in everything that is shown, wherever a request has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from log_lines import Lines

from mockveo.cli.main import main
from mockveo.console.log import TerminalLog
from mockveo.server.run import ServerThread
from mockveo.settings import of
from mockveo.simulator.accounts import Accounts
from mockveo.traffic.journal import Feed

#: A key with characters that JSON, URLs and HTML escape.
CANARIES = ("sk-Canary0123456789abcdef", 'sk-c4n4ry/+&<"quoted">=x', "sk-" + "c4n4ry" * 700, "k4n4ry_ü_ümläut")
#: The control API, and the pages and files of the dashboard; a saved world alone has the key, which its document says.
CONTROL = (
    *("jobs", "journal", "journal.har", "findings", "bill", "journal/1", "scenario", "clock", "worlds", "health"),
    *("metrics", "openapi.json", "scenarios", ""),
)

#: A text around the key.
around = st.tuples(st.sampled_from(["", "my key is ", "Bearer ", "x=", "ä"]), st.sampled_from(["", " ok", "&y", "\n"]))
PLACES = (
    *("path", "id", "query", "parameter", "header", "agent", "referer", "prompt", "field", "secret", "name", "model"),
    *("filename", "type", "file", "json", "urlencoded", "body"),
)
places = st.lists(st.tuples(st.sampled_from(PLACES), around), min_size=1, max_size=5)


#: One for all examples, since making one takes longer than an example.
CLIENT = httpx.Client(trust_env=False)


@pytest.fixture(scope="module")
def server() -> Iterator[ServerThread]:
    with ServerThread(of(port=0, render=False, metrics=True)) as server:
        yield server


def requested(server: ServerThread, key: str, taken: list[tuple[str, tuple[str, str]]]) -> httpx.Request:
    """Return a request that has the key in some places."""
    path, query, files = "/v1/videos", [], [("prompt", (None, "p"))]
    headers, content = {"Authorization": f"Bearer {key}".encode()}, None
    for place, (before, after) in taken:
        text = f"{before}{key}{after}"
        in_header = "".join(text.split("\n")).strip().encode()
        if place in ("path", "id"):
            path = f"/v1/videos/{quote(text, safe='')}" if place == "id" else f"/v2/{quote(text, safe='')}/x"
        elif place in ("query", "parameter"):
            query.append(("anything", text) if place == "query" else (text, "1"))
        elif place in ("header", "agent", "referer"):
            headers[{"header": "X-Foo", "agent": "User-Agent", "referer": "Referer"}[place]] = in_header
        elif place in ("json", "urlencoded", "body"):
            kind = {"json": "application/json", "urlencoded": "application/x-www-form-urlencoded"}.get(place, text[:9])
            headers["Content-Type"] = kind.encode()
            plain = {"json": json.dumps({"prompt": text, text: 1}), "urlencoded": f"prompt={quote(text)}"}
            content = plain.get(place, text).encode()
        elif place in ("filename", "type", "file"):
            name = text if place == "filename" else "a.png"
            kind = "".join(text.split("\n")) if place == "type" else "image/png"
            files.append(("input_reference", (name, text.encode(), kind)))  # type: ignore[arg-type]
        else:
            name = {"field": "size", "secret": "api_key", "name": text, "model": "model"}.get(place, "prompt")
            files.append((name, (None, text)))
    url = httpx.URL(f"{server.url}{path}", params=query)
    method = "GET" if path != "/v1/videos" else "POST"
    if content is not None or method == "GET":
        return httpx.Request(method, url, headers=headers, content=content)
    return httpx.Request(method, url, headers=headers, files=files)


def shown_by(server: ServerThread) -> Iterator[str]:
    """Yield all that a server shows of its traffic."""
    journal = list(server.app.world.journal)
    for kind in ("text", "json"):
        feed, writer = Feed(1000), Lines()
        log = TerminalLog(feed, kind, writer, findings=True)
        for record in journal:
            feed.add(record)
        log.flush()
        log.close()
        yield "\n".join(writer.lines)
    cases = [f"jobs/{job.id}/case" for job in server.app.world.jobs] + ["journal/1/case"]
    for path in [*CONTROL, *cases, *(f"jobs/{quote(job.id)}" for job in server.app.world.jobs)]:
        yield CLIENT.get(f"{server.url}/_mockveo/{path}").text
    with CLIENT.stream("GET", f"{server.url}/_mockveo/events?since=0") as events:
        number = 0
        for line in events.iter_lines():
            yield line
            number += line.startswith("data: {")
            if number >= len(journal):
                break


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(CANARIES), st.lists(places, min_size=1, max_size=3))
@example(CANARIES[1], [[("path", ("", ""))], [("prompt", ("", "")), ("secret", ("", "")), ("filename", ("", ""))]])
@example(CANARIES[2], [[("json", ("", ""))], [("path", ("x", ""))], [("model", ("", ""))], [("body", ("", ""))]])
@example(CANARIES[2], [[("field", ("", ""))]])
def test_key_is_masked_in_every_output(
    server: ServerThread, caplog: pytest.LogCaptureFixture, key: str, requests: list[Any]
) -> None:
    server.app.worlds.reset("")
    caplog.clear()
    for taken in requests:
        CLIENT.send(requested(server, key, taken))
    ours = [str(entry.getMessage()) for entry in caplog.records if entry.name.startswith("mockveo")]
    texts = [*shown_by(server), *ours]
    assert any("(key " in text for text in texts)
    for part in (key, json.dumps(key)[1:-1], quote(key, safe=""), key[-12:]):
        for text in texts:
            assert part not in text, text[max(text.index(part) - 200, 0) : text.index(part) + 100]


def test_bug_of_a_handler_is_logged_without_the_key(
    server: ServerThread, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = CANARIES[0]

    def broken(*_: object) -> None:
        raise RuntimeError(f"no {key}")

    monkeypatch.setattr(Accounts, "charge", broken)
    headers = {"Authorization": f"Bearer {key}"}
    answer = httpx.post(f"{server.base_url}/videos?x={key}", headers=headers, files={"prompt": (None, "p")})
    assert answer.status_code == 500
    assert "RuntimeError: no (key " in caplog.text
    assert key not in caplog.text


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_key_of_saved_traffic_is_masked_in_what_judge_says(options: list[str], tmp_path: Path) -> None:
    from click.testing import CliRunner

    key = CANARIES[0]
    entry = {
        "startedDateTime": "2026-11-26T10:00:00.000Z",
        "time": 1,
        "request": {
            "method": "POST",
            "url": f"https://api.cometapi.com/v1/videos?api_key={key}&x={key}",
            "httpVersion": "HTTP/1.1",
            "headers": [{"name": "Authorization", "value": f"Bearer {key}"}, {"name": "User-Agent", "value": key}],
            "queryString": [],
            "cookies": [],
            "postData": {
                "mimeType": "multipart/form-data; boundary=b",
                "params": [{"name": "prompt", "value": f"my {key}"}, {"name": key, "value": key}],
            },
            "headersSize": -1,
            "bodySize": -1,
        },
        "response": {
            "status": 400,
            "statusText": "",
            "httpVersion": "HTTP/1.1",
            "headers": [{"name": "X-Echo", "value": key}],
            "cookies": [],
            "content": {"size": 9, "mimeType": "application/json", "text": json.dumps({"error": f"no {key}"})},
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": -1,
        },
        "cache": {},
        "timings": {"send": 0, "wait": 1, "receive": 0},
    }
    path = tmp_path / "saved.har"
    log = {"version": "1.2", "creator": {"name": "x", "version": "1"}, "entries": [entry]}
    path.write_text(json.dumps({"log": log}))
    done = CliRunner().invoke(main, ["judge", str(path), *options])
    assert "auth-in-url" in done.output
    assert key not in done.output
