"""The keywords of `mockveo.serve`, `mockveo.app` and the pytest fixtures, for editors and type checkers.

Tests keep them equal to `Settings`, to the settings of a world and to the schema of scenarios.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

if TYPE_CHECKING:
    from mockveo.simulator.scenarios import Scenario

ClockMode: TypeAlias = Literal["wall", "manual", "poll"]
#: A path or a name.
Location: TypeAlias = str | PurePath


class _SharedKeywords(TypedDict, total=False):
    """Settings of a server that each of its worlds may override."""

    profile: str
    clock: ClockMode
    speed: float
    step: float
    seed: int | None
    strict: bool
    self_check: bool
    key: str | Sequence[str]
    credit: int | None
    budget: str | int | None
    max_body: int
    max_jobs: int
    max_image_bytes: int
    max_exchanges: int


class SettingsKeywords(_SharedKeywords, total=False):
    """The settings of a server; `mockveo serve --help` explains each."""

    host: str
    port: int
    spec: Location | None
    overlay: Location | Sequence[Location]
    model: str | Sequence[str]
    scenario: Location
    max_worlds: int
    other_port: int
    public_url: str | None
    other_url: str | None
    allow_host: str | Sequence[str]
    allow_origin: str | Sequence[str]
    store: Location | None
    store_move_corrupt: bool
    workers: int
    metrics: bool
    render: bool | None
    corpus: Location


class WorldKeywords(_SharedKeywords, total=False):
    """The settings of a world; `mockveo serve --help` explains each."""

    scenario: Location | Mapping[str, Any] | Scenario


class RunKeywords(WorldKeywords, total=False):
    """The keywords of a run of a program; `mockveo run --help` explains each."""

    isolate: Literal["auto", "namespace", "landlock", "environment"]
    require_proof: bool
    hosts: Sequence[str]
    allow: Sequence[str]
    local: Sequence[int]
    keep_key: bool
    #: The program's variables and directory; by default those of this process.
    env: Mapping[str, str]
    cwd: Location
    #: Seconds after which the program is ended, and an error is raised.
    timeout: float
    port: int
    spec: Location | None
    overlay: Location | Sequence[Location]
    model: str | Sequence[str]


class ErrorKeywords(TypedDict, total=False):
    """The reason of a failed job."""

    code: str
    message: str


class VideoUrlKeywords(TypedDict, total=False):
    """The lifetime, the place and the time of a `video_url`."""

    #: In seconds of the world's clock.
    expires: float
    origin: Literal["other", "own", "path"]
    early: bool


class ScenarioKeywords(TypedDict, total=False):
    """The keys of a scenario; docs/reference/scenarios.md explains each."""

    name: str
    summary: str
    source: str
    phases: Sequence[Mapping[str, Any]]
    ending: Literal["success", "failure", "never"]
    error: ErrorKeywords
    completed_at: Literal["at-end", "early", "never"]
    ids: str
    idempotency: Literal["honoured", "refused"]
    video_url: bool | VideoUrlKeywords
    style: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    faults: Sequence[Mapping[str, Any]]
