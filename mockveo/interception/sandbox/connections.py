"""Samples of the connections that a tree of processes has, where /proc shows them."""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from mockveo.interception.sandbox.supervisor import descendants

#: Pause between two samples. Arbitrary: a TLS handshake with a distant host takes longer.
_INTERVAL_S: Final = 0.05
_TABLES: Final = ("tcp", "tcp6", "udp", "udp6")
#: State of a listening socket. Source: linux/net/tcp_states.h.
_LISTEN: Final = "0A"
#: Addresses that are noted. Arbitrary.
_MAX_STRANGERS: Final = 1000


class ConnectionSampler:
    """A thread that notes the remote addresses of a process's descendants, except those of this machine."""

    #: Whether this system shows connections.
    works: Final = sys.platform == "linux" and Path("/proc/self/net/tcp").exists()

    def __init__(self, ancestor: int) -> None:
        self._ancestor = ancestor
        self._over = threading.Event()
        #: host:port, in the order of their first sample.
        self.strangers: dict[str, None] = {}
        self._thread = threading.Thread(target=self._run, name="mockveo-connections", daemon=True)
        if self.works:
            self._thread.start()

    def stop(self) -> list[str]:
        """Stop, and return what was noted."""
        self._over.set()
        if self.works:
            self._thread.join()
        return list(self.strangers)

    def _run(self) -> None:
        while not self._over.wait(_INTERVAL_S):
            sockets = {inode for pid in descendants(self._ancestor) for inode in _sockets(pid)}
            if sockets and len(self.strangers) < _MAX_STRANGERS:
                self.strangers |= dict.fromkeys(_strangers(sockets))


def _sockets(pid: int) -> Iterator[str]:
    with suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                target = str(entry.readlink())
                if target.startswith("socket:["):
                    yield target[8:-1]


def _strangers(sockets: set[str]) -> Iterator[str]:
    for table in _TABLES:
        with suppress(OSError):
            for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
                row = line.split()
                if row[9] in sockets and row[3] != _LISTEN:
                    host, port = _address(row[2])
                    if not (host.is_loopback or host.is_unspecified):
                        yield f"[{host}]:{port}" if host.version == 6 else f"{host}:{port}"


def _address(text: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    """Return an address as /proc/net writes it: words of 32 bits in the order of the machine."""
    host, _, port = text.partition(":")
    words = [struct.pack("=I", int(host[place : place + 8], 16)) for place in range(0, len(host), 8)]
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    address = ipaddress.ip_address(socket.inet_ntop(family, b"".join(words)))
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address, int(port, 16)
