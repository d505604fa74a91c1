"""The messages between the check and a program: lines of JSON, as docs/client-protocol.md defines them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mockveo.errors import SettingsError, did_you_mean
from mockveo.text import truncate
from mockveo_contracts.case import features
from mockveo_contracts.clients.driver import ClientInfo, DriverError

#: The version of the client protocol.
PROTOCOL: Final = 1
#: The types of the messages that a program may send.
TYPES: Final = ("hello", "result", "adapter_error")
#: Examples of lines, for error messages.
HELLO: Final = (
    '{"type":"hello","client":"my-client","version":"1.4","features":{"images":2,"content":true},"max_in_flight":1}'
)
RESULT: Final = (
    '{"type":"result","id":"17","outcome":"completed","video":{"id":"task_...","status":"completed"},'
    '"content_path":null,"error":null}'
)
#: A line in an error message is cut after this many characters.
_MAX_SHOWN_CHARS: Final = 100
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def line(message: Mapping[str, Any]) -> bytes:
    """Return a message as a line of ASCII: some languages end lines at characters that JSON need not escape."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def message_of(raw: bytes, example: str = RESULT) -> dict[str, Any] | None:
    """Return the message in a line of a program, None for a blank line. Raises ValueError with what is wrong."""
    text = raw.removeprefix(_BYTE_ORDER_MARK).strip()
    if not text:
        return None
    try:
        message = json.loads(text.decode())
    except (ValueError, RecursionError):
        problem = f"the line {short(raw)} on standard output is not JSON"
        hint = "standard output is for messages, anything else goes to standard error"
        raise ValueError(f"{problem}; expected lines like {example} - {hint}") from None
    if not isinstance(message, dict) or message.get("type") not in TYPES:
        kind = message.get("type") if isinstance(message, dict) else None
        suggestion = did_you_mean(kind, TYPES) if isinstance(kind, str) else ""
        raise ValueError(f"the line {short(raw)} has no valid type; {suggestion}expected {example}")
    return message


def short(raw: bytes) -> str:
    """Return a line as it is shown in an error message."""
    return repr(truncate(raw.decode("utf-8", "replace").strip(), _MAX_SHOWN_CHARS))


@dataclass(frozen=True, slots=True)
class Hello:
    """What a program says of itself: the client, and how many cases it plays at once."""

    client: ClientInfo
    max_in_flight: int

    @classmethod
    def parse(cls, raw: bytes) -> Hello:
        """Return the hello in a line. Raises DriverError."""
        try:
            message = message_of(raw, HELLO) or {}
            _check_hello(message, raw)
            declared = features(message.get("features") or {})
        except (ValueError, SettingsError) as error:
            raise DriverError(f"invalid hello from the client: {error}") from None
        version = str(message.get("version") or "")
        client = ClientInfo(message.get("client") or "unnamed", version, declared)
        return cls(client, message.get("max_in_flight", 1))


def _check_hello(message: Mapping[str, Any], raw: bytes) -> None:
    """Raise ValueError for a message that is not a valid hello."""
    if message["type"] != "hello":
        raise ValueError(f"the first line was {short(raw)}; expected a hello like {HELLO}")
    if message.get("protocol", PROTOCOL) != PROTOCOL:
        raise ValueError(f"the client speaks protocol {message['protocol']!r}; expected {PROTOCOL}")
    for name, kind, expected in (("client", str, "a name"), ("features", dict, 'an object like {"images":2}')):
        if not isinstance(message.get(name), kind | None):
            raise ValueError(f"{name} of the hello is {message[name]!r}; expected {expected}; e.g. {HELLO}")
    width = message.get("max_in_flight", 1)
    if not isinstance(width, int) or isinstance(width, bool) or width < 1:
        raise ValueError(f"max_in_flight of the hello is {width!r}; expected a number from 1; e.g. {HELLO}")
