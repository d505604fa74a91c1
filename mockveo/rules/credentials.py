"""Rules about the key: how requests carry it, and where it must not be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from mockveo.rules.engine import Breach, Checks, breach
from mockveo.rules.requests import line
from mockveo.rules.trace import CallTrace
from mockveo.spec.operations import PUBLIC_OPERATIONS
from mockveo.traffic.exchange import Exchange
from mockveo.traffic.redaction import fingerprint

checks: Final = Checks[CallTrace]()

#: Headers that carry credentials.
CREDENTIALS: Final = ("authorization", "cookie", "proxy-authorization", "x-api-key", "api-key")
#: An Authorization header with one key, as the journal shows it.
_BEARER: Final = re.compile(r"(?i)bearer (\(key [0-9a-f]{8}\))")
#: A key in a query, as the journal shows it.
_KEY_IN_QUERY: Final = re.compile(r"(?i)\(key [0-9a-f]{8}\)|(?:^|&)[^=&]*(?:key|token|auth|secret)[^=&]*=\.\.\.")


@checks.check("auth-bearer")
def auth_bearer(call: CallTrace) -> list[Breach] | None:
    exchanges = [exchange for exchange in call.of("create", "retrieve", "content", "models") if _needs_key(exchange)]
    breaches = [_without_key(call, exchange) or _with_more(call, exchange) for exchange in exchanges]
    return [breach for breach in breaches if breach] if exchanges else None


def _needs_key(exchange: Exchange) -> bool:
    # Saved traffic may lack its credentials: browsers and sanitisers take them out.
    return exchange.key_known and not exchange.other_origin and exchange.operation_id not in PUBLIC_OPERATIONS


def _without_key(call: CallTrace, exchange: Exchange) -> Breach | None:
    """Return the breach of a request without exactly one Authorization header with the right key."""
    sent = exchange.headers.get("authorization", "")
    if not sent and exchange.ticket:
        return None  # the ticket of a redirect stands for the key
    if not _BEARER.fullmatch(sent):
        shown = f"Authorization: {sent}" if sent else "no Authorization"
        return breach(f"{line(exchange)} carried {shown}; expected Authorization: Bearer KEY", exchange)
    expected = f"Bearer ({fingerprint(_key(call))})"
    if _key(call) and sent.lower() != expected.lower():
        return breach(f"{line(exchange)} carried {sent}; expected the key of this case, {expected}", exchange)
    return None


def _with_more(call: CallTrace, exchange: Exchange) -> Breach | None:
    """Return the breach of a request that repeats its key in another place."""
    sent = exchange.headers.get("authorization", "")
    keys = [match[1] for match in [_BEARER.fullmatch(sent)] if match] + [_key(call)]
    others = {name: value for name, value in exchange.headers.items() if name != "authorization"}
    fields = {f"the field {field['name']}": str(field["value"]) for field in exchange.fields}
    places = [place for place, value in {**others, **fields}.items() if _holds(value, keys)]
    if not places:
        return None
    message = f"{line(exchange)} carried the key in {', '.join(places)} too; the service reads Authorization alone"
    return breach(message, exchange, lenient=True)


def _holds(text: str, keys: Iterable[str]) -> bool:
    return any(key in text for key in keys if key)


def _key(call: CallTrace) -> str:
    return str((call.case or {}).get("api_key") or "")


@checks.check("auth-in-url")
def auth_in_url(call: CallTrace) -> list[Breach] | None:
    key = _key(call)
    breaches = []
    for exchange in call.exchanges:
        url = f"{exchange.path}?{exchange.query}".rstrip("?")
        hidden = f"({fingerprint(key)})"
        # The journal hides a key in a path only if it also saw the key in a header.
        if key and (key in url or hidden in exchange.path):
            shown = url.replace(key, hidden)
            breaches.append(breach(f"{exchange.method} had the key in its URL: {shown}", exchange))
        elif _KEY_IN_QUERY.search(exchange.query) or "(key " in exchange.path:
            breaches.append(breach(f"{exchange.method} had a key in its URL: {url}", exchange))
    return breaches if call.exchanges else None


@checks.check("auth-cross-origin")
def auth_cross_origin(call: CallTrace) -> list[Breach] | None:
    exchanges = [exchange for exchange in call.exchanges if exchange.other_origin]
    keys = [f"({exchange.key})" for exchange in call.exchanges if exchange.key]
    keys += [_key(call), f"({fingerprint(_key(call))})"]
    breaches = [
        breach(f"{line(exchange)} sent the key to another origin", exchange)
        for exchange in exchanges
        if any(name in CREDENTIALS or _holds(value, keys) for name, value in exchange.headers.items())
        or _KEY_IN_QUERY.search(exchange.headers.get("referer", "").partition("?")[2])
    ]
    return breaches if exchanges else None
