"""Credentials hidden from logs, journals and reports.

Headers and query strings are redacted by name: a value whose name sounds like a credential is replaced. A `Redactor`
knows the keys themselves and finds them anywhere in JSON-like data, however a server encoded or cut them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote, unquote

import orjson

from mockveo.http import urlencoded

_SECRET_NAME: Final = re.compile(r"key|token|auth|secret|sig|passw|credential|cookie|ticket", re.IGNORECASE)
#: Characters that the longest scheme before a credential has; longer words are credentials. Precedent: Negotiate.
_LONGEST_SCHEME: Final = len("negotiate")
#: A shorter key is no secret, and would be found in innocent words; arbitrary.
_SHORTEST_KEY: Final = 4

#: Characters of a key that are kept and looked for. Arbitrary: longer than the keys of known services.
MAX_KEPT_KEY_CHARACTERS: Final = 200
#: What stands between the beginning of a longer key and its hash. No header can hold it.
_HASHED: Final = "\u2026sha256:"

#: What replaces a key that a `Redactor` finds.
HIDDEN: Final = "(key)"
#: Characters by which a key is recognised where the rest was cut off; arbitrary.
_PREFIX: Final = 12
#: A shorter key is a word of a test rather than a secret, so it is hidden only where it stands alone; arbitrary.
_WORD: Final = 8
#: A key in saved traffic that was hidden already.
_FINGERPRINT: Final = re.compile(r".*\(?key [0-9a-f]{8}\)?")
#: What can follow in a key.
_REST_OF_KEY: Final = re.compile(r"[\w.~+/=%-]*")


@lru_cache(maxsize=256)  # traffic has the same few names in each request
def is_secret(name: str) -> bool:
    """Return whether a value is a credential by the name of its header, parameter or field."""
    return _SECRET_NAME.search(name) is not None


@lru_cache(maxsize=256)  # traffic has the same few keys in each request
def fingerprint(key: str) -> str:
    """Return what may be shown of a key: eight hex digits of its SHA-256."""
    secret = key.removeprefix("Bearer ").removeprefix("bearer ")
    digest = secret.rpartition(_HASHED)[2] if _HASHED in secret else _digest(secret)
    return f"key {digest[:8]}"


def shortened_key(key: str) -> str:
    """Return a key as jobs and counters keep it: of a long one its beginning and its hash, thus its fingerprint."""
    is_short = len(key) <= MAX_KEPT_KEY_CHARACTERS
    return key if is_short else f"{key[:MAX_KEPT_KEY_CHARACTERS]}{_HASHED}{_digest(key)}"


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def redact_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return headers with each credential replaced by its fingerprint."""
    return [(name, _redact_value(name, value)) for name, value in headers]


def redact_query(query: str) -> str:
    """Return a query string without the values whose names sound like credentials."""
    if "=" not in query:
        return query
    return "&".join(map(_redact_pair, query.split("&")))


def redact_key(text: str, key: str) -> str:
    """Return a text with a key replaced by its fingerprint."""
    return text.replace(key, f"({fingerprint(key)})") if len(key) >= _SHORTEST_KEY else text


def _redact_pair(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}=..." if equals and is_secret(unquote(name)) else pair


def _redact_value(name: str, value: str) -> str:
    if name.lower() == "cookie":
        return "; ".join(map(_redact_cookie, value.split("; ")))
    if is_secret(name):
        return _redact_credential(value)
    url, mark, query = value.partition("?")
    return f"{url}?{redact_query(query)}" if mark and name.lower() in ("location", "referer") else value


def _redact_cookie(pair: str) -> str:
    name, equals, value = pair.partition("=")
    return f"{name}=({fingerprint(value)})" if equals else f"({fingerprint(pair)})"


def _redact_credential(value: str) -> str:
    """Return a credential as its scheme and a fingerprint: "Bearer (key 0f2c10bf)"."""
    scheme, blank, credential = value.partition(" ")
    if not blank or not scheme.isalpha() or len(scheme) > _LONGEST_SCHEME:
        return f"({fingerprint(value)})"
    credential = credential.lstrip(" ")  # any number of blanks may follow a scheme (RFC 9110 section 11.4)
    if credential.lower().startswith(f"{scheme.lower()} "):
        return f"{scheme} {_redact_credential(credential)}"  # a scheme that was sent twice stays visible
    return f"{scheme} ({fingerprint(credential)})"


class Redactor:
    """A filter that hides keys in JSON-like data, in every form servers echo them in.

    `name` returns what replaces a key.
    """

    def __init__(self, keys: Iterable[str], name: Callable[[str], str] = lambda _: HIDDEN) -> None:
        #: Form of a key -> what replaces it.
        self._forms = {form.casefold(): name(key) for key in keys for form in forms_of(key)}
        self._longest = max(map(len, self._forms), default=0)
        # Without keys nothing may match; an empty alternative would match everywhere.
        self._beginnings = re.compile("|".join(dict.fromkeys(map(_beginning, self._forms))) or "(?!)", re.IGNORECASE)
        #: One of these is in every text with a key, and they are quick to look for.
        self._starts = tuple(dict.fromkeys(form[:_PREFIX] for form in self._forms))

    def redact(self, data: Any) -> Any:
        """Return a text, or JSON-like data, without the keys."""
        if isinstance(data, str):
            return "".join(self._pieces(data)) if self._may_hold(data) else data
        return self._without_keys(data) if self._may_hold_in(data) else data

    def _may_hold(self, text: str) -> bool:
        folded = text.casefold()
        return any(start in folded for start in self._starts)

    def _may_hold_in(self, data: Any) -> bool:
        try:
            return self._may_hold(orjson.dumps(data).decode())
        except TypeError:  # e.g. half a surrogate, which only Python's JSON can hold
            return True

    def _without_keys(self, data: Any) -> Any:
        if isinstance(data, str):
            return "".join(self._pieces(data))
        if isinstance(data, dict):
            return {self._without_keys(name): self._without_keys(value) for name, value in data.items()}
        return [self._without_keys(item) for item in data] if isinstance(data, list | tuple) else data

    def _pieces(self, text: str) -> Iterator[str]:
        end = 0
        while match := self._beginnings.search(text, end):
            # A truncated text may end within a key, so as much is hidden as agrees with one.
            rest = text[match.start() :][: self._longest].casefold()
            length, hidden = max((_common_length(rest, form), name) for form, name in self._forms.items())
            yield text[end : match.start()] + hidden
            end = match.start() + length
            if length >= MAX_KEPT_KEY_CHARACTERS:  # the rest of a longer key
                end = _REST_OF_KEY.match(text, end).end()  # type: ignore[union-attr]  # it matches nothing too
        yield text[end:]


def redactor(headers: Iterable[tuple[str, str]], query: bytes, fields: Iterable[tuple[str, Any]] = ()) -> Redactor:
    """Return what hides the credentials of a request: those of headers, parameters and fields named like one."""
    pairs = urlencoded.pairs(query) if b"=" in query else ()
    values = [_credential(name, value) for name, value in headers if is_secret(name)]
    # The bytes of a header may be those of UTF-8.
    values += [value.encode("latin-1", "ignore").decode("utf-8", "ignore") for value in values if not value.isascii()]
    values += [str(value) for name, value in (*pairs, *fields) if is_secret(name)]
    keys = [value for value in values if len(value) >= _WORD and not _FINGERPRINT.fullmatch(value)]
    return _redactor(tuple([(key[:MAX_KEPT_KEY_CHARACTERS], f"({fingerprint(key)})") for key in keys]))


def redact_field(name: str, value: Any) -> Any:
    """Return the value of a field; one whose name sounds like a credential is replaced by its fingerprint."""
    return f"({fingerprint(str(value))})" if value and is_secret(name) else value


def _credential(name: str, value: str) -> str:
    """Return the credential in a header, without its scheme and the name of a cookie."""
    if name.lower() in ("cookie", "set-cookie"):
        return value.partition(";")[0].partition("=")[2].strip()
    scheme, blank, credential = value.partition(" ")
    return credential.strip() if blank and len(scheme) <= _LONGEST_SCHEME else value


@lru_cache(maxsize=256)  # traffic has the same few keys in each request
def _redactor(keys: tuple[tuple[str, str], ...]) -> Redactor:
    names = dict(keys)
    return Redactor(names, lambda key: names[key])


def forms_of(key: str) -> frozenset[str]:
    """Return a key as it may stand in another text: plain, escaped, percent-encoded, and inside Base64."""
    plain = {key, *_inside_base64(key)}
    encoded = {encode(form) for form in plain for encode in _ENCODINGS}
    return frozenset(plain | encoded | {encode(form) for form in encoded for encode in _ENCODINGS})


def _escape_html(text: str) -> str:
    from html import escape  # its table of entities would slow the start of every server

    return escape(text)


#: How one text is written inside another.
_ENCODINGS: Final[tuple[Callable[[str], str], ...]] = (
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    lambda text: repr(text)[1:-1],
    lambda text: quote(text, safe=""),
    _escape_html,
)


def _inside_base64(key: str) -> Iterator[str]:
    """Yield the base64 forms of a key after a user name of any length."""
    yield base64.b64encode(f":{key}".encode()).decode()
    for offset, lost in enumerate((0, 2, 3)):
        whole = (offset + len(key)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(b"\0" * offset + key.encode()).decode()[lost:whole]
            if len(text) >= _WORD:
                yield text


def _common_length(text: str, other: str) -> int:
    """Return the length of the common beginning of two texts."""
    pairs = enumerate(zip(text, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(text), len(other)))


def _beginning(form: str) -> str:
    return re.escape(form[:_PREFIX]) if len(form) >= _WORD else rf"(?<!\w){re.escape(form)}(?!\w)"
