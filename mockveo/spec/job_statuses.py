"""The statuses of a job: the documented ones, of both generations of the pages, and words of other dialects."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

#: What a status means; "" if a response shows none.
Progression: TypeAlias = Literal["running", "success", "failure", "unknown", ""]

SUCCESS: Final = frozenset({"completed"})
FAILURE: Final = frozenset({"failed", "error"})
#: A job in one of these does not change any more.
FINAL: Final = SUCCESS | FAILURE
RUNNING: Final = frozenset({"queued", "in_progress"})

#: Word -> its meaning. Source: the pages; for other words the gateway family and public reports of clients.
_MEANINGS: Final[dict[str, Progression]] = {
    **dict.fromkeys([*RUNNING, "submitted", "not_start", "pending", "processing", "running"], "running"),
    **dict.fromkeys([*SUCCESS, "success", "succeeded", "succeed", "complete", "done", "finished"], "success"),
    **dict.fromkeys([*FAILURE, "failure", "fail", "expired", "cancelled", "canceled", "rejected"], "failure"),
}


def meaning(status: str) -> Progression:
    """Return what a status means, whatever its case and the blanks around it."""
    word = status.strip().lower()
    return _MEANINGS.get(word, "unknown") if word else ""
