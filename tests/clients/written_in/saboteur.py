"""A program that tries every way out: saboteur.py TCP_PORT UDP_PORT. Whatever fails is tried no less."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress

IPV4, IPV6 = "203.0.113.1", "2001:db8::1"
TCP_PORT, UDP_PORT = int(sys.argv[1]), int(sys.argv[2])
#: A query for the address of example.com, as RFC 1035 has it.
QUERY = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + b"\x07example\x03com\0\0\1\0\1"


def tcp(family: socket.AddressFamily, host: str, data: bytes) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as stranger:
        stranger.settimeout(1)
        stranger.connect((host, TCP_PORT))
        stranger.sendall(data)


def udp(family: socket.AddressFamily, host: str) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(QUERY, (host, UDP_PORT))


def udp_from_an_address(_: str = "") -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.sendto(QUERY, (IPV4, UDP_PORT))


def abstract_unix() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:
        stranger.settimeout(1)
        stranger.connect(f"\0mockveo-trap-{TCP_PORT}")


def raw() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as stranger:
        stranger.sendto(b"\x08\0\xf7\xfd\0\1\0\1", (IPV4, 0))


def without_variables() -> None:
    subprocess.run(
        ["curl", "--silent", "--max-time", "1", "--noproxy", "*", f"http://{IPV4}:{TCP_PORT}/"],
        env={"PATH": os.environ["PATH"]}, check=False,
    )  # fmt: skip


def other_network() -> None:
    descriptor = os.open("/proc/1/ns/net", os.O_RDONLY)
    import ctypes

    ctypes.CDLL(None).setns(descriptor, 0)
    tcp(socket.AF_INET, IPV4, b"setns")


def name() -> None:
    urllib.request.urlopen("http://stranger.example/", timeout=1)


WAYS: list[Callable[[], None]] = [
    lambda: tcp(socket.AF_INET, IPV4, b"GET / HTTP/1.0\r\n\r\n"),
    lambda: tcp(socket.AF_INET, IPV4, struct.pack("!H", len(QUERY)) + QUERY),
    lambda: tcp(socket.AF_INET6, IPV6, b"x"),
    lambda: udp(socket.AF_INET, IPV4),
    lambda: udp(socket.AF_INET6, IPV6),
    udp_from_an_address, abstract_unix, raw, without_variables, other_network, name,
]  # fmt: skip


def try_all(ways: list[Callable[[], None]]) -> None:
    for way in ways:
        with suppress(OSError):
            way()


def outlive() -> None:
    """Leave a process in a session of its own, which goes on when this one has ended, and which starts no other."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for stream in range(3):
                os.close(stream)
            for _ in range(100):
                time.sleep(0.1)
                try_all([way for way in WAYS if way is not without_variables])
        os._exit(0)


outlive()
try_all(WAYS)
sys.stdout.write(f"tried {len(WAYS)}\n")
