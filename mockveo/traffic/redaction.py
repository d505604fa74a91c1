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

#: Names of headers and parameters whose values are credentials.
SECRET_NAME: Final = re.compile(r"key|token|auth|secret|sig|passw|credential|cookie|ticket", re.IGNORECASE)
#: Characters that the longest scheme before a credential has; longer words are credentials. Precedent: Negotiate.
_LONGEST_SCHEME: Final = len("negotiate")
#: A shorter key is no secret, and would be found in innocent words; arbitrary.
_SHORTEST_KEY: Final = 4

#: What replaces a key that a `Redactor` finds.
HIDDEN: Final = "(key)"
#: Characters by which a key is recognised where the rest was cut off; arbitrary.
_PREFIX: Final = 12
#: A shorter key is a word of a test rather than a secret, so it is hidden only where it stands alone; arbitrary.
_WORD: Final = 8


@lru_cache(maxsize=256)  # traffic has the same few keys in each request
def fingerprint(key: str) -> str:
    """Return what may be shown of a key: eight hex digits of its SHA-256."""
    secret = key.removeprefix("Bearer ").removeprefix("bearer ")
    return f"key {hashlib.sha256(secret.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


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
    return f"{name}=..." if equals and SECRET_NAME.search(unquote(name)) else pair


def _redact_value(name: str, value: str) -> str:
    if SECRET_NAME.search(name):
        return _redact_credential(value)
    url, mark, query = value.partition("?")
    return f"{url}?{redact_query(query)}" if mark and name.lower() in ("location", "referer") else value


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
    """A filter that hides keys in JSON-like data, in every form servers echo them in."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._forms = sorted({form.casefold() for key in keys for form in _forms(key)})
        self._longest = max(map(len, self._forms), default=0)
        # Without keys nothing may match; an empty alternative would match everywhere.
        self._beginnings = re.compile("|".join(dict.fromkeys(map(_beginning, self._forms))) or "(?!)", re.IGNORECASE)

    def redact(self, data: Any) -> Any:
        """Return a text, or JSON-like data, without the keys."""
        if isinstance(data, str):
            return "".join(self._pieces(data))
        if isinstance(data, dict):
            return {self.redact(name): self.redact(value) for name, value in data.items()}
        return [self.redact(item) for item in data] if isinstance(data, list | tuple) else data

    def _pieces(self, text: str) -> Iterator[str]:
        end = 0
        while match := self._beginnings.search(text, end):
            yield text[end : match.start()] + HIDDEN
            # A truncated text may end within a key, so as much is hidden as agrees with one.
            rest = text[match.start() :][: self._longest].casefold()
            end = match.start() + max(_common_length(rest, form) for form in self._forms)
        yield text[end:]


def _forms(key: str) -> Iterator[str]:
    plain = {key, *_inside_base64(key)}
    encoded = {encode(form) for form in plain for encode in _ENCODINGS}
    yield from plain | encoded | {encode(form) for form in encoded for encode in _ENCODINGS}


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
