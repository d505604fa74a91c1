"""Responses of other shapes, as clients meet them: names of the job, codings, lengths, ids and URLs."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import re
import socket
import zlib
from contextlib import closing
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from mockveo import serve
from mockveo.simulator.scenarios import scenario
from mockveo.testing import Mockveo

FORM = {"prompt": (None, "A kite.")}


def client_of(mockveo: Mockveo) -> httpx.Client:
    return httpx.Client(base_url=mockveo.base_url, headers={"Authorization": f"Bearer {mockveo.key}"}, trust_env=False)


def created(client: httpx.Client, **more: Any) -> httpx.Response:
    return client.post("/videos", files={**FORM, **more})


def test_bodies_and_headers_of_faults_name_the_job(mockveo: Mockveo) -> None:
    body = {"id": "{id}", "created_at": "{created_at}", "urls": ["{base_url}/videos/{id}"], "what": "{what}"}
    mockveo.scenario(
        phases=[{"duration": 100}],
        faults=[
            {"operation": "retrieve", "nth": 1, "json": body, "headers": {"location": "/x/{id}?s={status}"}},
            {"operation": "retrieve", "nth": 2, "text": "{model} is {status}"},
            {"operation": "retrieve", "nth": 3, "status": 409, "message": "Job {id} of {model}."},
        ],
    )
    with client_of(mockveo) as client:
        job = created(client).json()
        path = f"/videos/{job['id']}"
        first = client.get(path)
        urls = [f"{mockveo.base_url}{path}"]
        assert first.json() == {"id": job["id"], "created_at": job["created_at"], "urls": urls, "what": "{what}"}
        assert first.headers["location"] == f"/x/{job['id']}?s=queued"
        assert client.get(path).text == "veo_3_1-4K is queued"
        assert client.get(path).json()["error"]["message"] == f"Job {job['id']} of veo_3_1-4K."


def test_a_create_that_makes_its_job_names_it_and_another_one_does_not(mockveo: Mockveo) -> None:
    fault = {"operation": "create", "json": {"task_id": "{id}", "at": "{base_url}"}}
    mockveo.scenario(faults=[{**fault, "nth": 1, "applied": True}, {**fault, "nth": 2}])
    with client_of(mockveo) as client:
        task = created(client).json()["task_id"]
        assert client.get(f"/videos/{task}").json()["id"] == task
        assert created(client).json() == {"task_id": "{id}", "at": mockveo.base_url}


def test_a_header_quotes_what_it_cannot_carry(mockveo: Mockveo) -> None:
    mockveo.scenario(faults=[{"operation": "retrieve", "headers": {"x-prompt": "{prompt}"}}])
    with client_of(mockveo) as client:
        job = client.post("/videos", files={"prompt": (None, "A kite 凧\r\nX-Other: 1")}).json()
        answer = client.get(f"/videos/{job['id']}")
    assert answer.headers["x-prompt"] == f"A kite {quote('凧')}%0D%0AX-Other: 1"
    assert "x-other" not in answer.headers


@pytest.mark.parametrize("status", [201, 202])
def test_a_create_is_answered_with_another_success_and_its_job(mockveo: Mockveo, status: int) -> None:
    mockveo.scenario(faults=[{"operation": "create", "status": status}])
    with client_of(mockveo) as client:
        answer = created(client)
        assert (answer.status_code, answer.json()["status"]) == (status, "queued")
        assert client.get(f"/videos/{answer.json()['id']}").json()["id"] == answer.json()["id"]


@pytest.mark.parametrize(
    ("ids", "pattern"),
    [("{digits}", r"[1-9]\d{14}"), ("v {uuid}?a=1#%41é", r"v [0-9a-f-]{36}\?a=1#%41é"), ("x-{letters}", r"x-\w{32}")],
)
def test_ids_of_another_form_lead_to_their_job(mockveo: Mockveo, ids: str, pattern: str) -> None:
    mockveo.scenario(ids=ids, phases=[], video_url=True)
    with client_of(mockveo) as client:
        first, second = (created(client).json()["id"] for _ in range(2))
        assert first != second
        path = f"/videos/{quote(first, safe='')}"
        polled = client.get(path).json()
        assert polled["id"] == first
        assert re.fullmatch(pattern, first)
        video = client.get(f"{path}/content").content
        assert httpx.get(polled["video_url"], trust_env=False).content == video


def test_a_number_as_id_leads_to_its_job(mockveo: Mockveo) -> None:
    mockveo.scenario(ids="{digits}", style={"id": "number"})
    with client_of(mockveo) as client:
        task = created(client).json()["id"]
        assert isinstance(task, int)
        assert client.get(f"/videos/{task}").json()["id"] == task


@pytest.mark.parametrize("origin", ["own", "path"])
def test_a_video_url_leads_to_the_content_of_the_api_and_needs_the_key(mockveo: Mockveo, origin: str) -> None:
    mockveo.scenario(phases=[{"duration": 25}], video_url={"origin": origin, "early": True})
    with client_of(mockveo) as client:
        job = created(client).json()
        assert "video_url" not in job
        early = client.get(f"/videos/{job['id']}").json()
        url = early["video_url"]
        assert (early["status"], urlsplit(url).netloc != "") == ("queued", origin == "own")
        absolute = str(httpx.URL(mockveo.base_url).join(url))
        assert client.get(absolute).json()["error"]["message"].startswith("Task is not completed yet")
        assert httpx.get(absolute, trust_env=False).status_code == 401
        while client.get(f"/videos/{job['id']}").json()["status"] != "completed":
            pass
        assert client.get(absolute).content == client.get(f"/videos/{job['id']}/content").content


def test_a_signed_url_that_comes_early_has_nothing_yet(mockveo: Mockveo) -> None:
    mockveo.scenario(phases=[{"duration": 100}], video_url={"early": True})
    with client_of(mockveo) as client:
        job = created(client).json()
        answer = httpx.get(client.get(f"/videos/{job['id']}").json()["video_url"], trust_env=False)
    assert (answer.status_code, "NoSuchKey" in answer.text) == (404, True)


def test_a_failed_job_without_a_reason_has_no_video_url(mockveo: Mockveo) -> None:
    mockveo.scenario(phases=[], ending="failure", video_url=True)
    with client_of(mockveo) as client:
        assert "video_url" not in client.get(f"/videos/{created(client).json()['id']}").json()


def raw_poll(mockveo: Mockveo, times: int = 1) -> list[tuple[http.client.HTTPMessage, bytes]]:
    """Polls a new job over one connection, with a client that decodes nothing."""
    with client_of(mockveo) as client:
        job = created(client).json()["id"]
    parts = urlsplit(mockveo.base_url)
    headers, answers = {"Authorization": f"Bearer {mockveo.key}"}, []
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)) as connection:
        for _ in range(times):
            connection.request("GET", f"{parts.path}/videos/{job}", headers=headers)
            with connection.getresponse() as response:
                answers.append((response.msg, response.read()))
    return answers


@pytest.mark.parametrize(("coding", "decode"), [("gzip", gzip.decompress), ("deflate", zlib.decompress)])
def test_a_body_is_really_encoded(mockveo: Mockveo, coding: str, decode: Any) -> None:
    mockveo.scenario(faults=[{"operation": "retrieve", "encode": coding}])
    ((headers, body),) = raw_poll(mockveo)
    assert (headers["content-encoding"], int(headers["content-length"])) == (coding, len(body))
    assert json.loads(decode(body))["status"] in ("queued", "in_progress")


def test_the_hash_of_an_encoded_body_is_that_of_what_a_client_stores() -> None:
    faults = [{"operation": "content", "nth": 1, "encode": "gzip"}, {"operation": "retrieve", "encode": "gzip"}]
    with serve(render=False) as server:
        server.app.world.use(scenario({"phases": [], "faults": faults}))
        with httpx.Client(base_url=server.base_url, headers={"Authorization": "Bearer sk"}) as client:
            job = created(client).json()["id"]
            answers = [client.get(f"/videos/{job}{path}") for path in ("/content", "/content", "")]
        records = [record.to_json() for record in server.app.world.journal][1:]
    hashes = [hashlib.sha256(answer.content).hexdigest() for answer in answers]
    assert [record["response"]["body_sha256"] for record in records] == hashes
    assert hashes[0] == hashes[1]
    assert records[0]["response"]["body_bytes"] != records[1]["response"]["body_bytes"]


def test_a_body_is_labelled_and_not_encoded(mockveo: Mockveo) -> None:
    mockveo.scenario(faults=[{"operation": "retrieve", "headers": {"content-encoding": "gzip"}}])
    ((headers, body),) = raw_poll(mockveo)
    assert (headers["content-encoding"], json.loads(body)["status"]) == ("gzip", "queued")


def test_an_encoded_body_with_the_decoded_length_is_cut_off(mockveo: Mockveo) -> None:
    text = "kite " * 1000
    mockveo.scenario(faults=[{"operation": "retrieve", "text": text, "encode": "gzip", "content_length": "decoded"}])
    with pytest.raises(http.client.IncompleteRead) as caught:
        raw_poll(mockveo)
    assert gzip.decompress(caught.value.partial).decode() == text


def test_bytes_beyond_the_promised_length_are_sent(mockveo: Mockveo) -> None:
    mockveo.scenario(faults=[{"operation": "retrieve", "nth": 1, "text": "0123456789 and more", "content_length": 10}])
    with client_of(mockveo) as client:
        job = created(client).json()["id"]
    parts = urlsplit(mockveo.base_url)
    head = f"GET {parts.path}/videos/{job} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {mockveo.key}\r\n"
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=5) as connection:
        connection.sendall(f"{head}\r\n{head}Connection: close\r\n\r\n".encode())
        with connection.makefile("rb") as stream:
            first, _, rest = stream.read().partition(b"\r\n\r\n")
    assert b"content-length: 10\r\n" in first
    assert rest.startswith(b"0123456789 and moreHTTP/1.1 200 OK\r\n")
    assert mockveo.requests[-2].status == 200


def test_a_file_type_decides_whether_a_create_is_refused(mockveo: Mockveo) -> None:
    refusal = {"operation": "create", "status": 400, "code": "invalid_image", "message": "Unsupported media type."}
    mockveo.scenario(faults=[{**refusal, "file_type": "application/octet-stream"}, {**refusal, "file_type": "none"}])
    with client_of(mockveo) as client:
        png = created(client, input_reference=("a.png", b"\x89PNG", "image/png"))
        octets = created(client, input_reference=("a.png", b"\x89PNG", "application/octet-stream"))
        assert (created(client).status_code, png.status_code, octets.status_code) == (200, 200, 400)
