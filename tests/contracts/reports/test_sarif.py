"""SARIF: checked against a schema written from the standard, and against what code scanning needs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import jsonschema_rs
from hypothesis import given
from json_shapes import TEXT, shape
from mockveo_contracts.reports.formats import FORMATS
from mockveo_contracts.reports.model import Report, ServerSubject
from sample_reports import ANY_TEXT, with_text

from mockveo.rules.client_rules import client_rules

# The part of SARIF that is used, after the standard; nothing else may be in it.
MESSAGE = shape({"text": {"type": "string", "minLength": 1}}, {"markdown": TEXT})
LEVEL = {"enum": ["none", "note", "warning", "error"]}
LOCATION = shape(
    {
        "physicalLocation": shape(
            {
                "artifactLocation": shape({"uri": {"type": "string", "format": "uri-reference"}}),
                "region": shape({"startLine": {"type": "integer", "minimum": 1}}),
            }
        ),
        "logicalLocations": {
            "type": "array",
            "items": shape({"name": TEXT, "fullyQualifiedName": TEXT, "kind": TEXT}),
        },
    }
)
RESULT = shape(
    {
        "ruleId": TEXT,
        "ruleIndex": {"type": "integer", "minimum": 0},
        "level": LEVEL,
        "message": MESSAGE,
        "locations": {"type": "array", "minItems": 1, "items": LOCATION},
        "partialFingerprints": {"type": "object", "minProperties": 1, "additionalProperties": TEXT},
    },
    {
        "suppressions": {
            "type": "array",
            "items": shape({"kind": {"enum": ["inSource", "external"]}, "justification": TEXT}),
        }
    },
)
RULE = shape(
    {
        "id": TEXT,
        "name": TEXT,
        "shortDescription": MESSAGE,
        "fullDescription": MESSAGE,
        "help": MESSAGE,
        "defaultConfiguration": shape({"level": LEVEL}),
        "properties": shape({"tags": {"type": "array", "items": TEXT}}),
    }
)
RUN = shape(
    {
        "tool": shape({"driver": shape({"name": TEXT, "version": TEXT, "rules": {"type": "array", "items": RULE}})}),
        "invocations": {
            "type": "array",
            "items": shape(
                {
                    "executionSuccessful": {"type": "boolean"},
                    "toolExecutionNotifications": {
                        "type": "array",
                        "items": shape({"level": LEVEL, "message": shape({"text": TEXT})}),
                    },
                }
            ),
        },
        "automationDetails": shape({"id": TEXT}),
        "results": {"type": "array", "items": RESULT},
        "properties": {"type": "object"},
    }
)
SARIF = jsonschema_rs.Draft202012Validator(
    shape({"$schema": TEXT, "version": {"const": "2.1.0"}, "runs": {"type": "array", "items": RUN, "minItems": 1}}),
    validate_formats=True,
)


def sarif(report: Report) -> dict[str, Any]:
    log = json.loads(FORMATS["sarif"]([report]).encode())
    SARIF.validate(log)
    run: dict[str, Any] = log["runs"][0]
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    return run


def fingerprints(report: Report) -> list[str]:
    return [result["partialFingerprints"]["mockveoCase/v1"] for result in sarif(report)["results"]]


def test_sarif_has_rules_with_help_and_results_with_levels(bad: Report) -> None:
    run = sarif(bad)
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == list(client_rules().rules)
    levels = {result["ruleId"]: result["level"] for result in run["results"]}
    assert levels["refs-order"] == "error"
    assert levels["retry-after"] == "warning"
    (swapped,) = [result for result in run["results"] if result["ruleId"] == "refs-order"]
    assert swapped["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "cases/image/two.yaml"
    assert swapped["message"]["text"].startswith("the images arrived in the order 2, 1")
    assert "\n\nVIOLATION  refs-order" in swapped["message"]["text"]
    suppressed = [result["ruleId"] for result in run["results"] if "suppressions" in result]
    assert suppressed == ["no-blind-retry"]


def test_sarif_names_the_client(bad: Report) -> None:
    run = sarif(bad)
    assert run["automationDetails"]["id"] == "mockveo-check/careless/"
    bill = run["properties"].pop("bill")
    assert bill.startswith("6 made, 5 delivered, 1 wasted (1 doubled by the retry of a lost answer)")
    assert run["properties"] == {"client": "careless", "seed": 0}


def test_sarif_of_a_server_names_the_server(bad: Report) -> None:
    run = sarif(replace(bad, subject=ServerSubject("localhost:1", "http://localhost:1")))
    assert run["automationDetails"]["id"] == "mockveo-verify/localhost:1/"
    assert run["properties"] == {"server": "localhost:1", "seed": 0}


def test_sarif_fingerprints_are_stable_and_differ_between_findings(bad: Report) -> None:
    before = fingerprints(bad)
    assert len(set(before)) == len(before)
    later = [replace(finding, message=f"{finding.message} (this time)") for finding in bad.findings]
    assert fingerprints(replace(bad, findings=later)) == before


def test_sarif_of_a_broken_adapter_has_no_result(adapter: Report) -> None:
    run = sarif(replace(adapter, aborted="it died"))
    assert run["results"] == []
    (invocation,) = run["invocations"]
    assert not invocation["executionSuccessful"]
    assert len(invocation["toolExecutionNotifications"]) == 2


@given(text=ANY_TEXT)
def test_sarif_with_any_text_is_valid(small: Report, text: str) -> None:
    sarif(with_text(small, text))


def test_sarif_uri_names_the_file_of_the_corpus(bad: Report) -> None:
    first = replace(bad.findings[0], file="corpus/a b\\c.yaml")
    (result, *_) = sarif(replace(bad, findings=[first]))["results"]
    assert unquote(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]) == "corpus/a b/c.yaml"
