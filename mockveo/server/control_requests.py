"""Requests to the control API: who may send them, and their queries and bodies, checked against `control.yaml`."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import orjson

from mockveo import yamlfiles
from mockveo.errors import SpecError
from mockveo.http import forms, urlencoded
from mockveo.http.parts import media_type
from mockveo.http.responses import Response
from mockveo.schemas import first_error
from mockveo.server.context import ApiError, ControlError, IncompleteBody, RequestContext
from mockveo.spec.openapi import Document
from mockveo.spec.structure import Json, escape
from mockveo.text import MAX_MESSAGE_CHARACTERS, MAX_SHOWN_CHARACTERS, brief, truncate

#: Where the control API is, below the root of each world.
ROOT: Final = "/_mockveo"
#: Largest body, unless the operation says otherwise. Arbitrary: a scenario of thousands of faults fits.
MAX_BODY_BYTES: Final = 2**18


class ControlRequest(NamedTuple):
    """The query parameters and the body of a request, after the check against the document."""

    queries: Mapping[str, str]
    body: Json


#: Makes a result that takes time.
Later: TypeAlias = Callable[[], Awaitable[Json]]
#: A handler of an operation.
ControlHandler: TypeAlias = Callable[[RequestContext, ControlRequest], Json | Response | Later]


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
            data = await _read_body(call, self._document.at(pointer).get("x-max-body", MAX_BODY_BYTES))
            body = self._checked_body(call, data, f"{pointer}/requestBody")
        self._check_path_value(call, pointer.rpartition("/")[0])
        return ControlRequest(self._checked_queries(call, pointer), body)

    def _checked_body(self, call: RequestContext, data: bytes, pointer: str) -> Json:
        schema = f"{pointer}/content/application~1json/schema"
        example = orjson.dumps(self._document.at(schema).get("examples", [{}])[0]).decode()
        if not data and not self._document.at(pointer).get("required", False):
            return {}
        content_type = call.headers.get(b"content-type", b"").decode("latin-1")
        if media_type(content_type) != forms.JSON:
            message = f"The Content-Type is {brief(content_type)}; expected application/json with e.g. {example}"
            raise ControlError(415, "not_json", message)
        try:
            body = yamlfiles.parse_json(data)
        except ValueError as error:
            raise ControlError(400, "not_json", f"The body is not JSON: {error}; expected e.g. {example}") from None
        problem = first_error(self._document.validator(schema), body)
        if problem is not None:
            place = truncate(".".join(map(str, problem.instance_path)), MAX_SHOWN_CHARACTERS) or "the body"
            message = f"{place}: {truncate(problem.message, MAX_MESSAGE_CHARACTERS)}; expected e.g. {example}"
            raise ControlError(400, "invalid_request", message)
        return body

    def _check_path_value(self, call: RequestContext, pointer: str) -> None:
        for parameter in self._document.at(pointer).get("parameters", []):
            self._check_value(parameter["name"], parameter["schema"], call.scope["path_params"][parameter["name"]])

    def _check_value(self, name: str, schema: Json, value: str) -> None:
        problem = first_error(self._document.compiled(schema, name), value)
        if problem is not None:
            message = f"{name}: {truncate(problem.message, MAX_MESSAGE_CHARACTERS)}"
            raise ControlError(400, "invalid_request", message)

    def _checked_queries(self, call: RequestContext, pointer: str) -> dict[str, str]:
        sent = urlencoded.values(call.scope["query_string"])
        parameters = self._document.at(pointer).get("parameters", [])
        described = {each["name"]: each for each in parameters if each["in"] == "query"}
        schemas = {name: each["schema"] for name, each in described.items()}
        for name in sent:
            if name not in schemas:
                expected = f"expected one of {', '.join(schemas)}" if schemas else "this path has no parameters"
                raise ControlError(400, "invalid_request", f"{brief(name)} is not a parameter; {expected}")
        queries = {}
        for name, schema in schemas.items():
            value = sent.get(name, schema.get("default"))
            if value is None:
                if described[name].get("required"):
                    example = f"{name}={described[name]['example']}"
                    raise ControlError(400, "invalid_request", f"{name} is missing; expected it, e.g. {example}")
                continue
            self._check_value(name, schema, value)
            queries[name] = value
        return queries


async def _read_body(call: RequestContext, limit: int) -> bytes:
    if call.promised_bytes > limit:
        message = f"The body has {call.promised_bytes} bytes; expected at most {limit}."
        raise ControlError(413, "body_too_large", message)
    chunks: list[bytes] = []
    try:
        await call.read(chunks.append, limit)
    except ApiError:
        message = f"The body has more than {limit} bytes; expected fewer."
        raise ControlError(413, "body_too_large", message) from None
    except IncompleteBody as error:
        message = f"The body ended after {error.received} bytes, before its length."
        raise ControlError(400, "body_ended", message) from None
    return b"".join(chunks)


def refuse_foreign(call: RequestContext, *, is_page: bool = False, is_open: bool = False) -> None:
    """Raise ControlError for a request from another machine or from a page of another origin.

    An operation that is open serves other machines. An origin has a port, so a page of another server on this machine
    is refused too. A page may be opened from anywhere, as a document of its own.
    """
    client = call.scope.get("client")
    address = ipaddress.ip_address(client[0].partition("%")[0]) if client else None
    mapped = getattr(address, "ipv4_mapped", None)
    if address is not None and not is_open and not (mapped or address).is_loopback:
        message = f"{ROOT} serves the machine it runs on only; the request came from {address}"
        raise ControlError(403, "not_local", message)
    if is_page and call.headers.get(b"sec-fetch-dest") == b"document":
        return
    origin = call.headers.get(b"origin")
    own = b"%s://%s" % (call.scope.get("scheme", "http").encode(), call.headers.get(b"host", b""))
    if origin and origin.lower() != own.lower():
        message = f"{ROOT} serves no page of another origin; the Origin is {brief(origin.decode('latin-1'))}"
        raise ControlError(403, "cross_site", message)
    if not origin and call.headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
        message = f"{ROOT} serves no page of another origin; Sec-Fetch-Site says this is one"
        raise ControlError(403, "cross_site", message)
