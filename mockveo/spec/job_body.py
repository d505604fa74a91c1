"""The job in the body of a response, in every shape that was seen.

Documented: the job itself, `{"id": ..., "status": ...}`. Seen in the gateway family: an outer envelope,
`{"code": "success", "data": {...}}`, once or twice; an id called `task_id` or `video_id`, of digits, or missing; a
status in another dialect, null, or missing; a progress as text, `"100%"`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from mockveo.spec.errors import ErrorBody
from mockveo.spec.job_statuses import FINAL, RUNNING, Progression, meaning
from mockveo.text import whole_number

#: Members that hold the id of a job.
_ID_NAMES: Final = ("id", "task_id", "video_id")
#: Envelopes around a job that are opened. Arbitrary: one more than were seen.
_MAX_ENVELOPES: Final = 3


class JobBody(NamedTuple):
    """The job in a response's body; what the body lacks is empty."""

    #: Without the envelope.
    members: Mapping[str, Any] = {}
    #: The job's ids as text, the most likely first: the service's are no numbers.
    ids: tuple[str, ...] = ()
    #: As the response spells it.
    status: str = ""

    @classmethod
    def parse(cls, body: Any, *, envelopes: int = _MAX_ENVELOPES) -> JobBody:
        """Return the job in a decoded JSON body; empty if it shows none."""
        job = cls._of(body)
        inner = body.get("data") if isinstance(body, dict) and envelopes else None
        if job.ids or not isinstance(inner, dict):
            return job
        wrapped = cls.parse(inner, envelopes=envelopes - 1)
        return wrapped if wrapped.ids or wrapped.status else job

    @classmethod
    def _of(cls, body: Any) -> JobBody:
        members = body if isinstance(body, dict) else {}
        values = [members[name] for name in _ID_NAMES if name in members]
        texts = [value for value in values if isinstance(value, str) and value]
        numbers = [str(value) for value in values if isinstance(value, int) and not isinstance(value, bool)]
        ids = tuple(dict.fromkeys(texts + numbers))
        status = members.get("status")
        status = status if isinstance(status, str) else ""
        return cls(members, ids, status) if ids or status.strip() else cls()

    @property
    def id(self) -> str:
        """Return the job's id, or ""."""
        return self.ids[0] if self.ids else ""

    @property
    def meaning(self) -> Progression:
        """Return what the status means, or ""."""
        return meaning(self.status)

    @property
    def ended(self) -> bool:
        """Return whether the status is final, in any dialect."""
        return self.meaning in ("success", "failure")

    @property
    def documented(self) -> bool:
        """Return whether the status is spelt as the pages spell it."""
        return self.status in FINAL | RUNNING

    @property
    def progress(self) -> int | None:
        """Return the progress, also of a text such as "100%"; None without one."""
        progress = self.members.get("progress")
        if isinstance(progress, str) and progress.rstrip("% ").isdecimal():
            return whole_number(progress.rstrip("% "))
        return progress if isinstance(progress, int) and not isinstance(progress, bool) else None

    @property
    def reason(self) -> str:
        """Return why the job failed, or ""."""
        if self.meaning != "failure":
            return ""
        error = self.members.get("error")
        message = ErrorBody.parse({"error": error}).message if error else ""
        return message or str(self.members.get("fail_reason") or "")
