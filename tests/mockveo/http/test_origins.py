"""URLs lead a client back to where it called the server."""

from __future__ import annotations

import pytest

from mockveo.http.origins import Origins, ServerOrigins

OWN, OTHER = "http://127.0.0.1:8360", "http://127.0.0.1:8361"


@pytest.mark.parametrize(
    ("host", "own", "other"),
    [
        (b"mock.example:80", "http://mock.example:80", "http://mock.example:8361"),
        (b"mock.example", "http://mock.example", "http://mock.example:8361"),
        (b"[::1]:8360", "http://[::1]:8360", "http://[::1]:8361"),
        (b"127.0.0.1:9000", "http://127.0.0.1:9000", "http://127.0.0.1:8361"),
        (None, OWN, OTHER),
        (b"a b", OWN, OTHER),
        (b"mock.example:80/x", OWN, OTHER),
        (b"\xff", OWN, OTHER),
        (b"", OWN, OTHER),
    ],
)
def test_origins_are_those_of_the_host_header(host: bytes | None, own: str, other: str) -> None:
    origins = ServerOrigins()
    origins.listen_at(OWN, OTHER)
    for _ in range(2):
        named = origins.seen_by(host, at_other=False)
        assert (named.own, named.other) == (own, other)


def test_origins_of_a_request_to_the_other_one_lead_back() -> None:
    origins = ServerOrigins()
    origins.listen_at(OWN, OTHER)
    assert origins.seen_by(b"mock.example:9001", at_other=True) == Origins(
        "http://mock.example:8360", "http://mock.example:9001"
    )


def test_public_url_takes_precedence_and_names_the_other_origin() -> None:
    origins = ServerOrigins("https://mock.example")
    origins.listen_at(OWN, OTHER)
    assert origins.seen_by(b"localhost:8360", at_other=False) is origins
    assert (origins.own, origins.other) == ("https://mock.example", "https://mock.example:8361")
    origins.publish("https://mock.example", "https://videos.example")
    assert (origins.own, origins.other) == ("https://mock.example", "https://videos.example")
    origins.listen_at("http://0.0.0.0:1", "http://0.0.0.0:2")
    assert (origins.own, origins.other) == ("https://mock.example", "https://videos.example")


def test_hosts_without_end_are_not_remembered() -> None:
    origins = ServerOrigins()
    for number in range(2000):
        origins.seen_by(b"a%d.example" % number, at_other=False)
    origins.seen_by(b"a" * 200, at_other=False)
    assert len(origins._by_host) == 1000
