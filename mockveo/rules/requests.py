"""Rules about single requests: their URL and the form of a create."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from mockveo.http.forms import JSON, URLENCODED
from mockveo.http.parts import MULTIPART
from mockveo.rules.engine import Breach, Checks, breach
from mockveo.rules.trace import CallTrace
from mockveo.text import truncate
from mockveo.traffic.exchange import Exchange, FileJson

checks: Final = Checks[CallTrace]()

#: How languages write a missing value as text.
NOTHING: Final = frozenset({"none", "null", "undefined", "nil", "nan", ""})
#: The field of the images.
FILES: Final = "input_reference"
#: Suffix -> media type of images. Source: the media types registry of IANA.
SUFFIXES: Final = {
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
}
#: Errors of creates whose form was not read, or not completely.
UNREAD: Final = frozenset({"invalid_token", "host_not_allowed", "body_too_large", "invalid_multipart_form"})
#: Deviations of forms that the parser of the gateway reads.
READ_ALTHOUGH_UNUSUAL: Final = ("line-ends", "padding", "preamble")
#: Media types besides multipart of which the service reads text, with how that is known.
READ_AS_FORMS: Final = {
    URLENCODED: "the service is known to accept this",
    JSON: "programs of this route are known to send this",
}
#: Paths that browsers request by themselves.
BROWSER_PATHS: Final = frozenset({"/favicon.ico", "/robots.txt"})
#: Statuses of redirects after which a client sends the same request again. Source: RFC 9110 section 15.4.
KEEPING_METHOD: Final = (307, 308)
#: The User-Agent of Node's fetch. Source: seen with Node 20, and with the package undici.
FETCH_AGENTS: Final = ("node", "undici")
#: Characters of a value that a message shows. Arbitrary.
MAX_CHARACTERS: Final = 100


def readable_creates(call: CallTrace) -> list[Exchange]:
    """Return the creates whose form could be read."""
    return [create for create in call.creates if create.fields or create.files or _is_empty_form(create)]


def _is_empty_form(create: Exchange) -> bool:
    """Return whether a create was refused because its form has no parts."""
    refused = create.status >= 400 and bool(create.error) and create.error not in UNREAD
    return refused and _media_type(create) == MULTIPART


def _media_type(exchange: Exchange) -> str:
    return exchange.headers.get("content-type", "").partition(";")[0].strip().lower()


def line(exchange: Exchange) -> str:
    """Return the method and the path of a request."""
    return f"{exchange.method} {exchange.path}"


@checks.check("known-operation")
def known_operation(call: CallTrace) -> list[Breach] | None:
    if not call.exchanges:
        return None
    return [
        breach("; ".join(filter(None, [f"{line(exchange)} is not in the OpenAPI document", exchange.hint])), exchange)
        for exchange in call.exchanges
        if exchange.error == "unknown_path" and not _is_excused(exchange)
    ]


def _is_excused(exchange: Exchange) -> bool:
    # The client does not choose the target of a redirect; `redirect-method` judges its method.
    return bool(exchange.ticket) or exchange.path in BROWSER_PATHS


@checks.check("multipart-wellformed")
def multipart_wellformed(call: CallTrace) -> list[Breach] | None:
    breaches, creates = [], [create for create in call.creates if create.form_known]
    for create in creates:
        media_type = _media_type(create)
        is_empty = not create.fields and not create.files
        if create.error == "invalid_multipart_form":
            breaches.append(_unreadable_form(call, create))
        elif "content-type" in create.deviations or (is_empty and media_type != MULTIPART):
            breaches.append(_other_media_type(call, create, media_type))
        unusual = [create.deviations[code] for code in READ_ALTHOUGH_UNUSUAL if code in create.deviations]
        breaches += [breach(message, create, lenient=True) for message in unusual]
    return breaches if creates else None


def _unreadable_form(call: CallTrace, create: Exchange) -> Breach:
    problem = f"the form could not be read: {create.error_body.message or create.error}"
    previous = max((other for other in call.creates if other.number < create.number), key=_number, default=None)
    if previous is None or previous.status not in KEEPING_METHOD:
        return breach(problem, create)
    redirect = f"the redirect with {previous.status}"
    if create.headers.get("user-agent") not in FETCH_AGENTS:
        return breach(f"after {redirect} {problem}", previous, create)
    # Source: nodejs/undici issue 4065.
    spoilt = "it built a new body with another boundary, and kept the old Content-Type"
    remedy = 'send the create with redirect: "manual", or the form as a Blob'
    return breach(f"Node's fetch spoilt the form when it followed {redirect}: {spoilt}; {remedy}", previous, create)


def _number(exchange: Exchange) -> int:
    return exchange.number


def _other_media_type(call: CallTrace, create: Exchange, media_type: str) -> Breach:
    usual = f"the create was sent as {media_type or 'nothing'}; expected {MULTIPART}"
    message = create.deviations.get("content-type", usual)
    # A form that was not read, e.g. for a missing key, may have been fine. Images cannot be sent URL-encoded.
    acceptable = bool(create.fields) or create.error in UNREAD
    without_images = "text-for-file" not in create.deviations and not call.input.get("images")
    lenient = media_type in READ_AS_FORMS and acceptable and without_images
    if lenient:
        message += f"; {READ_AS_FORMS[media_type]}"
    return breach(message, create, lenient=lenient)


@checks.check("filename-star")
def filename_star(call: CallTrace) -> list[Breach] | None:
    return _deviating(_creates_with_files(call), "filename-star")


def _creates_with_files(call: CallTrace) -> list[Exchange]:
    return [create for create in readable_creates(call) if create.files]


def _deviating(creates: list[Exchange], *codes: str) -> list[Breach] | None:
    """Return the deviations that the server noted, as breaches."""
    breaches = [
        breach(create.deviations[code], create) for create in creates for code in codes if code in create.deviations
    ]
    return breaches if creates else None


@checks.check("file-filename")
def file_filename(call: CallTrace) -> list[Breach] | None:
    creates = [create for create in readable_creates(call) if create.files or _has_nameless_file(create)]
    breaches = []
    for create in creates:
        if _has_nameless_file(create):
            breaches.append(breach("a file part has no filename; expected one, e.g. first.png", create))
        elif any(file["filename"] == "" for file in create.files):
            breaches.append(breach("a file part has an empty filename; expected one, e.g. first.png", create))
    return breaches if creates else None


def _has_nameless_file(create: Exchange) -> bool:
    """Return whether binary bytes arrived as a text field, as an image without a filename does."""
    return "text-for-file" in create.deviations and "encoding" in create.deviations


@checks.check("file-media-type")
def file_media_type(call: CallTrace) -> list[Breach] | None:
    creates = _creates_with_files(call)
    breaches = []
    for create in creates:
        without = [file["filename"] or file["name"] for file in create.files if not file.get("content_type", "unknown")]
        if without:
            breaches.append(breach(f"{', '.join(without)} arrived without a Content-Type of its own", create))
        elif "file-media-type" in create.deviations:
            breaches.append(breach(create.deviations["file-media-type"], create))
    return breaches if creates else None


@checks.check("file-as-it-is")
def file_as_it_is(call: CallTrace) -> list[Breach] | None:
    creates = _creates_with_files(call)
    media_types = {image["sha256"]: image["content_type"] for image in call.input.get("images", ())}
    return (
        [
            breach(message, create)
            for create in creates
            for file in create.files
            for message in _differences(file, media_types.get(file.get("sha256", ""), ""))
        ]
        if creates
        else None
    )


def _differences(file: FileJson, actual: str) -> Iterator[str]:
    """Yield what the name and the media type of a file part say about the file that is not so."""
    name, sent = file["filename"] or "", file["content_type"] or ""
    if "/" in name or re.match(r"[A-Za-z]:\\", name):
        yield f"the file name {name!r} has a path, which the service has no use for"
    by_suffix = SUFFIXES.get(name.rpartition(".")[2].lower(), "")
    actual = actual or by_suffix
    # Any file may be sent as application/octet-stream.
    if actual and sent.startswith("image/") and sent != actual:
        yield f"{name or file['name']} was sent as {sent}; expected {actual}"
    if by_suffix not in ("", actual):
        yield f"the file {name!r} is {actual}; expected a name that fits"


@checks.check("no-transfer-encoding-header")
def no_transfer_encoding_header(call: CallTrace) -> list[Breach] | None:
    return _deviating(readable_creates(call), "transfer-encoding")


@checks.check("unknown-parts")
def unknown_parts(call: CallTrace) -> list[Breach] | None:
    codes = ("unknown-part", "file-for-text")
    # With a case `refs-exact` judges the images.
    of_images = () if call.case is not None else ("text-for-file", "image-field-name")
    return _deviating(readable_creates(call), *codes, *of_images)


@checks.check("part-once")
def part_once(call: CallTrace) -> list[Breach] | None:
    return _deviating(readable_creates(call), "repeated-field")


@checks.check("params-in-form")
def params_in_form(call: CallTrace) -> list[Breach] | None:
    exchanges = [exchange for exchange in call.of("create", "retrieve", "content", "models") if not exchange.ticket]
    breaches = []
    for exchange in exchanges:
        codes = [code for code in ("query-parameter", "header-parameter") if code in exchange.deviations]
        messages = [exchange.deviations[code] for code in codes]
        if exchange.method != "POST" and _has_body(exchange):
            messages.append(f"a {exchange.method} has a body, which the page does not have there")
        # Of other requests the service ignores them, and nothing is missing in the video.
        lenient = exchange.operation != "create"
        breaches += [breach(f"{line(exchange)}: {message}", exchange, lenient=lenient) for message in messages]
    return breaches if exchanges else None


def _has_body(exchange: Exchange) -> bool:
    return exchange.headers.get("content-length", "0") != "0" or "transfer-encoding" in exchange.headers


@checks.check("idempotency-key")
def idempotency_key(call: CallTrace) -> list[Breach] | None:
    message = "the create carried an Idempotency-Key, which the service ignores: a repeated create is a second job"
    # Other services' names of it are Idempotence-Key and X-Idempotency-Key.
    breaches = [breach(message, create) for create in call.creates if any("idempot" in name for name in create.headers)]
    return breaches if call.creates else None


@checks.check("did-create")
def did_create(call: CallTrace) -> list[Breach] | None:
    if call.case is None:
        return None
    return [] if call.of_history("create") else [Breach("the client sent no create")]


@checks.check("prompt-exact")
def prompt_exact(call: CallTrace) -> list[Breach] | None:
    expected, creates = call.input.get("prompt"), readable_creates(call)
    if expected is None or not creates:
        return None
    breaches = []
    for create in creates:
        actual = _field(create, "prompt")
        if not isinstance(actual, str) or _normalised(actual) != _normalised(expected):
            message = f"the prompt arrived as {_shown(actual)}; expected {_shown(expected)}"
            breaches.append(breach(message, create))
    return breaches


def _field(create: Exchange, name: str) -> object:
    """Return the first value of a field; None if it was not sent."""
    return next((part["value"] for part in create.fields if part["name"] == name), None)


@checks.check("param-exact")
def param_exact(call: CallTrace) -> list[Breach] | None:
    expected = {name: call.input[name] for name in ("model", "size") if call.input.get(name) is not None}
    creates = readable_creates(call)
    if not expected or not creates:
        return None
    return [
        breach(f"{name} arrived as {_shown(_field(create, name))}; expected {_shown(value)}", create)
        for create in creates
        for name, value in expected.items()
        if _field(create, name) != value
    ]


@checks.check("omit-unset")
def omit_unset(call: CallTrace) -> list[Breach] | None:
    unset = [name for name in ("model", "size") if call.case is not None and call.input.get(name) is None]
    creates = readable_creates(call)
    if not unset or not creates:
        return None
    return [breach for create in creates for breach in _invented(call, create, unset)]


def _invented(call: CallTrace, create: Exchange, unset: list[str]) -> Iterator[Breach]:
    for part in create.fields:
        name, value = part["name"], part["value"]
        if name not in unset:
            continue
        if value == call.defaults.get(name):
            message = f"the caller left out {name}, but the client sent its default, {value!r}"
            yield breach(message, create, lenient=True)
        elif str(value).strip().lower() in NOTHING:
            yield breach(f"the caller left out {name}, but the client sent the text {str(value)!r}", create)
        else:
            yield breach(f"the caller left out {name}, but the client sent {_shown(value)}", create)


@checks.check("refs-exact")
def refs_exact(call: CallTrace) -> list[Breach] | None:
    creates = readable_creates(call)
    if call.case is None or "images" not in call.input or not creates:
        return None
    expected = sorted(image["sha256"] for image in call.input["images"])
    breaches = []
    for create in creates:
        codes = [code for code in ("image-field-name", "text-for-file") if code in create.deviations]
        actual = sorted(file.get("sha256", "") for file in create.files if file["name"].removesuffix("[]") == FILES)
        if codes:
            breaches.append(breach(create.deviations[codes[0]], create))
        elif len(actual) != len(expected):
            breaches.append(breach(f"{_images(actual)} arrived as {FILES}; expected {len(expected)}", create))
        elif actual != expected:
            breaches.append(breach(f"{_images(actual)} arrived as {FILES} with other bytes than expected", create))
    return breaches


def _images(hashes: list[str]) -> str:
    return "1 image" if len(hashes) == 1 else f"{len(hashes)} images"


@checks.check("refs-order")
def refs_order(call: CallTrace) -> list[Breach] | None:
    expected = [image["sha256"] for image in call.input.get("images", ())]
    creates = [create for create in readable_creates(call) if sorted(_hashes(create)) == sorted(expected)]
    if len(set(expected)) < 2 or not creates:
        return None
    usual = _numbers(range(len(expected)))
    return [
        breach(f"the images arrived in the order {_order(create, expected)}; expected {usual}", create)
        for create in creates
        if _hashes(create) != expected
    ]


def _order(create: Exchange, expected: list[str]) -> str:
    return _numbers(expected.index(sha256) for sha256 in _hashes(create))


def _numbers(places: Iterable[int]) -> str:
    return ", ".join(str(place + 1) for place in places)


def _hashes(create: Exchange) -> list[str]:
    return [file.get("sha256", "") for file in create.files]


def _normalised(text: str) -> str:
    """Return a text with line feeds as its only line breaks."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _shown(value: object) -> str:
    text = repr(value)
    count = f" ({len(text)} characters)" if len(text) > MAX_CHARACTERS else ""
    return truncate(text, MAX_CHARACTERS) + count
