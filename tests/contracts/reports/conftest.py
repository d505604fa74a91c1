"""Reports of clients with known bad habits."""

from __future__ import annotations

import pytest
from mockveo_contracts.reports.model import Report
from sample_reports import KNOWN, broken_adapter, careful, careless, report_of, reread, with_findings


@pytest.fixture(scope="session")
def bad() -> Report:
    report = report_of(careless, known_failures=KNOWN)
    report.skip("job/never-ends", "", "the client does not declare deadline")
    report.generated = 200
    return reread(report)


@pytest.fixture(scope="session")
def good() -> Report:
    return reread(report_of(careful, ["call/plain", "image/two", "poll/429-retry-after", "job/fails"]))


@pytest.fixture(scope="session")
def adapter() -> Report:
    return reread(report_of(broken_adapter, ["call/plain"]))


@pytest.fixture(scope="session")
def small(bad: Report) -> Report:
    """A report with one finding of each verdict."""
    return with_findings(bad, *{finding.verdict: finding for finding in bad.counted_findings}.values())
