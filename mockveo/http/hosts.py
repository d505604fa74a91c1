"""Which Host headers are served: loopback names, IP literals and names allowed by a flag.

A page on the web can make a browser look up its own name as 127.0.0.1 and so talk to a local server (DNS
rebinding); the Host header still carries the page's name, and is refused. An IP literal cannot be rebound.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

#: Origins whose pages may read answers: whatever runs on this machine.
LOOPBACK_ORIGIN = r"https?://(localhost|[\w-]+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?"

_REMEMBERED = 1000
_SHORT = 100


class Hosts:
    """The Host headers that are served."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._names = {name.lower().rstrip(".") for name in allowed} | {"localhost"}
        self._seen: set[bytes] = set()

    def serve(self, header: bytes | None) -> bool:
        """Whether a request with this Host header is served; one without is (HTTP/1.0: no browser sends that)."""
        if header is None or header in self._seen:
            return True
        if not self._allows(header.decode("latin-1")):
            return False
        if len(self._seen) < _REMEMBERED and len(header) < _SHORT:
            self._seen.add(header)
        return True

    def _allows(self, header: str) -> bool:
        name = header.lower()
        if name.startswith("["):
            name, _, port = name[1:].partition("]")
            return is_ip(name) and (not port or port[:1] == ":")
        if name.count(":") == 1:
            name = name.partition(":")[0]
        return name.rstrip(".") in self._names or name.endswith(".localhost") or is_ip(name)


def is_ip(name: str) -> bool:
    """Whether a host is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine only."""
    return host == "localhost" or (is_ip(host) and ipaddress.ip_address(host).is_loopback)
