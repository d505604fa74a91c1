"""SARIF: held against a schema written from the standard, and what code scanning needs of it."""

from __future__ import annotations

import copy
import json
from typing import Any
from urllib.parse import unquote

import jsonschema_rs
from hypothesis import given
from json_shapes import TEXT, shape
from mockveo_contracts.reports.formats import FORMATS
from sample_reports import ANY_TEXT, with_text

from mockveo.rules.client_rules import client_rules

# SARIF: the part that is used, after the standard; nothing else may be in it.
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


def sarif(data: dict[str, Any]) -> dict[str, Any]:
    found = json.loads(FORMATS["sarif"]([data]).encode())
    SARIF.validate(found)
    run: dict[str, Any] = found["runs"][0]
    for one in run["results"]:
        assert run["tool"]["driver"]["rules"][one["ruleIndex"]]["id"] == one["ruleId"]
    return run


def test_sarif_has_rules_with_help_and_results_with_levels(bad: dict[str, Any]) -> None:
    run = sarif(bad)
    assert [one["id"] for one in run["tool"]["driver"]["rules"]] == list(client_rules().rules)
    levels = {one["ruleId"]: one["level"] for one in run["results"]}
    assert levels["refs-order"] == "error"
    assert levels["retry-after"] == "warning"
    (swapped,) = [one for one in run["results"] if one["ruleId"] == "refs-order"]
    assert swapped["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "cases/image/two.yaml"
    assert swapped["message"]["text"].startswith("the images arrived in the order 2, 1; expected 1, 2\n\nVIOLATION")
    suppressed = [one["ruleId"] for one in run["results"] if "suppressions" in one]
    assert suppressed == ["no-blind-retry"]


def test_sarif_prints_are_stable_and_tell_findings_apart(bad: dict[str, Any]) -> None:
    prints = [one["partialFingerprints"]["mockveoCase/v1"] for one in sarif(bad)["results"]]
    assert len(set(prints)) == len(prints)
    later = copy.deepcopy(bad)
    for one in later["findings"]:
        one["message"] += " (this time)"
    assert [one["partialFingerprints"]["mockveoCase/v1"] for one in sarif(later)["results"]] == prints


def test_sarif_has_no_result_for_a_broken_adapter(adapter: dict[str, Any]) -> None:
    run = sarif({**adapter, "stopped": "it died"})
    assert run["results"] == []
    (invocation,) = run["invocations"]
    assert not invocation["executionSuccessful"]
    assert len(invocation["toolExecutionNotifications"]) == 2


@given(text=ANY_TEXT)
def test_no_text_makes_invalid_sarif(small: dict[str, Any], text: str) -> None:
    sarif(with_text(small, text))


def test_uris_of_sarif_name_the_file_of_the_corpus(bad: dict[str, Any]) -> None:
    data = copy.deepcopy(bad)
    data["findings"][0]["file"] = "corpus/a b\\c.yaml"
    (first, *_) = sarif(data)["results"]
    assert unquote(first["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]) == "corpus/a b/c.yaml"
