"""What `mockveo run` is asked for, checked before anything starts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mockveo.errors import SettingsError
from mockveo.http.hosts import is_ip, is_loopback
from mockveo.interception.crossings import Hole
from mockveo.interception.sandbox.isolation import ISOLATIONS

_NAME: Final = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_MAX_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of a run. Raises SettingsError for an invalid value."""

    command: tuple[str, ...]
    isolate: str = "auto"
    require_proof: bool = False
    #: Hosts that are played besides those of the document.
    hosts: tuple[str, ...] = ()
    #: HOST:PORT of strangers, and ports of this machine's loopback, that the program may reach.
    allow: tuple[str, ...] = ()
    local: tuple[int, ...] = ()
    keep_key: bool = False
    #: The program's variables and directory; None for those of this process.
    environment: Mapping[str, str] | None = None
    directory: Path | None = None
    #: How long the program may take.
    timeout_s: float | None = None

    def __post_init__(self) -> None:
        if not self.command or not self.command[0]:
            raise SettingsError("the command is missing; expected a program, e.g. mockveo run -- python bot.py")
        if self.isolate not in ("auto", *ISOLATIONS):
            names = ", ".join(("auto", *ISOLATIONS))
            raise SettingsError(f"--isolate is {self.isolate!r}; expected one of {names}, e.g. --isolate auto")
        for host in self.hosts:
            if _NAME.fullmatch(host.lower()) is None or is_loopback(host):
                raise SettingsError(f"--host is {host!r}; expected the name of a host, e.g. --host api.openai.com")
        for port in self.local:
            if not 0 < port <= _MAX_PORT:
                raise SettingsError(f"--local is {port}; expected a port from 1 to {_MAX_PORT}, e.g. --local 5432")
        self._check_proof()
        self.holes()

    def _check_proof(self) -> None:
        if not self.require_proof:
            return
        if self.isolate not in ("auto", "namespace"):
            raise SettingsError(
                f"--isolate is {self.isolate}, too little for --require-proof; expected --isolate namespace"
            )
        if self.allow:
            raise SettingsError(
                f"--allow is {self.allow[0]}, which leaves the machine; expected no --allow with --require-proof"
            )

    def holes(self) -> list[Hole]:
        """Return what the program may reach besides the fake. Raises SettingsError."""
        local = [Hole(f"--local {port}", "127.0.0.1", port) for port in dict.fromkeys(self.local)]
        return [*local, *map(_allowed, dict.fromkeys(self.allow))]


def _allowed(text: str) -> Hole:
    host, _, port = text.lower().rpartition(":")
    is_port = port.isdecimal() and 0 < int(port) <= _MAX_PORT
    if not is_port or _NAME.fullmatch(host) is None:
        raise SettingsError(
            f"--allow is {text!r}; expected a name or an IPv4 address with a port, e.g. --allow db.example:5432"
        )
    if is_ip(host) and is_loopback(host):
        raise SettingsError(f"--allow is {text!r}, which is on this machine; expected e.g. --local {port}")
    return Hole(f"--allow {text}", host, int(port))
