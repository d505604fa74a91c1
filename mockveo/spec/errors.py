"""The error bodies of the API, in both of its envelopes.

Nested: `{"error": {"code": ..., "message": ..., "type": ...}}`. Flat: `{"code": ..., "message": ..., "data": null}`,
sometimes without `data`.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

#: Codes of the outer envelope of a success. Source: the gateway family.
_NO_ERROR: Final = frozenset({"", "success", "ok", "200"})


class ErrorBody(NamedTuple):
    """The error in a response's body; what the body lacks is empty."""

    code: str = ""
    message: str = ""
    type: str = ""
    envelope: Literal["nested", "flat", "none"] = "none"

    @classmethod
    def parse(cls, body: Any) -> ErrorBody:
        """Return the error of a decoded JSON body; empty if it is not an object."""
        if not isinstance(body, dict):
            return cls()
        nested = body.get("error")
        error = nested if isinstance(nested, dict) else body
        text = nested if isinstance(nested, str) else ""
        return cls(
            code=str(error.get("code") or ""),
            message=str(error.get("message") or text),
            type=str(error.get("type") or ""),
            envelope="flat" if error is body else "nested",
        )

    @property
    def present(self) -> bool:
        """Return whether there is an error: the outer envelope of a success also has a code."""
        return self.code.lower() not in _NO_ERROR or bool(self.message and not self.code)
