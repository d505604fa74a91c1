"""Rules about single requests, held against their examples."""

from __future__ import annotations

import urllib.parse

import pytest
from request_examples import EXAMPLES
from traces import (
    SECRET,
    Recorder,
    RuleExample,
    check,
    judged,
)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_request_rule_judges_example_as_expected(recorder: Recorder, example: RuleExample) -> None:
    check(example, recorder)


def test_message_about_a_key_hides_the_key(recorder: Recorder) -> None:
    recorder.send("GET", f"/v1/models?{urllib.parse.urlencode({'k': SECRET})}", headers={})
    assert SECRET not in str(judged(recorder.call(), "auth-in-url"))
