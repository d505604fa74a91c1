"""How the program's connections come to us: inside a namespace by names and addresses, elsewhere by a proxy."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from mockveo.http.hosts import is_ip
from mockveo.interception.crossings import Crossings, Hole
from mockveo.interception.proof import Proof
from mockveo.interception.resolver import Resolver
from mockveo.interception.variables import TrustFiles
from mockveo.server.run import Listener, ServerThread

#: The host of the origin that video URLs and redirects lead to. Source of the ending: RFC 2606.
OTHER_HOST: Final = "videos.mockveo.test"
HTTPS_PORT, HTTP_PORT, DNS_PORT = 443, 80, 53
#: Addresses inside a namespace. 127.0.0.1 is left to the program's own servers.
_PLAYED_ADDRESS: Final = "127.0.0.2"
_OTHER_ADDRESS: Final = "127.0.0.3"
_RESOLVER_ADDRESS: Final = "127.0.0.53"
#: Where glibc looks for a name server without a resolv.conf, which could not be mounted then.
_DEFAULT_RESOLVER: Final = "127.0.0.1"
#: What nsswitch.conf says of hosts, whichever services the machine has.
_HOSTS_LINE: Final = "hosts: files dns"
_BACKLOG: Final = 2048


class Fence(Protocol):
    """The part of an isolation that mockveo itself does."""

    #: The URL of the proxy that the program is given; empty without one.
    proxy: str

    def plan(self, server: ServerThread) -> dict[str, Any]:
        """Return the supervisor's part."""

    def attach(self, server: ServerThread, context: ssl.SSLContext, sockets: Sequence[socket.socket]) -> None:
        """Let the server answer on its sockets, those of the supervisor among them."""

    def open(self, server: ServerThread) -> None:
        """Start what works next to the server, once it serves."""

    def note(self, proof: Proof) -> None:
        """Write into the proof what was refused and what went through holes."""

    def shut(self, server: ServerThread) -> None:
        """Stop what works next to the server, before the server stops."""

    def close(self) -> None:
        """Close the sockets that no server closes."""


class NamespaceFence:
    """Names lead to addresses of a network of its own, on the ports of the real service."""

    proxy = ""

    def __init__(self, hosts: Sequence[str], holes: Sequence[Hole], trust: TrustFiles) -> None:
        self._trust = trust
        self._names = dict.fromkeys(hosts, _PLAYED_ADDRESS) | {OTHER_HOST: _OTHER_ADDRESS}
        self._literals = [hole.host for hole in holes if is_ip(hole.host) and not hole.option.startswith("--local")]
        self._holes: list[tuple[str, Hole]] = []
        for number, hole in enumerate(holes, start=1):
            address = hole.host
            if not is_ip(hole.host):
                address = self._names.setdefault(hole.host, f"127.0.{1 + number // 250}.{1 + number % 250}")
            self._holes.append((address, hole))
        has_file = Path("/etc/resolv.conf").exists()
        self._resolver_address = _RESOLVER_ADDRESS if has_file else _DEFAULT_RESOLVER
        self._resolver = Resolver(self._names)
        self._crossings = Crossings()
        self._sockets: list[socket.socket] = []

    def plan(self, server: ServerThread) -> dict[str, Any]:
        """Return the supervisor's part; its sockets are in the order in which `attach` takes them."""
        control_port = urlport(server.url)
        ports = [hole.port for address, hole in self._holes if address == "127.0.0.1"]
        self._serves_control = control_port not in ports
        listeners = [
            ("tcp", _PLAYED_ADDRESS, HTTPS_PORT),
            ("tcp", _OTHER_ADDRESS, HTTPS_PORT),
            ("tcp", _PLAYED_ADDRESS, HTTP_PORT),
            ("tcp", _OTHER_ADDRESS, HTTP_PORT),
            ("udp", self._resolver_address, DNS_PORT),
            ("tcp", self._resolver_address, DNS_PORT),
            *(("tcp", address, hole.port) for address, hole in self._holes),
        ]
        if self._serves_control:
            listeners.append(("tcp", "127.0.0.1", control_port))
        files = {"/etc/hosts": self._hosts_file(), "/etc/resolv.conf": self._resolver_file()}
        files["/etc/nsswitch.conf"] = _switch_file()
        binds = self._trust.binds()
        for target, text in files.items():
            source = self._trust.directory / Path(target).name
            source.write_text(text)
            binds.append((str(source), target))
        return {"addresses": list(dict.fromkeys(self._literals)), "listeners": listeners, "binds": binds}

    def _hosts_file(self) -> str:
        lines = [f"127.0.0.1 localhost {socket.gethostname()}", "::1 localhost"]
        return "\n".join([*lines, *(f"{address} {name}" for name, address in self._names.items()), ""])

    def _resolver_file(self) -> str:
        # "search ." keeps glibc from trying names below the domain of this machine.
        return f"nameserver {self._resolver_address}\nsearch .\noptions timeout:2 attempts:1\n"

    def attach(self, server: ServerThread, context: ssl.SSLContext, sockets: Sequence[socket.socket]) -> None:
        """Serve the real service's ports."""
        server.listen_on(Listener(sockets[0], context))
        server.listen_on(Listener(sockets[1], context, other_origin=True))
        server.listen_on(Listener(sockets[2]))
        server.listen_on(Listener(sockets[3], other_origin=True))
        if self._serves_control:
            server.listen_on(Listener(sockets[-1]))
        self._sockets = list(sockets)

    def open(self, server: ServerThread) -> None:
        """Resolve names, and open the holes."""
        server.call(self._resolver.start(self._sockets[4], self._sockets[5]))
        for (_, hole), listener in zip(self._holes, self._sockets[6:], strict=False):
            server.call(self._crossings.open_hole(listener, hole))

    def shut(self, server: ServerThread) -> None:
        """Stop resolving, and close the holes."""
        server.call(self._resolver.stop())
        server.call(self._crossings.stop())

    def note(self, proof: Proof) -> None:
        """Write into the proof what was refused and what went through holes."""
        proof.refused_names = dict(self._resolver.refused)
        proof.holes = self._crossings.traffic

    def close(self) -> None:
        """Close the sockets that no server closes."""
        for item in self._sockets:
            item.close()


class ProxyFence:
    """A proxy of ours plays the hosts; with Landlock the program can connect to nothing else."""

    def __init__(self, isolation: str, hosts: Sequence[str], holes: Sequence[Hole]) -> None:
        self._isolation = isolation
        self._hosts = hosts
        self._holes = {f"{hole.host}:{hole.port}": hole for hole in holes}
        self._crossings = Crossings()
        self._proxy, self._tls, self._other_tls = (_local_listener() for _ in range(3))
        self._proxy_port = self._proxy.getsockname()[1]
        #: The URL of the proxy.
        self.proxy = f"http://127.0.0.1:{self._proxy_port}"
        #: Host and port -> where we play it.
        self._played: dict[tuple[str, int], tuple[str, int]] = {}

    def plan(self, server: ServerThread) -> dict[str, Any]:
        """Return the supervisor's part: the ports to which the program may connect."""
        local = [hole.port for hole in self._holes.values() if hole.option.startswith("--local")]
        return {"ports": [self._proxy_port, urlport(server.url), server.app.other_port, *local]}

    def attach(self, server: ServerThread, context: ssl.SSLContext, sockets: Sequence[socket.socket]) -> None:
        """Serve TLS behind the proxy."""
        del sockets
        server.listen_on(Listener(self._tls, context))
        server.listen_on(Listener(self._other_tls, context, other_origin=True))
        plain = ("127.0.0.1", urlport(server.url))
        for host in self._hosts:
            self._played[host, HTTPS_PORT], self._played[host, HTTP_PORT] = self._tls.getsockname(), plain
        self._played[OTHER_HOST, HTTPS_PORT] = self._other_tls.getsockname()
        self._played[OTHER_HOST, HTTP_PORT] = ("127.0.0.1", server.app.other_port)

    def open(self, server: ServerThread) -> None:
        """Start the proxy."""
        server.call(self._crossings.open_proxy(self._proxy, lambda *address: self._played.get(address), self._holes))

    def shut(self, server: ServerThread) -> None:
        """Stop the proxy."""
        server.call(self._crossings.stop())

    def note(self, proof: Proof) -> None:
        """Write into the proof what was refused and what went through holes."""
        proof.refused_hosts = dict(self._crossings.refused)
        proof.holes = self._crossings.traffic

    def close(self) -> None:
        """Close the sockets that no server closes."""
        for item in (self._proxy, self._tls, self._other_tls):
            item.close()


def urlport(url: str) -> int:
    """Return the port at the end of a URL of ours."""
    return int(url.rpartition(":")[2])


def _local_listener() -> socket.socket:
    # asyncio sets TCP_NODELAY only if the protocol is named.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(_BACKLOG)
    return listener


def _switch_file() -> str:
    """Return the machine's nsswitch.conf with other services for hosts."""
    try:
        text = Path("/etc/nsswitch.conf").read_text()
    except OSError:
        return f"{_HOSTS_LINE}\n"
    return re.sub(r"(?m)^hosts:.*$", _HOSTS_LINE, text) if "hosts:" in text else f"{text}\n{_HOSTS_LINE}\n"
