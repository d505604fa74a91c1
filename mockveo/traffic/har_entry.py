"""One entry of a HAR: its request, its form and its response, as far as the exporter wrote them.

Source: HAR 1.2 (Jan Odvarko), and what browsers, proxies and test tools write in its name.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final
from urllib.parse import SplitResult, urldefrag, urlsplit

from mockveo.http import forms
from mockveo.http.parts import MULTIPART, FormError, Part, media_type
from mockveo.spec.job_body import JobBody
from mockveo.traffic.exchange import FieldJson, FileJson, ResponseJson
from mockveo.traffic.redaction import redact_headers
from mockveo.yamlfiles import parse_json

#: Members by which exporters mark a request that failed: those of Chrome and Playwright.
_FAILURES: Final = ("_error", "_failureText")
#: Values that sanitisers put in the place of a credential.
_MASKED: Final = re.compile(r"(?i)[\W_]*(?:redacted|removed|masked|hidden|filtered|sanitized|x{3,})[\W_]*|\*+")
_BOUNDARY: Final = re.compile(r"--([^\r\n]+)\r?\n")


@dataclass(frozen=True)
class SavedForm:
    """The form of a create, with its media type."""

    media_type: str
    fields: list[FieldJson]
    files: list[FileJson]
    #: The parts of a body that was saved whole.
    parts: Sequence[Part] = ()


class HarEntry:
    """An entry that matches the schema; `place` is its place in the file, from 1.

    Raises ValueError, OverflowError or OSError for an invalid URL or date.
    """

    def __init__(self, place: int, data: Mapping[str, Any]) -> None:
        self.place = place
        self._request: Mapping[str, Any] = data["request"]
        self._form: Mapping[str, Any] = self._request.get("postData") or {}
        self._response: Mapping[str, Any] = data.get("response") or {}
        self._content: Mapping[str, Any] = self._response.get("content") or {}
        self._failed = any(source.get(name) for source in (data, self._response) for name in _FAILURES)
        #: What mockveo adds to its own entries, which lack nothing. Its types are checked with all exchanges.
        self.own: Mapping[str, Any] = data.get("_mockveo") or {}
        self.method: str = self._request["method"].upper()
        #: Without the fragment.
        self.url: str = urldefrag(self._request["url"]).url
        parts: SplitResult = urlsplit(self.url)
        self.origin, self.path, self.query = f"{parts.scheme}://{parts.netloc}", parts.path, parts.query
        #: Unix seconds.
        self.time = datetime.fromisoformat(data["startedDateTime"]).timestamp()
        # A name that begins with a colon is a pseudo-header of HTTP/2.
        self.headers = [pair for pair in _pairs(self._request) if not pair[0].startswith(":")]

    @cached_property
    def credential(self) -> str:
        """The Authorization header; "" if it is missing or masked."""
        values = [value for name, value in self.headers if name.lower() == "authorization"]
        value: str = values[0] if values else ""
        return "" if _MASKED.fullmatch(value.rpartition(" ")[2]) else value

    @cached_property
    def content_type(self) -> str:
        """The media type of the request's body, with its parameters, or ""."""
        types = [value for name, value in self.headers if name.lower() == "content-type"]
        return types[0] if types else str(self._form.get("mimeType") or "")

    @property
    def status(self) -> int:
        """The status of the response; 0 without one, or without all of it."""
        return 0 if self._failed else max(int(self._response.get("status") or 0), 0)

    @property
    def media_type(self) -> str:
        """The media type of the response's body, or ""."""
        return str(self._content.get("mimeType") or "")

    @property
    def address(self) -> str:
        """The URL without its query."""
        return f"{self.origin}{self.path}"

    @property
    def size(self) -> float:
        """The decoded size of the response's body; -1 if unknown."""
        size = self._content.get("size")
        return -1 if size is None else float(size)

    @property
    def size_missing(self) -> bool:
        """Whether a JSON response lacks its size and its text, as one that broke off."""
        return not self.own and self.size < 0 and not self._content.get("text") and "json" in self.media_type

    @cached_property
    def _body(self) -> tuple[Any, ...]:
        """The response's body, decoded; empty if the entry lacks it or a part of it."""
        text = self._content.get("text")
        if not text:
            return (None,) if self.own else ()
        data = text.encode("utf-8", "surrogatepass")
        if self._content.get("encoding") == "base64":
            try:
                data = b64decode(data)
                text = data.decode()
            except ValueError:
                return (None,)
        try:
            return (parse_json(data),)
        except ValueError:
            cut = len(data) < (self._content.get("size") or 0)
            return () if cut else (text,)

    @property
    def body(self) -> Any:
        """The response's body as JSON or text; None if unknown."""
        return self._body[0] if self._body else None

    @cached_property
    def job(self) -> JobBody:
        """The job in the response."""
        return JobBody.parse(self.body)

    @property
    def location(self) -> str:
        """The URL that the response redirects to, or ""."""
        locations = [value for name, value in _pairs(self._response) if name.lower() == "location"]
        return locations[0] if locations else ""

    def response(self) -> ResponseJson | None:
        """Return the response in its JSON form; None if it did not arrive, or not all of it.

        Its size is left out, as Content-Length counts encoded bytes.
        """
        if not self.status:
            return None
        response: ResponseJson = {"status": self.status, "headers": redact_headers(_pairs(self._response))}
        if self._body:
            response["body"] = self._body[0]
        if self.own:
            response["body_bytes"] = int(self._content.get("size") or 0)
            response.update(self._response.get("_mockveo") or {})  # type: ignore[typeddict-item]  # see `own`
        return response

    def form(self) -> SavedForm | None:
        """Return the form of a create; None if unknown."""
        params, text = self._form.get("params") or [], self._form.get("text") or ""
        kind = media_type(self.content_type)
        if params or (self.own and not text):
            files = [param for param in params if _is_file(param)]
            fields = [param for param in params if not _is_file(param)]
            return SavedForm(kind, list(map(_field, fields)), list(map(_file, files)))
        parts = _parts(text, self.content_type, is_base64=self._form.get("encoding") == "base64")
        if parts is None:
            return None
        fields, files = _split(parts)
        return SavedForm(kind, fields, files, parts)


def _pairs(message: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(header["name"], header["value"]) for header in message.get("headers") or ()]


def _is_file(param: Mapping[str, Any]) -> bool:
    # Some exporters write a file as an ordinary parameter; only its media type shows what it is.
    kind = param.get("contentType") or "text/plain"
    return param.get("fileName") is not None or not kind.startswith("text/plain")


def _field(param: Mapping[str, Any]) -> FieldJson:
    return {"name": param["name"], "value": param.get("value") or ""}


def _file(param: Mapping[str, Any]) -> FileJson:
    """Return a file of a form; HAR has neither its size nor its hash."""
    file: FileJson = {"name": param["name"], "filename": param.get("fileName")}
    if param.get("contentType"):
        file["content_type"] = param["contentType"]
    file.update(param.get("_mockveo") or {})  # type: ignore[typeddict-item]  # see `HarEntry.own`
    return file


def _parts(text: str, content_type: str, *, is_base64: bool) -> list[Part] | None:
    """Return the parts of a body that is saved as text; None if it cannot be read."""
    boundary = _BOUNDARY.match(text)
    if media_type(content_type) == MULTIPART and "boundary=" not in content_type and boundary:
        content_type = f'{MULTIPART}; boundary="{boundary[1]}"'
    try:
        data = b64decode(text) if is_base64 else text.encode("utf-8", "surrogatepass")
        reader = forms.reader(content_type)
        reader.feed(data)
        return reader.finish().parts
    except (FormError, ValueError):
        return None


def _split(parts: Sequence[Part]) -> Iterator[Any]:
    """Yield the fields of a form, then its files."""
    yield [{"name": part.name, "value": part.value} for part in parts if not part.is_file]
    yield [
        {
            "name": part.name,
            "filename": part.filename,
            "content_type": part.content_type,
            "bytes": part.size,
            "sha256": part.sha256,
        }
        for part in parts
        if part.is_file
    ]
