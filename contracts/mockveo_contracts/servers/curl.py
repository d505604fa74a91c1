"""The curl commands that repeat exchanges, for reports."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mockveo_contracts.servers.exchanges import Body, SentExchange

#: Headers that curl sets itself or that are written in another way, and the one that schemathesis adds.
OMITTED_HEADERS: Final = frozenset(
    {"accept", "accept-encoding", "authorization", "connection", "content-length", "content-type", "user-agent"}
    | {"x-schemathesis-testcaseid"}
)
#: Keys of a run -> what stands for them in a command.
_KEYS: Final = {"ours": "$COMETAPI_KEY", "other": "$OTHER_KEY", "bad": "sk-no-such-key"}
#: Characters of a body in a command. Arbitrary.
MAX_BODY_CHARACTERS: Final = 1000


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
    known_job = exchange.job in variables
    path = exchange.template.replace("{id}", variables[exchange.job]) if known_job else exchange.path
    words = ["curl -sS", *_method_words(exchange), f'"{root}{path}"', *_key_words(exchange)]
    words += [
        f'-H "{name}: {value}"' for name, value in exchange.headers.items() if name.lower() not in OMITTED_HEADERS
    ]
    words += _body_words(exchange.body)
    line = " ".join(words)
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


def _body_words(body: Body | None) -> list[str]:
    if body is None:
        return []
    if body.curl:
        return [_quoted(word) for word in body.curl]
    words = [f"-H 'Content-Type: {body.content_type}'"] if body.content_type else ["-H 'Content-Type:'"]
    text = body.data.decode("utf-8", "backslashreplace")
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\r", "\\r").replace("\n", "\\n")
    return [*words, f"--data-binary $'{escaped[:MAX_BODY_CHARACTERS]}'"]


def _quoted(word: str) -> str:
    flag, _, value = word.partition(" ")
    escaped = value.replace("'", "'\\''")
    return f"{flag} '{escaped}'"
