"""What came of a run: the end of the program, its traffic, and the proof."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mockveo.interception.proof import Proof
from mockveo.interception.variables import ProgramEnvironment, is_real_key
from mockveo.server.run import ServerThread
from mockveo.simulator.world import World
from mockveo.traffic.record import ExchangeRecord
from mockveo.traffic.redaction import fingerprint

if TYPE_CHECKING:
    from mockveo.rules.bill import Bill
    from mockveo.rules.client_rules import TrafficFinding

#: The rule's name of a key that should not have left its file; it is about the run, not about the contract.
KEY_FINDING = "real-key"


@dataclass
class RunOutcome:
    """The end of a run."""

    command: tuple[str, ...]
    #: The program's exit status, 128 + N if signal N ended it.
    exit_status: int
    duration_s: float
    proof: Proof
    environment: ProgramEnvironment
    server: ServerThread
    #: The fake key, or None if the program kept its own.
    key: str | None
    #: What went wrong between the program and us, with what to do.
    problems: list[str] = field(default_factory=list)
    stdout: str = ""
    stderr: str = ""

    @property
    def worlds(self) -> list[World]:
        """The worlds that were called."""
        return [world for world in self.server.app.worlds if len(world.journal)]

    @property
    def exchanges(self) -> list[ExchangeRecord]:
        """The exchanges of all worlds, in the order they came."""
        records = [exchange for world in self.worlds for exchange in world.journal]
        return sorted(records, key=lambda exchange: exchange.started)

    @cached_property
    def bill(self) -> Bill:
        """What became of the jobs that the program made."""
        # Imported lazily, here and below, because a run prepares them while its program runs; see `prepare`.
        from mockveo.rules.bill import merged
        from mockveo.server.billing import world_bill

        return merged(world_bill(world) for world in self.worlds)

    @property
    def abandoned_jobs(self) -> list[str]:
        """The ids of jobs that were paid for, and after which the program never asked."""
        asked = {exchange.job_id for exchange in self.exchanges if exchange.operation != "createVideo"}
        return [job.id for job in self.bill.jobs if job.id not in asked]

    @cached_property
    def findings(self) -> list[TrafficFinding]:
        """Where the program broke the contract, and real keys that it sent."""
        if not self.worlds:
            return []
        from mockveo.rules.client_rules import findings

        broken = [item for world in self.worlds for item in findings(record.to_json() for record in world.journal)]
        return [*broken, *self._real_keys()]

    def _real_keys(self) -> Iterator[TrafficFinding]:
        if self.key is None:
            return
        accepted = {self.key, *self.server.app.settings.key}
        numbers: dict[str, list[int]] = {}
        for exchange in self.exchanges:
            if exchange.owner not in accepted and is_real_key(exchange.owner):
                numbers.setdefault(exchange.owner, []).append(exchange.number)
        if not numbers:
            return
        from mockveo.rules.client_rules import TrafficFinding

        for key, exchanges in numbers.items():
            message = (
                f"a key arrived that is not the fake one ({fingerprint(key)}); it came from no variable, perhaps from a"
                " .env file or in the code"
            )
            yield TrafficFinding(KEY_FINDING, "should", "warning", message, "mockveo run", tuple(exchanges))

    def by_host(self) -> dict[str, dict[str, int]]:
        """Return the number of requests by host and operation."""
        counts: dict[str, dict[str, int]] = {}
        for exchange in self.exchanges:
            headers: dict[str, Any] = {name.lower(): value for name, value in exchange.headers}
            host = counts.setdefault(headers.get("host", "?"), {})
            name = exchange.operation or f"{exchange.method} {exchange.path}"
            host[name] = host.get(name, 0) + 1
        return counts


def prepare() -> None:
    """Load what judges a run, which takes a while, before the end of the program."""
    from mockveo.rules.client_rules import client_rules
    from mockveo.server import billing

    del billing
    client_rules()
