"""The log of a server: each finding stands under the line of its own request."""

from __future__ import annotations

import json
import os

import pytest
from log_lines import Lines

from mockveo.console.log import MAX_WAITING_CHARACTERS, LogWriter, TerminalLog
from mockveo.traffic.journal import MAX_WAITING_BYTES, Feed, Journal
from mockveo.traffic.record import Deviation, ExchangeRecord

#: A finding of the log, without its margin.
NO_KEY = "? violation of auth-bearer: GET /v1/models/{} carried no Authorization; expected Authorization: Bearer KEY"


def logged(journal: Journal, path: str, *deviations: str, hint: str = "") -> ExchangeRecord:
    record = ExchangeRecord("GET", path, b"", [(b"authorization", b"Bearer x")] if hint else [])
    record.operation, record.status = ("", 404) if hint else ("listModels", 401)
    record.error, record.hint, record.started = "unknown_path" if hint else "", hint, 0.0
    record.deviations = [Deviation("a-code", message) for message in deviations]
    journal.add(record)
    return record


def test_finding_stands_under_its_own_request() -> None:
    feed, writer = Feed(100), Lines()
    log, journal = TerminalLog(feed, "text", writer, findings=True), Journal(100, feed)
    for name in ("a", "b"):
        logged(journal, f"/v1/models/{name}")
    log.flush()
    assert [line[9:] for line in writer.lines] == [
        *("GET /v1/models/a 401", NO_KEY.format("a")),
        *("GET /v1/models/b 401", NO_KEY.format("b")),
    ]


def test_finding_does_not_repeat_the_note_of_its_request() -> None:
    feed, writer = Feed(100), Lines()
    log, journal = TerminalLog(feed, "text", writer, findings=True), Journal(100, feed)
    logged(journal, "/v1/video", hint="did you mean /v1/videos?")
    log.flush()
    assert writer.lines[1:] == [
        "         ! did you mean /v1/videos?",
        "         ? violation of known-operation: GET /v1/video is not in the OpenAPI document",
    ]


def test_finding_cannot_act_on_a_terminal_or_forge_a_line() -> None:
    feed, writer = Feed(100), Lines()
    log, journal = TerminalLog(feed, "text", writer, findings=True), Journal(100, feed)
    logged(journal, "/v1/\x1b]0;pwned\x07\n12:00:00 GET /v1/models 200\u202e", hint="did you mean /v1/videos?")
    log.flush()
    assert "violation of known-operation: GET /v1/\\x1b]0;pwned\\x07\\x0a12:00:00" in writer.lines[2]
    assert not any(character in "".join(writer.lines) for character in "\x1b\x07\u202e\n")


def test_count_of_a_repeated_finding_is_written_at_the_end() -> None:
    feed, writer = Feed(100), Lines()
    log, journal = TerminalLog(feed, "json", writer, findings=True), Journal(100, feed)
    for _ in range(3):
        logged(journal, "/v1/models/a")
        log.flush()
    log.close()
    lines = [json.loads(line) for line in writer.lines]
    assert [line["finding"]["rule"] for line in lines if "finding" in line] == ["auth-bearer"]
    assert [line["repeated"]["count"] for line in lines if "repeated" in line] == [3]


def test_log_without_a_reader_is_bounded_and_says_what_it_lost(capfd: pytest.CaptureFixture[str]) -> None:
    reader, descriptor = os.pipe()
    feed, writer = Feed(1000), LogWriter(descriptor)
    log, journal = TerminalLog(feed, "json", writer, findings=True), Journal(100, feed)
    for _ in range(30):
        for _ in range(10):
            logged(journal, f"/v1/models/{'x' * 60_000}")
        log.flush()
    waiting = writer._texts.qsize()
    assert writer.is_full
    assert 2 <= waiting < 10
    taken = 0
    while writer.is_full:
        taken += len(os.read(reader, 2**20))
    logged(journal, "/v1/models/last")
    log.flush()
    assert "exchanges came too fast to be logged" in capfd.readouterr().err
    os.close(reader)
    log.close()
    writer.close()
    os.close(descriptor)
    assert taken < 3 * MAX_WAITING_CHARACTERS


def test_feed_keeps_few_bytes_until_they_are_logged() -> None:
    feed = Feed(1000)
    journal = Journal(1000, feed)
    for _ in range(40):
        logged(journal, f"/v1/models/{'x' * 1_000_000}")
    assert 1_000_000 < sum(exchange.kept for exchange in feed.take()) <= MAX_WAITING_BYTES
    logged(journal, "/v1/models/last")
    assert [exchange.path for exchange in feed.take()] == ["/v1/models/last"]
    assert feed.count == 41


def test_log_goes_on_without_findings_if_looking_for_them_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("a bug")

    feed, writer = Feed(100), Lines()
    log, journal = TerminalLog(feed, "text", writer, findings=True), Journal(100, feed)
    monkeypatch.setattr("mockveo.rules.live.findings", fails)
    for name in ("a", "b"):
        logged(journal, f"/v1/models/{name}")
        log.flush()
    log.close()
    assert [line[9:] for line in writer.lines] == ["GET /v1/models/a 401", "GET /v1/models/b 401"]
    assert [record.getMessage() for record in caplog.records] == [
        "the log shows no more findings, since looking for them failed; this is a bug of mockveo"
    ]
