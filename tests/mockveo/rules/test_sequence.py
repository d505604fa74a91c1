"""Rules about the sequence of a call, held against their examples."""

from __future__ import annotations

import pytest
from sequence_examples import EXAMPLES, redirected
from traces import (
    FIRST,
    HEAD,
    TAIL,
    Recorder,
    RuleExample,
    check,
    image,
    judged,
)

from mockveo.rules.client_rules import judge_traffic
from mockveo.rules.trace import split_calls


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_sequence_rule_judges_example_as_expected(recorder: Recorder, example: RuleExample) -> None:
    check(example, recorder)


def test_traffic_of_two_calls_is_split(recorder: Recorder) -> None:
    first, second = recorder.create(), recorder.create(prompt="another")
    for job in (second, first, "task_x"):
        recorder.poll(job)
    calls = [[exchange.job or exchange.path for exchange in call.exchanges] for call in split_calls(recorder.trace)]
    assert calls == [[first, first], [second, second], ["/v1/videos/task_x"]]


@pytest.mark.parametrize(("status", "rule"), [(307, "redirect-method"), (308, "redirect-method")])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_request_after_a_redirect_belongs_to_its_call(recorder: Recorder, status: int, rule: str, method: str) -> None:
    where = redirected(recorder, status)
    recorder.send(method, where, files={"prompt": (None, "another")} if method == "POST" else None)
    assert [verdict.rule.id for verdict in judge_traffic(recorder.trace)] == [rule]


def test_create_corrected_after_a_refusal_passes(recorder: Recorder) -> None:
    recorder.create(HEAD, TAIL, HEAD)
    recorder.create(HEAD, TAIL)
    assert judged(recorder.call(images=[image(FIRST)]), "no-retry-4xx").verdict == "pass"
