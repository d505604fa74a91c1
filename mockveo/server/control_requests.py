"""Requests to the control API: who may send them, and their queries and bodies, checked against `control.yaml`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import parse_qs

import orjson

from mockveo import yamlfiles
from mockveo.errors import SpecError
from mockveo.http import forms
from mockveo.http.hosts import Hosts
from mockveo.http.parts import media_type
from mockveo.server.context import ApiError, ControlError, IncompleteBody, RequestContext
from mockveo.spec.openapi import Document, Json, escape

#: Where the control API is, below the root of each world.
ROOT: Final = "/_mockveo"
#: Largest body. Arbitrary: a scenario of thousands of faults fits.
MAX_BODY_BYTES: Final = 2**18


class ControlRequest(NamedTuple):
    """The query parameters and the body of a request, after the check against the document."""

    queries: Mapping[str, str]
    body: Json


class ControlDocument:
    """`control.yaml`: the operations of the control API, and what their requests may contain."""

    def __init__(self) -> None:
        path = Path(__file__).with_name("control.yaml")
        self._document = Document(yamlfiles.parse(path.read_bytes(), path.name, SpecError))

    @property
    def tree(self) -> Json:
        """The whole document."""
        return self._document.tree

    @property
    def paths(self) -> list[str]:
        """The paths of the control API, with ROOT."""
        return [f"{ROOT}{path}" for path in self._document.at("/paths")]

    def operations(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield the path, method, operationId and JSON pointer of each operation."""
        for path, item in self._document.at("/paths").items():
            for method, operation in item.items():
                if method != "parameters":
                    pointer = f"/paths/{escape(path)}/{method}"
                    yield f"{ROOT}{path}", method.upper(), operation["operationId"], pointer

    async def read(self, call: RequestContext, pointer: str) -> ControlRequest:
        """Read a request to the operation at a pointer. Raises ControlError if it does not fit the document."""
        body: Json = None
        if "requestBody" in self._document.at(pointer):
            data = await _read_body(call)
            body = self._checked_body(call, data, f"{pointer}/requestBody")
        return ControlRequest(self._checked_queries(call, pointer), body)

    def _checked_body(self, call: RequestContext, data: bytes, pointer: str) -> Json:
        schema = f"{pointer}/content/application~1json/schema"
        example = orjson.dumps(self._document.at(schema).get("examples", [{}])[0]).decode()
        if not data and not self._document.at(pointer).get("required", False):
            return {}
        content_type = call.headers.get(b"content-type", b"").decode("latin-1")
        if media_type(content_type) != forms.JSON:
            message = f"The Content-Type is {content_type!r}; expected application/json with e.g. {example}"
            raise ControlError(415, "not_json", message)
        try:
            body = orjson.loads(data)
        except ValueError as error:
            raise ControlError(400, "not_json", f"The body is not JSON: {error}; expected e.g. {example}") from None
        for problem in self._document.validator(schema).iter_errors(body):
            place = ".".join(map(str, problem.instance_path)) or "the body"
            raise ControlError(400, "invalid_request", f"{place}: {problem.message}; expected e.g. {example}")
        return body

    def _checked_queries(self, call: RequestContext, pointer: str) -> dict[str, str]:
        sent = parse_qs(call.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        parameters = self._document.at(pointer).get("parameters", [])
        schemas = {each["name"]: each["schema"] for each in parameters if each["in"] == "query"}
        for name in sent:
            if name not in schemas:
                expected = f"expected one of {', '.join(schemas)}" if schemas else "this path has no parameters"
                raise ControlError(400, "invalid_request", f"{name!r} is not a parameter; {expected}")
        queries = {}
        for name, schema in schemas.items():
            value = sent[name][0] if name in sent else schema.get("default")
            if value is None:
                continue
            for problem in self._document.compiled(schema, name).iter_errors(value):
                raise ControlError(400, "invalid_request", f"{name}: {problem.message}")
            queries[name] = value
        return queries


async def _read_body(call: RequestContext) -> bytes:
    length = call.headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > MAX_BODY_BYTES:
        message = f"The body has {int(length)} bytes; expected at most {MAX_BODY_BYTES}."
        raise ControlError(413, "body_too_large", message)
    chunks: list[bytes] = []
    try:
        await call.read(chunks.append, MAX_BODY_BYTES)
    except ApiError:
        message = f"The body has more than {MAX_BODY_BYTES} bytes; expected fewer."
        raise ControlError(413, "body_too_large", message) from None
    except IncompleteBody as error:
        message = f"The body ended after {error.received} bytes, before its length."
        raise ControlError(400, "body_ended", message) from None
    return b"".join(chunks)


def refuse_foreign(call: RequestContext, hosts: Hosts) -> None:
    """Raise ControlError for a request from another machine or from a page of another site."""
    client = call.scope.get("client")
    address = ipaddress.ip_address(client[0].partition("%")[0]) if client else None
    mapped = getattr(address, "ipv4_mapped", None)
    if address is not None and not (mapped or address).is_loopback:
        message = f"{ROOT} serves the machine it runs on only; the request came from {address}"
        raise ControlError(403, "not_local", message)
    origin = call.headers.get(b"origin")
    if origin:
        if not hosts.allow_origin(origin):
            message = f"{ROOT} serves no page of another site; the Origin is {origin.decode('latin-1')}"
            raise ControlError(403, "cross_site", message)
    elif call.headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin", b"same-site"):
        raise ControlError(403, "cross_site", f"{ROOT} serves no page of another site; Sec-Fetch-Site says this is one")
