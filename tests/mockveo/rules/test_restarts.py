"""Rules about a call that outlives its client, held against their examples."""

from __future__ import annotations

import pytest
from restart_examples import EXAMPLES
from traces import Recorder, RuleExample, check


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_restart_rule_judges_example_as_expected(recorder: Recorder, example: RuleExample) -> None:
    check(example, recorder)
