"""Reports of clients with known bad habits."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from sample_reports import KNOWN, broken_adapter, careful, careless, plain, report_of


@pytest.fixture(scope="session")
def bad() -> dict[str, Any]:
    report = report_of(careless, known=KNOWN)
    report.skip("job/never-ends", "", "the client does not declare deadline")
    report.generated = 200
    return plain(report)


@pytest.fixture(scope="session")
def good() -> dict[str, Any]:
    return plain(report_of(careful, ["call/plain", "image/two", "poll/429-retry-after", "job/fails"]))


@pytest.fixture(scope="session")
def adapter() -> dict[str, Any]:
    return plain(report_of(broken_adapter, ["call/plain"]))


@pytest.fixture(scope="session")
def small(bad: dict[str, Any]) -> dict[str, Any]:
    """A report with one finding of each verdict, and one case."""
    data = copy.deepcopy(bad)
    data["findings"] = list(
        {finding["verdict"]: finding for finding in data["findings"] if not finding["known"]}.values()
    )
    data["cases"] = data["cases"][:1]
    return data
