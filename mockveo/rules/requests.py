"""Rules about single requests: where they go, whose key they carry, and what is in a create."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from mockveo.http.forms import MULTIPART, URLENCODED
from mockveo.rules.engine import Breach, Checks, breach
from mockveo.rules.trace import CallTrace
from mockveo.text import truncate
from mockveo.traffic.exchange import Exchange
from mockveo.traffic.redaction import fingerprint

checks: Final = Checks[CallTrace]()

#: What a language writes where there is nothing.
NOTHING: Final = frozenset({"none", "null", "undefined", "nil", "nan", ""})
FILES: Final = "input_reference"
#: Characters of a value in a message; arbitrary.
MAX_VALUE: Final = 100


#: Errors of creates whose form was not read, or not to its end.
UNREAD: Final = frozenset({"invalid_token", "host_not_allowed", "body_too_large", "invalid_multipart_form"})
#: Headers that credentials are sent in.
CREDENTIALS: Final = ("authorization", "cookie", "proxy-authorization", "x-api-key", "api-key")


def readable(story: CallTrace) -> list[Exchange]:
    """The creates whose form could be read."""
    return [one for one in story.creates if one.fields or one.files or _empty(one)]


def _empty(one: Exchange) -> bool:
    """Whether it is a form without parts that was refused as such."""
    return one.status >= 400 and bool(one.error) and one.error not in UNREAD and _kind(one) == MULTIPART


def _kind(one: Exchange) -> str:
    return one.headers.get("content-type", "").partition(";")[0].strip().lower()


def told(one: Exchange) -> str:
    """A request, for people."""
    return f"{one.method} {one.path}"


@checks.check("auth-bearer")
def auth_bearer(story: CallTrace) -> list[Breach] | None:
    asked = [
        one
        for one in story.of("create", "retrieve", "content", "models")
        if not one.elsewhere and one.operation_id != "listPublicModels"
    ]
    wanted = f"Bearer ({fingerprint(story.case['api_key'])})" if story.case and story.case.get("api_key") else None
    found = []
    for one in asked:
        sent = one.headers.get("authorization", "")
        if not sent and one.ticket:
            continue  # which stands for the key
        if not re.match(r"(?i)bearer \(key ", sent):
            shown = f"Authorization: {sent}" if sent else "no Authorization"
            found.append(breach(f"{told(one)} carried {shown}, wanted Authorization: Bearer KEY", one))
        elif wanted is not None and sent.lower() != wanted.lower():
            found.append(breach(f"{told(one)} carried {sent}, which is not the key of this case, {wanted}", one))
    return found if asked else None


@checks.check("auth-in-url")
def auth_in_url(story: CallTrace) -> list[Breach] | None:
    key = str((story.case or {}).get("api_key") or "")
    found = []
    for one in story.exchanges:
        url = f"{one.path}?{one.query}".rstrip("?")
        if key and key in url:  # sent without it in a header, so that the journal could not know it for one
            found.append(
                breach(f"{one.method} had the key in its URL: {url.replace(key, f'({fingerprint(key)})')}", one)
            )
        elif _SECRET.search(one.query) or "(key " in one.path:
            found.append(breach(f"{one.method} had a key in its URL: {url}", one))
    return found if story.exchanges else None


#: A key in a query, as the journal shows it.
_SECRET: Final = re.compile(r"(?i)\(key [0-9a-f]{8}\)|(?:^|&)[^=&]*(?:key|token|auth|secret)[^=&]*=\.\.\.")


@checks.check("auth-cross-origin")
def auth_cross_origin(story: CallTrace) -> list[Breach] | None:
    asked = [one for one in story.exchanges if one.elsewhere]
    taken = [one for one in asked if any(name in one.headers for name in CREDENTIALS)]
    return [breach(f"{told(one)} took the key along to another origin", one) for one in taken] if asked else None


#: What browsers ask for by themselves.
BROWSERS: Final = frozenset({"/favicon.ico", "/robots.txt"})


@checks.check("known-operation")
def known_operation(story: CallTrace) -> list[Breach] | None:
    if not story.exchanges:
        return None
    # Where a redirect leads to is not the client's choice; with which method, `redirect-method` judges.
    lost = [
        one for one in story.exchanges if one.error == "unknown_path" and not one.ticket and one.path not in BROWSERS
    ]
    return [breach(f"{told(one)} is not in the document; {one.hint}", one) for one in lost]


@checks.check("multipart-wellformed")
def multipart_wellformed(story: CallTrace) -> list[Breach] | None:
    found = []
    for one in story.creates:
        kind = _kind(one)
        if one.error == "invalid_multipart_form":
            found.append(breach(f"the form could not be read: {one.body.get('message', one.error)}", one))
        elif "content-type" in one.deviations or (not one.fields and not one.files and kind != MULTIPART):
            found.append(_other_kind(story, one, kind))
    return found if story.creates else None


def _other_kind(story: CallTrace, one: Exchange, kind: str) -> Breach:
    says = one.deviations.get("content-type", f"the create was sent as {kind or 'nothing'}, wanted {MULTIPART}")
    # One that was not read, for want of a key, say, is as good as one that was; images cannot be sent like that.
    taken = bool(one.fields) or one.error in UNREAD
    lenient = kind == URLENCODED and taken and "text-for-file" not in one.deviations and not story.input.get("images")
    return breach(says + ("; the service is known to take it all the same" if lenient else ""), one, lenient=lenient)


@checks.check("filename-star")
def filename_star(story: CallTrace) -> list[Breach] | None:
    sent = [one for one in readable(story) if one.files]
    found = [breach(one.deviations["filename-star"], one) for one in sent if "filename-star" in one.deviations]
    return found if sent else None


@checks.check("file-filename")
def file_filename(story: CallTrace) -> list[Breach] | None:
    sent = [one for one in readable(story) if one.files or _nameless(one)]
    found = [
        breach(
            "a file part came without a filename, wanted one"
            if _nameless(one)
            else "a file part came with an empty filename, wanted one",
            one,
        )
        for one in sent
        if _nameless(one) or not all(file["filename"] for file in one.files)
    ]
    return found if sent else None


def _nameless(one: Exchange) -> bool:
    """Whether bytes that are no text came as an image without a filename, which makes a field of them."""
    return "text-for-file" in one.deviations and "encoding" in one.deviations


@checks.check("file-media-type")
def file_media_type(story: CallTrace) -> list[Breach] | None:
    sent = [one for one in readable(story) if one.files]
    found = []
    for one in sent:
        without = [file["filename"] or file["name"] for file in one.files if not file["content_type"]]
        if without:
            found.append(breach(f"{', '.join(without)} came without a Content-Type of its own", one))
        elif "file-media-type" in one.deviations:
            found.append(breach(one.deviations["file-media-type"], one))
    return found if sent else None


@checks.check("no-transfer-encoding-header")
def no_transfer_encoding_header(story: CallTrace) -> list[Breach] | None:
    sent = readable(story)
    found = [one for one in sent if "transfer-encoding" in one.deviations]
    return [breach(one.deviations["transfer-encoding"], one) for one in found] if sent else None


@checks.check("unknown-parts")
def unknown_parts(story: CallTrace) -> list[Breach] | None:
    sent, codes = readable(story), ("unknown-part", "repeated-field", "file-for-text")
    found = [breach(one.deviations[code], one) for one in sent for code in codes if code in one.deviations]
    return found if sent else None


@checks.check("idempotency-key")
def idempotency_key(story: CallTrace) -> list[Breach] | None:
    found = [one for one in story.creates if "idempotency-key" in one.headers]
    text = "the create carried an Idempotency-Key; the service knows none, so a repeated create is a second job"
    return [breach(text, one) for one in found] if story.creates else None


@checks.check("did-create")
def did_create(story: CallTrace) -> list[Breach] | None:
    if story.case is None:
        return None
    return [] if story.creates else [Breach("no create came")]


@checks.check("prompt-exact")
def prompt_exact(story: CallTrace) -> list[Breach] | None:
    wanted, sent = story.input.get("prompt"), readable(story)
    if wanted is None or not sent:
        return None
    found = []
    for one in sent:
        got = [part["value"] for part in one.fields if part["name"] == "prompt"]
        if not got or not isinstance(got[0], str) or _lines(got[0]) != _lines(wanted):
            found.append(
                breach(
                    f"the prompt came as {_shown(got[0] if got else None)}, wanted {_shown(wanted)}",
                    one,
                )
            )
    return found


@checks.check("param-exact")
def param_exact(story: CallTrace) -> list[Breach] | None:
    wanted = {name: story.input[name] for name in ("model", "size") if story.input.get(name) is not None}
    sent = readable(story)
    if not wanted or not sent:
        return None
    return [
        breach(f"{name} came as {_shown(got)}, wanted {_shown(value)}", one)
        for one in sent
        for name, value in wanted.items()
        if (got := next((part["value"] for part in one.fields if part["name"] == name), None)) != value
    ]


@checks.check("omit-unset")
def omit_unset(story: CallTrace) -> list[Breach] | None:
    unset = [name for name in ("model", "size") if story.case is not None and story.input.get(name) is None]
    sent = readable(story)
    return [one for seen in sent for one in _invented(story, seen, unset)] if unset and sent else None


def _invented(story: CallTrace, one: Exchange, unset: list[str]) -> Iterator[Breach]:
    for part in one.fields:
        name, value = part["name"], part["value"]
        if name not in unset:
            continue
        text = str(value).strip().lower()
        if value == story.defaults.get(name):
            yield breach(f"{name} was left out by the caller and sent as its default, {value!r}", one, lenient=True)
        elif text in NOTHING:
            yield breach(f"{name} was left out by the caller and sent as the text {str(value)!r}", one)
        else:
            yield breach(f"{name} was left out by the caller and sent as {_shown(value)}", one)


@checks.check("refs-exact")
def refs_exact(story: CallTrace) -> list[Breach] | None:
    if story.case is None or "images" not in story.input or not readable(story):
        return None
    wanted = sorted(image["sha256"] for image in story.input["images"])
    found = []
    for one in readable(story):
        wrong = [one.deviations[code] for code in ("image-field-name", "text-for-file") if code in one.deviations]
        got = sorted(file["sha256"] for file in one.files if file["name"].removesuffix("[]") == FILES)
        if wrong:
            found.append(breach(wrong[0], one))
        elif got != wanted:
            differ = "" if len(got) != len(wanted) else ", of other bytes"
            found.append(breach(f"{len(got)} images came as {FILES}{differ}, wanted {len(wanted)}", one))
    return found


@checks.check("refs-order")
def refs_order(story: CallTrace) -> list[Breach] | None:
    wanted = [image["sha256"] for image in story.input.get("images", ())]
    sent = [one for one in readable(story) if sorted(_hashes(one)) == sorted(wanted)]
    if len(set(wanted)) < 2 or not sent:
        return None
    return [
        breach(f"the images came in the order {_order(one, wanted)}, wanted {_numbers(range(len(wanted)))}", one)
        for one in sent
        if _hashes(one) != wanted
    ]


def _order(one: Exchange, wanted: list[str]) -> str:
    return _numbers(wanted.index(sha256) for sha256 in _hashes(one))


def _numbers(places: Iterable[int]) -> str:
    return ", ".join(str(place + 1) for place in places)


def _hashes(one: Exchange) -> list[str]:
    return [file["sha256"] for file in one.files]


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _shown(value: object) -> str:
    text = repr(value)
    count = f" ({len(text)} characters)" if len(text) > MAX_VALUE else ""
    return truncate(text, MAX_VALUE) + count
