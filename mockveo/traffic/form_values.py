"""The parts of a body as a create request, with every deviation from what the document says of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Self

from mockveo.http import forms, urlencoded
from mockveo.http.parts import TRANSFER_ENCODING, ParsedForm, Part, media_type
from mockveo.spec.form import Form
from mockveo.spec.spec import Operation
from mockveo.text import MAX_SHOWN_CHARACTERS, truncate
from mockveo.traffic.record import Deviation
from mockveo.traffic.redaction import is_secret

#: Deviations that are noted of one request. Arbitrary: more would hide the first ones.
MAX_DEVIATIONS: Final = 20
#: The query parameter that a redirect of ours adds.
TICKET: Final = "ticket"


@dataclass(slots=True)
class CreateRequest:
    """What a create asks for: the fields by name, the images in order, and its deviations from the page."""

    fields: dict[str, Any]
    images: list[Part]
    deviations: list[Deviation]
    #: Parts that the document does not have, by name; a file has no text.
    unknown: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, body: ParsedForm, form: Form, content_type: str) -> Self:
        """Read the parts of a body as the document's form."""
        parts = body.parts
        request = cls({}, [], [])
        sent_as = media_type(content_type)
        if parts and sent_as not in form.media_types:
            message = (
                f"sent as {truncate(sent_as, MAX_SHOWN_CHARACTERS)}; the page says {' or '.join(form.media_types)}"
            )
            request.deviations.append(Deviation("content-type", message))
        for code, message in body.notes:
            request._note(code, message)
        fields, typed = request.fields, form.typed
        for part in parts:
            name, value = part.name, part.value
            if part.filename is None and name in form.texts and name not in fields and not part.notes:
                if value != "" and value is not None:
                    fields[name] = forms.as_json(value) if name in typed and isinstance(value, str) else value
                continue
            for code, message in request._add(part, form):
                request._note(code, message)
        return request

    def fill_in(self, defaults: Mapping[str, Any]) -> None:
        """Set the fields that were left out."""
        for name, default in defaults.items():
            self.fields.setdefault(name, default)

    def instance(self, form: Form) -> dict[str, Any]:
        """Return the values as the form's schema sees them.

        A file is text, of the file's length if the schema limits that.
        """
        if not self.images and not self.unknown:
            return self.fields
        instance = {**self.unknown, **self.fields}
        for name in form.file_fields:
            sizes = [part.size for part in self.images if _plain(part.name) == name]
            files = ["\0" * size if name in form.sized else "" for size in sizes]
            if files:
                instance[name] = files if "items" in form.fields[name] else files[0]
        return instance

    def image_count(self, form: Form) -> int:
        """Return how many images were sent, as files or as text."""
        texts = [self.fields[name] for name in form.image_texts if name in self.fields]
        return len(self.images) + sum(len(text) if isinstance(text, list) else 1 for text in texts)

    def fingerprint(self, owner: str) -> str:
        """Return a hash that is equal for retries of the same create by the same key."""
        content = (owner, *map(str, self.fields.values()), *(part.sha256 for part in self.images))
        return sha256(repr(content).encode("utf-8", "surrogatepass")).hexdigest()

    def _note(self, code: str, message: str) -> None:
        if len(self.deviations) < MAX_DEVIATIONS:
            self.deviations.append(Deviation(code, message))
        elif len(self.deviations) == MAX_DEVIATIONS:
            self.deviations.append(Deviation("more", "and more of this kind"))

    def _add(self, part: Part, form: Form) -> Iterator[tuple[str, str]]:
        """Add a part that is not an ordinary field, and yield what is unusual about it."""
        name, plain = part.name[:MAX_SHOWN_CHARACTERS], _plain(part.name)
        for note in part.notes:
            code = "encoding" if TRANSFER_ENCODING not in note else "transfer-encoding"
            yield code, f"the field {name!r} {note}"
        if plain in form.file_fields:
            yield from self._add_file(part, plain, form)
        elif part.name not in form.fields:
            self.unknown.setdefault(part.name, "" if part.is_file else part.value)
            yield "unknown-part", _unknown_part(part, name, form)
        elif part.is_file:
            yield "file-for-text", f"{name!r} was sent as a file; the page says text"
        elif name in self.fields:
            yield "repeated-field", f"{name!r} was sent again; the first one counts"
        else:
            self.fields[name] = part.value

    def _add_file(self, part: Part, plain: str, form: Form) -> Iterator[tuple[str, str]]:
        name = part.name[:MAX_SHOWN_CHARACTERS]
        if part.name != plain:
            yield "image-field-name", f"{name!r} was sent; the page says {plain!r}, once for each image"
        if not part.is_file:
            yield "text-for-file", f"{name!r} was sent as text; the page says a file"
            return
        if any("filename*" in value for key, value in part.headers if key == "Content-Disposition"):
            yield "filename-star", f"{name!r} names its file with filename*, which RFC 7578 section 4.2 forbids"
        if any(key == TRANSFER_ENCODING for key, _ in part.headers):
            message = f"{name!r} has a {TRANSFER_ENCODING}, which RFC 7578 section 4.7 deprecates"
            yield "transfer-encoding", message
        patterns = form.file_types.get(plain)
        if patterns and part.content_type is not None and not forms.media_type_fits(part.content_type, patterns):
            kind = truncate(part.content_type, MAX_SHOWN_CHARACTERS)
            yield "file-media-type", f"{name!r} was sent as {kind}; wanted {' or '.join(patterns)}"
        self.images.append(part)


def misplaced_parameters(operation: Operation, query: bytes, headers: Collection[bytes]) -> Iterator[Deviation]:
    """Yield the deviations of parameters in a query or in headers that the document does not have there."""
    if query:
        documented = {parameter.name for parameter in operation.queries} | {TICKET}
        # Keys in a URL are another deviation, which the rule `auth-in-url` reports.
        pairs = urlencoded.pairs(query)
        names = [name for name, _ in pairs if name not in documented and not is_secret(name)]
        if names:
            yield Deviation("query-parameter", _misplaced("the query has", names, operation))
    by_header = operation.form.by_header if operation.form is not None else {}
    if not by_header.keys().isdisjoint(headers):
        names = list(dict.fromkeys(by_header[header] for header in headers if header in by_header))
        yield Deviation("header-parameter", _misplaced("the headers have", names, operation))


def _misplaced(place: str, names: Sequence[str], operation: Operation) -> str:
    shown = ", ".join(repr(name[:MAX_SHOWN_CHARACTERS]) for name in dict.fromkeys(names[:MAX_DEVIATIONS]))
    advice = "; parameters are fields of the form" if operation.form is not None else ""
    return f"{place} {shown}, which the page does not have there{advice}"


def _unknown_part(part: Part, name: str, form: Form) -> str:
    if part.is_file:
        return f"the file part {name!r} is not in the page; a file is sent as {' and '.join(sorted(form.file_fields))}"
    return f"the field {name!r} is not in the page; the fields are {', '.join(form.fields)}"


def _plain(name: str) -> str:
    return name.removesuffix("[]")
