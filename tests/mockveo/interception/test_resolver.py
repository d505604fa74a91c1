"""The resolver: names that are played have an address, all others are refused, and nothing makes it fail."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from mockveo.interception.resolver import MAX_NAMES, Resolver

NAMES = {"api.cometapi.com": "127.0.0.2"}
A, AAAA, HTTPS = 1, 28, 65
NXDOMAIN, FORMAT_ERROR, NOT_IMPLEMENTED = 3, 1, 4


def query(name: str, kind: int = A, flags: int = 0x0100, questions: int = 1) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", 7, flags, questions, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def parsed(answer: bytes) -> tuple[int, int, bytes]:
    """Return the code, the number of records and the last four bytes of an answer."""
    number, flags, _, records, *_ = struct.unpack_from("!HHHHHH", answer)
    assert number == 7
    assert flags & 0x8000
    return flags & 15, records, answer[-4:]


def test_played_name_has_an_address_whatever_its_case() -> None:
    assert parsed(Resolver(NAMES).answer(query("API.CometAPI.com"))) == (0, 1, bytes([127, 0, 0, 2]))
    assert parsed(Resolver(NAMES).answer(query("localhost"))) == (0, 1, bytes([127, 0, 0, 1]))


def test_played_name_exists_without_records_of_other_kinds() -> None:
    for kind in (AAAA, HTTPS):
        assert parsed(Resolver(NAMES).answer(query("api.cometapi.com", kind)))[:2] == (0, 0)


def test_stranger_is_refused_and_noted() -> None:
    resolver = Resolver(NAMES)
    for kind in (A, AAAA):
        assert parsed(resolver.answer(query("telemetry.example", kind)))[:2] == (NXDOMAIN, 0)
    assert resolver.refused == {"telemetry.example": 2}


def test_noted_names_are_bounded() -> None:
    resolver = Resolver(NAMES)
    for number in range(MAX_NAMES + 10):
        resolver.answer(query(f"n{number}.example"))
    assert len(resolver.refused) == MAX_NAMES


def test_what_is_no_plain_query_is_answered_by_an_error() -> None:
    resolver = Resolver(NAMES)
    assert parsed(resolver.answer(query("api.cometapi.com", flags=0x2800)))[0] == NOT_IMPLEMENTED
    assert parsed(resolver.answer(query("api.cometapi.com")[:-3]))[0] == FORMAT_ERROR
    assert resolver.answer(query("api.cometapi.com", flags=0x8000)) == b""
    assert resolver.answer(b"short") == b""


@given(st.binary(max_size=300))
def test_any_bytes_get_an_answer_or_none(data: bytes) -> None:
    answer = Resolver(NAMES).answer(data)
    assert not answer or answer[:2] == data[:2]
