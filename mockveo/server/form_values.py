"""The parts of a body as the values of a form, and every departure from what the document says of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from mockveo.http import forms
from mockveo.http.forms import Part
from mockveo.spec.spec import Form
from mockveo.traffic.record import Deviation

#: Deviations of one request that are noted, and characters of a name that are shown.
MAX_DEVIATIONS: Final = 20
MAX_SHOWN: Final = 80


class Values(NamedTuple):
    """What a create says: the fields by name, the images in order, and where it departs from the page."""

    fields: dict[str, Any]
    images: list[Part]
    deviations: list[Deviation]


def as_instance(values: Values, form: Form) -> dict[str, Any]:
    """The form as its schema sees it: a file is text, of the file's length where the schema limits that."""
    if not values.images:
        return values.fields
    instance = dict(values.fields)
    for name in form.file_fields:
        files = ["\0" * part.size if name in form.sized else "" for part in values.images if _plain(part.name) == name]
        if files:
            instance[name] = files if "items" in form.fields[name] else files[0]
    return instance


def _plain(name: str) -> str:
    return name.removesuffix("[]")


def interpret(parts: Sequence[Part], form: Form, content_type: str) -> Values:
    """The parts of a body as the values of a form, and every departure from what the document says of it."""
    values = Values({}, [], [])
    kind = forms.media_type(content_type)
    if parts and kind not in form.media_types:
        message = f"sent as {kind}; the page says {' or '.join(form.media_types)}"
        values.deviations.append(Deviation("content-type", message))
    fields, typed = values.fields, form.typed
    for part in parts:
        name, value = part.name, part.value
        if part.filename is None and name in form.texts and name not in fields and not part.notes:
            if value != "" and value is not None:
                fields[name] = forms.as_json(value) if name in typed and isinstance(value, str) else value
            continue
        for code, message in _take(part, form, values):
            if len(values.deviations) < MAX_DEVIATIONS:
                values.deviations.append(Deviation(code, message))
            elif len(values.deviations) == MAX_DEVIATIONS:
                values.deviations.append(Deviation("more", "and more of this kind"))
    for name, default in form.defaults.items():
        fields.setdefault(name, default)
    return values


def _take(part: Part, form: Form, values: Values) -> Iterator[tuple[str, str]]:
    """Puts a part that is no ordinary field where it belongs, and says what is unusual about it."""
    name, plain = part.name[:MAX_SHOWN], _plain(part.name)
    for note in part.notes:
        yield "encoding" if forms.TRANSFER_ENCODING not in note else "transfer-encoding", f"the field {name!r} {note}"
    if plain in form.file_fields:
        yield from _take_file(part, plain, form, values)
    elif part.name not in form.fields:
        files = " and ".join(sorted(form.file_fields))
        hint = f"; a file is sent as {files}" if part.is_file else f"; the fields are {', '.join(form.fields)}"
        yield "unknown-part", f"{'the file part' if part.is_file else 'the field'} {name!r} is not in the page{hint}"
    elif part.is_file:
        yield "file-for-text", f"{name!r} was sent as a file; the page says text"
    elif name in values.fields:
        yield "repeated-field", f"{name!r} was sent again; the first one counts"
    else:
        values.fields[name] = part.value


def _take_file(part: Part, plain: str, form: Form, values: Values) -> Iterator[tuple[str, str]]:
    if part.name != plain:
        yield "image-field-name", f"{part.name!r} was sent; the page says {plain!r}, once for each image"
    if not part.is_file:
        yield "text-for-file", f"{part.name!r} was sent as text; the page says a file"
        return
    if any("filename*" in value for key, value in part.headers if key == "Content-Disposition"):
        yield "filename-star", f"{part.name!r} names its file with filename*, which RFC 7578 section 4.2 forbids"
    if any(key == forms.TRANSFER_ENCODING for key, _ in part.headers):
        yield "transfer-encoding", f"{part.name!r} has a {forms.TRANSFER_ENCODING}, which RFC 7578 section 4.7 gives up"
    patterns = form.file_types.get(plain)
    if patterns and part.content_type is not None and not forms.media_type_fits(part.content_type, patterns):
        yield "file-media-type", f"{part.name!r} was sent as {part.content_type}; wanted {' or '.join(patterns)}"
    values.images.append(part)
