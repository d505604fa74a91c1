"""JUnit XML: valid whatever a text contains, with a test for each case."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

from hypothesis import given
from mockveo_contracts.reports.formats import FORMATS
from mockveo_contracts.reports.model import Report, ServerSubject
from sample_reports import ANY_TEXT, with_text

# Which elements and attributes an element may have, after the schema that Jenkins publishes.
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


def junit(report: Report) -> ET.Element:
    """Return the suite, checked against the schema."""
    root = ET.fromstring(FORMATS["junit"]([report]).encode())
    for element in root.iter():
        assert {child.tag for child in element} <= CHILDREN.get(element.tag, set())
        assert set(element.attrib) == ATTRIBUTES.get(element.tag, set())
    (suite,) = root
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.attrib[attribute]) == len(suite.findall(f"testcase/{tag}"))
    assert int(suite.attrib["tests"]) == len(suite.findall("testcase"))
    return suite


def cases_of(report: Report) -> dict[str, ET.Element]:
    return {test.attrib["name"]: test for test in junit(report).findall("testcase")}


def properties_of(report: Report) -> dict[str, str]:
    return {element.attrib["name"]: element.attrib["value"] for element in junit(report).iter("property")}


def test_junit_has_a_test_for_each_case(bad: Report) -> None:
    tests = cases_of(bad)
    assert set(tests) == {*(case.name for case in bad.cases), "job/never-ends", "run/stale-known-failure-1"}
    assert {test.attrib["classname"] for test in tests.values()} == {
        *("call", "image", "create", "poll", "job", "text", "run"),
    }
    failure = tests["image/two"].find("failure")
    assert failure is not None
    assert failure.attrib["type"] == "violation"
    assert failure.attrib["message"].startswith("refs-order: the images arrived in the order 2, 1")
    assert "  exchanges ▶   1    0.000 s  POST /v1/videos with 2 files" in (failure.text or "")
    assert len(tests["call/plain"]) == 0
    # A warning is shown and fails nothing.
    assert [child.tag for child in tests["poll/429-retry-after"]] == ["system-out"]
    assert "WARNING  retry-after" in (tests["poll/429-retry-after"][0].text or "")
    skipped = {name: test.find("skipped") for name, test in tests.items()}
    messages = {name: element.attrib["message"] for name, element in skipped.items() if element is not None}
    assert messages == {
        "job/never-ends": "the client does not declare deadline",
        "create/lost": "no-blind-retry: known failure, known.txt:3: ticket 4711",
    }
    assert tests["run/stale-known-failure-1"].find("failure") is not None


def test_junit_names_the_client(bad: Report) -> None:
    assert junit(bad).attrib["name"] == "mockveo check: careless"
    properties = properties_of(bad)
    assert (properties["client"], properties["seed"]) == ("careless", "0")


def test_junit_of_a_server_names_the_server(bad: Report) -> None:
    report = replace(bad, subject=ServerSubject("localhost:1", "http://localhost:1"))
    assert junit(report).attrib["name"] == "mockveo verify: localhost:1"
    properties = properties_of(report)
    assert (properties["server"], properties["url"]) == ("localhost:1", "http://localhost:1")
    assert "client" not in properties


def test_junit_of_a_strict_check_fails_for_warnings(bad: Report) -> None:
    strict = cases_of(replace(bad, strict=True))
    assert [child.tag for child in strict["poll/429-retry-after"]] == ["failure"]


def test_junit_separates_errors_of_the_check_from_failures(adapter: Report) -> None:
    tests = cases_of(replace(adapter, aborted="it died"))
    assert [child.tag for child in tests["call/plain"]] == ["error"]
    assert tests["run/complete"][0].attrib == {"type": "aborted", "message": "it died"}


@given(text=ANY_TEXT)
def test_junit_with_any_text_is_valid(small: Report, text: str) -> None:
    junit(with_text(small, text))
