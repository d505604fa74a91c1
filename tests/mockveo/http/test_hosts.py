import re

import pytest

from mockveo.http.hosts import LOOPBACK_ORIGIN, Hosts, is_loopback


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8360", "localhost", "LOCALHOST:1", "localhost.", "app.localhost:80",
     "app.localhost.:80", "127.0.0.1:", "[::1]", "[::1]:8360",
     "192.168.1.7:8360", "::1", "mock.test", "MOCK.test:99"],
)  # fmt: skip
def test_loopback_host_is_served(host: str) -> None:
    hosts = Hosts(["Mock.Test"])
    assert hosts.serve(host.encode())
    assert hosts.serve(host.encode())


@pytest.mark.parametrize(
    "host",
    [
        "evil.com",
        "evil.com:8360",
        "127.0.0.1.evil.com",
        "localhost.evil.com",
        "evil-localhost",
        "",
        "[evil]",
        "1.2.3",
        "[::1]evil.com",
        "[::1]:evil.com",
        "localhost:evil.com",
        "127.0.0.1:80@evil.com",
        "localhost..",
    ],
)
def test_foreign_host_is_refused(host: str) -> None:
    assert not Hosts().serve(host.encode())


def test_request_without_host_is_served() -> None:
    assert Hosts().serve(None)


def test_remembered_hosts_are_bounded() -> None:
    hosts = Hosts()
    for port in range(5000):
        assert hosts.serve(f"127.0.0.1:{port}".encode())
    assert len(hosts._accepted) <= 1000


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:3000", True),
        ("https://localhost", True),
        ("http://127.0.0.1:5173", True),
        ("http://[::1]:80", True),
        ("http://app.localhost", True),
        ("http://localhost.evil.com", False),
        ("http://evil.com", False),
        ("null", False),
    ],
)
def test_loopback_origin_pattern(origin: str, *, allowed: bool) -> None:
    assert bool(re.fullmatch(LOOPBACK_ORIGIN, origin)) is allowed


@pytest.mark.parametrize(
    ("host", "only_here"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)]
)
def test_is_loopback(host: str, *, only_here: bool) -> None:
    assert is_loopback(host) is only_here
