"""What is common to the ways of driving a client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Protocol, Self

from mockveo.errors import MockveoError
from mockveo.spec.spec import Spec
from mockveo_contracts.cases.definitions import TestCase
from mockveo_contracts.clients.testbed import CaseRun

#: Seconds that a client gets after its deadline, before it is ended. Source: the client protocol.
PATIENCE: Final = 10.0


#: How variables begin that lead a client to the service, which costs money.
_FOREIGN: Final = ("COMETAPI_", "OPENAI_")
_LOOPBACK: Final = "127.0.0.1,localhost"


def nobodys(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without keys and addresses of the API, in which this machine is asked without a proxy."""
    found = {name: value for name, value in environment.items() if not name.startswith(_FOREIGN)}
    for name in ("NO_PROXY", "no_proxy"):
        found[name] = ",".join(filter(None, [found.get(name), _LOOPBACK]))
    return found


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

    def play(self, scripts: Iterable[TestCase]) -> Iterator[CaseRun]:
        """Plays scripts, as they are done. Raises DriverError where the client cannot be driven any more."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
