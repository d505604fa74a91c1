"""The curl commands that repeat exchanges, for reports."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final

from mockveo.text import truncate
from mockveo_contracts.servers.exchanges import Body, SentExchange

#: Headers that curl sets itself or that are written in another way, and the one that schemathesis adds.
OMITTED_HEADERS: Final = frozenset(
    {"accept", "accept-encoding", "authorization", "connection", "content-length", "content-type", "user-agent"}
    | {"x-schemathesis-testcaseid"}
)
#: Keys of a run -> what stands for them in a command.
_KEYS: Final = {"ours": "$COMETAPI_KEY", "other": "$OTHER_KEY", "bad": "sk-no-such-key"}
#: Characters of a body, and of a path, in a command. Arbitrary: a screen.
MAX_BODY_CHARACTERS: Final = 2000
MAX_PATH_CHARACTERS: Final = 2500
#: Characters of a path that is too long. Arbitrary.
MAX_ID: Final = 100
#: Bytes that a shell has words for in $'...', and that printf has in a format.
_ESCAPES: Final = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r", 0x27: "\\'", 0x5C: "\\\\"}
_FORMAT_ESCAPES: Final = {**_ESCAPES, 0x27: "\\047", 0x25: "%%"}


def curl_lines(root: str, exchanges: Iterable[SentExchange]) -> list[str]:
    """Return the commands that repeat exchanges; the id of a job is passed on as $ID, $ID2 and so on."""
    variables: dict[str, str] = {}
    lines: list[str] = []
    before = None
    for exchange in exchanges:
        if before is not None and exchange.at - before >= 1:
            lines.append(f"# {exchange.at - before:.0f} s later")
        lines.append(_curl(root, exchange, variables))
        before = exchange.at
    return lines


def _curl(root: str, exchange: SentExchange, variables: dict[str, str]) -> str:
    """Return the command of one exchange; the job that it makes gets a variable."""
    words = ["curl -sS", *_method_words(exchange), *_url_words(root, exchange, variables), *_key_words(exchange)]
    words += [
        f"-H {_quoted(f'{name}: {value}')}"
        for name, value in exchange.headers.items()
        if name.lower() not in OMITTED_HEADERS
    ]
    line = _with_body(" ".join(words), exchange.body)
    if not exchange.made:
        return line
    name = f"ID{len(variables) + 1 if variables else ''}"
    variables[exchange.made] = f"${name}"
    return f"{name}=$({line} | jq -r .id)"


def _method_words(exchange: SentExchange) -> list[str]:
    if exchange.method == "HEAD":
        return ["-I"]
    usual = "POST" if exchange.body else "GET"
    return [] if exchange.method == usual else [f"-X {exchange.method}"]


def _key_words(exchange: SentExchange) -> list[str]:
    if exchange.key in _KEYS:
        return [f'-H "Authorization: Bearer {_KEYS[exchange.key]}"']
    if exchange.key == "basic":
        return ['-u ":$COMETAPI_KEY"']
    return ['-H "Authorization: $COMETAPI_KEY"'] if exchange.headers.get("Authorization") else []


def _url_words(root: str, exchange: SentExchange, variables: dict[str, str]) -> list[str]:
    """Return the URL, and the options by which curl sends it as it is."""
    if exchange.job in variables:
        escaped = re.sub(r'([\\"$`])', r"\\\1", root + exchange.template)
        return [f'"{escaped.replace("{id}", variables[exchange.job])}"']
    if len(exchange.path) > MAX_PATH_CHARACTERS:
        # The server chose the id, and a line of that length is of no use.
        return [_quoted(root + truncate(exchange.path, MAX_ID))]
    options = ["-g"] if set("[]{}") & set(exchange.path) else []
    options += ["--path-as-is"] if "/." in exchange.path else []
    return [*options, _quoted(root + exchange.path)]


def _with_body(line: str, body: Body | None) -> str:
    """Return a command that also sends a body, byte by byte: as options, in a word, or through a pipe."""
    if body is None:
        return line
    if body.curl:
        options = (word.partition(" ") for word in body.curl)
        return " ".join([line, *(f"{flag} {_quoted(value)}" for flag, _, value in options)])
    media_type = f"Content-Type: {body.content_type}" if body.content_type else "Content-Type:"
    line = f"{line} -H {_quoted(media_type)} --data-binary"
    format_ = _escaped(body.data, _FORMAT_ESCAPES, "\\{:03o}")
    if len(format_) > MAX_BODY_CHARACTERS:
        return f"{line} @body.bin  # {len(body.data)} bytes, SHA-256 {sha256(body.data).hexdigest()}"
    if b"\0" in body.data or body.data.startswith(b"@"):
        return f"printf '{format_}' | {line} @-"
    return f"{line} {_quoted(body.data)}"


def _quoted(word: str | bytes) -> str:
    """Return a word for a shell, on one line and without control characters."""
    data = word if isinstance(word, bytes) else word.encode("utf-8", "surrogatepass")
    try:
        text = data.decode()
    except ValueError:
        text = "\n"
    if text.isprintable():
        return "'" + text.replace("'", "'\\''") + "'"
    return "$'" + _escaped(data, _ESCAPES, "\\x{:02x}") + "'"


def _escaped(data: bytes, names: Mapping[int, str], otherwise: str) -> str:
    """Return bytes as printable ASCII, with escapes for all others."""
    return "".join(names.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else otherwise.format(byte)) for byte in data)
