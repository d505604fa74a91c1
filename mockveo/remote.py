"""A client of the control API, for the commands that turn a running server."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote, urlsplit

from mockveo.errors import MockveoError, SettingsError

DEFAULT_URL: Final = "http://127.0.0.1:8360"
#: Seconds to wait for an answer.
PATIENCE: Final = 10.0


class RemoteError(MockveoError):
    """There is no server, or it refused."""


class Remote:
    """The control API of a world. `url` is the server's root or base URL; `world` is empty for the default world."""

    def __init__(self, url: str = DEFAULT_URL, world: str = "") -> None:
        try:
            parts = urlsplit(url if "//" in url else f"http://{url}")
            host, port = parts.hostname or "", parts.port or 80
        except ValueError:
            parts, host, port = urlsplit(""), "", 0
        if parts.scheme != "http" or not host:
            raise SettingsError(f"--url is {url!r}, wanted the root of a mockveo, e.g. --url {DEFAULT_URL}")
        self._url, self._host, self._port = url, host, port
        root = parts.path.rstrip("/").removesuffix("/v1")
        self._root = f"/@{quote(world)}" if world else root

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON that a request is answered with. Raises RemoteError."""
        connection, answer = self._send(method, path, body, PATIENCE)
        try:
            text = answer.read()
        except (OSError, http.client.HTTPException) as problem:
            raise RemoteError(f"{self._url} broke off its answer ({problem})") from None
        finally:
            connection.close()
        try:
            found = json.loads(text)
        except ValueError:
            raise RemoteError(f"what listens at {self._url} is no mockveo: it answers {text[:80]!r}") from None
        if answer.status >= 400:
            error = found.get("error") if isinstance(found, dict) else None
            raise RemoteError(
                str(error["message"]) if isinstance(error, dict) else f"{self._url} answers {answer.status}"
            )
        return found

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
        self, method: str, path: str, body: Any, timeout: float | None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        data = None if body is None else json.dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            connection.request(method, f"{self._root}/_mockveo{path}", data, headers)
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise RemoteError(
                f"there is no mockveo at {self._url} ({error}); start one with `mockveo`, or name another with --url"
            ) from None
