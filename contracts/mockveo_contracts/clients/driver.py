"""The interface of all drivers, which play cases with a client: a function or a program."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Protocol, Self

from mockveo.errors import MockveoError
from mockveo.spec.spec import Spec
from mockveo_contracts.cases.definitions import TestCase
from mockveo_contracts.clients.testbed import CaseRun

#: Seconds that a client gets after its deadline, before it is ended. Source: docs/client-protocol.md.
PATIENCE_S: Final = 10.0
#: Prefixes of the variables that could lead a client to the real service, which costs money.
_SERVICE_VARIABLES: Final = ("COMETAPI_", "OPENAI_")
_LOOPBACK: Final = "127.0.0.1,localhost"


def isolated(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without keys and addresses of the API, and without a proxy for this machine."""
    variables = {name: value for name, value in environment.items() if not name.startswith(_SERVICE_VARIABLES)}
    for name in ("NO_PROXY", "no_proxy"):
        variables[name] = ",".join(filter(None, [variables.get(name), _LOOPBACK]))
    return variables


class DriverError(MockveoError):
    """The client cannot be driven, or not any more."""


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """A client's name and version, and the features that it declares."""

    name: str
    version: str
    features: Mapping[str, Any]


class Driver(Protocol):
    """Drives one client. A context manager."""

    @property
    def client(self) -> ClientInfo:
        """The client; available once the driver has been entered."""

    @property
    def spec(self) -> Spec:
        """The API description that the client is checked against."""

    def play(self, test_cases: Iterable[TestCase]) -> Iterator[CaseRun]:
        """Play cases, and yield each run when it is done. Raises DriverError if the client cannot be driven."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
