"""The accepted Host headers: loopback names, IP literals and names of a flag.

A page on the web can resolve its own name to 127.0.0.1 and so reach a local server from a browser (DNS rebinding). The
Host header still carries the page's name, which is refused; an IP literal cannot be rebound.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

#: Origins whose pages may read responses: those of this machine.
LOOPBACK_ORIGIN = r"https?://(localhost|[\w-]+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?"

#: Accepted headers that are remembered, and their longest length; arbitrary, to bound the memory.
_MAX_REMEMBERED = 1000
_MAX_REMEMBERED_BYTES = 100


class Hosts:
    """The Host headers that are served, unless not `checked`, and the origins whose pages may read responses."""

    def __init__(self, allowed: Iterable[str] = (), origins: Iterable[str] = (), *, checked: bool = True) -> None:
        self.checked = checked
        self._names = {name.lower().rstrip(".") for name in allowed} | {"localhost"}
        self._accepted: set[bytes] = set()
        patterns = [re.escape(origin.lower()).replace(r"\*", "[^/]*") for origin in origins]
        #: A pattern of the allowed origins.
        self.origins = "|".join([LOOPBACK_ORIGIN, *patterns])

    def allow(self, name: str) -> None:
        """Serve requests for this name too."""
        self._names.add(name.lower().rstrip("."))

    def allow_origin(self, origin: bytes) -> bool:
        """Return whether pages of an origin may read responses."""
        return re.fullmatch(self.origins, origin.decode("latin-1")) is not None

    def serve(self, header: bytes | None) -> bool:
        """Return whether a request with this Host header is served; one without is, as no browser sends it."""
        if not self.checked or header is None or header in self._accepted:
            return True
        if not self._allows(header.decode("latin-1")):
            return False
        if len(self._accepted) < _MAX_REMEMBERED and len(header) < _MAX_REMEMBERED_BYTES:
            self._accepted.add(header)
        return True

    def _allows(self, header: str) -> bool:
        name, port = header.lower(), ""
        if name.startswith("["):
            name, _, port = name[1:].partition("]")
            return is_ip(name) and (not port or _is_port(port))
        if name.count(":") == 1:
            name, colon, port = name.partition(":")
            port = colon + port
        if port and not _is_port(port):
            return False
        name = name.removesuffix(".")
        return name in self._names or name.endswith(".localhost") or is_ip(name)


def _is_port(text: str) -> bool:
    return text[:1] == ":" and (text == ":" or text[1:].isdecimal())


def is_ip(name: str) -> bool:
    """Return whether a host is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Return whether an address to listen on can be reached only from this machine."""
    return host == "localhost" or (is_ip(host) and ipaddress.ip_address(host).is_loopback)
