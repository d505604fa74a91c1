from __future__ import annotations

import hashlib
import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mockveo
from mockveo.traffic.exchange import UNKNOWN_JOB
from mockveo.traffic.har import har
from mockveo.traffic.journal import KEPT_BYTES, Journal
from mockveo.traffic.record import RECORD_BYTES, Deviation, ExchangeRecord
from mockveo.traffic.redaction import fingerprint


def exchange(method: str = "GET", path: str = "/v1/videos/x") -> ExchangeRecord:
    record = ExchangeRecord(method, path, b"", [])
    record.status = 200
    return record


@given(st.integers(1, 20), st.lists(st.booleans(), max_size=60))
def test_journal_keeps_the_latest_and_knows_what_is_new(limit: int, steps: list[bool]) -> None:
    journal, added, last = Journal(limit), [], 0
    for look in steps:
        if look:
            new = journal.since(last)
            assert new == added[last:][-limit:]
            assert journal.since(last, 2) == new[:2]
            last = journal.count
        else:
            added.append(exchange())
            journal.add(added[-1])
        assert list(journal) == added[-limit:]
        assert len(journal) == min(len(added), limit)
    assert [record.number for record in added] == list(range(1, len(added) + 1))


def test_journal_is_bounded_in_bytes() -> None:
    journal = Journal(1000)
    for _ in range(10):
        record = exchange("POST")
        record.kept = KEPT_BYTES // 4
        journal.add(record)
        assert journal.kept <= KEPT_BYTES
        assert list(journal)[-1] is record
    assert len(journal) > 1


@pytest.mark.parametrize("size", [0, 10, 100, 70_000])
@pytest.mark.parametrize("kind", ["data", "files"])
def test_body_sha256_is_of_the_bytes_that_were_sent(size: int, kind: str) -> None:
    with mockveo.serve(render=False) as server, httpx.Client() as client:
        given = {"prompt": "p" * size} if kind == "data" else {"prompt": (None, "p"), "input_reference": b"x" * size}
        request = client.build_request("POST", f"{server.base_url}/videos", **{kind: given})
        body = request.read()
        request.headers["Authorization"] = "Bearer sk"
        client.send(request)
        (record,) = server.app.world.journal
    assert record.body_size == len(body)
    assert record.body_sha256 == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("render", [False, True])
def test_record_keeps_only_size_and_hash_of_a_file(*, render: bool) -> None:
    with mockveo.serve(render=render) as server:
        httpx.post(
            f"{server.base_url}/videos",
            headers={"Authorization": "Bearer sk"},
            data={"prompt": "p"},
            files={"input_reference": b"x" * 10_000},
        )
        (record,) = server.app.world.journal
    assert [(part.data, part.size) for part in record.parts if part.is_file] == [(None, 10_000)]
    assert 100 < record.kept - RECORD_BYTES < 2000


def test_record_counts_its_head_as_kept() -> None:
    plain, long = ExchangeRecord("GET", "/", b"", []), ExchangeRecord("GET", "p" * 50, b"q" * 60, [(b"x", b"y" * 70)])
    assert long.kept - plain.kept > 50 + 60 + 70


def test_line_shows_the_exchange_and_its_deviations() -> None:
    record = exchange("POST", "/v1/videos")
    record.operation, record.job_id, record.state, record.progress = "createVideo", "task_1", "queued", 0
    record.image_count = 2
    record.deviations = [Deviation("content-type", "sent as application/json; the page says multipart/form-data")]
    first, second = record.to_line().split("\n")
    assert first[9:] == "POST /v1/videos 200 queued 0 % task_1, 2 images"
    assert second.strip() == "! sent as application/json; the page says multipart/form-data"


def test_line_names_the_error_or_a_client_that_left() -> None:
    record = exchange()
    record.status, record.error = 400, "task_not_exist"
    assert record.to_line()[9:] == "GET /v1/videos/x 400 task_not_exist"
    record.status, record.error = 0, ""
    assert record.to_line()[9:] == "GET /v1/videos/x gone"


def test_line_escapes_control_characters() -> None:
    assert "\x1b" not in exchange(path="/v1/\x1b[31m\r\nred").to_line()
    assert "\n" not in exchange(path="/v1/\x1b[31m\r\nred").to_line()


@pytest.mark.parametrize("key", ["sk-secret-0123456789", "<token>"])
def test_key_is_never_shown(key: str) -> None:
    with mockveo.serve(render=False) as server:
        httpx.get(f"{server.base_url}/models", headers={"Authorization": f"Bearer {key}"})
        httpx.get(
            f"{server.base_url}/models?a=1&api_key={key}&token={key}&b=2", headers={"X-Api-Key": key, "Cookie": key}
        )
        for record in server.app.world.journal:
            shown = json.dumps([record.to_json(), record.redacted_headers, record.to_line()])
            assert key not in shown
            assert fingerprint(key) in shown or record.status == 401
        assert list(server.app.world.journal)[1].to_json()["request"]["query"] == "a=1&api_key=...&token=...&b=2"


@given(st.lists(st.tuples(st.binary(), st.binary()).map(lambda pair: tuple(part.replace(b"\n", b"") for part in pair))))
def test_headers_are_kept_as_received(headers: list[tuple[bytes, bytes]]) -> None:
    record = ExchangeRecord("GET", "/", b"", headers)
    assert [(name.encode("latin-1"), value.encode("latin-1")) for name, value in record.headers] == headers


def test_hints_explain_what_the_service_does_not() -> None:
    with mockveo.serve(credit=1, key=["sk-a", "sk-b"], max_body=1000, render=False) as server:
        with httpx.Client(base_url=server.base_url, headers={"Authorization": "Bearer sk-a"}) as client:
            job = client.post("/videos", files={"prompt": (None, "p")}).json()["id"]
            for request in (
                client.build_request("GET", f"/videos/{job}", headers={"Authorization": "Bearer sk-b"}),
                client.build_request("GET", "/videos/nope"),
                client.build_request("POST", "/videos", files={"prompt": (None, "p")}),
                client.build_request("POST", "/videos", files={"prompt": (None, "p"), "model": (None, "veo9")}),
                client.build_request("POST", "/videos", files={"prompt": (None, "p" * 2000)}),
                client.build_request("GET", "/models", headers={"Authorization": "Bearer sk-c"}),
                client.build_request("GET", "/models", headers={"Authorization": "sk-a"}),
                client.build_request("POST", f"{server.url}/videos"),
            ):
                client.send(request)
        hints = [record.to_line().partition("! ")[2] for record in server.app.world.journal][1:]
    assert hints[:3] == [
        "the job exists but belongs to another key",
        UNKNOWN_JOB,
        "--credit is 1",
    ]
    assert hints[3].startswith("the models are veo3-fast, veo3, veo3-pro, veo3.1-fast, veo3.1, veo3.1-pro; to serve")
    assert hints[4].startswith("--max-body is 1000, the body has 2")
    assert hints[5:7] == ["the key is not one of --key", "the Authorization header does not say Bearer KEY"]
    assert hints[7].startswith("the paths are POST /v1/videos, GET /v1/videos/{video_id}, ")


def test_credentials_of_any_name_are_hidden() -> None:
    names = ("authorization", "x-goog-api-key", "x-auth-token", "apikey", "openai-api-key", "cookie", "x-cometapi-key")
    query = "%6bey=s3cret&credentials=s3cret&password=s3cret&ticket=s3cret&access_key_id=s3cret&a=b"
    with mockveo.serve(render=False) as server:
        httpx.get(f"{server.url}/v1/models?{query}", headers=dict.fromkeys(names, "s3cret"))
        (record,) = server.app.world.journal
        shown = json.dumps([record.to_json(), har([record], server.url, server.url)])
    assert "s3cret" not in shown
    assert "a=b" in shown


def test_deeply_nested_json_is_refused() -> None:
    with mockveo.serve(render=False) as server:
        text = '{"prompt": "x", "foo": ' + "[" * 300 + "]" * 300 + "}"
        headers = {"Authorization": "Bearer sk", "Content-Type": "application/json"}
        answer = httpx.post(f"{server.base_url}/videos", content=text, headers=headers)
        assert answer.status_code == 400
        assert "nested more than 200 levels deep" in answer.text
        assert httpx.get(f"{server.url}/_mockveo/journal").status_code == 200
