"""HTTP as bytes on a socket."""

from __future__ import annotations

import json
import re
import socket
from typing import Any

from mockveo.server.run import ServerThread

BOUNDARY = "multipart/form-data; boundary=b"
FIELD = b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\na kite\r\n'


class RawResponse:
    """An answer as it came over the socket."""

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.partition(b"\r\n\r\n")
        self.status = int(head.split(b" ")[1]) if head else 0
        self.head = head.decode("latin-1").lower()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def connect(server: ServerThread) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def receive(connection: socket.socket) -> RawResponse:
    """Everything until the server closes, or the whole of an answer with Content-Length."""
    data = b""
    while True:
        chunk = connection.recv(65536)
        data += chunk
        length = re.search(rb"content-length: (\d+)\r\n", data)
        if not chunk or (length and len(data.partition(b"\r\n\r\n")[2]) >= int(length[1])):
            return RawResponse(data)


def exchange(server: ServerThread, *data: bytes, half_close: bool = False) -> RawResponse:
    with connect(server) as connection:
        for chunk in data:
            connection.sendall(chunk)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        return receive(connection)


def head(content_type: str = BOUNDARY, length: int | None = None, *more: str) -> bytes:
    lines = ["POST /v1/videos HTTP/1.1", "Host: 127.0.0.1", "Authorization: Bearer sk", f"Content-Type: {content_type}"]
    lines += [f"Content-Length: {length}"] if length is not None else ["Transfer-Encoding: chunked"]
    return "\r\n".join([*lines, *more, "", ""]).encode()


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
