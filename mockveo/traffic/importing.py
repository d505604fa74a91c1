"""Saved traffic: our own journal, JSON log or HAR, and HAR of other tools."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from mockveo import yamlfiles
from mockveo.errors import TraceError
from mockveo.schemas import DataSchema
from mockveo.traffic.exchange import ExchangeJson
from mockveo.traffic.har_reading import of_har

_EXAMPLE: Final = "what `mockveo har`, `mockveo logs --json` or GET /_mockveo/journal prints"
_EXCHANGE: Final = DataSchema(Path(__file__).with_name("exchange.schema.json"), "the exchange")


def read(path: Path) -> list[ExchangeJson]:
    """Return the exchanges of a file in their JSON form. Raises TraceError, which names file and entry."""
    text = _text(yamlfiles.read(path, TraceError), path.name)
    try:
        data = yamlfiles.parse_json(text)
    except ValueError:
        data = _lines(text, path.name)
    if isinstance(data, dict) and isinstance(data.get("log"), dict):
        exchanges: Any = of_har(data["log"], path.name)
    else:
        exchanges = [data] if isinstance(data, dict) and "request" in data else data
        exchanges = exchanges.get("exchanges") if isinstance(exchanges, dict) else exchanges
        if not isinstance(exchanges, list) or not exchanges:
            raise TraceError(f"{path.name}: holds no exchanges; expected {_EXAMPLE}")
    check_exchanges(exchanges, path.name)
    return _numbered(exchanges)


def check_exchanges(exchanges: Iterable[Any], name: str) -> None:
    """Raise TraceError, which begins with a name, for data that is no exchange in its JSON form."""
    for place, exchange in enumerate(exchanges, 1):
        for mistake in _EXCHANGE.mistakes(exchange)[:1]:
            raise TraceError(f"{name}: entry {place}: {mistake}")


def _text(data: bytes, name: str) -> str:
    """Return the text of a file, without a byte order mark. Source: RFC 8259 section 8.1; PowerShell writes UTF-16."""
    try:
        return data.decode(json.detect_encoding(data)).removeprefix("\ufeff")
    except ValueError as problem:
        raise TraceError(f"{name}: neither UTF-8 nor UTF-16 ({problem}); expected {_EXAMPLE}") from None


def _lines(text: str, name: str) -> list[Any]:
    exchanges = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            data = yamlfiles.parse_json(line)
        except ValueError as problem:
            reason = f"neither JSON nor JSON lines: line {number}: {problem}"
            raise TraceError(f"{name}: {reason}; expected {_EXAMPLE}") from None
        # A log has findings and other lines too.
        if not isinstance(data, dict) or "request" in data:
            exchanges.append(data)
    return exchanges


def _numbered(exchanges: list[ExchangeJson]) -> list[ExchangeJson]:
    """Return exchanges in the order of their numbers, or, if those repeat, in order of time with new numbers."""
    if len({exchange["number"] for exchange in exchanges}) == len(exchanges):
        return sorted(exchanges, key=lambda exchange: exchange["number"])
    in_order = sorted(exchanges, key=lambda exchange: exchange["time"])
    return [{**exchange, "number": number} for number, exchange in enumerate(in_order, 1)]
