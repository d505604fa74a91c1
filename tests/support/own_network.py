"""A network of its own for a process that tests run: a program that escapes reaches a trap, not the internet."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import time
from contextlib import suppress
from pathlib import Path

from mockveo.interception.sandbox import kernel

#: Addresses that stand for the rest of the world. Source: RFC 5737 and RFC 3849.
STRANGER = "203.0.113.1"
STRANGER_IPV6 = "2001:db8::1"


def enter_own_network() -> None:
    """Enter a network with loopback and the strangers' addresses; for `preexec_fn`."""
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        kernel.unshare(kernel.CLONE_NEWNET)
    else:
        kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNET)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    kernel.bring_loopback_up()
    kernel.add_loopback_address(STRANGER, 1)
    # struct in6_ifreq: address, length of the prefix, interface; SIOCSIFADDR.
    request = struct.pack("16sIi", socket.inet_pton(socket.AF_INET6, STRANGER_IPV6), 128, socket.if_nametoindex("lo"))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, 0x8916, request)
        while True:  # The kernel checks a new address for duplicates, in its own time.
            with suppress(OSError):
                control.bind((STRANGER_IPV6, 0))
                return
            time.sleep(0.01)
