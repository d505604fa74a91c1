"""The log of a server: each finding stands under the line of its own request."""

from __future__ import annotations

import json

from mockveo.console.log import LogWriter, TerminalLog
from mockveo.traffic.journal import Feed, Journal
from mockveo.traffic.record import Deviation, ExchangeRecord

#: A finding of the log, without its margin.
NO_KEY = "? violation of auth-bearer: GET /v1/models/{} carried no Authorization; expected Authorization: Bearer KEY"


class Lines(LogWriter):
    """A writer that keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str) -> bool:
        self.lines += text.split("\n")
        return True


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
