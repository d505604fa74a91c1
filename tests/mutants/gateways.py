"""Gateways to verify in front of a mockveo: a correct one that passes requests on, and mutants of it."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit

from small_server import OURS

#: The gateway's own key for its upstream.
GATEWAY_KEY = "sk-of-the-gateway"
#: Headers of one connection, and those that the gateway writes itself.
OWN_HEADERS = {"connection", "host", "authorization", "content-length", "transfer-encoding"}


class Gateway(BaseHTTPRequestHandler):
    """The correct one. Mutants override a method."""

    protocol_version = "HTTP/1.1"
    upstream: ClassVar[str]

    # What mutants change.

    def key(self) -> str | None:
        """The key that is sent upstream."""
        return f"Bearer {GATEWAY_KEY}"

    def changed(self, body: bytes) -> bytes:
        """The form of a create, as it is sent upstream."""
        return body

    def create(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        return self.forward(self.changed(body))

    # How requests are passed on.

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {OURS}" and self.path.startswith("/v1/"):
            error = b'{"error": {"message": "Invalid token", "type": "comet_api_error", "code": ""}}'
            status, headers, data = 401, [("Content-Type", "application/json")], error
        else:
            is_create = self.command == "POST" and self.path == "/v1/videos"
            status, headers, data = self.create(body) if is_create else self.forward(body)
        self.send_response_only(status)  # the date is that of the upstream
        for name, value in headers:
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in headers):
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_GET  # noqa: N815

    def forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        parts = urlsplit(self.upstream)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30.0)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in OWN_HEADERS}
        if key := self.key():
            headers["Authorization"] = key
        try:
            connection.request(self.command, self.path, body or None, headers)
            response = connection.getresponse()
            own = OWN_HEADERS - ({"content-length"} if self.command == "HEAD" else set())
            kept = [(name, value) for name, value in response.getheaders() if name.lower() not in own]
            return response.status, kept, response.read()
        finally:
            connection.close()

    def log_message(self, *_: object) -> None:
        pass


class ForwardsSwapped(Gateway):
    def changed(self, body: bytes) -> bytes:
        boundary = body.partition(b"\r\n")[0]
        parts = body.split(boundary)
        files = [number for number, part in enumerate(parts) if b'filename="' in part]
        for number, part in zip(files, [parts[number] for number in reversed(files)], strict=True):
            parts[number] = part
        return boundary.join(parts)


class LosesAnImage(Gateway):
    def changed(self, body: bytes) -> bytes:
        boundary = body.partition(b"\r\n")[0]
        return boundary.join(part for part in body.split(boundary) if b'filename="last.png"' not in part)


class ChangesBytes(Gateway):
    def changed(self, body: bytes) -> bytes:
        return body.replace(b"IEND", b"iEND", 1)


class ForwardsTwice(Gateway):
    def create(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        self.forward(body)
        return self.forward(body)


class RefusesTooLate(Gateway):
    def create(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        status, headers, data = self.forward(body)
        if b'name="model"' in body and status == 200:
            return 400, [("Content-Type", "application/json")], b'{"code": "x", "message": "too late", "data": null}'
        return status, headers, data


class OwnModel(Gateway):
    def changed(self, body: bytes) -> bytes:
        return re.sub(rb'(name="model"\r\n\r\n)veo[^\r]*', rb"\1veo3.1-pro", body)


class ForwardsTheKey(Gateway):
    def key(self) -> str | None:
        return self.headers.get("Authorization")


class PollsWithTheKey(Gateway):
    def key(self) -> str | None:
        return super().key() if self.command == "POST" else self.headers.get("Authorization")


class ForgetsTheKey(Gateway):
    def key(self) -> str | None:
        return None if self.command == "POST" else super().key()


class AnotherKey(Gateway):
    def key(self) -> str | None:
        return "Bearer sk-another"


@contextmanager
def running(kind: type[Gateway], upstream: str) -> Iterator[str]:
    """Run a gateway; return its root URL."""
    handler = type(kind.__name__, (kind,), {"upstream": upstream})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
