"""Where the record of an exchange is written: each fact as soon as it is certain, so a failure later loses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from mockveo.http.encodings import decode
from mockveo.http.parts import Part
from mockveo.http.responses import Response
from mockveo.simulator.fault import Fault
from mockveo.simulator.jobs import View
from mockveo.traffic.record import Deviation, ExchangeRecord

#: Bodies up to this size are kept as they came. Arbitrary: all JSON of the API fits, no video does.
MAX_KEPT_BODY_BYTES: Final = 64 * 2**10


def record_request_body(exchange: ExchangeRecord, size: int, body: bytes | None, digest: bytes) -> None:
    """Record a request's body: itself if it is short, else its SHA-256."""
    exchange.body_size = size
    exchange.body_digest = digest
    if body is not None:
        exchange.body = body
        exchange.kept += len(body)


def record_form(exchange: ExchangeRecord, parts: Sequence[Part], deviations: Sequence[Deviation]) -> None:
    """Record the parts of a create; files count by size and hash only, because their bytes belong to the job."""
    exchange.parts = parts
    exchange.deviations = [*exchange.deviations, *deviations]
    file_bytes = sum([part.size for part in parts])
    if file_bytes:
        exchange.forget_body()
    exchange.kept += exchange.body_size - file_bytes


def record_faults(exchange: ExchangeRecord, scenario_name: str, faults: Sequence[Fault]) -> None:
    """Record the faults that apply, and their scenario."""
    exchange.scenario = scenario_name
    exchange.faults = [name for fault in faults for name in fault.names]


def record_job(exchange: ExchangeRecord, job_id: str, now: View, scenario_name: str) -> None:
    """Record the job that the exchange is about, as it is now."""
    exchange.job_id = job_id
    exchange.state = now.status
    exchange.progress = now.progress
    exchange.scenario = scenario_name


def record_error(exchange: ExchangeRecord, name: str, hint: str = "") -> None:
    """Record an error by its name; `hint` is what the log alone says."""
    exchange.error = name
    exchange.hint = hint


def record_response(exchange: ExchangeRecord, response: Response, sent_bytes: int) -> None:
    """Record a response, and how many bytes of its body will be sent."""
    exchange.status, exchange.response_bytes, exchange.response_headers = response.status, sent_bytes, response.headers
    if sent_bytes <= MAX_KEPT_BODY_BYTES:
        exchange.response_body = response.body[:sent_bytes]
        exchange.kept += sent_bytes
    else:
        body = response.body[:sent_bytes]
        decoded = decode(body, exchange.content_encoding)
        exchange.response_digest = sha256(body if decoded is None else decoded).digest()
        exchange.undecodable = decoded is None
