"""The origins of a server, as each client knows them.

A server cannot know its name behind a balancer, in a container or under an alias. The Host header of a request has it,
so the URLs in a response lead back the way the request came. Settings say what a Host header cannot: that HTTPS ends at
the balancer, or that it has other ports.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

#: A name or an address, and perhaps a port.
_HOST: Final = re.compile(r"(?P<name>[\w.~-]+|\[[0-9A-Fa-f:.]+\])(?P<port>:\d{1,5})?", re.ASCII)
#: Host headers that are remembered, and their longest length. Arbitrary, to bound the memory.
_MAX_REMEMBERED: Final = 1000
_MAX_REMEMBERED_BYTES: Final = 100


@dataclass(slots=True)
class Origins:
    """The origin of a server, and the other origin of its redirects and video URLs."""

    own: str = "http://127.0.0.1:8360"
    other: str = "http://127.0.0.1:8361"


class ServerOrigins(Origins):
    """Where a server listens, or the URLs at which clients reach it, if these are given."""

    __slots__ = ("_by_host", "_other_url", "_public_url")

    def __init__(self, public_url: str | None = None, other_url: str | None = None) -> None:
        super().__init__()
        self._by_host: dict[tuple[bytes, bool], Origins] = {}
        self.publish(public_url, other_url)

    def publish(self, public_url: str | None, other_url: str | None) -> None:
        """Set the URLs at which all clients reach the server; None if their Host headers say that."""
        self._public_url, self._other_url = public_url, other_url
        self.listen_at(self.own, self.other)

    def listen_at(self, own: str, other: str) -> None:
        """Set where the server listens."""
        self.own, self.other = own, other
        if self._public_url is not None:
            self.own, self.other = self._public_url, self._other_url or _with_name_of(self._public_url, other)
        self._by_host.clear()

    def seen_by(self, host: bytes | None, *, at_other: bool) -> Origins:
        """Return the origins as a client knows them that sent this Host header, to the other origin if `at_other`."""
        if host is None or self._public_url is not None:
            return self
        origins = self._by_host.get((host, at_other))
        if origins is None:
            origins = self._called(host.decode("latin-1"), at_other=at_other)
            if len(self._by_host) < _MAX_REMEMBERED and len(host) < _MAX_REMEMBERED_BYTES:
                self._by_host[host, at_other] = origins
        return origins

    def _called(self, host: str, *, at_other: bool) -> Origins:
        if not _HOST.fullmatch(host):
            return self
        called = f"http://{host}"
        if at_other:
            return Origins(_with_name_of(called, self.own), called)
        return Origins(called, _with_name_of(called, self.other))


def host_of(origin: str) -> re.Match[str] | None:
    """Return the host of an origin as a match with `name` and `port`; None if it is not one."""
    scheme, _, host = origin.partition("://")
    return _HOST.fullmatch(host) if scheme in ("http", "https") else None


def _with_name_of(named: str, origin: str) -> str:
    """Return an origin with the scheme and the name of another one, and its own port."""
    name, port = host_of(named), host_of(origin)
    assert name is not None
    assert port is not None
    return f"{named.partition('://')[0]}://{name['name']}{port['port'] or ''}"
