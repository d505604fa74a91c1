"""`verify` against hostile servers: they echo keys, drop connections, never end, or send nonsense."""

from __future__ import annotations

import base64
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from mockveo_contracts.reports import terminal
from mockveo_contracts.reports.formats import FORMATS, parse, write
from mockveo_contracts.servers.plan import VerifyPlan
from mockveo_contracts.servers.verify import rehearse, verification, verified, verify
from verification import REPEATS

import mockveo
from mockveo.errors import SettingsError
from mockveo.traffic.redaction import HIDDEN

KEY = 'sk-live/8"fE\\2-Zq+mother-of-keys'
OTHER = "sk-live/other-customer_0123456789"
PROBES = ("auth/*", "job/*", "errors/*", "generated/retrieveVideo")
NOT_FOUND = b'{"code": "task_not_exist", "message": "no such task", "data": null}'


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def respond(self) -> None:
        """Respond to a request."""

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if self.command != "HEAD" else b"")

    def _all(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.respond()

    do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = _all  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@contextmanager
def serving(handler: type[_Quiet]) -> Iterator[str]:
    """Run a server of that handler; yield its root."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class Echo(_Quiet):
    """A server that echoes the headers of a request wherever it can."""

    def respond(self) -> None:
        sent = self.headers.get("Authorization", "")
        error = {"message": f"no channel for {sent}", "type": sent, "code": f"odd {sent}"}
        body = {"error": error, "headers": dict(self.headers), sent: "x" * (2500 if "missing" in self.path else 1)}
        status = 500 if self.command == "POST" else 400
        self.answer(status, json.dumps(body).encode(), **{"X-Echo": sent, "X-Json": json.dumps(sent)})


def _bad(text: str) -> list[str]:
    """Return the forms of the keys in a text."""
    forms = {KEY, KEY[:14], json.dumps(KEY)[1:-1], json.dumps(KEY)[1:16], OTHER, OTHER[:14]}
    forms |= {base64.b64encode(f"{user}:{key}".encode()).decode()[8:-4] for key in (KEY, OTHER) for user in ("", "me")}
    return [form for form in forms if form in text]


def test_echoed_key_is_in_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = VerifyPlan(key=KEY, other_key=OTHER, poll_interval=0.0, examples=1, probes=PROBES)
    with serving(Echo) as url:
        report = verified(url, plan)
    assert len(report.broken_rules) > 4
    assert HIDDEN in json.dumps(report.data)
    for kind in FORMATS:
        write(parse(f"{kind}={tmp_path / kind}"), report)
        assert _bad((tmp_path / kind).read_text()) == [], kind
    with (tmp_path / "shown").open("w") as shown:
        terminal.show(report, shown)
    assert _bad((tmp_path / "shown").read_text() + capsys.readouterr().out + json.dumps(report.data)) == []


def test_echoed_key_is_in_no_finding_of_a_single_check() -> None:
    with serving(Echo) as url, verification(url, VerifyPlan(key=KEY, other_key=OTHER, probes=("auth/*",))) as run:
        findings = [finding.to_json() for check in run.checks() for finding in check.run()]
    assert findings
    assert _bad(json.dumps(findings)) == []


class Poor(_Quiet):
    """A server that refuses creates and echoes the key."""

    def respond(self) -> None:
        text = json.dumps({"error": {"message": f"no credit: {self.headers.get('Authorization')}"}}).encode()
        self.answer(*((403, text) if self.command == "POST" else (400, NOT_FOUND)))


def test_echoed_key_is_not_in_the_reason_of_an_aborted_run() -> None:
    with serving(Poor) as url:
        data = verify(url, VerifyPlan(key=KEY, poll_interval=0.0))
    assert f"Bearer {HIDDEN}" in data["aborted"]
    assert _bad(data["aborted"]) == []


# The keys.


@pytest.mark.parametrize("key", ["sk-x\n", "sk-x\r", " sk-x", "sk-x ", "sk-\u00e9", "\x00", " "])
@pytest.mark.parametrize("name", ["key", "other_key"])
def test_key_that_no_header_can_carry_is_refused(name: str, key: str) -> None:
    for ask in (verify, rehearse):
        with pytest.raises(SettingsError) as error:
            ask("http://127.0.0.1:9", VerifyPlan(key=key) if name == "key" else VerifyPlan(other_key=key))
        assert str(error.value).startswith({"key": "COMETAPI_KEY has ", "other_key": "COMETAPI_OTHER_KEY has "}[name])
        assert "sk-x" not in str(error.value)


def test_equal_keys_are_refused() -> None:
    with pytest.raises(SettingsError, match="expected the key of another customer, or unset it"):
        verify("http://127.0.0.1:9", VerifyPlan(key="sk-x", other_key="sk-x"))


def test_empty_other_key_is_ignored() -> None:
    with verification("http://127.0.0.1:9", VerifyPlan(key="sk-x", other_key="")) as run:
        assert run.client.keys.other is None


# Generated requests without a response.


class Dropping(_Quiet):
    """A server that takes every create and closes the connection before or within the response."""

    creates = 0
    half = False

    def respond(self) -> None:
        if self.command != "POST":
            self.answer(400, NOT_FOUND)
            return
        type(self).creates += self.path == "/v1/videos"
        if self.half:
            self.answer(200, NOT_FOUND[:9], **{"Content-Length": "99"})
        self.close_connection = True


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("jobs", [2, None])
def test_generated_request_without_a_response_is_a_finding(half: bool, jobs: int | None) -> None:
    class handler(Dropping):  # noqa: N801
        creates = 0

    handler.half = half
    probes = ("auth/no-key", "generated/createVideo", "generated/listModels")
    with serving(handler) as url:
        data = verify(url, VerifyPlan(key=KEY, examples=2, probes=probes, max_jobs=jobs))
    finding = next(
        finding
        for finding in data["findings"]
        if (finding["rule"], finding["case"]) == ("answered", "generated/createVideo")
    )
    assert "POST /v1/videos: the connection broke off; expected an answer" in finding["message"]
    assert REPEATS.match(finding["reproduce"][0])
    assert [case["name"] for case in data["cases"]] == list(probes)
    assert data["aborted"] is None
    assert data["summary"]["jobs"] == handler.creates
    assert jobs is None or handler.creates <= jobs


def test_error_of_schemathesis_ends_only_its_check(tmp_path: Path) -> None:
    overlay = tmp_path / "odd.yaml"
    overlay.write_text(
        "overlay: 1.0.0\ninfo: {title: odd, version: '1'}\nactions:\n"
        "- target: $.components.parameters.VideoId.schema\n  update: {type: integer, minimum: 9, maximum: 1}\n"
    )
    with serving(Dropping) as url:
        plan = VerifyPlan(
            examples=2, overlays=(str(overlay),), probes=("auth/no-key", "generated/*"), generated_creates=False
        )
        data = verify(url, plan)
    reasons = {skipped["case"]: skipped["reason"] for skipped in data["skipped"]}
    assert "schemathesis could not go on" in reasons["generated/retrieveVideo"]
    assert {"auth/no-key", "generated/listModels"} <= {case["name"] for case in data["cases"]}
    assert data["aborted"] is None


# Endless responses, and nonsense.


class RepeatedBytes(_Quiet):
    """Answers with these bytes, and then repeats a piece until the client leaves."""

    start, piece, pause = b"", b"", 0.0

    def respond(self) -> None:
        self.close_connection = True
        self.wfile.write(self.start)
        while self.piece:
            try:
                self.wfile.write(self.piece)
            except OSError:
                return
            time.sleep(self.pause)


JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
ENDLESS = {
    "a body that drips": (JSON_HEAD + b"Content-Length: 1000000\r\n\r\n", b" ", 0.05),
    "a head that drips": (JSON_HEAD, b"X: y\r\n", 0.1),
    "1xx for ever": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.05),
    "a body for ever": (JSON_HEAD + b"\r\n", b"x" * 2**20, 0.0),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_max_seconds_limits_endless_responses(name: str) -> None:
    start, piece, pause = ENDLESS[name]

    class handler(RepeatedBytes):  # noqa: N801
        pass

    handler.start, handler.piece, handler.pause = start, piece, pause
    with serving(handler) as url:
        begun = time.monotonic()
        data = verify(url, VerifyPlan(max_seconds=1.0, poll_interval=0.0))
        assert time.monotonic() - begun < 6
    # Only slower than the run may last: the server has done nothing wrong.
    assert ("answered" in {finding["rule"] for finding in data["findings"]}) is (name == "a body for ever")


def test_max_seconds_limits_generated_requests() -> None:
    class handler(_Quiet):  # noqa: N801
        def respond(self) -> None:
            if not self.path.startswith("/v1/"):
                self.answer(404, NOT_FOUND)
                return
            start, piece, pause = ENDLESS["a body that drips"]
            self.wfile.write(start)
            try:
                while True:
                    self.wfile.write(piece)
                    time.sleep(pause)
            except OSError:
                self.close_connection = True

    with serving(handler) as url:
        plan = VerifyPlan(max_seconds=4.0, examples=2, probes=("generated/listModels",), turn_time=False)
        with verification(url, plan) as run:
            begun = time.monotonic()
            (check,) = run.checks()
            assert check.run() == []
        assert time.monotonic() - begun < 20
    assert "--max-seconds 4 are over" in run.report.skipped[0].reason


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"[" * 200_000 + b"]" * 200_000, "answer-json"),
        (b'{"id":' * 500 + b"1" + b"}" * 500, "answer-json"),
        (b'{"id": "\\ud800", "status": "\\udfff", "error": {"message": "\\ud800\\u0000"}}', "answer-schema"),
    ],
)
def test_unreadable_response_is_a_finding(body: bytes, rule: str, tmp_path: Path) -> None:
    class handler(_Quiet):  # noqa: N801
        def respond(self) -> None:
            self.answer(200, body)

    with serving(handler) as url:
        report = verified(url, VerifyPlan(poll_interval=0.0, job_seconds=0.1))
    assert rule in {finding.rule for finding in report.findings}
    for kind in FORMATS:
        write(parse(f"{kind}={tmp_path / kind}"), report)


# The URL.


@pytest.mark.parametrize(
    "url", ["http://me:pass-word@x/v1", "me:pass-word@x", "http://pass-word@x:99999", "http://me:pass-word/1@x"]
)
def test_error_about_a_url_hides_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match="before an @; expected the root or base URL") as error:
        verify(url, VerifyPlan())
    assert "pass-word" not in str(error.value)


@pytest.mark.parametrize("url", ["http://x y/", "http://x\n/", " http://x", "http://x/\u00e9"])
def test_url_with_invalid_characters_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="a blank, a line break or another"):
        verify(url, VerifyPlan())


# Limits in bytes and time, and interruption.


class Unavailable(_Quiet):
    """A server that makes no job and answers every other request with 500."""

    def respond(self) -> None:
        self.answer(400 if self.path.endswith("0" * 32) else 500, NOT_FOUND)


def test_persistent_trouble_is_asked_for_twice() -> None:
    with serving(Unavailable) as url, verification(url, VerifyPlan(poll_interval=0.0, probes=("auth/bad-key",))) as run:
        (check,) = run.checks()
        assert {finding.rule for finding in check.run()} >= {"no-server-error"}
        assert [exchange.method for exchange in run.client.exchanges] == ["GET"] * 4


class Refusing(_Quiet):
    """A server that is overloaded for ever."""

    def respond(self) -> None:
        self.answer(400 if self.path.endswith("0" * 32) else 503, NOT_FOUND)


def test_pauses_before_retries_have_one_allowance_a_run() -> None:
    waited: list[float] = []
    with serving(Refusing) as url, verification(url, VerifyPlan(poll_interval=1.0, probes=("auth/*",))) as run:
        run.client.pace.wait = waited.append  # type: ignore[method-assign]
        for check in run.checks():
            check.run()
    assert waited == [1.0, 2.0, 4.0, 8.0]


def test_bodies_without_end_are_cut_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mockveo_contracts.servers.http_client.MAX_JSON_BYTES", 2**20)

    class handler(RepeatedBytes):  # noqa: N801
        start, piece = JSON_HEAD + b"\r\n", b"x" * 2**18

    with serving(handler) as url, verification(url, VerifyPlan(poll_interval=0.0, probes=("errors/paths",))) as run:
        (check,) = run.checks()
        (finding,) = [finding for finding in check.run() if finding.rule == "answered"]
        assert sum(len(exchange.data) for exchange in run.client.exchanges) < 2**20
    assert "the answer has more than 1048576 bytes" in finding.message


@pytest.mark.parametrize(
    ("limit", "kind"), [("MAX_LOST_S", "a body that drips"), ("MAX_RECEIVED_BYTES", "a body for ever")]
)
def test_run_ends_when_responses_cost_too_much(limit: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"mockveo_contracts.servers.budget.{limit}", 0.3)

    class handler(RepeatedBytes):  # noqa: N801
        start, piece, pause = ENDLESS[kind]

    with serving(handler) as url:
        begun = time.monotonic()
        data = verify(url, VerifyPlan(poll_interval=0.0, turn_time=False))
        assert time.monotonic() - begun < 10
    assert "in total" in json.dumps([data["aborted"], data["skipped"]])


def test_what_a_server_says_is_cut_in_reports(tmp_path: Path) -> None:
    class handler(_Quiet):  # noqa: N801
        def respond(self) -> None:
            long = "n" * 300_000
            body = {"id": long, "status": long, "error": {"code": long, "message": long}}
            self.answer(200, json.dumps(body).encode(), **{"X-Name": "n" * 50_000})

    with serving(handler) as url:
        report = verified(url, VerifyPlan(poll_interval=0.0, job_seconds=0.1, probes=("auth/*", "job/text-only")))
    assert report.findings
    for kind in FORMATS:
        write(parse(f"{kind}={tmp_path / kind}"), report)
        assert "n" * 5000 not in (tmp_path / kind).read_text(), kind


def test_interruption_ends_a_run_with_what_it_has() -> None:
    plan = VerifyPlan(poll_interval=60.0, turn_time=False)
    with mockveo.serve(render=False) as server:
        timer = threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        with plan.stop.by_signals():
            report = verified(server.url, plan)
    assert report.exit_status == 2
    assert report.aborted.startswith("it was interrupted after ")
    assert "; 1 job made: task_" in report.aborted
    assert [case.name for case in report.cases] == ["models/lists", "job/text-only"]


@pytest.mark.parametrize(
    ("check", "waits_at"),
    [
        ("generated/retrieveVideo", "/v1/videos"),
        ("generated/links", "/v1/videos"),
        # Before anything else, schemathesis asks for two paths outside the API.
        ("generated/retrieveVideo", "/"),
    ],
)
def test_interruption_ends_a_generated_request_that_waits(check: str, waits_at: str) -> None:
    released, was_released, paths = threading.Event(), list[bool](), list[str]()

    class handler(_Quiet):  # noqa: N801
        def respond(self) -> None:
            paths.append(self.path)
            if len(paths) > 1 and self.path.startswith(waits_at):  # the first is that of `prepare`
                if not was_released:
                    # Python handles a signal that comes between sending and waiting only when the wait ends.
                    time.sleep(0.5)
                    os.kill(os.getpid(), signal.SIGTERM)
                was_released.append(released.wait(50))
            with suppress(OSError):  # the client is gone
                self.answer(404, NOT_FOUND)

    plan = VerifyPlan(examples=5, probes=(check,), generated_creates=True, turn_time=False)
    with serving(handler) as url, plan.stop.by_signals():
        report = verified(url, plan)
        released.set()
    assert paths[-1].startswith(waits_at)
    assert False not in was_released
    assert (report.exit_status, report.findings) == (2, [])
    assert report.aborted.startswith("it was interrupted after ")
