"""The system calls of Linux that Python 3.11 lacks. Standard library only, for the supervisor."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
from typing import Final

from mockveo.errors import SettingsError

if sys.platform == "win32":
    raise SettingsError("mockveo run needs Linux or macOS; on Windows use it in WSL 2, where namespaces work")
import fcntl

#: Source: linux/sched.h, linux/mount.h, linux/prctl.h, linux/capability.h, linux/if.h, linux/sockios.h.
CLONE_NEWNS: Final = 0x00020000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_BIND: Final = 4096
MS_REC: Final = 16384
MS_PRIVATE: Final = 1 << 18
_PR_CAPBSET_DROP: Final = 24
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38
_SIOCGIFFLAGS: Final = 0x8913
_SIOCSIFFLAGS: Final = 0x8914
_SIOCSIFADDR: Final = 0x8916
_SIOCSIFNETMASK: Final = 0x891C
_IFF_UP: Final = 1
#: Capabilities with which root could leave a namespace that the machine's own user namespace owns: MODULE, RAWIO,
#: PTRACE, ADMIN (SYS_*), NET_ADMIN and MKNOD.
_CAPABILITIES_TO_LEAVE: Final = (12, 16, 17, 19, 21, 27)

#: The same numbers on every architecture. Source: asm-generic/unistd.h.
_LANDLOCK_CREATE_RULESET: Final = 444
_LANDLOCK_ADD_RULE: Final = 445
_LANDLOCK_RESTRICT_SELF: Final = 446
_LANDLOCK_CREATE_RULESET_VERSION: Final = 1
_LANDLOCK_RULE_NET_PORT: Final = 2
_LANDLOCK_ACCESS_NET_CONNECT_TCP: Final = 2
_LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET: Final = 1
#: The first version of Landlock with rules for TCP (kernel 6.7), and with scopes (6.12).
LANDLOCK_TCP: Final = 4
LANDLOCK_SCOPES: Final = 6

_libc: Final = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, call: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    """Leave the namespaces of the parent. Raises OSError."""
    _checked(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str = "", flags: int = 0) -> None:
    """Mount a file system or bind a file. Raises OSError."""
    texts = [os.fsencode(text) or None for text in (source, target, kind)]
    _checked(_libc.mount(*texts, ctypes.c_ulong(flags), None), f"mount {target}")


def become_subreaper() -> None:
    """Become the parent of all orphans among the descendants of this process."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def drop_capabilities_to_leave() -> None:
    """Drop what would let root leave its namespaces, also from programs that it starts."""
    for capability in _CAPABILITIES_TO_LEAVE:
        _checked(_libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0), "prctl")


def bring_loopback_up() -> None:
    """Bring up `lo` of this network namespace. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        (flags,) = struct.unpack_from("16xH", fcntl.ioctl(control, _SIOCGIFFLAGS, request))
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def add_loopback_address(address: str, number: int) -> None:
    """Give `lo` a further IPv4 address, under a number of its own. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for request, value in ((_SIOCSIFADDR, address), (_SIOCSIFNETMASK, "255.255.255.255")):
            packed = struct.pack("16sHH4s8x", f"lo:{number}".encode(), socket.AF_INET, 0, socket.inet_aton(value))
            fcntl.ioctl(control, request, packed)


def landlock_version() -> int:
    """Return the version of Landlock that the kernel has enabled; 0 without it."""
    version: int = _libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION)
    return max(version, 0)


def restrict_tcp(ports: list[int]) -> None:
    """Let this process and its descendants open TCP connections to these ports only, for good. Raises OSError."""
    scopes = _LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET if landlock_version() >= LANDLOCK_SCOPES else 0
    # struct landlock_ruleset_attr: file system, network, scopes. Older kernels know the first two.
    attributes = struct.pack("QQQ", 0, _LANDLOCK_ACCESS_NET_CONNECT_TCP, scopes)[: 24 if scopes else 16]
    ruleset = _checked(_libc.syscall(_LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0), "landlock")
    try:
        for port in ports:
            rule = struct.pack("QQ", _LANDLOCK_ACCESS_NET_CONNECT_TCP, port)
            _checked(_libc.syscall(_LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_RULE_NET_PORT, rule, 0), "landlock")
        _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
        _checked(_libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0), "landlock")
    finally:
        os.close(ruleset)
