"""A request as code: each language sends the same again, whatever is in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from installed_clients import tool

from mockveo.dashboard.snippets import snippets
from mockveo.testing import Mockveo

PROMPT = 'It\'s a "$kite" `over` a\nfield \\ 100%; ü\U0001f600'
FILENAME = "a;b, \"c\" 'd'.png"


@pytest.mark.parametrize("language", ["curl", "Python", "JavaScript"])
def test_code_sends_the_same_request_again(mockveo: Mockveo, language: str, tmp_path: Path) -> None:
    tmp_path.joinpath(FILENAME).write_bytes(b"\x89PNG first")
    with httpx.Client(base_url=mockveo.base_url, headers={"Authorization": "Bearer sk-test"}) as http:
        form = {"prompt": (None, PROMPT), "input_reference": (FILENAME, b"\x89PNG first", "image/png")}
        http.post("/videos", files=form, headers={"X-Team": 'it\'s "ours"'})
    (first,) = (exchange.to_json() for exchange in mockveo.world.journal)
    code = snippets(first, mockveo.url)[language]
    assert "sk-test" not in code
    runner = {
        "curl": ["bash", "-c", code],
        "Python": [sys.executable, "-c", code],
        "JavaScript": [tool("node"), "--input-type=module", "--eval", code],
    }[language]
    env = {**os.environ, **mockveo.env, "COMETAPI_KEY": "sk-test"}
    subprocess.run(runner, cwd=tmp_path, env=env, check=True, capture_output=True, timeout=60)
    _, second = (exchange.to_json() for exchange in mockveo.world.journal)
    for request in (first["request"], second["request"]):
        assert ["x-team", 'it\'s "ours"'] in [[name.lower(), value] for name, value in request["headers"]]
        for file in request["files"]:
            assert file.pop("content_type")  # which a language gives by its own table
    # A FormData ends lines with CRLF, as the XMLHttpRequest standard says.
    prompt = PROMPT.replace("\n", "\r\n") if language == "JavaScript" else PROMPT
    assert second["request"]["fields"] == [{"name": "prompt", "value": prompt}]
    assert first["request"]["files"] == second["request"]["files"]
    assert first["key"] == second["key"]


def test_code_of_a_poll_has_its_query_and_no_body() -> None:
    request = {"method": "GET", "path": "/v1/videos/task_1", "query": "a=b&c='", "headers": []}
    code = snippets(
        {"number": 1, "time": 0.0, "at": 0.0, "operation": "retrieveVideo", "request": request, "response": None},  # type: ignore[typeddict-item]
        "http://127.0.0.1:8360",
    )
    assert code["curl"] == "curl 'http://127.0.0.1:8360/v1/videos/task_1?a=b&c='\"'\"''"
    assert "files" not in code["Python"]
    assert "form" not in code["JavaScript"]
