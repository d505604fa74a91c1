"""Hostile requests: wild forms, JSON, calls of the control API, scenarios and bytes. All follow from a seed."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote, quote_from_bytes

from mockveo.server import control_requests
from mockveo.simulator.scenarios import SCHEMA
from mockveo.spec.openapi import Document

#: A key that no output may show.
CANARY: Final = "sk-canary-7f3a91c4e5"
#: Worlds that requests call, besides the default one.
WORLDS: Final = ("a", "b", "c")
#: Names of the multipart form.
FIELDS: Final = (
    "prompt",
    "model",
    "size",
    "input_reference",
    "input_reference[]",
    "seconds",
    "",
    "x" * 300,
    "ä",
    "\u202e",
)
#: Texts that break what is not careful.
TEXTS: Final = (
    *(
        "",
        " ",
        "a kite",
        "x" * 3000,
        "\x00",
        "\x1b[31m",
        "a\r\nb: c",
        "\u202eevil",
        "\ufeff",
        "ä" * 50,
        "😀",
        "%",
        "%zz",
    ),
    *("[mockveo:fails]", "[mockveo:", "[mockveo:nothing]", "[mockveo:never][mockveo:slow]", "[[[[", "{id}", "{prompt}"),
    *("veo_3_1-4K", "16x9", "NaN", "null", "1e999", "../../etc/passwd", "<script>", "${jndi:x}", "{digits}", "-1"),
)
#: Values of JSON as text, some of which no JSON may hold.
LITERALS: Final = (
    *(
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "-1",
        "0.5",
        "9007199254740993",
        "18446744073709551616",
        "1e20",
        "-1e300",
    ),
    *(
        "1e-320",
        "5e-324",
        "1e400",
        "NaN",
        "Infinity",
        "1" * 400,
        "1" * 5000,
        '"\\ud800"',
        '"\\udc00a"',
        '"\\u0000"',
        "[]",
        "{}",
    ),
    *(
        "[" * 100 + "]" * 100,
        "[" * 255 + "]" * 255,
        "[" * 600 + "]" * 600,
        "[" * 1024 + "]" * 1024,
        "[" * 5000,
        '{"a":' * 250,
    ),
    *(
        '{"a":1,"a":2}',
        '"' + "\\n" * 500 + '"',
        "[1,]",
        "01",
        "'a'",
        "[1e20,1e20]",
        "1e9",
        "1e-6",
        "60",
        "1000000000.5",
    ),
)
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "FOO")
_SCENARIO: Final = json.loads(SCHEMA.read_bytes())
#: Keys that let a fault last, which would only slow a run down.
_SLOW: Final = frozenset({"delay", "drip", "bandwidth"})


class WildRequest(NamedTuple):
    """A request to send."""

    method: str
    path: str
    query: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""

    def to_bytes(self) -> bytes:
        """Return it as HTTP/1.1."""
        target = quote(self.path).encode() + (b"?" + self.query if self.query else b"")
        lines = [b"%s %s HTTP/1.1" % (self.method.encode(), target)]
        lines += [b"%s: %s" % pair for pair in self.headers if b"\n" not in pair[1]]
        return b"\r\n".join([*lines, b"content-length: %d" % len(self.body), b"", self.body])


class Wild:
    """A source of hostile requests, which are the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._document = control_requests.ControlDocument()
        self._calls = list(self._document.operations())
        #: Ids of jobs that were made, and saved worlds, to come back to.
        self.ids = ["task_x"]
        self.states: list[bytes] = []

    def request(self) -> WildRequest:
        """Return the next request."""
        make = self._random.choices([self._create, self._retrieve, self._control, self._odd], [35, 20, 40, 5])[0]
        asked = make()
        prefix = self._pick(("", "", *(f"/@{name}" for name in WORLDS)))
        return asked._replace(path=prefix + asked.path)

    def mutated(self) -> bytes:
        """Return a request as bytes, some of them wrong."""
        data, dice = bytearray(self.request().to_bytes()), self._random
        for _ in range(dice.choice((0, 1, 1, 2, 8))):
            place = dice.randrange(len(data) + 1)
            piece = dice.choice((b"\r\n", b"\0", b"\xff", b": ", b" ", b"%", b"\n\n", b"0\r\n\r\n", dice.randbytes(3)))
            data[place : place + dice.choice((0, 1, 5))] = piece
        return bytes(data[: dice.randrange(len(data) + 1)] if dice.random() < 0.1 else data)

    def _pick(self, items: Any) -> Any:
        return self._random.choice(items)

    def _text(self) -> str:
        return "".join(self._random.choices(TEXTS, k=self._pick((1, 1, 1, 2, 3))))

    def _json(self, depth: int = 0) -> str:
        """Return a text of JSON, perhaps an invalid one."""
        kind = self._random.random()
        if depth > 3 or kind < 0.5:
            return self._pick(LITERALS)  # type: ignore[no-any-return]
        if kind < 0.7:
            return json.dumps(self._text())
        items = [self._json(depth + 1) for _ in range(self._random.randrange(4))]
        if kind < 0.85:
            return f"[{','.join(items)}]"
        return f"{{{','.join(f'{json.dumps(self._text())}:{item}' for item in items)}}}"

    def _headers(self, *more: tuple[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
        host = self._pick((b"127.0.0.1", b"127.0.0.1", b"localhost:8360", b"[::1]", b"evil.example", b"", b"a" * 3000))
        if self._random.random() < 0.9:
            host = b"127.0.0.1"
        headers = [(b"host", host), (b"authorization", f"Bearer {CANARY}".encode()), *more]
        if self._random.random() < 0.15:
            wild = self._text().encode().replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"")
            name = self._pick((b"x-mockveo-scenario", b"range", b"if-none-match", b"if-range", b"origin", b"cookie"))
            usual = (b"bytes=0-", b"bytes=-5", b"bytes=" + b"9" * 5000, b"fails", b"null", b"http://localhost:1", wild)
            headers.append((name, self._pick(usual)))
        if self._random.random() < 0.05:
            headers[1] = (self._pick((b"x-api-key", b"cookie", b"authorization")), CANARY.encode())
        return tuple(headers)

    def _create(self) -> WildRequest:
        kind = self._random.random()
        pairs = [(self._pick(FIELDS), self._text()) for _ in range(self._random.randrange(4))]
        pairs = [("prompt", self._text()), ("model", "veo3.1"), *pairs] if self._random.random() < 0.8 else pairs
        if kind < 0.4:
            content_type, body = "multipart/form-data; boundary=b", self._multipart(pairs)
        elif kind < 0.6:
            content_type = "application/x-www-form-urlencoded"
            body = b"&".join(self._escaped(name) + b"=" + self._escaped(value) for name, value in pairs)
        elif kind < 0.95:
            content_type = "application/json"
            members = [f"{json.dumps(name)}:{self._json()}" for name, _ in pairs[1:]]
            body = f'{{"prompt":{json.dumps(self._text())},{",".join(members)}}}'.replace(",}", "}").encode()
        else:
            content_type, body = self._pick(("", "text/plain", "a" * 5000, "multipart/form-data", "é")), b"x=1"
        return WildRequest("POST", "/v1/videos", self._query(), self._typed(content_type), body)

    def _typed(self, content_type: str) -> tuple[tuple[bytes, bytes], ...]:
        return self._headers((b"content-type", content_type.encode("latin-1")))

    def _escaped(self, text: str) -> bytes:
        data = text.encode()
        return data if self._random.random() < 0.3 else quote_from_bytes(data).encode()

    def _multipart(self, pairs: list[tuple[str, str]]) -> bytes:
        body = b""
        for name, value in pairs:
            more = self._pick(
                ("", "", '; filename="a.png"', "; filename*=utf-8''%ff", "; filename*=utf-7''+2AA-", '; filename="\\')
            )
            kind = self._pick(("", "", "\r\nContent-Type: image/png", "\r\nContent-Type: " + "x" * 200, "\r\nX: y"))
            head = f'--b\r\nContent-Disposition: form-data; name="{name}"{more}{kind}\r\n\r\n'
            body += head.encode() + self._pick((value.encode(), b"\xff\xfe", self._random.randbytes(20))) + b"\r\n"
        return body + self._pick((b"--b--\r\n", b"--b--", b"--b", b"", b"--b--\r\nepilogue"))  # type: ignore[no-any-return]

    def _query(self) -> bytes:
        if self._random.random() < 0.7:
            return b""
        name = self._pick(
            ("variant", "limit", "since", "status", "ended", "ticket", "expires", "signature", self._text())
        )
        value = self._pick((b"1", b"9" * 300, b"%ff", b"%", b"thumbnail", b"true", b"\xff", self._text().encode()))
        key = b"&api_key=" + CANARY.encode() if self._random.random() < 0.1 else b""
        return (
            quote_from_bytes(name.encode(), safe="").encode() + b"=" + quote_from_bytes(value, safe="%").encode() + key
        )

    def _retrieve(self) -> WildRequest:
        job = self._pick((*self.ids[-20:], self._text() or "x"))
        path = self._pick(
            (f"/v1/videos/{job}", f"/v1/videos/{job}", f"/v1/videos/{job}/content", "/v1/models", f"/api/model/{job}")
        )
        return WildRequest("GET", path, self._query(), self._headers())

    def _odd(self) -> WildRequest:
        path = self._pick(
            ("/", "//", "/v1", "/v1/videos/", "/@", "/@" + "x" * 200, f"/{self._text()}", "/openapi.yaml", "/%00")
        )
        return WildRequest(self._pick(METHODS), path, self._query(), self._headers(), self._text().encode())

    def _control(self) -> WildRequest:
        path, method, operation, pointer = self._pick(self._calls)
        if operation.startswith("save") and operation != "saveWorld":
            operation = "listJobs"  # the others write files
            path, method = "/_mockveo/jobs", "GET"
        for name in re.findall(r"\{(\w+)\}", path):
            value = self._pick((*self.ids[-5:], "1", "0", "mine", "fails", self._text() or "x"))
            path = path.replace(f"{{{name}}}", value)
        body = b"" if method in ("GET", "DELETE") else self._control_body(operation, pointer).encode("utf-8", "replace")
        return WildRequest(method, path, self._query(), self._typed("application/json"), body)

    def _control_body(self, operation: str, pointer: str) -> str:
        if operation == "loadWorld" and self.states and self._random.random() < 0.8:
            return self._edited(self._pick(self.states).decode())
        if self._random.random() < 0.15:
            return self._json()
        if operation in ("setScenario", "queueScenario", "defineScenario", "checkScenario", "setJobScenario"):
            scenario = self._pick((json.dumps(self._pick(("fails", "slow", "normal", self._text()))), self._scenario()))
            return scenario if operation == "defineScenario" else f'{{"scenario":{scenario}}}'
        if operation == "resetWorld":
            names = (
                "seed",
                "clock",
                "speed",
                "step",
                "credit",
                "max_jobs",
                "max_exchanges",
                "strict",
                "key",
                "profile",
                "budget",
            )
            profiles = json.dumps(self._pick(("docs-2026-03", "docs-2026-10", "gateway", "manual", "poll", "wall")))
            pairs = [
                f'"{self._pick(names)}":{self._pick((self._json(), "1", "7", "true", profiles))}' for _ in range(2)
            ]
            return f"{{{','.join(self._random.sample(pairs, self._random.randrange(3)))}}}"
        schema = self._document.tree["paths"]
        for part in pointer.removeprefix("/paths/").split("/"):
            schema = schema[part.replace("~1", "/").replace("~0", "~")]
        schema = schema.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        keys = list(Document(self._document.tree).follow(schema).get("properties", {"x": {}}))
        return f"{{{','.join(f'{json.dumps(self._pick(keys))}:{self._value(schema)}' for _ in range(2))}}}"

    def _edited(self, text: str) -> str:
        """Return a text of JSON with one value replaced."""
        values = list(re.finditer(r"(?<=[:\[,])(?:-?[\d.]+|\"[^\"]*\"|null|true|false)(?=[,\]}])", text[:20_000]))
        if not values:
            return text
        match = self._pick(values)
        return text[: match.start()] + self._pick(LITERALS) + text[match.end() :]

    def _scenario(self) -> str:
        return self._by_schema(_SCENARIO, _SCENARIO["properties"])

    def _by_schema(self, node: Mapping[str, Any], properties: Mapping[str, Any]) -> str:
        required = [name for name in node.get("required", []) if name in properties and self._random.random() < 0.95]
        names = dict.fromkeys(
            [*required, *self._random.sample(sorted(properties), k=min(len(properties), self._pick((0, 1, 2, 3))))]
        )
        members = [f"{json.dumps(name)}:{self._value(properties[name])}" for name in names if name not in _SLOW]
        return f"{{{','.join(members)}}}"

    def _value(self, node: Mapping[str, Any]) -> str:
        """Return a value that may fit a schema: an example, a bound of it, or any."""
        if "$ref" in node and "scenario" not in node["$ref"].lower():
            name = node["$ref"].rpartition("/")[2]
            node = _SCENARIO["$defs"].get(name, {}) | {key: value for key, value in node.items() if key != "$ref"}
        dice = self._random.random()
        if dice < 0.15:
            return self._json()
        if "properties" in node and dice < 0.7:
            return self._by_schema(node, node["properties"])
        if node.get("type") == "array" and "items" in node and dice < 0.7:
            return f"[{','.join(self._value(node['items']) for _ in range(self._random.randrange(3)))}]"
        bounds = [str(node[key]) for key in ("minimum", "maximum") if key in node]
        choices = [json.dumps(value) for value in (*node.get("examples", ()), *node.get("enum", ()))]
        return self._pick(bounds + choices + ["1"]) if dice < 0.95 else self._pick(LITERALS)  # type: ignore[no-any-return]
