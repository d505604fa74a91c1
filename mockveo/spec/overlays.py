"""OpenAPI Overlay 1.0: changes to an OpenAPI document.

Source: the Overlay Specification 1.0.0 of the OpenAPI Initiative, section 4.4 (Action Object): actions run in
order; `remove: true` deletes what the target selects; `update` is merged into it - objects key by key, lists by
appending, anything else by replacing. A target that selects nothing is valid there; here it is a
warning, since it is nearly always a misspelling.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any, Final

from mockveo.errors import SpecError
from mockveo.text import MAX_SHOWN_CHARACTERS, brief, truncate

#: Characters of a target. Arbitrary: many times the longest of the profiles; the parser recurses for each step.
MAX_TARGET_CHARACTERS: Final = 1000

EXAMPLE = """overlay: 1.0.0
info: {title: No sizes but these, version: 1.0.0}
actions:
  - target: $.components.schemas.CreateVideoForm.properties.size
    update: {enum: [16x9, 9x16, 1x1]}"""


class OverlayWarning(UserWarning):
    """An action of an overlay did nothing."""


def apply(document: dict[str, Any], overlay: Any, name: str) -> dict[str, Any]:
    """Return a copy of a document with the actions of an overlay applied.

    The overlay is parsed YAML; `name` is for error messages. Raises SpecError for an invalid overlay.
    """
    if not isinstance(overlay, dict) or not str(overlay.get("overlay", "")).startswith("1."):
        raise SpecError(f"{name}: not an OpenAPI Overlay; expected overlay: 1.0.0 first, e.g.\n{EXAMPLE}")
    actions = overlay.get("actions")
    if not isinstance(actions, list) or not actions:
        shown = truncate(str(actions), MAX_SHOWN_CHARACTERS)
        raise SpecError(f"{name}: `actions` is {shown}; expected a list of actions, e.g.\n{EXAMPLE}")
    changed = copy.deepcopy(document)
    for number, action in enumerate(actions, 1):
        _act(changed, action, f"{name}: action {number}")
    return changed


def _act(document: dict[str, Any], action: Any, name: str) -> None:
    if not isinstance(action, dict) or not isinstance(action.get("target"), str):
        raise SpecError(f"{name}: `target` is missing or not text; expected a JSONPath, e.g. $.info.title")
    unknown = set(action) - {"target", "description", "update", "remove"}
    if unknown or not ("update" in action or action.get("remove") is True):
        keys = truncate(str(sorted(map(str, action))), MAX_SHOWN_CHARACTERS)
        raise SpecError(f"{name}: has the keys {keys}; expected `target` and `update` or `remove: true`")
    target = action["target"]
    if len(target) > MAX_TARGET_CHARACTERS:
        reason = f"has more than {MAX_TARGET_CHARACTERS} characters; expected e.g. $.info"
        raise SpecError(f"{name}: `target` {brief(target)} {reason}")
    # Imported when an overlay is used, since it takes as long as the rest of the start.
    from mockveo.spec.targets import TargetError, select

    try:
        matches = select(target, document)
    except TargetError as error:
        raise SpecError(f"{name}: `target` {brief(target)} is not a JSONPath that can be used: {error}") from None
    if not matches:
        warnings.warn(f"{name}: `target` {brief(target)} selects nothing", OverlayWarning, stacklevel=2)
    for match in reversed(matches):  # backwards, since removing from a list moves what follows
        if action.get("remove") is True:
            _remove(match, name)
        else:
            _update(match, action["update"], name)


def _remove(match: Any, name: str) -> None:
    if match.parent is None:
        raise SpecError(f"{name}: `target` $ selects the whole document, which cannot be removed")
    del match.parent.obj[match.parts[-1]]


def _update(match: Any, update: Any, name: str) -> None:
    merged = _merged(match.obj, update)
    if match.parent is not None:
        match.parent.obj[match.parts[-1]] = merged
    elif isinstance(update, dict):
        match.obj.clear()
        match.obj.update(merged)
    else:
        raise SpecError(f"{name}: `target` $ selects the whole document, whose `update` must be a mapping")


def _merged(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        both = {key: _merged(old[key], new[key]) for key in old.keys() & new.keys()}
        return old | new | both
    if isinstance(old, list):
        return old + new if isinstance(new, list) else [*old, new]
    return new
