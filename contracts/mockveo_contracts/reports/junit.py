"""A report as JUnit XML for CI services: a test for each case, grouped by the first part of its name."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from mockveo.text import printable
from mockveo_contracts.reports.finding import Finding
from mockveo_contracts.reports.model import ClientSubject, Report, Subject
from mockveo_contracts.reports.terminal import render_findings


def junit(report: Report) -> str:
    """Return the XML. A case fails if a rule is broken that fails the run; its output has all other findings."""
    suite = Element("testsuite", name=printable(f"{report.subject.command}: {report.subject.title}"))
    properties = SubElement(suite, "properties")
    for name, value in _properties(report).items():
        SubElement(properties, "property", name=name, value=printable(str(value)))
    findings: dict[str, list[Finding]] = {case.name: [] for case in report.cases}
    for finding in report.findings:
        findings[finding.case.name].append(finding)
    for name, own in findings.items():
        _case(suite, name, own, report.fatal)
    for skipped in report.skipped:
        SubElement(_test(suite, skipped.case), "skipped", message=printable(skipped.reason))
    for number, (kind, text) in enumerate(report.remarks, 1):
        _failure(_test(suite, f"run/{kind.replace(' ', '-')}-{number}"), "failure", kind, text, text)
    if report.aborted:
        _failure(_test(suite, "run/complete"), "error", "aborted", report.aborted, report.aborted)
    _count(suite, report.seconds)
    suites = Element("testsuites")
    suites.append(suite)
    indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(suites, encoding="unicode")}\n'


def _properties(report: Report) -> dict[str, object]:
    return {
        **_subject_properties(report.subject),
        "seed": report.seed,
        "profile": report.profile,
        **({"requirements": report.requirements} if report.requirements else {}),
        "mockveo": report.version,
        "generated": report.generated,
        **({"bill": report.bill.line} if report.bill else {}),
    }


def _subject_properties(subject: Subject) -> dict[str, str]:
    if isinstance(subject, ClientSubject):
        return {"client": subject.name, "version": subject.version}
    return {"server": subject.name, "url": subject.url}


def _count(suite: Element, seconds: float) -> None:
    tests = suite.findall("testcase")
    suite.set("tests", str(len(tests)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(test.find(tag) is not None for test in tests)))
    suite.set("time", str(round(seconds, 3)))


def _case(suite: Element, name: str, findings: Sequence[Finding], fatal: Sequence[str]) -> None:
    test = _test(suite, name)
    new = [finding for finding in findings if not finding.excuse]
    failures = [finding for finding in new if finding.verdict in fatal]
    errors = [finding for finding in new if finding.verdict == "adapter error"]
    if errors:
        _failure(test, "error", "adapter error", errors[0].message, render_findings(errors))
    elif failures:
        message = "; ".join(f"{finding.rule}: {finding.message}" for finding in failures)
        _failure(test, "failure", failures[0].verdict, message, render_findings(failures))
    elif findings and not new:
        SubElement(test, "skipped", message=printable("; ".join(map(_excused, findings))))
    rest = [finding for finding in new if finding not in failures and finding not in errors]
    if rest:
        SubElement(test, "system-out").text = printable(render_findings(rest))


def _excused(finding: Finding) -> str:
    return f"{finding.rule or finding.verdict}: {finding.excuse}"


def _test(suite: Element, name: str) -> Element:
    group, slash, _ = name.partition("/")
    return SubElement(suite, "testcase", classname=printable(group if slash else "case"), name=printable(name))


def _failure(test: Element, tag: str, kind: str, message: str, text: str) -> None:
    # XML forbids most control characters, even escaped ones.
    element = SubElement(test, tag, type=kind, message=printable(message))
    element.text = printable(text)
