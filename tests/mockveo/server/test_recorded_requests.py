"""What real clients put on the wire (tests/data/requests, recorded), replayed: each is understood as it was meant."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from hashlib import sha256
from http.client import HTTPResponse
from typing import Any, NamedTuple

import pytest
from paths import DATA

import mockveo
from mockveo.server.run import ServerThread
from mockveo.traffic.record import ExchangeRecord

RECORDED = DATA / "requests"
#: The stand-ins that were sent as first and last image.
IMAGES = (b"\x89PNG\r\n\x1a\n1111", b"\xff\xd8\xff\xe02222")
#: What `veo3-fast` resolves to, which is also the default.
VEO = "veo_3_1-4K"


class Expected(NamedTuple):
    status: int
    #: The resolved model; None where the request is refused.
    model: str | None
    images: int
    #: Codes, in the order of the parts.
    deviations: tuple[str, ...]
    prompt: str


UNKNOWN, ARRAY, TYPE = "unknown-part", "image-field-name", "content-type"
KITE = "A paper kite ✈ é"

EXPECTED = {
    "aiohttp-multipart": Expected(200, VEO, 1, (), "a kite"),
    "aiohttp-urlencoded": Expected(200, VEO, 0, (TYPE,), "a kite"),
    # The Blob is dropped before anything is sent: all that can be seen here is a create without an image.
    "cometapi-node-0.1.3-create_blob": Expected(200, VEO, 0, (), "p"),
    "cometapi-node-0.1.3-create_nofile": Expected(200, VEO, 0, (UNKNOWN,), KITE),  # seconds
    "cometapi-node-0.1.3-create_ref_object": Expected(200, VEO, 0, (UNKNOWN,), "p"),  # input_reference[image_url]
    "cometapi-node-0.1.3-create_toFile": Expected(200, VEO, 1, (), "p"),
    "cometapi-node-0.1.3-create_two_array": Expected(200, VEO, 2, (ARRAY, ARRAY), "p"),
    "cometapi-py-0.1.4-create_extra_body": Expected(200, VEO, 0, (UNKNOWN,) * 4, "p"),
    "cometapi-py-0.1.4-create_file_bytes": Expected(200, VEO, 1, (), "p"),
    "cometapi-py-0.1.4-create_file_open": Expected(200, VEO, 1, (), "p"),
    "cometapi-py-0.1.4-create_file_tuple": Expected(200, VEO, 1, (), "p"),
    "cometapi-py-0.1.4-create_nofile": Expected(200, VEO, 0, (UNKNOWN,), KITE),  # seconds
    "cometapi-py-0.1.4-create_two_list": Expected(200, VEO, 2, (ARRAY, ARRAY), "p"),
    "cometapi-py-0.1.4-create_two_rawpost": Expected(200, VEO, 2, (), "p"),
    "curl-docs-example": Expected(200, VEO, 1, (), "A paper kite floats above a field."),
    "curl-two-files": Expected(200, VEO, 2, (), "A paper kite"),
    "httpx-two-files": Expected(200, VEO, 2, (), "a kite"),
    "httpx-urlencoded": Expected(200, VEO, 0, (TYPE,), "a kite"),
    "litellm-1.106.2-async": Expected(200, VEO, 1, (), "p"),
    "litellm-1.106.2-create_file_bytes": Expected(200, VEO, 1, (), "p"),
    "litellm-1.106.2-create_file_open": Expected(200, VEO, 1, (), "p"),
    "litellm-1.106.2-create_nofile": Expected(200, VEO, 0, (UNKNOWN,), KITE),  # seconds
    "openai-node-7.57.0-create_blob": Expected(200, VEO, 1, (), "p"),
    "openai-node-7.57.0-create_nofile": Expected(200, VEO, 0, (UNKNOWN,), KITE),  # seconds
    "openai-node-7.57.0-create_ref_object": Expected(200, VEO, 0, (UNKNOWN,), "p"),  # input_reference[image_url]
    "openai-node-7.57.0-create_toFile": Expected(200, VEO, 1, (), "p"),
    "openai-node-7.57.0-create_two_array": Expected(200, VEO, 2, (ARRAY, ARRAY), "p"),
    "openai-py-3.54.0-create_extra_body": Expected(200, VEO, 0, (UNKNOWN,) * 4, "p"),
    "openai-py-3.54.0-create_file_bytes": Expected(200, VEO, 1, (), "p"),
    "openai-py-3.54.0-create_file_open": Expected(200, VEO, 1, (), "p"),
    "openai-py-3.54.0-create_file_tuple": Expected(200, VEO, 1, (), "p"),
    "openai-py-3.54.0-create_nofile": Expected(200, VEO, 0, (UNKNOWN,), KITE),  # seconds
    "openai-py-3.54.0-create_two_list": Expected(200, VEO, 2, (ARRAY, ARRAY), "p"),
    "openai-py-3.54.0-create_two_rawpost": Expected(200, VEO, 2, (), "p"),
    "requests-files-only": Expected(200, VEO, 0, (), "a kite"),
    "requests-json": Expected(200, VEO, 0, (TYPE,), "a kite"),
    "requests-multipart-without-boundary": Expected(400, None, 0, (), ""),
    "requests-two-files": Expected(200, VEO, 2, (), "a kite"),
    "requests-urlencoded": Expected(200, VEO, 0, (TYPE,), "a kite"),
    "undici-formdata": Expected(401, None, 0, (), ""),  # was recorded without a key
}


@pytest.fixture(scope="module")
def server() -> Iterator[ServerThread]:
    with mockveo.serve(self_check=True, render=False) as server:
        yield server


def recorded(name: str) -> bytes:
    return (RECORDED / f"{name}.http").read_bytes()


def replay(server: ServerThread, request: bytes) -> tuple[HTTPResponse, Any, ExchangeRecord]:
    """Sends a request as it is; the answer, its JSON, and the exchange as the server's journal has it."""
    journal = server.app.world.journal
    before = journal.count
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(request)
        with HTTPResponse(connection, method="POST") as answer:
            answer.begin()
            body = json.loads(answer.read())
    deadline = time.monotonic() + 10
    while journal.count == before and time.monotonic() < deadline:
        time.sleep(0.001)  # an exchange is journalled just after its answer
    (exchange,) = journal.since(before)
    return answer, body, exchange


def test_every_recording_has_an_expected_result() -> None:
    assert sorted(EXPECTED) == sorted(file.name.removesuffix(".http") for file in RECORDED.iterdir())


@pytest.mark.parametrize("name", [name for name in EXPECTED if EXPECTED[name].status == 200])
def test_a_recorded_create_is_understood(server: ServerThread, name: str) -> None:
    assert_created(EXPECTED[name], *replay(server, recorded(name)))


def test_undici_s_form_is_understood_with_a_key(server: ServerThread) -> None:
    request = recorded("undici-formdata").replace(b"\r\n\r\n", b"\r\nauthorization: Bearer k\r\n\r\n", 1)
    assert_created(Expected(200, VEO, 1, (), "a\r\nb"), *replay(server, request))


def assert_created(expected: Expected, answer: HTTPResponse, body: Any, exchange: ExchangeRecord) -> None:
    assert answer.status == expected.status, body
    assert answer.getheader("Content-Type") == "application/json"
    # The fields of the page of March 2026, and no other.
    assert body.keys() == {"created_at", "id", "model", "object", "progress", "seconds", "size", "status"}
    assert re.fullmatch("task_[0-9A-Za-z]{32}", body["id"])
    assert type(body["created_at"]) is int
    assert abs(body["created_at"] - time.time()) < 60
    assert body["model"] == expected.model
    assert body["object"] == "video"
    assert type(body["progress"]) is int
    assert body["progress"] == 0
    assert body["seconds"] == ""
    assert body["size"] == "16x9"
    assert body["status"] == "queued"

    assert exchange.operation == "createVideo"
    assert exchange.status == expected.status
    assert exchange.error == ""
    assert exchange.job_id == body["id"]
    assert tuple(note.code for note in exchange.deviations) == expected.deviations
    assert [part.value for part in exchange.parts if part.name == "prompt"] == [expected.prompt]
    sent = [part.sha256 for part in exchange.parts if part.is_file]
    assert sent == [sha256(image).hexdigest() for image in IMAGES[: expected.images]]


REFUSED = {
    "requests-multipart-without-boundary": (
        "invalid_multipart_form",
        {"code": "invalid_multipart_form", "message": "no multipart boundary param in Content-Type"},
    ),
    "undici-formdata": (
        "invalid_token",
        {"error": {"code": "", "message": "invalid token", "type": "comet_api_error"}},
    ),
}


@pytest.mark.parametrize("name", [name for name in EXPECTED if EXPECTED[name].status != 200])
def test_a_recorded_create_is_refused(server: ServerThread, name: str) -> None:
    expected = EXPECTED[name]
    error, envelope = REFUSED[name]
    answer, body, exchange = replay(server, recorded(name))

    assert answer.status == expected.status, body
    assert answer.getheader("Content-Type") == "application/json"
    # A request id: date and time, nanoseconds, 8 characters.
    assert json.loads(re.sub(r"\d{14}\d{9}[0-9A-Za-z]{8}", "ID", json.dumps(body))) == envelope
    assert exchange.operation == "createVideo"
    assert exchange.status == expected.status
    assert exchange.error == error
    assert exchange.job_id == ""
    assert tuple(note.code for note in exchange.deviations) == expected.deviations
    assert len(exchange.parts) == expected.images
