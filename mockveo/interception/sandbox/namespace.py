"""Namespaces of Linux for a program: a network that holds `lo` alone, names of our choice, processes that end with it.

The supervisor enters them. A socket belongs to the network in which it was made, wherever it is accepted: so the
supervisor makes the listeners inside, and hands them to mockveo, which stays outside.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, Final, Self

from mockveo.interception.sandbox import kernel

#: Directories with the sockets of name services that would ask the network on behalf of the program. They are hidden.
_NAME_SERVICES: Final = (
    "/run/nscd",
    "/var/run/nscd",
    "/run/systemd/resolve",
    "/run/avahi-daemon",
    "/var/lib/sss/pipes",
)
#: Connections that wait to be accepted. Precedent: uvicorn.
_BACKLOG: Final = 2048


class RefusedError(Exception):
    """The kernel, or this machine's configuration, refuses an isolation; the message says why."""


def enter(plan: dict[str, Any]) -> list[socket.socket]:
    """Enter new namespaces and return the listeners that the plan asks for. Raises RefusedError.

    The next child of this process is the first of its process namespace.
    """
    _unshare()
    try:
        kernel.bring_loopback_up()
        for number, address in enumerate(plan["addresses"], start=1):
            kernel.add_loopback_address(address, number)
        listeners = [_listen(kind, address, port) for kind, address, port in plan["listeners"]]
    except OSError as error:
        # AppArmor lets a user namespace be made, and then forbids what it is for.
        reason = _refused_by_apparmor() or f"the network namespace cannot be set up: {error}"
        raise RefusedError(reason) from None
    try:
        _mount(plan)
    except OSError as error:
        raise RefusedError(f"files cannot be mounted in the namespace: {error}") from None
    return listeners


def _unshare() -> None:
    namespaces = kernel.CLONE_NEWNS | kernel.CLONE_NEWNET | kernel.CLONE_NEWPID
    user, group = os.geteuid(), os.getegid()
    maps = {name: _identity(f"/proc/self/{name}") for name in ("uid_map", "gid_map")}
    with _MapWriter(maps) if user == 0 else nullcontext() as writer:
        try:
            kernel.unshare(kernel.CLONE_NEWUSER | namespaces)
        except OSError as error:
            if user != 0:
                raise RefusedError(_remedy(error)) from None
            _unshare_as_root(namespaces, error)
            return
        try:
            if writer is not None:
                writer.write()
            else:
                Path("/proc/self/setgroups").write_text("deny")
                Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
                Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
        except OSError as error:
            raise RefusedError(_remedy(error)) from None


def _unshare_as_root(namespaces: int, refusal: OSError) -> None:
    """Do without a user namespace, which root can. The capabilities to leave are dropped instead."""
    try:
        kernel.unshare(namespaces)
        kernel.drop_capabilities_to_leave()
    except OSError:
        raise RefusedError(_remedy(refusal)) from None


def _identity(path: str) -> str:
    """Return a map of all ids of this user namespace to themselves."""
    rows = [line.split() for line in Path(path).read_text().splitlines()]
    return "".join(f"{inside} {inside} {count}\n" for inside, _, count in rows)


class _MapWriter:
    """A child that stays outside: only from there root can map more than its own id."""

    def __init__(self, maps: dict[str, str]) -> None:
        self._maps = maps
        self._pid = 0
        self._start = self._result = -1

    def __enter__(self) -> Self:
        parent = os.getpid()
        start_read, self._start = os.pipe()
        self._result, result_write = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._start)
            status = b"0"
            if os.read(start_read, 1):
                try:
                    for name, text in self._maps.items():
                        Path(f"/proc/{parent}/{name}").write_text(text)
                except OSError as error:
                    status = str(error.errno).encode()
            os.write(result_write, status)
            os._exit(0)
        os.close(start_read)
        os.close(result_write)
        return self

    def write(self) -> None:
        """Write the maps of the parent, which has its new user namespace now. Raises OSError."""
        os.write(self._start, b"1")
        number = int(os.read(self._result, 16) or b"1")
        if number:
            raise OSError(number, f"uid_map: {os.strerror(number)}")

    def __exit__(self, *_: object) -> None:
        os.close(self._start)
        os.close(self._result)
        os.waitpid(self._pid, 0)


def _remedy(error: OSError) -> str:
    """Return why namespaces were refused, with the setting that would allow them."""
    by_apparmor = _refused_by_apparmor()
    if by_apparmor:
        return by_apparmor
    for setting, value in (("kernel.unprivileged_userns_clone", "1"), ("user.max_user_namespaces", "10000")):
        path = Path("/proc/sys", setting.replace(".", "/"))
        if path.is_file() and path.read_text().strip() == "0":
            return f"user namespaces are switched off; `sudo sysctl {setting}={value}` allows them"
    if error.errno == errno.ENOSPC:
        return "no further namespace is allowed; `sudo sysctl user.max_user_namespaces=10000` allows more"
    if error.errno in (errno.EINVAL, errno.ENOSYS):
        return "the kernel has no user namespaces"
    return (
        f"namespaces are refused ({error.strerror}), perhaps by a container's seccomp profile;"
        " `docker run --security-opt seccomp=unconfined` allows them"
    )


def _refused_by_apparmor() -> str:
    """Return the remedy if AppArmor restricts user namespaces, else ""."""
    setting = "kernel.apparmor_restrict_unprivileged_userns"
    path = Path("/proc/sys", setting.replace(".", "/"))
    if os.geteuid() == 0 or not path.is_file() or path.read_text().strip() != "1":
        return ""
    return f"user namespaces are refused by AppArmor; `sudo sysctl {setting}=0` allows them"


def _listen(kind: str, address: str, port: int) -> socket.socket:
    if kind == "udp":
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind((address, port))
        return listener
    # asyncio sets TCP_NODELAY only if the protocol is named.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(_BACKLOG)
    return listener


def _mount(plan: dict[str, Any]) -> None:
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    targets = {target: os.path.realpath(target) for _, target in plan["binds"]}
    for directory in dict.fromkeys(map(os.path.realpath, _NAME_SERVICES)):
        if Path(directory).is_dir():
            kernel.mount("none", directory, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
            _touch(target for target in targets.values() if target.startswith(f"{directory}/"))
    for source, target in plan["binds"]:
        if Path(targets[target]).exists():
            kernel.mount(source, targets[target], flags=kernel.MS_BIND)


def _touch(files: Any) -> None:
    for file in files:
        Path(file).touch()


def mount_own_processes() -> None:
    """Show the program the processes of its namespace alone, if a container's masks of /proc allow it.

    The supervisor, which is outside of them, keeps the /proc that it reads the counters from.
    """
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    with suppress(OSError):
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.mount("proc", "/proc", "proc", flags)


def counters() -> dict[str, Any]:
    """Return what the kernel has counted in this network namespace."""
    interfaces = [line.split(":")[0].strip() for line in _lines("/proc/self/net/dev")[2:]]
    outside = {name: _traffic(name) for name in interfaces if name != "lo"}
    snmp = [line.split() for line in _lines("/proc/self/net/snmp") if line.startswith("Ip:")]
    ipv4 = dict(zip(*snmp, strict=True)) if len(snmp) == 2 else {}
    ipv6 = dict(line.split() for line in _lines("/proc/self/net/snmp6"))
    return {
        "interfaces": interfaces,
        "outside_packets": outside,
        "routes": _routes(),
        "no_route": int(ipv4.get("OutNoRoutes", 0)) + int(ipv6.get("Ip6OutNoRoutes", 0)),
    }


def _traffic(interface: str) -> int:
    row = next(line for line in _lines("/proc/self/net/dev") if line.strip().startswith(f"{interface}:"))
    return int(row.split(":")[1].split()[9])


def _routes() -> list[str]:
    """Return the interfaces that routes lead to; rows of IPv6 that refuse (flag 0x200, RTF_REJECT) lead nowhere."""
    ipv4 = [line.split()[0] for line in _lines("/proc/self/net/route")[1:]]
    rows = [line.split() for line in _lines("/proc/self/net/ipv6_route")]
    return sorted({*ipv4, *(row[-1] for row in rows if not int(row[-2], 16) & 0x200)})


def _lines(path: str) -> Sequence[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return ()
