from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockveo.spec.job_body import JobBody
from mockveo.spec.job_statuses import FINAL, RUNNING, meaning

JOB = {"id": "task_1", "status": "queued", "progress": 0}
NAMES = ["id", "task_id", "video_id", "status", "progress", "data", "error", "fail_reason"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES), inner),
)


@pytest.mark.parametrize(
    ("body", "job_id", "status"),
    [
        (JOB, "task_1", "queued"),
        ({"task_id": "task_1", "status": "queued"}, "task_1", "queued"),
        ({"video_id": "v", "status": "queued"}, "v", "queued"),
        ({"id": 17, "status": "queued"}, "17", "queued"),
        ({"id": 17, "task_id": "task_1", "status": "queued"}, "task_1", "queued"),
        ({"id": "", "task_id": "task_1"}, "task_1", ""),
        ({"id": None, "status": "failed"}, "", "failed"),
        ({"id": True}, "", ""),
        ({"id": "task_1", "status": ""}, "task_1", ""),
        ({"id": "task_1", "status": None}, "task_1", ""),
        ({"id": "task_1", "status": 3, "request_id": "r"}, "task_1", ""),
        ({"code": "success", "message": "", "data": JOB}, "task_1", "queued"),
        ({"code": "success", "data": {"code": "success", "data": JOB}}, "task_1", "queued"),
        ({"status": "success", "data": JOB}, "task_1", "queued"),
        ({"status": "success", "data": {"status": "processing"}}, "", "processing"),
        ({"task_id": "task_1", "status": "SUCCESS", "data": {"id": "upstream", "status": "done"}}, "task_1", "SUCCESS"),
        ({**JOB, "data": None}, "task_1", "queued"),
        ({"status": "completed", "data": {"url": "u"}}, "", "completed"),
        ({"code": "task_not_exist", "message": "m", "data": None}, "", ""),
        ([JOB], "", ""),
        ("<html>", "", ""),
        (None, "", ""),
    ],
)
def test_parse_body_reads_id_and_status(body: Any, job_id: str, status: str) -> None:
    job = JobBody.parse(body)
    assert (job.id, job.status) == (job_id, status)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["queued", "in_progress", "SUBMITTED", "NOT_START", "processing", " In_Progress "], "running"),
        (["completed", "SUCCESS", "succeeded", "done", "finished", "Completed", " completed\n"], "success"),
        (["failed", "error", "fail", "FAILURE", "canceled", "CANCELLED", "expired", " failed "], "failure"),
        (["unknown", "x", "video_upscaling"], "unknown"),
        (["", "  "], ""),
    ],
)
def test_meaning_of_dialect_ignores_case_and_blanks(words: list[str], expected: str) -> None:
    assert [meaning(word) for word in words] == [expected] * len(words)


def test_documented_status_of_other_case_is_not_documented() -> None:
    assert all(JobBody.parse({"status": word}).documented for word in FINAL | RUNNING)
    assert not JobBody.parse({"id": "x", "status": "Completed"}).documented


@pytest.mark.parametrize(
    ("progress", "expected"),
    [(50, 50), ("50%", 50), ("100 %", 100), ("", None), ("half", None), (None, None), (True, None)],
)
def test_progress_as_text_is_read(progress: Any, expected: int | None) -> None:
    assert JobBody.parse({**JOB, "progress": progress}).progress == expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"status": "failed", "error": {"message": "m", "code": "c"}}, "m"),
        ({"status": "FAILED", "error": "m"}, "m"),
        ({"status": "FAILURE", "fail_reason": "m", "error": None}, "m"),
        ({"status": "failed"}, ""),
        ({"status": "SUCCESS", "fail_reason": "https://example.com/video.mp4"}, ""),
    ],
)
def test_reason_of_failure_is_read_in_each_shape(members: dict[str, Any], expected: str) -> None:
    assert JobBody.parse(members).reason == expected


@given(JSON)
def test_parse_any_json_gives_job(body: Any) -> None:
    job = JobBody.parse(body)
    assert isinstance(job.id, str)
    assert isinstance(job.status, str)
    assert isinstance(job.reason, str)
    assert job.progress is None or isinstance(job.progress, int)


def test_parse_deep_envelopes_ends() -> None:
    body: dict[str, Any] = JOB
    for _ in range(5000):
        body = {"data": body}
    assert JobBody.parse(body) == JobBody()
