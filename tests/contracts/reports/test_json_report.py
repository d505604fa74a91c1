"""Reports of shards: joined, they say what one check says; what is missing or differs is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from mockveo_contracts import Case, Outcome
from mockveo_contracts.cases.shards import WHOLE, Shard
from mockveo_contracts.clients.check import CheckPlan, check
from mockveo_contracts.clients.functions import Functions
from mockveo_contracts.reports.json_report import merged
from mockveo_contracts.reports.known_failures import KnownFailure
from mockveo_contracts.reports.model import Report
from sample_reports import careful, careless, reread
from zoo_client import CorrectClient

from mockveo.errors import ReportError

PLAN = CheckPlan(cases=("image/*", "call/*", "poll/429*"), generated=12, shrink_seconds=0)


def correct(case: Case) -> Outcome:
    return CorrectClient(case)()


def report_of(client: Callable[..., object], shard: Shard = WHOLE) -> Report:
    with Functions(client, name="client") as driver:
        return reread(check(driver, replace(PLAN, shard=shard)))


def verdicts(report: Report) -> Mapping[str, Counter[str]]:
    # Counters are equal whether a zero is written or missing.
    return {name: rule.counts for name, rule in report.rules.items()}


@pytest.fixture(scope="module")
def shards() -> list[Report]:
    return [report_of(careless, Shard(number, 3)) for number in (1, 2, 3)]


def test_merged_shards_have_the_verdicts_of_one_check(shards: list[Report]) -> None:
    undivided, whole = report_of(careless), merged([shards[2], shards[0], shards[1]])
    assert verdicts(whole) == verdicts(undivided)
    assert {case.name for case in undivided.cases} <= {case.name for case in whole.cases}
    assert {rule.rule for rule in whole.broken_rules} == {rule.rule for rule in undivided.broken_rules}
    assert (whole.exit_status, whole.generated, whole.skipped) == (
        undivided.exit_status,
        undivided.generated,
        undivided.skipped,
    )
    assert whole.shard == ""


def test_merged_shards_of_a_correct_client_are_clean() -> None:
    whole = merged([report_of(correct, Shard(number, 2)) for number in (1, 2)])
    assert not whole.broken_rules
    assert whole.generated == PLAN.generated


def test_shard_says_which_it_is_and_counts_no_rule_as_unexercised() -> None:
    with Functions(careful, name="client") as driver:
        report = reread(check(driver, CheckPlan(generated=0, shard=Shard(1, 40))))
    assert "of shard 1/40" in report.headline
    assert report.complete
    assert not report.unexercised
    assert merged([replace(report, shard="1/1")]).unexercised


def test_known_failure_of_another_shard_is_not_stale_until_all_are_joined() -> None:
    entries = (KnownFailure(rule="refs-order", case="image/*", reason="", place="known:1"),)
    with Functions(careful, name="client") as driver:
        parts = [
            replace(check(driver, replace(PLAN, generated=0, known=entries, shard=Shard(n, 2))), complete=True)
            for n in (1, 2)
        ]
    assert not any(part.stale for part in parts)
    assert merged(parts).stale == list(entries)


def test_interrupted_shard_makes_the_whole_unusable(shards: list[Report]) -> None:
    whole = merged([*shards[:2], replace(shards[2], aborted="interrupted by SIGINT")])
    assert whole.aborted == "shard 3/3: interrupted by SIGINT"
    assert whole.exit_status == 2


def test_missing_doubled_or_other_shards_are_refused(shards: list[Report]) -> None:
    for reports, message in (
        (shards[:2], r"the shards 1/3, 2/3; expected one report of each shard"),
        ([*shards, shards[0]], r"the shards 1/3, 2/3, 3/3, 1/3; "),
        ([*shards[:2], replace(shards[2], shard="3/4")], r"the shards 1/3, 2/3, 3/4; "),
        ([*shards[:2], replace(shards[2], shard="")], r"is of no shard; "),
        ([*shards[:2], replace(shards[2], seed=7)], r"seed 0 in shard 1/3, 7 in shard 3/3; "),
        ([*shards[:2], replace(shards[2], strict=True)], r"strict False in shard 1/3, True in shard 3/3"),
    ):
        with pytest.raises(ReportError, match=message):
            merged(reports)
