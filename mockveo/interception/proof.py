"""What is proven of a run: measured by the kernel or noted by us, never concluded from what was intended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from mockveo.interception.crossings import HoleTraffic

#: Isolation -> what its proof is worth, for people.
WORTH: Final = {
    "namespace": "by the kernel: the program's network has lo alone, and no route leads out",
    "landlock": "in part: the kernel lets TCP connect to our ports only; UDP is not covered",
    "environment": "not proven: variables alone lead the program to us",
}
ProofLevel = Literal["kernel", "partial", "none"]


@dataclass(slots=True)
class Proof:
    """How a program was isolated, and what it tried."""

    #: namespace, landlock or environment.
    isolation: str
    #: "kernel": the kernel had no way out. "partial": it refused TCP alone. "none": nothing held the program back.
    level: ProofLevel = "none"
    #: Stronger isolation -> why it was not used.
    refusals: dict[str, str] = field(default_factory=dict)
    #: Network interfaces of the program, and packets sent through those that are not `lo`.
    interfaces: list[str] = field(default_factory=list)
    outside_packets: dict[str, int] = field(default_factory=dict)
    #: Interfaces that routes lead to.
    routes: list[str] = field(default_factory=list)
    #: Times that the kernel found no route for a connection or a packet.
    no_route: int = 0
    #: Names that the resolver refused, and host:port that the proxy refused -> how often.
    refused_names: dict[str, int] = field(default_factory=dict)
    refused_hosts: dict[str, int] = field(default_factory=dict)
    #: Connections to strangers that were sampled, as host:port.
    strangers: list[str] = field(default_factory=list)
    #: Whether connections could be sampled.
    sampled: bool = False
    #: `--local` and `--allow` -> what went through.
    holes: dict[str, HoleTraffic] = field(default_factory=dict)
    #: Processes that outlived the program and were ended.
    left: int = 0

    def measure(self, counters: Mapping[str, Any] | None) -> None:
        """Take what the kernel has counted, and conclude the level."""
        if self.isolation == "landlock":
            self.level = "partial"
        if counters is None:
            return
        self.interfaces, self.routes = counters["interfaces"], counters["routes"]
        self.outside_packets, self.no_route = counters["outside_packets"], counters["no_route"]
        closed = self.interfaces == ["lo"] and set(self.routes) <= {"lo"}
        self.level = "kernel" if closed else "partial"

    @property
    def attempts(self) -> int:
        """How often the program tried to reach a stranger, as far as that was noticed."""
        refused = sum(self.refused_names.values()) + sum(self.refused_hosts.values())
        return refused + self.no_route + len(self.strangers)

    def to_json(self) -> dict[str, Any]:
        """Return it as reports have it."""
        names = (
            *("isolation", "level", "refusals", "interfaces", "outside_packets", "routes", "no_route"),
            *("refused_names", "refused_hosts", "strangers", "sampled", "left", "attempts"),
        )
        holes = {
            option: {name: getattr(traffic, name) for name in HoleTraffic.__slots__}
            for option, traffic in self.holes.items()
        }
        return {name: getattr(self, name) for name in names} | {"holes": holes}
