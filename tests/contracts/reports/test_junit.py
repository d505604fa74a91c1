"""JUnit's XML: valid whatever a text holds, and a test for each case."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

from hypothesis import given
from mockveo_contracts.reports.formats import FORMATS
from sample_reports import ANY_TEXT, with_text

# JUnit: what may be in what, after the schema that Jenkins publishes.
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase"},
    "properties": {"property"},
    "testcase": {"skipped", "error", "failure", "system-out"},
}
ATTRIBUTES = {
    "testsuites": set(),
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time"},
    "property": {"name", "value"},
    "testcase": {"name", "classname"},
    "failure": {"type", "message"},
    "error": {"type", "message"},
    "skipped": {"message"},
}


def junit(data: dict[str, Any]) -> ET.Element:
    """The XML, held against the shape."""
    root = ET.fromstring(FORMATS["junit"]([data]).encode())
    for element in root.iter():
        assert {child.tag for child in element} <= CHILDREN.get(element.tag, set())
        assert set(element.attrib) == ATTRIBUTES.get(element.tag, set())
    (suite,) = root
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.attrib[attribute]) == len(suite.findall(f"testcase/{tag}"))
    assert int(suite.attrib["tests"]) == len(suite.findall("testcase"))
    return suite


def test_junit_has_a_test_for_each_case(bad: dict[str, Any]) -> None:
    suite = junit(bad)
    tests = {one.attrib["name"]: one for one in suite.findall("testcase")}
    assert set(tests) == {*(one["name"] for one in bad["cases"]), "job/never-ends", "known/known.txt:4"}
    assert {one.attrib["classname"] for one in tests.values()} == {
        *("call", "image", "create", "poll", "job", "text", "known"),
    }
    failure = tests["image/two"].find("failure")
    assert failure is not None
    assert failure.attrib["type"] == "violation"
    assert failure.attrib["message"] == "refs-order: the images arrived in the order 2, 1; expected 1, 2"
    assert "  exchanges ▶   1    0.000 s  POST /v1/videos with 2 files" in (failure.text or "")
    assert len(tests["call/plain"]) == 0
    # A warning is told and fails nothing.
    assert [child.tag for child in tests["poll/429-retry-after"]] == ["system-out"]
    assert "WARNING  retry-after" in (tests["poll/429-retry-after"][0].text or "")
    skipped = {name: one.find("skipped") for name, one in tests.items()}
    told = {name: one.attrib["message"] for name, one in skipped.items() if one is not None}
    assert told == {
        "job/never-ends": "the client does not declare deadline",
        "create/lost": "known failure: no-blind-retry (known.txt:3): ticket 4711",
    }
    assert tests["known/known.txt:4"].find("failure") is not None
    properties = {one.attrib["name"]: one.attrib["value"] for one in suite.iter("property")}
    assert properties["seed"] == "0"
    assert properties["client"] == "careless"


def test_junit_fails_for_warnings_where_they_fail_the_check(bad: dict[str, Any]) -> None:
    strict = {one.attrib["name"]: one for one in junit({**bad, "strict": True}).findall("testcase")}
    assert [child.tag for child in strict["poll/429-retry-after"]] == ["failure"]


def test_junit_tells_errors_of_the_check_from_failures(adapter: dict[str, Any]) -> None:
    tests = {one.attrib["name"]: one for one in junit({**adapter, "stopped": "it died"}).findall("testcase")}
    assert [child.tag for child in tests["call/plain"]] == ["error"]
    assert tests["check/to-its-end"][0].attrib == {"type": "stopped", "message": "it died"}


@given(text=ANY_TEXT)
def test_no_text_makes_invalid_xml(small: dict[str, Any], text: str) -> None:
    junit(with_text(small, text))
