"""A request as code that sends it again."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple, TypeAlias

from mockveo.traffic.exchange import ExchangeJson, value_text

#: The variable that code reads the key from, which is never shown.
KEY: Final = "COMETAPI_KEY"
#: Headers that a library sets itself, or that are written in another way.
_OWN_HEADERS: Final = re.compile(
    r"accept|accept-encoding|authorization|connection|content-length|content-type|cookie|host|origin|referer|sec-.*"
    r"|transfer-encoding|user-agent",
    re.IGNORECASE,
)
_Pairs: TypeAlias = Sequence[tuple[str, str]]


#: A text as JavaScript and Python both write one.
_literal = partial(json.dumps, ensure_ascii=False)


class _RequestParts(NamedTuple):
    method: str
    url: str
    has_key: bool
    headers: Mapping[str, str]
    fields: _Pairs
    #: The names of parts, each with that of its file.
    files: _Pairs


def snippets(data: ExchangeJson, root: str) -> dict[str, str]:
    """Return what sends a request again to the server at `root`, by the name of a language."""
    sent, query = data["request"], data["request"].get("query")
    request = _RequestParts(
        sent["method"],
        f"{root}{sent['path']}{f'?{query}' if query else ''}",
        bool(data.get("key_sent")),
        {name: value for name, value in sent.get("headers", ()) if not _OWN_HEADERS.fullmatch(name)},
        [(field["name"], value_text(field)) for field in sent.get("fields", ())],
        [(file["name"], file["filename"] or "file") for file in sent.get("files", ())],
    )
    return {"curl": _curl(request), "Python": _python(request), "JavaScript": _javascript(request)}


def _curl(request: _RequestParts) -> str:
    method = "" if request.method == "GET" else f"--request {request.method} "
    words = [f"curl {method}{shlex.quote(request.url)}"]
    words += [f'--header "Authorization: Bearer ${KEY}"'] if request.has_key else []
    words += [f"--header {shlex.quote(f'{name}: {value}')}" for name, value in request.headers.items()]
    words += [f"--form-string {shlex.quote(f'{name}={value}')}" for name, value in request.fields]
    # In quotes curl takes a file's name as it is, whatever characters it has.
    words += [f"--form {shlex.quote(f'{name}=@{_literal(filename)}')}" for name, filename in request.files]
    return " \\\n  ".join(words)


def _python(request: _RequestParts) -> str:
    key = f'"Authorization": f"Bearer {{os.environ[\'{KEY}\']}}"'
    parts = [f"({_literal(name)}, (None, {_literal(value)}))" for name, value in request.fields]
    parts += [f'({_literal(name)}, open({_literal(filename)}, "rb"))' for name, filename in request.files]
    lines = [
        "response = httpx.request(",
        f"    {_literal(request.method)}, {_literal(request.url)},",
        f"    headers={{{_headers(request, key)}}},",
    ]
    if parts:
        lines += ["    files=[", *(f"        {part}," for part in parts), "    ],"]
    return "\n".join(["import os", "import httpx", "", *lines, ")", "print(response.status_code, response.text)", ""])


def _javascript(request: _RequestParts) -> str:
    form = [f"form.append({_literal(name)}, {_literal(value)});" for name, value in request.fields]
    for name, filename in request.files:
        file = _literal(filename)
        form.append(f"form.append({_literal(name)}, await fs.openAsBlob({file}), {file});")
    lines = ['import fs from "node:fs";'] if request.files else []
    lines += ["const form = new FormData();", *form] if form else []
    lines += [f"const response = await fetch({_literal(request.url)}, {{", f"  method: {_literal(request.method)},"]
    lines.append(f"  headers: {{ {_headers(request, f'Authorization: `Bearer ${{process.env.{KEY}}}`')} }},")
    lines += ["  body: form,"] if form else []
    return "\n".join([*lines, "});", "console.log(response.status, await response.text());", ""])


def _headers(request: _RequestParts, key: str) -> str:
    """Return the entries of a mapping of headers; `key` is that of the key, if one was sent."""
    pairs = [f"{_literal(name)}: {_literal(value)}" for name, value in request.headers.items()]
    return ", ".join([key, *pairs] if request.has_key else pairs)
