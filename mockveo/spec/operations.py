"""The names of the API's operations: short ones and operationIds.

Faults, rules and tests use the short ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: Operations that mockveo can play; a document may lack some, but not have others.
DOCUMENTED: Final = (
    *("createVideo", "retrieveVideo", "retrieveVideoContent"),
    *("listModels", "listPublicModels", "retrievePublicModel"),
)
#: Operations that need no key.
PUBLIC_OPERATIONS: Final = frozenset({"listPublicModels", "retrievePublicModel"})
#: Operations that are only assumed to exist, so that no other server is asked for them.
ASSUMED_OPERATIONS: Final = frozenset({"retrievePublicModel"})
#: Operations whose success is JSON.
JSON_OPERATIONS: Final = frozenset(DOCUMENTED) - {"retrieveVideoContent"}
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
