"""Sent exchanges share the JSON form of all exchanges, and a conversation settles what a retry settled."""

from __future__ import annotations

import json
from typing import Any

from mockveo_contracts.servers.exchanges import USUAL, Body, Conversation, SentExchange, UploadFile

from mockveo.spec.spec import load
from mockveo.traffic.exchange import Exchange

FILE = UploadFile("input_reference", "first.png", "image/png", b"pixels")
FORM = Body("multipart/form-data; boundary=x", b"--x--\r\n", (("prompt", "A kite."),), (FILE,))
JOB = {"id": "task_1", "status": "queued", "progress": 0}


def sent(**more: Any) -> SentExchange:
    usual: dict[str, Any] = {
        "number": 1, "operation": "createVideo", "method": "POST", "path": "/v1/videos?token=secret",
        "headers": {"Authorization": "Bearer sk-secret"}, "body": FORM, "purpose": USUAL, "expected": "", "key": "ours",
        "job": "", "at": 1.5, "time": 1_800_000_000.0, "duration_s": 0.25, "status": 200,
        "answer_headers": {"content-type": "application/json"}, "data": json.dumps(JOB).encode(),
    }  # fmt: skip
    return SentExchange(**{**usual, **more})


def test_sent_exchange_is_read_like_any_other_exchange() -> None:
    exchange = Exchange.from_json(json.loads(json.dumps(sent().to_json())), clock="at")
    assert (exchange.number, exchange.at, exchange.operation, exchange.status) == (1, 1.5, "create", 200)
    assert (exchange.state, exchange.shown.id, exchange.job, exchange.whole) == ("queued", "task_1", "task_1", True)
    assert exchange.fields == [{"name": "prompt", "value": "A kite."}]
    assert exchange.files[0]["sha256"] == FILE.sha256


def test_sent_exchange_without_a_response_is_read_as_lost() -> None:
    exchange = Exchange.from_json(sent(status=0, data=b"", trouble="the connection broke off").to_json())
    assert (exchange.status, exchange.transient) == (0, True)


def test_json_of_a_sent_exchange_hides_the_key() -> None:
    assert "secret" not in json.dumps(sent().to_json())


def test_line_of_a_sent_exchange_names_request_and_result() -> None:
    assert sent().line == "POST /v1/videos?token=..., 1 image \u2192 200 queued 0 % task_1"
    assert sent(status=0, data=b"", trouble="no answer").line.endswith("1 image \u2192 no answer: no answer")


def test_job_of_other_shape_is_shown() -> None:
    answer = {"code": "success", "data": {"task_id": "task_1", "status": "SUCCESS", "progress": "100%"}}
    exchange = sent(status=202, data=json.dumps(answer).encode())
    assert (exchange.made, exchange.state, exchange.progress) == ("task_1", "SUCCESS", 100)
    assert (exchange.shown.ended, exchange.members["task_id"]) == (True, "task_1")


def test_failure_that_a_retry_settled_is_left_out_of_settled_exchanges() -> None:
    failed = sent(number=1, status=503, data=b"")
    again = sent(number=2)
    assert Conversation([failed, again], load()).settled == [again]
    assert Conversation([again, sent(number=3, status=503, data=b"")], load()).settled[1].number == 3
