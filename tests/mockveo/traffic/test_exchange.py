"""What the record of an exchange writes, the reader reads."""

from __future__ import annotations

import json

import pytest

from mockveo.http.parts import Part
from mockveo.traffic.exchange import Exchange
from mockveo.traffic.record import Deviation, ExchangeRecord
from mockveo.traffic.redaction import fingerprint


def recorded() -> ExchangeRecord:
    record = ExchangeRecord("POST", "/v1/videos", b"a=1", [(b"Authorization", b"Bearer sk-secret")])
    record.number, record.at, record.operation, record.owner = 3, 12.5, "createVideo", "sk-secret"
    record.parts = [Part("prompt", "a kite"), Part("input_reference", None, "a.png", "image/png", None, 5, "0f")]
    record.deviations = [Deviation("repeated-field", "prompt came twice")]
    record.status, record.job_id, record.state, record.progress = 200, "task_1", "queued", 0
    record.response_headers = [(b"Content-Length", b"35"), (b"Retry-After", b"2")]
    record.response_body = b'{"id": "task_1", "status":"queued"}'
    record.response_bytes = len(record.response_body)
    return record


def test_from_json_reads_what_to_json_writes() -> None:
    exchange = Exchange.from_json(json.loads(json.dumps(recorded().to_json())), clock="at")
    assert (exchange.number, exchange.at, exchange.operation, exchange.operation_id) == (
        3,
        12.5,
        "create",
        "createVideo",
    )
    assert (exchange.method, exchange.path, exchange.query) == ("POST", "/v1/videos", "a=1")
    assert exchange.headers == {"authorization": f"Bearer ({fingerprint('sk-secret')})"}
    assert exchange.form == ((("prompt", "a kite"),), ("0f",))
    assert exchange.deviations == {"repeated-field": "prompt came twice"}
    assert (exchange.whole, exchange.state, exchange.shown.id, exchange.job) == (True, "queued", "task_1", "task_1")
    assert (exchange.retry_after, exchange.transient, exchange.error_code) == ("2", False, "")


@pytest.mark.parametrize(
    ("status", "body", "length", "expected"),
    [
        (200, b"{}", b"3", True),
        (200, b"<html>", b"6", True),
        (429, b"{}", b"2", True),
        (503, b'{"error": {"code": "model_not_found"}}', b"38", False),
        (404, b"{}", b"2", False),
        (0, b"", b"0", True),
    ],
)
def test_transient_is_trouble_that_may_pass(status: int, body: bytes, length: bytes, *, expected: bool) -> None:
    record = recorded()
    record.status, record.response_body, record.response_bytes = status, body, len(body)
    record.response_headers = [(b"content-length", length)]
    assert Exchange.from_json(record.to_json()).transient is expected
