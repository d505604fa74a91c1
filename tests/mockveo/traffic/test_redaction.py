"""Credentials are hidden by the names of headers and parameters, and wherever the keys themselves are echoed."""

from __future__ import annotations

import base64

import pytest

from mockveo.traffic.redaction import HIDDEN, Redactor, fingerprint, redact_headers, redact_query


def test_fingerprint_depends_on_the_key_alone() -> None:
    assert fingerprint("Bearer sk-a") == fingerprint("sk-a") != fingerprint("sk-b")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bearer sk-abcdefghijklmnop.", "Bearer (key)."),
        ("cut sk-abcdefghijk", "cut (key)"),
        ("cut sk-abcdefghi...", "cut (key)..."),
        ("another sk-abcdefghX", "another sk-abcdefghX"),
        ("SK-ABCDEFGHIJKLMNOP", "(key)"),
        (base64.b64encode(b":sk-abcdefghijklmnop").decode(), "(key)"),
    ],
)
def test_redactor_hides_keys_whole_or_cut(text: str, expected: str) -> None:
    assert Redactor(["sk-abcdefghijklmnop"]).redact({text: [text, 1, None]}) == {expected: [expected, 1, None]}


@pytest.mark.parametrize("user", ["", "a", "ab", "abc", "somebody"])
@pytest.mark.parametrize("key", ["sk-1234567890ab", "sk-1234567890abc", "sk-1234567890abcd"])
def test_redactor_hides_keys_after_any_name_in_base64(user: str, key: str) -> None:
    for after in (b"", b"\n", b"more"):
        text = base64.b64encode(f"{user}:{key}".encode() + after).decode()
        shown = Redactor([key]).redact(text)
        assert HIDDEN in shown
        assert len(shown.replace(HIDDEN, "")) <= len(text) - 4 * len(key) / 3 + 4


def test_redactor_hides_a_word_only_if_it_stands_alone() -> None:
    assert Redactor(["test"]).redact("Bearer test, the latest") == "Bearer (key), the latest"


def test_redactor_without_keys_hides_nothing() -> None:
    assert Redactor([]).redact(["a", ""]) == ["a", ""]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("Authorization", "Bearer sk-a", f"Bearer ({fingerprint('sk-a')})"),
        ("Authorization", "Bearer  sk-a", f"Bearer ({fingerprint('sk-a')})"),
        ("Authorization", "Bearer bearer sk-a", f"Bearer bearer ({fingerprint('sk-a')})"),
        ("Authorization", "sk-a", f"({fingerprint('sk-a')})"),
        ("X-Api-Key", "a-scheme-no-one-has sk-a", f"({fingerprint('a-scheme-no-one-has sk-a')})"),
        ("Location", "/a?ticket=t&b=1", "/a?ticket=...&b=1"),
        ("Accept", "key", "key"),
    ],
)
def test_redact_headers_hides_credentials_by_name(name: str, value: str, expected: str) -> None:
    assert redact_headers([(name, value)]) == [(name, expected)]


def test_redact_query_without_values_stays_as_it_is() -> None:
    assert redact_query("key&token") == "key&token"
