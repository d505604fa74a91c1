"""The names of the API's operations: short ones and operationIds.

Faults, rules and tests use the short ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

#: Operations that mockveo can play; a document may lack some, but not have others.
DOCUMENTED: Final = (
    *("createVideo", "retrieveVideo", "retrieveVideoContent"),
    *("listModels", "listPublicModels", "retrievePublicModel"),
)
#: Operations that need no key.
PUBLIC_OPERATIONS: Final = frozenset({"listPublicModels", "retrievePublicModel"})
#: Operations that are only assumed to exist, so that no other server is asked for them.
ASSUMED_OPERATIONS: Final = frozenset({"retrievePublicModel"})
_JOB: Final = {
    **dict.fromkeys(("id", "task_id", "model", "prompt", "status", "video_url"), "a text"),
    **dict.fromkeys(("progress", "created_at", "completed_at"), 0),
    "error": {"code": "a text", "message": "a text"},
}
_MODEL: Final = {"id": "a text", "code": "a text", "name": "a text", "pricing": {"currency": "a text"}}
_MODELS: Final = {"data": [_MODEL], "total": 1}
#: What mockveo sends as the JSON of each success: which values are objects or lists, and which are not.
SAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    **dict.fromkeys(("createVideo", "retrieveVideo"), _JOB),
    **dict.fromkeys(("listModels", "listPublicModels"), _MODELS),
    "retrievePublicModel": {"data": _MODEL},
}
#: Operations whose success is JSON.
JSON_OPERATIONS: Final = frozenset(SAMPLES)
#: Short name -> operationId. Delivery, at the other origin of a `video_url`, is in no document.
OPERATION_IDS: Final[Mapping[str, str]] = {
    "create": "createVideo",
    "retrieve": "retrieveVideo",
    "content": "retrieveVideoContent",
    "models": "listModels",
    "delivery": "deliverVideo",
}
_SHORT_NAMES: Final = {identifier: name for name, identifier in OPERATION_IDS.items()} | {
    "listPublicModels": "models",
    "retrievePublicModel": "models",
}


def short_name(operation_id: str | None) -> str:
    """Return the short name of an operationId, or "" for an unknown one."""
    return _SHORT_NAMES.get(operation_id or "", "")
