"""The messages between the check and a program: lines of JSON, or a case as variables. See docs/client-protocol.md."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mockveo.errors import SettingsError, did_you_mean
from mockveo.text import truncate
from mockveo.yamlfiles import parse_foreign_json
from mockveo_contracts.case import FEATURES, Case, features
from mockveo_contracts.clients.driver import ClientInfo, DriverError
from mockveo_contracts.clients.processes import Process, how_it_ended

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
_NOT_ACCELERATED: Final = (
    "the client does not load libfaketime, as programs that are linked statically do not; leave --accelerate out"
)

#: Characters of the name and the version of a client; arbitrary, they head each report.
MAX_NAME_CHARS: Final = 100


def line(message: Mapping[str, Any]) -> bytes:
    """Return a message as a line of ASCII: some languages end lines at characters that JSON need not escape."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def message_of(raw: bytes, example: str = RESULT) -> dict[str, Any] | None:
    """Return the message in a line of a program, None for a blank line. Raises ValueError with what is wrong."""
    text = raw.removeprefix(_BYTE_ORDER_MARK).strip()
    if not text:
        return None
    try:
        message = parse_foreign_json(text.decode())
    except ValueError:
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


def _shown(value: object) -> str:
    return truncate(repr(value), _MAX_SHOWN_CHARS)


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
            # Unknown ones are ignored, as a later protocol may have them; one that is nearly known is a mistake.
            stated = (message.get("features") or {}).items()
            declared = features(
                {name: value for name, value in stated if name in FEATURES or did_you_mean(name, FEATURES)}
            )
        except (ValueError, SettingsError) as error:
            raise DriverError(f"invalid hello from the client: {error}") from None
        name, version = message.get("client") or "unnamed", str(message.get("version") or "")
        client = ClientInfo(truncate(name, MAX_NAME_CHARS), truncate(version, MAX_NAME_CHARS), declared)
        return cls(client, message.get("max_in_flight", 1))


def _check_hello(message: Mapping[str, Any], raw: bytes) -> None:
    """Raise ValueError for a message that is not a valid hello."""
    if message["type"] != "hello":
        raise ValueError(f"the first line was {short(raw)}; expected a hello like {HELLO}")
    if message.get("protocol", PROTOCOL) != PROTOCOL:
        raise ValueError(f"the client speaks protocol {_shown(message['protocol'])}; expected {PROTOCOL}")
    for name, kind, expected in (("client", str, "a name"), ("features", dict, 'an object like {"images":2}')):
        if not isinstance(message.get(name), kind | None):
            raise ValueError(f"{name} of the hello is {_shown(message[name])}; expected {expected}; e.g. {HELLO}")
    width = message.get("max_in_flight", 1)
    if not isinstance(width, int) or isinstance(width, bool) or width < 1:
        raise ValueError(f"max_in_flight of the hello is {_shown(width)}; expected a number from 1; e.g. {HELLO}")


def hello_of(process: Process, startup: float) -> Hello | None:
    """Return the hello of a process; None if it has not come yet. Raises DriverError."""
    while process.lines:
        raw = process.lines.popleft()
        if raw.strip(b"\xef\xbb\xbf\r\n\t "):
            hello = Hello.parse(raw)
            if not process.in_step:
                raise DriverError(_NOT_ACCELERATED)
            return hello
    if process.dumb or process.age > startup:
        raise DriverError(_no_hello(process, startup))
    return None


def _no_hello(process: Process, startup: float) -> str:
    expected = f"expected a line like {HELLO}"
    hint = "a program that is not written for sessions is driven with --mode once or --mode run"
    if process.dumb:
        return f"the client {how_it_ended(process)} before it said hello; {expected}; {hint}"
    cause = f"does it read its standard input, and flush what it writes? ({hint})"
    return (
        f'the client said no hello in {startup:g} s; {expected} in answer to {{"type":"hello","protocol":1}}; {cause}'
    )


def variables(case: Case) -> dict[str, str]:
    """Return a case as environment variables, without those that its caller leaves out."""
    values = {
        "COMETAPI_BASE_URL": case.base_url,
        "COMETAPI_KEY": case.api_key,
        "OPENAI_BASE_URL": case.base_url,
        "OPENAI_API_KEY": case.api_key,
        "MOCKVEO_PROMPT": case.input.prompt,
        "MOCKVEO_MODEL": case.input.model,
        "MOCKVEO_SIZE": case.input.size,
        "MOCKVEO_IMAGES": os.pathsep.join(image.path for image in case.input.images) or None,
        "MOCKVEO_CASE": json.dumps(case.message, ensure_ascii=False),
        "MOCKVEO_POLL_INTERVAL_S": f"{case.poll_interval_s:g}",
        "MOCKVEO_DEADLINE_S": f"{case.deadline_s:g}",
        "MOCKVEO_CALL_ID": case.call_id,
        "MOCKVEO_STATE_DIR": case.state_dir,
        "MOCKVEO_RESTART": str(case.restart),
    }
    return {name: value for name, value in values.items() if value is not None}
