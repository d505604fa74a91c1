"""What is common to the ways of driving a client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Protocol, Self

from mockveo.errors import MockveoError
from mockveo.spec import Spec
from mockveo_contracts.scripts import Script
from mockveo_contracts.stage import Play

#: Seconds that a client gets after its deadline, before it is ended. Source: the client protocol.
PATIENCE: Final = 10.0


class DriverError(MockveoError):
    """A client cannot be driven, or not any more."""


@dataclass(frozen=True, slots=True)
class Client:
    """Who a client says it is, and what it can do."""

    name: str
    version: str
    features: Mapping[str, Any]


class Driver(Protocol):
    """Drives one client. A context manager."""

    @property
    def client(self) -> Client:
        """Who it is; known once the driver has been entered."""

    @property
    def spec(self) -> Spec:
        """The document that the client is held against."""

    def play(self, scripts: Iterable[Script]) -> Iterator[Play]:
        """Plays scripts, as they are done. Raises DriverError where the client cannot be driven any more."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


def drive(
    client: Callable[[Any], Any] | Sequence[str],
    *,
    name: str = "",
    mode: str = "session",
    features: Mapping[str, Any] | None = None,
    factor: float = 1.0,
    seed: int = 0,
    profile: str = "docs-2026-03",
) -> Driver:
    """The driver of a function, or of a program by its command. Raises MockveoError."""
    # Here, not above: they import this module to say what they are.
    stage = {"seed": seed, "profile": profile}
    if callable(client):
        from mockveo_contracts.functions import Functions

        return Functions(client, name=name, features=features, stage=stage)
    from mockveo_contracts.programs import Programs

    return Programs(client, mode=mode, features=features, factor=factor, stage=stage)


def usual_count(client: object) -> int:
    """How many cases are generated where nothing is said: a function's cost no time, a program's do."""
    return 200 if callable(client) else 40
