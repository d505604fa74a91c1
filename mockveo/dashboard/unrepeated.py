"""Requests that met trouble which may pass, and that were not sent again: what people want to see live.

No rule judges this by traffic alone, since the program may have been stopped. `mockveo check`, which sees its end, has
the rule `survive-transient`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from mockveo.traffic.exchange import Exchange, ExchangeJson

#: Seconds of silence after which a request counts as given up. Arbitrary: longer than most backoff begins with.
QUIET_S: Final = 10.0
RULE: Final = "missing-retry"
_ADVICE: Final = (
    "Repeat polls and downloads, which are safe to repeat, with backoff, and a create whose answer says that it was"
    " refused, as `429` and `503` do."
)


def unrepeated(exchanges: Iterable[ExchangeJson], now: float) -> list[dict[str, Any]]:
    """Return findings about the latest exchanges of each job and prompt, at `now` in Unix seconds."""
    latest: dict[object, Exchange] = {}
    for data in exchanges:
        exchange = Exchange.from_json(data)
        subject = (exchange.key, exchange.prompt) if exchange.operation == "create" else exchange.job
        if subject:
            latest[subject] = exchange
    return [
        {
            "rule": RULE,
            "severity": "info",
            "verdict": "info",
            "message": f"{exchange.method} {exchange.path} {_fate(exchange)}, and was not sent again",
            "source": "What this server sees; the program may also have been stopped.",
            "exchanges": [exchange.number],
            "advice": _ADVICE,
        }
        for exchange in latest.values()
        if exchange.transient and now > exchange.time + (exchange.retry_after_s or 0.0) + QUIET_S
    ]


def _fate(exchange: Exchange) -> str:
    return f"was answered {exchange.status}" if exchange.status else "got no answer"
