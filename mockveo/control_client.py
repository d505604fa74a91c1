"""A client of the control API, for commands and tests that control a running server."""

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
#: Time for a whole request; the control API answers at once. Arbitrary.
PATIENCE_S: Final = 10.0
#: A journal fits: it holds the images' checksums, not the images.
MAX_RESPONSE_BYTES: Final = 64 * 2**20
#: Bytes of an unexpected response that an error quotes.
MAX_QUOTED_BYTES: Final = 80


class RemoteError(MockveoError):
    """The server is not there, or it refused."""

    exit_status = 1


class Deadline:
    """A limit to the total time on a socket, whose own timeout starts anew with each byte."""

    def __init__(self, seconds: float) -> None:
        self.over = False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def watch(self, connected: socket.socket) -> None:
        """Set the socket to shut down at the deadline."""
        self._socket = connected
        if self.over:
            self._end()

    def _end(self) -> None:
        self.over = True
        if self._socket is not None:
            with suppress(OSError):
                # socket.socket's method, because that of a TLS socket would drop its state under the reader.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


class Remote:
    """The control API of a world. `url` is the server's root or base URL; `world` is empty for the default world."""

    def __init__(self, url: str = DEFAULT_URL, world: str = "", *, patience: float = PATIENCE_S) -> None:
        try:
            parts = urlsplit(url if "//" in url else f"http://{url}")
            host, port = parts.hostname or "", parts.port or 80
            host.encode("idna")  # as connecting will
        except ValueError:
            parts, host, port = urlsplit(""), "", 0
        if parts.scheme != "http" or not host:
            raise SettingsError(
                f"--url is {url!r}; expected the root URL of a mockveo server, e.g. --url {DEFAULT_URL}"
            )
        self._patience = patience
        self._url, self._host, self._port = url, host, port
        root = parts.path.rstrip("/").removesuffix("/v1")
        self._root = f"/@{quote(world)}" if world else root

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request and return the JSON of its response. Raises RemoteError."""
        from mockveo.yamlfiles import parse_foreign_json  # lazily, so that the help of commands starts fast

        with Deadline(self._patience) as deadline:
            connection, response = self._send(method, path, body, self._patience, deadline)
            try:
                text = self._read(response)
            except (OSError, http.client.HTTPException) as problem:
                raise RemoteError(
                    f"{self._url} closed the connection before its response was complete ({problem})"
                ) from None
            finally:
                connection.close()
        try:
            data = parse_foreign_json(text)
        except ValueError:
            raise self._not_a_mockveo(f"it answers {text[:MAX_QUOTED_BYTES]!r}") from None
        if response.status >= 400:
            raise RemoteError(ErrorBody.parse(data).message or f"{self._url} answers {response.status}")
        return data

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        text = response.read(MAX_RESPONSE_BYTES + 1)
        if len(text) > MAX_RESPONSE_BYTES:
            raise self._not_a_mockveo(f"its response has more than {MAX_RESPONSE_BYTES} bytes")
        return text

    def _not_a_mockveo(self, evidence: str) -> RemoteError:
        return RemoteError(f"the server at {self._url} is not a mockveo: {evidence}; start one with `mockveo`")

    def follow(self, since: int) -> Iterator[dict[str, Any]]:
        """Yield the exchanges after a number, and each reset, until the server stops. Raises RemoteError."""
        from mockveo.yamlfiles import parse_foreign_json

        connection, response = self._send("GET", f"/events?since={since}", None, None)
        try:
            for line in response:
                if line.startswith(b"event: reset"):
                    yield {"line": "--- world reset ---", "reset": True}
                elif line.startswith(b'data: {"'):
                    yield parse_foreign_json(line[6:])
        except (OSError, ValueError, http.client.HTTPException):
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
                f"there is no mockveo at {self._url} ({error}); start one with `mockveo`, or name its URL with --url,"
                f" e.g. --url {DEFAULT_URL}"
            ) from None
