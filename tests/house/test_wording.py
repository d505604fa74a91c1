"""The wording guide of CONTRIBUTING.md, its rules 2 and 4, and that a class name is used once."""

from __future__ import annotations

import runpy

import pytest
from paths import ROOT

WORDING = runpy.run_path(str(ROOT / "scripts" / "wording.py"))


def test_words_are_those_of_the_guide() -> None:
    hits = list(WORDING["hits"](WORDING["sources"]()))
    assert not hits, "\n" + "\n".join(map(str, hits))


def test_class_names_are_used_once() -> None:
    assert WORDING["repeated_classes"]() == {}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("the name that is\n# none of ours", 1),
        ("there is none; is None; known to be", 0),
        ("it is not\n    # to be told", 2),
        ("stream.tell(), foretell, besides", 0),
        ("Nobody_told", 2),
    ],
)
def test_phrases_are_recognised(text: str, count: int) -> None:
    assert len(list(WORDING["phrases"]("a file", text))) == count


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("one = found.told", 1),
        ("self.seen, (known, _) = 1, (2, 3)", 2),
        ("[one for one in (lambda what: what)]", 2),
        ("def told(*found, **seen): ...", 3),
        ("call(known=1, one_more=2)\nfrom a import b as one", 1),
    ],
)
def test_empty_names_are_recognised_wherever_they_are_bound(source: str, count: int) -> None:
    assert len(list(WORDING["empty_names"]("a file", source))) == count
