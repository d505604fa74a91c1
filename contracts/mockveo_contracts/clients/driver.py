"""The interface of all drivers, which play cases with a client, and a look at the first cases that they play."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from types import TracebackType
from typing import Any, Final, Protocol, Self

from mockveo.environment import without_proxy
from mockveo.errors import MockveoError
from mockveo.spec.spec import Spec
from mockveo.text import truncate
from mockveo_contracts.cases.definitions import TestCase
from mockveo_contracts.clients.testbed import CaseRun

#: Seconds that a client gets after its deadline, before it is ended. Source: docs/client-protocol.md.
PATIENCE_S: Final = 10.0
#: Prefixes of the variables that could lead a client to the real service, which costs money.
_SERVICE_VARIABLES: Final = ("COMETAPI_", "OPENAI_")
#: Cases that must fail alike before a check ends. Arbitrary: more cost time, fewer may be chance.
MAX_ALIKE: Final = 3
#: Exceptions that code raises which does not fit what it is given, whatever the server answers.
_CODE_ERRORS: Final = frozenset({"AttributeError", "ImportError", "ModuleNotFoundError", "NameError", "TypeError"})
#: Characters of an error that are shown; arbitrary, two rows of a terminal.
_MAX_ERROR_CHARS: Final = 200


def isolated(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without keys and addresses of the API, and without a proxy for this machine."""
    variables = {name: value for name, value in environment.items() if not name.startswith(_SERVICE_VARIABLES)}
    return {**variables, **without_proxy(environment)}


class DriverError(MockveoError):
    """The client cannot be driven, or not any more."""


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """A client's name and version, and the features that it declares."""

    name: str
    version: str
    features: Mapping[str, Any]


class CasePlayer(Protocol):
    """Plays cases with one client."""

    @property
    def client(self) -> ClientInfo:
        """The client; available once its driver has been entered."""

    @property
    def spec(self) -> Spec:
        """The API description that the client is checked against."""

    def play(self, test_cases: Iterable[TestCase]) -> Iterator[CaseRun]:
        """Play cases, and yield each run when it is done. Raises DriverError if the client cannot be driven."""


class Driver(CasePlayer, Protocol):
    """Drives one client. A context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


def preflight(runs: Iterable[CaseRun]) -> Iterator[CaseRun]:
    """Yield runs, unless the first few show that the client does not reach the server, or its adapter is broken.

    Then yield one of them with an adapter error, which says what all have in common, and raise DriverError: it would
    be said of every case.
    """
    runs, first, cause = iter(runs), list[CaseRun](), ""
    try:
        for run in runs:
            first.append(run)
            cause = _common_cause(first)
            if not cause or len(first) == MAX_ALIKE:
                break
    except DriverError:
        yield from first
        raise
    if cause and len(first) == MAX_ALIKE:
        yield replace(first[0], adapter_error=cause)
        raise DriverError(f"the first {MAX_ALIKE} cases failed alike, so the others were not run")
    yield from first
    yield from runs


@contextmanager
def preflighted(driver: Driver, test_cases: Iterable[TestCase]) -> Iterator[Driver]:
    """Enter a driver. Raises DriverError if the first cases fail for one cause, which is then that of all tests."""
    with driver as entered:
        fitted = (test_case.fitted(entered.spec) for test_case in test_cases)
        possible = (
            test_case
            for test_case in fitted
            if not test_case.missing(entered.client.features) and not test_case.refused_by(entered.spec)
        )
        runs = list(entered.play(islice(possible, MAX_ALIKE)))
        cause = _common_cause(runs) if len(runs) == MAX_ALIKE else ""
        if cause:
            raise DriverError(cause)
        yield entered


def _common_cause(runs: Sequence[CaseRun]) -> str:
    """Return why none of some runs says anything about the client; empty if one does."""
    number = len(runs)
    if all(run.adapter_error for run in runs):
        return f"in each of the first {number} cases: {runs[0].adapter_error}"
    errors = [_error(run) for run in runs]
    same = f"each ended with {errors[0]}" if errors[0] and len({*errors}) == 1 else ""
    # In other languages a TypeError may come from the network.
    is_function = all(run.clock == "at" for run in runs)
    if same and is_function and errors[0].partition(":")[0] in _CODE_ERRORS:
        return (
            f"of the first {number} cases {same}; expected a function that fits what it is given: it takes a Case, with"
            " id, base_url, api_key, input, poll_interval_s and deadline_s, and returns an Outcome"
        )
    if any(run.trace for run in runs):
        return ""
    more = f"; {same}" if same else ""
    return (
        f"no request came in the first {number} cases{more}; expected requests to the base URL of each case"
        " (COMETAPI_BASE_URL with --mode run): does the command start the client, and does the client use that URL,"
        " or is another one hard-coded?"
    )


def _error(run: CaseRun) -> str:
    error = (run.outcome or {}).get("error") or {}
    # A program's message is its whole output, which the report shows.
    text = ": ".join(str(error[name]).partition("\n")[0] for name in ("type", "message") if error.get(name))
    return truncate(text, _MAX_ERROR_CHARS)
