"""What a verification sends, and what it may cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from mockveo.errors import SettingsError
from mockveo.http.hosts import is_loopback
from mockveo_contracts.interruption import Stop
from mockveo_contracts.reports.known_failures import KnownFailure

#: Jobs that a run may make on a remote server, where they may cost money. Arbitrary, and enough for the probes.
PAID_JOBS: Final = 5


@dataclass(frozen=True)
class VerifyPlan:
    """The options of a verification."""

    #: The key; None uses a made-up one, which only servers on this machine accept.
    key: str | None = field(default=None, repr=False)
    #: A key of another customer; for a mockveo one is made up.
    other_key: str | None = field(default=None, repr=False)
    #: None takes the profile of a mockveo, and the default one for other servers.
    profile: str | None = None
    spec: str | None = None
    overlays: tuple[str, ...] = ()
    #: Patterns of checks; empty for all of them.
    probes: tuple[str, ...] = ()
    seed: int = 0
    #: Maximum of jobs; None is `PAID_JOBS` on a remote server, else no limit.
    max_jobs: int | None = None
    max_seconds: float | None = None
    #: Maximum of requests a second.
    rate: float | None = None
    #: Seconds between two polls, and that a job gets to end in.
    poll_interval: float | None = None
    job_seconds: float = 600.0
    #: A prompt whose job fails, if one is available.
    failing_prompt: str | None = None
    #: Returns the SHA-256 of the images that arrived with a job, in order, for tests of your own gateway.
    images_of: Callable[[str], Sequence[str]] | None = None
    #: The URL of the mockveo behind a gateway, and the gateway's own key for it.
    upstream: str | None = None
    upstream_key: str | None = field(default=None, repr=False)
    #: Generated requests for each operation, by schemathesis; 0 for none.
    examples: int = 0
    #: Whether creates are among them; None allows them on this machine.
    generated_creates: bool | None = None
    #: Generated histories of jobs; possible only if time can be advanced.
    histories: int = 0
    strict: bool = False
    known: tuple[KnownFailure, ...] = ()
    #: The month of the requirements that count; empty for all there are.
    requirements: str = ""
    #: Whether a mockveo is recognised, and its clock advanced.
    turn_time: bool = True
    stop: Stop = field(default_factory=Stop)
    #: Called after each check with its number, the number of checks, its name, and the number of its findings.
    progress: Callable[[int, int, str, int], None] = field(default=lambda *_: None)

    def check_keys(self) -> None:
        """Raise SettingsError for a key that no header can carry as it is, or that is given twice."""
        for name, key in (
            ("COMETAPI_KEY", self.key),
            ("COMETAPI_OTHER_KEY", self.other_key),
            ("COMETAPI_UPSTREAM_KEY", self.upstream_key),
        ):
            # An empty variable is like none, e.g. for a missing secret of a workflow.
            if key and not (key.isascii() and key.isprintable() and key == key.strip()):
                has_break = bool({"\r", "\n"} & {*key})
                problem = "a line break" if has_break else "a blank at an end, or a character that is not ASCII"
                raise SettingsError(
                    f"{name} has {problem}, which a header cannot carry; expected only the key, e.g. {name}=sk-..."
                )
        if self.key and self.key == self.other_key:
            raise SettingsError(
                "COMETAPI_OTHER_KEY is the same as COMETAPI_KEY; expected the key of another customer, or unset it"
            )

    def job_limit(self, url: str) -> int | None:
        """Return the maximum of jobs on a server; None for no limit."""
        if self.max_jobs is not None or is_near(url):
            return self.max_jobs
        return PAID_JOBS


def is_near(url: str) -> bool:
    """Return whether a server runs on this machine, where jobs cost nothing."""
    return is_loopback(urlsplit(url if "//" in url else f"//{url}").hostname or "")
