"""A report as JUnit's XML, which CI services show: a test for each case, in the group that its name begins with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from mockveo.text import printable
from mockveo_contracts.reports import terminal, wording


def junit(report: Mapping[str, Any]) -> str:
    """The XML. A case fails where a rule is broken that breaks the check; what else was found is in its output."""
    suite = Element("testsuite", name=_text(f"mockveo check: {wording.client_of(report)}"))
    properties = SubElement(suite, "properties")
    known: dict[str, Any] = {
        "client": report["client"]["name"],
        "version": report["client"]["version"],
        "seed": report["seed"],
        "profile": report.get("profile", ""),
        "mockveo": report.get("mockveo", ""),
        "generated": report["summary"]["generated"],
    }
    for name, value in known.items():
        SubElement(properties, "property", name=name, value=_text(str(value)))
    findings: dict[str, list[Mapping[str, Any]]] = {}
    for one in report["findings"]:
        findings.setdefault(one["case"], []).append(one)
    for name in dict.fromkeys([*(one["name"] for one in report["cases"]), *findings]):
        _case(suite, name, findings.get(name, []), strict=bool(report.get("strict")))
    for one in report["skipped"]:
        SubElement(_test(suite, one["case"]), "skipped", message=_text(one["why"]))
    for one in report["stale"]:
        told = wording.stale(one)
        _failure(_test(suite, f"known/{one['place']}"), "failure", "stale known failure", told, told)
    if report.get("stopped"):
        _failure(_test(suite, "check/to-its-end"), "error", "stopped", report["stopped"], report["stopped"])
    tests = suite.findall("testcase")
    suite.set("tests", str(len(tests)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(one.find(tag) is not None for one in tests)))
    suite.set("time", str(report["summary"]["seconds"]))
    suites = Element("testsuites")
    suites.append(suite)
    indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(suites, encoding="unicode")}\n'


def _case(suite: Element, name: str, findings: Sequence[Mapping[str, Any]], *, strict: bool) -> None:
    test = _test(suite, name)
    new = [one for one in findings if not one["known"]]
    fatal = ("violation", "warning") if strict else ("violation",)
    failing = [one for one in new if one["verdict"] in fatal]
    broke = [one for one in new if one["verdict"] == "adapter error"]
    if broke:
        _failure(test, "error", "adapter error", broke[0]["message"], terminal.told(broke))
    elif failing:
        message = "; ".join(f"{one['rule']}: {one['message']}" for one in failing)
        _failure(test, "failure", failing[0]["verdict"], message, terminal.told(failing))
    elif findings and not new:
        lived_with = "; ".join(f"{one['rule']} ({one['known']['place']}): {one['known']['reason']}" for one in findings)
        SubElement(test, "skipped", message=_text(f"known failure: {lived_with}"))
    rest = [one for one in new if one not in failing and one not in broke]
    if rest:
        SubElement(test, "system-out").text = _text(terminal.told(rest))


def _test(suite: Element, name: str) -> Element:
    group, slash, _ = name.partition("/")
    return SubElement(suite, "testcase", classname=_text(group if slash else "case"), name=_text(name))


def _failure(test: Element, tag: str, kind: str, message: str, text: str) -> None:
    element = SubElement(test, tag, type=kind, message=_text(message))
    element.text = _text(text)


def _text(text: str) -> str:
    """Text that XML may hold: most control characters are forbidden there even where they are escaped."""
    return printable(text)
