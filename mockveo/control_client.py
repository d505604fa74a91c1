"""A client of the control API, for the commands that turn a running server."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

from mockveo.errors import MockveoError, SettingsError
from mockveo.spec.errors import ErrorBody

DEFAULT_URL: Final = "http://127.0.0.1:8360"
#: Seconds to wait for an answer.
PATIENCE: Final = 10.0
#: Bytes of an answer that are read; a journal has its images as sums only.
MOST: Final = 64 * 2**20


class RemoteError(MockveoError):
    """There is no server, or it refused."""


class Deadline:
    """Ends what is done on a socket after so many seconds in all; a socket's own timeout begins anew with each byte."""

    def __init__(self, seconds: float) -> None:
        self.over = False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def watch(self, what: socket.socket) -> None:
        """The socket that is to be ended."""
        self._socket = what
        if self.over:
            self._end()

    def _end(self) -> None:
        self.over = True
        if self._socket is not None:
            with suppress(OSError):
                # The socket's own, as that of TLS would take its state away from who is reading.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


class Remote:
    """The control API of a world. `url` is the server's root or base URL; `world` is empty for the default world."""

    def __init__(self, url: str = DEFAULT_URL, world: str = "", *, patience: float = PATIENCE) -> None:
        try:
            parts = urlsplit(url if "//" in url else f"http://{url}")
            host, port = parts.hostname or "", parts.port or 80
        except ValueError:
            parts, host, port = urlsplit(""), "", 0
        if parts.scheme != "http" or not host:
            raise SettingsError(f"--url is {url!r}, wanted the root of a mockveo, e.g. --url {DEFAULT_URL}")
        self._patience = patience
        self._url, self._host, self._port = url, host, port
        root = parts.path.rstrip("/").removesuffix("/v1")
        self._root = f"/@{quote(world)}" if world else root

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON that a request is answered with. Raises RemoteError."""
        with Deadline(self._patience) as deadline:
            connection, answer = self._send(method, path, body, self._patience, deadline)
            try:
                text = self._read(answer)
            except (OSError, http.client.HTTPException) as problem:
                raise RemoteError(f"{self._url} broke off its answer ({problem})") from None
            finally:
                connection.close()
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            raise RemoteError(f"what listens at {self._url} is no mockveo: it answers {text[:80]!r}") from None
        if answer.status >= 400:
            raise RemoteError(ErrorBody.parse(found).message or f"{self._url} answers {answer.status}")
        return found

    def _read(self, answer: http.client.HTTPResponse) -> bytes:
        text = answer.read(MOST + 1)
        if len(text) > MOST:
            raise RemoteError(f"what listens at {self._url} is no mockveo: its answer has more than {MOST} bytes")
        return text

    def follow(self, since: int) -> Iterator[dict[str, Any]]:
        """The exchanges after that of a number, until the server stops; each reset too. Raises RemoteError."""
        connection, answer = self._send("GET", f"/events?since={since}", None, None)
        try:
            for line in answer:
                if line.startswith(b"event: reset"):
                    yield {"line": "--- the world is as new ---", "reset": True}
                elif line.startswith(b'data: {"'):
                    yield json.loads(line[6:])
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()

    def _send(
        self, method: str, path: str, body: Any, timeout: float | None, deadline: Deadline | None = None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        data = None if body is None else json.dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            connection.connect()
            if deadline is not None:
                deadline.watch(connection.sock)
            connection.request(method, f"{self._root}/_mockveo{path}", data, headers)
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise RemoteError(
                f"there is no mockveo at {self._url} ({error}); start one with `mockveo`, or name another with --url"
            ) from None
