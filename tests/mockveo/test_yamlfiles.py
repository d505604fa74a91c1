"""YAML and JSON of others: plain data or one sentence, whatever is in it, and soon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mockveo import yamlfiles
from mockveo.errors import ScenarioError
from mockveo.yamlfiles import MAX_DEPTH, check_depth, parse, parse_foreign_json, parse_json, read

ROWS = [f"b{number}: &b{number} [{', '.join([f'*b{number - 1}'] * 10)}]" for number in range(1, 9)]
LAUGHS = "\n".join(["b0: &b0 [x, x, x, x, x, x, x, x, x, x]", *ROWS])
MERGES = "\n".join(
    [
        "b0: &b0 {x0: 1, x1: 1, x2: 1}",
        *(f"b{number}: &b{number} {{<<: [{', '.join([f'*b{number - 1}'] * 10)}]}}" for number in range(1, 9)),
    ]
)
TEXTS = "a: &a " + "x" * 100_000 + "\nb: [" + ", ".join(["*a"] * 200) + "]"
CHAIN = "b0: &b0 []\n" + "\n".join(f"b{number}: &b{number} [*b{number - 1}]" for number in range(1, 300))


def refusal(text: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        parse(text.encode(), "x.yaml", ScenarioError)
    message = str(caught.value)
    assert message.startswith("x.yaml: not valid YAML: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("text", [LAUGHS, MERGES, TEXTS], ids=["laughs", "merges", "texts"])
def test_aliases_that_would_fill_the_memory_are_refused(text: str) -> None:
    assert refusal(text).endswith("with its aliases written out it has more than 10000000 characters")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (CHAIN, f"nested more than {MAX_DEPTH} levels deep"),
        ("[" * 100_000, f"nested more than {MAX_DEPTH} levels deep"),
        ("a: &a [*a]", "the alias *a stands within what it stands for"),
        ("&a {<<: *a}", "the alias *a stands within what it stands for"),
        ("a: *b", "found undefined alias"),
        ("a: .nan", ".nan is not a number of JSON"),
        ("a: -.inf", "-.inf is not a number of JSON"),
        ("a: 1.0e+400", "1.0e+400 is not a number of JSON"),
        ("a: " + "1" * 30, "Integer exceeds 64-bit range"),
        ("a: " + "1" * 5000, "Exceeds the limit"),
        ("a: 1\na: 2", "'a' is a duplicate key"),
        ('a: "\\ud800"', ""),
        ("a: !!python/object/apply:os.system [x]", "could not determine a constructor"),
        ("\x00", "control characters are not allowed"),
    ],
)
def test_what_json_cannot_hold_is_refused_in_a_sentence(text: str, reason: str) -> None:
    assert reason in refusal(text)


def test_aliases_within_bounds_are_read() -> None:
    text = b"usual: &usual {duration: 5}\nphases: [*usual, {<<: *usual, status: queued}]"
    assert parse(text, "x.yaml", ScenarioError)["phases"] == [{"duration": 5}, {"duration": 5, "status": "queued"}]


TREES = st.recursive(
    st.integers(-99, 99) | st.text("ab&*", max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("xy", min_size=1, max_size=3), inner),
    max_leaves=12,
)


@given(TREES, st.booleans())
def test_any_tree_is_read_whether_written_with_aliases_or_not(tree: Any, flow: bool) -> None:
    shared = {"first": tree, "second": [tree, tree]}
    text = yaml.safe_dump(shared, default_flow_style=flow)
    assert parse(text.encode(), "x.yaml", ScenarioError) == orjson.loads(orjson.dumps(shared))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@given(JSON)
def test_json_of_few_values_is_read_as_it_is(value: Any) -> None:
    assert parse_json(json.dumps(value).encode(), most=1000) == value


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_depth_is_exact_and_what_is_read_can_be_written(opening: str, closing: str) -> None:
    deepest = (opening * MAX_DEPTH + "1" + closing * MAX_DEPTH).encode()
    assert orjson.loads(orjson.dumps({"request": [parse_json(deepest)]}))
    for depth in (MAX_DEPTH + 1, 255, 1023, 100_000):
        with pytest.raises(ValueError, match=r"levels deep|depth limit exceeded"):
            parse_json((opening * depth + "1" + closing * depth).encode())


@pytest.mark.parametrize("text", [b"NaN", b"1e400", b'"\\ud800"', b"[Infinity]", b"", b"\xff", b'{"a":1'])
def test_what_json_cannot_hold_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


def test_values_are_counted_but_not_what_a_text_says() -> None:
    assert parse_json(b'["[,{", "\\",["]', most=3) == ["[,{", '",[']
    with pytest.raises(ValueError, match="it has more than 3 values"):
        parse_json(b"[1,2,[]]", most=3)


def test_depth_of_a_value_in_memory_is_checked_too() -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    check_depth(value)
    with pytest.raises(ValueError, match=f"it is nested more than {MAX_DEPTH} levels deep"):
        check_depth([value])


@pytest.mark.parametrize("text", ['"\\ud800"', "1" * 400, "[" * MAX_DEPTH + "]" * MAX_DEPTH, '{"a": 1, "a": 2}'])
def test_foreign_json_is_read_whatever_its_values(text: str) -> None:
    assert parse_foreign_json(text) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 201 + "]" * 201, "nested more than 200 levels deep"),
        ("[" * 200_000, "nested more than 200 levels deep"),
        ('{"a": NaN}', "NaN is not a number of JSON"),
        ("-Infinity", "-Infinity is not a number of JSON"),
        ("1" * 5000, "Exceeds the limit"),
        (b"\xff", "decode"),
        ("", "Expecting value"),
    ],
)
def test_text_that_is_not_foreign_json_is_refused(text: str | bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_foreign_json(text)


def test_file_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yamlfiles, "MAX_FILE_BYTES", 2**20)
    with pytest.raises(ScenarioError, match=r"/dev/zero: has more than 1 MB; expected a smaller file"):
        read(Path("/dev/zero"), ScenarioError)
