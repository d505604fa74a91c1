"""The documented statuses of a job, of both generations of the pages."""

from __future__ import annotations

from typing import Final

SUCCESS: Final = frozenset({"completed"})
FAILURE: Final = frozenset({"failed", "error"})
#: A job in one of these does not change any more.
FINAL: Final = SUCCESS | FAILURE
RUNNING: Final = frozenset({"queued", "in_progress"})
