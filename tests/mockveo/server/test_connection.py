"""What goes wrong below HTTP, with bytes on a socket: always a clear answer, flat memory and a server that goes on."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import re
import socket
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import httpx
import pytest
from raw_http import BOUNDARY, FIELD, RawResponse, chunked, connect, exchange, head, receive

import mockveo
from mockveo.server import connection as protocol
from mockveo.server.run import ServerThread

MIB = 2**20


def resident() -> int:
    """Bytes this process - client and server - has in memory, without garbage and the allocator's reserves."""
    gc.collect()
    with suppress(AttributeError):  # glibc's
        ctypes.CDLL(None).malloc_trim(0)
    return int(re.findall(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[0]) * 1024


@pytest.fixture(autouse=True)
def goes_on(server: ServerThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """After whatever a test does the server answers as ever, and has left no temporary file behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    answer = exchange(server, head(length=len(FIELD) + 5), FIELD + b"--b--")
    assert answer.status == 200
    assert not list(tmp_path.iterdir())


def test_a_whole_form_in_single_bytes(server: ServerThread) -> None:
    data = FIELD + b"--b--\r\n"
    with connect(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in head(length=len(data)) + data:
            connection.sendall(bytes([byte]))
        assert receive(connection).status == 200


def test_a_chunked_form(server: ServerThread) -> None:
    assert exchange(server, head() + chunked(FIELD, b"--b--\r\n")).status == 200


@pytest.mark.parametrize(
    ("content_type", "body", "message"),
    [
        (BOUNDARY, FIELD[:-4], "the form ends in the part 'prompt' before its closing boundary --b--"),
        ("multipart/form-data", FIELD + b"--b--", "no multipart boundary param in Content-Type"),
        ("multipart/form-data; boundary=", FIELD + b"--b--", "no multipart boundary param in Content-Type"),
        ("multipart/form-data; boundary=x", FIELD + b"--b--", "the body begins with '--b'; expected the boundary --x"),
        (BOUNDARY, b"--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b--", "a part has no name"),
        (BOUNDARY, b"", "the body is empty; expected the boundary --b"),
        (BOUNDARY, b"hello", "the body begins with 'hello'; expected the boundary --b"),
    ],
)
@pytest.mark.parametrize("transfer", ["whole", "chunked"])
def test_half_a_form_is_refused(
    server: ServerThread, content_type: str, body: bytes, message: str, transfer: str
) -> None:
    data = (
        head(content_type, len(body)) + body
        if transfer == "whole"
        else head(content_type) + (chunked(body) if body else b"0\r\n\r\n")
    )
    answer = exchange(server, data)
    assert answer.status == 400
    assert answer.json["code"] == "invalid_multipart_form"
    assert message in answer.json["message"]


@pytest.mark.parametrize("charset", ["undefined", "utf-8", "\xff"])
def test_unknown_charset_is_tolerated(server: ServerThread, charset: str) -> None:
    body = FIELD.replace(b'"prompt"\r\n', f'"prompt"\r\nContent-Type: text/plain; charset={charset}\r\n'.encode())
    assert exchange(server, head(f"{BOUNDARY}; charset={charset}", len(body) + 5) + body + b"--b--").status == 200


def test_body_shorter_than_promised_is_refused_with_the_reason(server: ServerThread) -> None:
    answer = exchange(server, head(length=1000) + FIELD, half_close=True)
    assert answer.status == 400
    assert answer.json == {
        "code": "invalid_multipart_form",
        "message": f"the body ended after {len(FIELD)} of the 1000 bytes that Content-Length promises",
    }
    assert "connection: close" in answer.head


def test_chunked_body_without_its_end_is_refused_with_the_reason(server: ServerThread) -> None:
    answer = exchange(server, head() + b"5\r\n--b\r\n\r\n", half_close=True)
    assert answer.status == 400
    assert answer.json["message"] == "the body ended after 5 bytes, without its last chunk"


@pytest.mark.parametrize("sent", [b"", FIELD], ids=["nothing", "some"])
def test_body_that_stalls_is_refused_with_the_reason(
    server: ServerThread, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(protocol, "BODY_WINDOW_S", 1.0)
    answer = exchange(server, head(length=1000) + sent)
    assert answer.status == 400
    assert answer.json["message"] == f"the body ended after {len(sent)} of the 1000 bytes that Content-Length promises"
    assert "connection: close" in answer.head


def test_a_connection_that_stalls_after_an_early_answer_is_closed(
    server: ServerThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "BODY_WINDOW_S", 1.0)
    with connect(server) as connection:
        connection.sendall(head(length=10**9) + FIELD)
        assert receive(connection).status == 413
        assert connection.recv(1) == b""


def test_a_slow_body_is_waited_for(server: ServerThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "BODY_WINDOW_S", 2.0)
    monkeypatch.setattr(protocol, "MIN_BODY_RATE", 8)
    data = FIELD + b"--b--\r\n"
    with connect(server) as connection:
        connection.sendall(head(length=len(data)))
        for start in range(0, len(data), 16):
            connection.sendall(data[start : start + 16])
            time.sleep(0.8)
        assert receive(connection).status == 200


def test_a_client_that_closes_its_side_after_a_whole_request_is_answered(server: ServerThread) -> None:
    request = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sk\r\n\r\n"
    assert exchange(server, request, half_close=True).status == 200


def test_a_client_that_goes_away_is_journalled_and_nothing_else(server: ServerThread) -> None:
    count = server.app.world.journal.count
    with connect(server) as connection:
        connection.sendall(head(length=1000) + FIELD)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    with anyio.from_thread.start_blocking_portal() as portal:
        for _ in range(100):
            if server.app.world.journal.count > count:
                break
            portal.call(anyio.sleep, 0.02)
    gone = server.app.world.journal.since(count)[0]
    assert (gone.status, gone.body_size) == (0, len(FIELD))


def test_a_body_that_promises_too_much_is_refused_unread(server: ServerThread) -> None:
    answer = exchange(server, head(BOUNDARY, 10**9, "Expect: 100-continue"))
    assert answer.status == 413
    assert answer.body == (
        b'{"code":"fail_to_fetch_task","message":"r.ParseMultipartForm failed: multipart: message too large",'
        b'"data":null}'
    )


@pytest.mark.parametrize("transfer", ["content-length", "chunked"])
def test_a_gigabyte_is_refused_in_flat_memory(server: ServerThread, transfer: str) -> None:
    block = b"x" * MIB
    start = FIELD.replace(b'name="prompt"', b'name="input_reference"; filename="big"')[:-2]
    with connect(server) as connection:
        connection.settimeout(100)  # the answer comes after all of it, which a busy machine takes long to read
        before = resident()
        connection.sendall(head(length=2**30 + len(start)) if transfer == "content-length" else head())
        piece = b"%x\r\n%s\r\n" % (MIB, block) if transfer == "chunked" else block
        connection.sendall(b"%x\r\n%s\r\n" % (len(start), start) if transfer == "chunked" else start)
        peak, stop = [before], threading.Event()

        def send() -> None:
            try:
                for _ in range(1024):
                    connection.sendall(piece)
                    peak[0] = max(peak[0], resident())
                    if stop.is_set():
                        return
            except OSError:
                pass

        sender = threading.Thread(target=send)
        sender.start()
        answer = receive(connection)
        stop.set()
        sender.join()
    assert answer.status == 413
    assert peak[0] - before < 48 * MIB


@pytest.mark.parametrize("key", ["bad", "good"])
def test_an_early_answer_reaches_a_client_that_wants_the_connection_closed(key: str) -> None:
    with mockveo.serve(key="good", max_body=5 * MIB, render=False) as server:
        request = urllib.request.Request(
            f"{server.base_url}/videos", data=b"prompt=" + b"a" * 8 * MIB, headers={"Authorization": f"Bearer {key}"}
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=20)  # sends Connection: close, and reads only when it has sent all
        assert caught.value.code == (413 if key == "good" else 401)
        assert json.loads(caught.value.read())
        caught.value.close()


def test_a_client_that_wants_the_connection_closed_has_it_closed(server: ServerThread) -> None:
    with connect(server) as connection:
        connection.sendall(b"GET /api/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        data = b""
        while chunk := connection.recv(65536):
            data += chunk
    assert RawResponse(data).status == 200
    assert "connection: close" in RawResponse(data).head


@pytest.mark.parametrize("size", [70_000, 5 * MIB])
def test_a_head_that_is_too_large_is_refused(server: ServerThread, size: int) -> None:
    with connect(server) as connection:
        connection.sendall(b"GET /api/models HTTP/1.1\r\nHost: localhost\r\nX: ")
        try:
            for _ in range(0, size, 10_000):
                connection.sendall(b"x" * 10_000)
            answer = receive(connection)
        except ConnectionError:
            return
    assert answer.status == 431
    assert answer.json["error"]["code"] == "head_too_large"


def test_many_small_heads_on_one_connection_are_served(server: ServerThread) -> None:
    request = b"GET /api/models HTTP/1.1\r\nHost: localhost\r\nX: %s\r\n\r\n" % (b"x" * 1000)
    with connect(server) as connection:
        for _ in range(100):
            connection.sendall(request)
            assert receive(connection).status == 200


def test_memory_of_hostile_requests_is_bounded() -> None:
    sizes = []
    with (
        mockveo.serve(max_image_bytes=MIB, render=False) as server,
        httpx.Client(base_url=server.url, headers={"Authorization": "Bearer sk"}) as client,
    ):
        for number in range(10, 60):
            wild = str(number) * (MIB // 2 - 100)
            client.post("/v1/videos", data={"prompt": "p", "size": wild})
            client.post("/v1/videos", json={"prompt": "p", wild: 1})
            client.post("/v1/videos", json={"prompt": wild})
            sizes.append(resident())
    # The first half fills the journal.
    assert sizes[-1] - sizes[29] < 12 * MIB


def test_note_about_a_long_name_is_short(server: ServerThread, client: httpx.Client) -> None:
    fields = {"prompt": "p", **{f"{number}" * 2000: "1" for number in range(100, 200)}}
    job = client.post("/v1/videos", json=fields).json()["id"]
    noted = {exchange.job_id: exchange for exchange in server.app.world.journal}[job]
    assert len(noted.deviations) == 21
    assert sum(len(note.message) for note in noted.deviations) < 5000


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"prompt": ' + b"[" * 300 + b"]" * 300 + b"}", "nested more than 200 levels deep"),
        (b'{"prompt": 5}', 'prompt: 5 is not of type "string"'),
        (b'{"prompt": "p", "model": 5}', 'model: 5 is not of type "string"'),
        (b"{" + b",".join(b'"%d":1' % number for number in range(2000)) + b"}", "more than 1000 members"),
    ],
)
def test_hostile_json_is_refused_with_the_reason(client: httpx.Client, body: bytes, message: str) -> None:
    answer = client.post("/v1/videos", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_request"
    assert message in answer.json()["message"]


def test_null_counts_as_left_out(client: httpx.Client) -> None:
    assert client.post("/v1/videos", json={"prompt": "p", "model": None, "size": None}).status_code == 200
    assert client.post("/v1/videos", json={"prompt": None}).json()["message"] == "prompt is required"


def test_a_file_name_star_that_cannot_be_decoded_is_refused(server: ServerThread) -> None:
    body = b"--b\r\nContent-Disposition: form-data; name=\"f\"; filename*=undefined''%ff\r\n\r\nx\r\n--b--"
    answer = exchange(server, head(length=len(body)) + body)
    assert (answer.status, answer.json["code"]) == (400, "invalid_multipart_form")


def test_a_file_name_star_in_another_charset_leaves_the_journal_readable(server: ServerThread) -> None:
    # UTF-7 can write a lone surrogate, which no JSON can.
    body = b"--b\r\nContent-Disposition: form-data; name=\"f\"; filename*=utf-7''+2AA-\r\n\r\nx\r\n--b--"
    assert exchange(server, head(length=len(body)) + body).json["message"].endswith("e.g. filename*=UTF-8''kite.png")
    assert httpx.get(f"{server.url}/_mockveo/journal").status_code == 200


LONG = 2**20 + 1
MULTIPART = "multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("application/x-www-form-urlencoded", b"prompt=" + b"a" * LONG, 413, "fail_to_fetch_task"),
        ("application/json", b'{"prompt": "' + b"a" * LONG + b'"}', 413, "fail_to_fetch_task"),
        (
            "multipart/form-data; boundary=b",
            FIELD.replace(b"a kite", b"a" * LONG) + b"--b--",
            413,
            "fail_to_fetch_task",
        ),
        ("application/x-www-form-urlencoded", b"prompt=" + b"%" * (LONG // 2), 400, "invalid_request"),
        ("application/json", b'{"prompt": [' + b"[]," * 20_000 + b"1]}", 400, "invalid_request"),
        ("application/json", b'{"prompt": "' + b",[" * 20_000 + b'"}', 200, None),
        ("application/x-www-form-urlencoded", b"prompt=100%+%zz+%41%2", 200, None),
    ],
)
def test_texts_are_bounded_whatever_they_come_as(
    client: httpx.Client, content_type: str, body: bytes, status: int, code: str | None
) -> None:
    answer = client.post("/v1/videos", content=body, headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json().get("code")) == (status, code)


def test_a_million_parts_are_refused() -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n'
    body = part * 10**6
    with mockveo.serve(max_body=2**30, render=False) as big:
        answer = exchange(big, head(length=len(body)) + body)
    assert answer.status == 400
    assert answer.json["message"] == "the form has more than 1000 parts"


def test_the_limit_is_a_setting() -> None:
    body = FIELD + b"--b--"
    with mockveo.serve(max_body=len(body), render=False) as server:
        assert exchange(server, head(length=len(body)) + body).status == 200
        assert exchange(server, head(length=len(body) + 1) + body + b"\n").status == 413
        assert exchange(server, head() + chunked(body, b"\r")).status == 413


def test_an_image_of_ten_megabytes_is_taken(server: ServerThread) -> None:
    answer = httpx.post(
        f"{server.base_url}/videos",
        headers={"Authorization": "Bearer sk"},
        data={"prompt": "p"},
        files={"input_reference": ("big.png", os.urandom(10 * MIB), "image/png")},
    )
    assert answer.status_code == 200


def test_bytes_that_are_not_http_are_refused(server: ServerThread) -> None:
    assert exchange(server, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").status == 400


# Besides the operations


def test_foreign_host_header_is_refused(server: ServerThread) -> None:
    request = b"GET /v1/models HTTP/1.1\r\nHost: evil.com\r\nAuthorization: Bearer sk\r\n\r\n"
    answer = exchange(server, request)
    assert answer.status == 421
    assert answer.json["error"]["type"] == "mockveo_error"
    assert "--allow-host evil.com" in answer.json["error"]["message"]


def test_allowed_host_name_is_served() -> None:
    with mockveo.serve(allow_host="mock.test", render=False) as server:
        assert httpx.get(f"{server.url}/api/models", headers={"Host": "mock.test:99"}).status_code == 200


@pytest.mark.parametrize("path", ["/v1/videos/x", "/v1/videos/x/", "/x", "/v1/videos/x/content", "/openapi.yaml"])
def test_no_answer_repeats_the_host_header(server: ServerThread, path: str) -> None:
    answer = httpx.get(f"{server.url}{path}", headers={"Authorization": "Bearer sk", "Host": "9.9.9.9:77"})
    assert "9.9.9.9" not in answer.text + str(answer.headers)
    assert not answer.is_redirect


def test_options_without_an_origin(client: httpx.Client) -> None:
    answer = client.options("/v1/videos/x")
    assert (answer.status_code, answer.headers["allow"], answer.content) == (204, "GET, HEAD, OPTIONS", b"")
    assert client.options("/v1/videos").headers["allow"] == "OPTIONS, POST"
    assert client.options("/nowhere").status_code == 404


def test_head_is_get_without_a_body(client: httpx.Client) -> None:
    got, head = client.get("/v1/models"), client.head("/v1/models")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]
    assert client.head("/v1/videos").status_code == 404


def test_a_browser_page_of_this_machine_may_call(client: httpx.Client) -> None:
    origin = {"Origin": "http://localhost:3000"}
    preflight = client.options(
        "/v1/videos",
        headers={
            **origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
            "Access-Control-Request-Private-Network": "true",
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert preflight.headers["access-control-allow-private-network"] == "true"
    for answer in (client.get("/v1/models", headers=origin), client.get("/v1/videos/none", headers=origin)):
        assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"


def test_preflight_with_a_foreign_host_is_refused(client: httpx.Client) -> None:
    asked = {"Origin": "http://localhost", "Access-Control-Request-Method": "POST", "Host": "evil.com"}
    assert client.options("/v1/videos", headers=asked).status_code == 421


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("tauri://localhost", 200),
        ("vscode-webview://1a2b3c4d", 200),
        ("null", 200),
        ("app://.", 400),
        ("vscode-webview://1a/b", 400),
        ("https://tauri", 400),
    ],
)
def test_allowed_origin_may_read_responses(origin: str, status: int) -> None:
    allowed = ["tauri://localhost", "vscode-webview://*", "null"]
    with mockveo.serve(allow_origin=allowed, render=False) as server:
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        preflight = httpx.options(f"{server.base_url}/videos", headers=asked)
        assert preflight.status_code == status
        answer = httpx.get(f"{server.url}/api/models", headers=asked)
        assert answer.headers.get("access-control-allow-origin") == (origin if status == 200 else None)


def test_page_of_another_site_gets_no_cors_headers(server: ServerThread, client: httpx.Client) -> None:
    origin = {"Origin": "https://evil.com", "Access-Control-Request-Method": "POST"}
    refused = client.options("/v1/videos", headers=origin)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "origin_not_allowed")
    assert "access-control-allow-origin" not in refused.headers
    logged = server.app.world.journal.since(server.app.world.journal.count - 1)[0]
    assert "--allow-origin https://evil.com" in logged.to_line()
    assert "access-control-allow-origin" not in client.get("/v1/models", headers=origin).headers


def test_internal_error_is_a_500_that_says_so(
    server: ServerThread, client: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(server.app.world, "find", broken)
    answer = client.get("/v1/videos/x")
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "mockveo_error"
    assert "boom" not in answer.text
    assert "boom" in caplog.text


def test_bug_outside_a_handler_is_logged_and_ends_no_server(
    server: ServerThread, client: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("boom")

    with monkeypatch.context() as patch:
        patch.setattr(server.app.world.journal, "add", broken)
        assert client.get("/v1/models").status_code == 500
    assert "mockveo failed to answer GET /v1/models; this is a bug of mockveo" in caplog.text
    assert "boom" in caplog.text
    assert client.get("/v1/models").status_code == 200


def test_self_check_stops_an_answer_that_breaks_the_document(
    server: ServerThread, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = client.post("/v1/videos", files={"prompt": (None, "p")}).json()["id"]
    whole = server.app.world.values
    monkeypatch.setattr(server.app.world, "values", lambda *a: {**whole(*a), "progress": "50%"})
    answer = client.get(f"/v1/videos/{job}")
    assert answer.status_code == 500
    assert '"50%" is not of type "integer" at /progress' in answer.json()["error"]["message"]
    monkeypatch.undo()
