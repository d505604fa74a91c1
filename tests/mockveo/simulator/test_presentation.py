from __future__ import annotations

from typing import Any

import pytest

from mockveo.simulator.jobs import Job, plan, view
from mockveo.simulator.presentation import apply_style
from mockveo.simulator.scenarios import scenario

LIFECYCLE = ("queued", "in_progress", "completed")
BODY = {"id": "task_1", "model": "veo_3_1-4K", "status": "queued", "progress": 0, "created_at": 1000}


def shown(data: dict[str, Any], at: float = 0.0, *, created: bool = False, task: str = "task_1") -> dict[str, Any]:
    """An answer about a job, `at` seconds after its create; `created` = the create's own."""
    wanted = scenario(data)
    made = plan(wanted, LIFECYCLE, "failed")
    job = Job(task, "sk", "veo3-fast", "veo_3_1-4K", "p", {}, (), 0, 0.0, 1000, 1.0, made, None)
    now = view(job, at)
    values: dict[str, Any] = {
        **BODY,
        "id": task,
        "base_url": "http://own/v1",
        "status": now.status,
        "progress": now.progress,
    }
    if now.error:
        values["error"] = now.error
    elif now.ended_at is not None:
        values |= {"completed_at": now.ended_at, "video_url": "http://other/v.mp4"}
    body = {name: value for name, value in values.items() if name in (*BODY, "error")}
    operation = "create" if created else "retrieve"
    return apply_style(body, values, job, now, wanted, operation=operation, date=1000 + int(at))


def test_fields_are_added_and_left_out() -> None:
    assert shown({"style": {"extra": {"trace": {"id": 1}}, "omit": ["created_at"]}}) == {
        "id": "task_1", "model": "veo_3_1-4K", "status": "queued", "progress": 0, "trace": {"id": 1},
    }  # fmt: skip


@pytest.mark.parametrize(("order", "keys"), [("sorted", sorted(BODY)), ("reversed", list(BODY)[::-1])])
def test_keys_come_in_another_order(order: str, keys: list[str]) -> None:
    assert list(shown({"style": {"order": order}})) == keys


@pytest.mark.parametrize(
    ("model", "at_create", "in_polls"),
    [
        ("resolved", "veo_3_1-4K", "veo_3_1-4K"),
        ("echoed", "veo3-fast", "veo3-fast"),
        ("flip", "veo3-fast", "veo_3_1-4K"),
    ],
)
def test_the_model_is_resolved_or_echoed(model: str, at_create: str, in_polls: str) -> None:
    style = {"style": {"model": model}}
    assert (shown(style, created=True)["model"], shown(style)["model"]) == (at_create, in_polls)


def test_statuses_of_a_style_replace_the_final_status_too() -> None:
    style = {"style": {"statuses": {"queued": "NOT_START", "completed": "SUCCESS"}}}
    assert [shown(style, at)["status"] for at in (0, 50, 1000)] == ["NOT_START", "in_progress", "SUCCESS"]


def test_progress_as_text_has_a_percent_sign() -> None:
    assert [shown({"style": {"progress": "text"}}, at)["progress"] for at in (0, 1000)] == ["0%", "100%"]


def test_outer_envelope_holds_the_url_or_the_reason() -> None:
    done = shown({"style": {"envelope": True}}, 1000)
    assert (done["code"], done["data"]["id"]) == ("success", "task_1")
    assert done["data"]["fail_reason"] == "http://other/v.mp4"
    failed = shown({"ending": "failure", "error": {"code": "c", "message": "m"}, "style": {"envelope": True}}, 1000)
    assert failed["data"]["fail_reason"] == "m"
    assert shown({"style": {"envelope": True}})["data"]["fail_reason"] == ""


@pytest.mark.parametrize(
    ("when", "at_create", "meanwhile", "at_end"),
    [("at-end", None, None, True), ("early", None, 1050, True), ("never", None, None, None)],
)
def test_completed_at_comes_when_it_is_wanted(when: str, at_create: Any, meanwhile: Any, at_end: Any) -> None:
    data = {"completed_at": when, "phases": [{"duration": 100}]}
    assert shown(data, created=True).get("completed_at") == at_create
    assert shown(data, 50).get("completed_at") == meanwhile
    assert shown(data, 200).get("completed_at") == (1100 if at_end else None)


@pytest.mark.parametrize(("wanted", "there"), [(True, True), ({"expires": 5}, True), (False, False)])
def test_a_video_url_is_there_when_it_is_wanted_and_the_job_completed(wanted: Any, *, there: bool) -> None:
    assert ("video_url" in shown({"video_url": wanted}, 1000)) == there
    assert "video_url" not in shown({"video_url": wanted}, 0)


def test_fields_have_other_names_and_are_null_until_they_apply() -> None:
    style = {"names": {"id": "task_id"}, "nulls": ["error", "status"]}
    body = shown({"style": style})
    assert (body["task_id"], body["error"], body["status"]) == ("task_1", None, "queued")
    assert "id" not in body
    failed = {"ending": "failure", "error": {"code": "c", "message": "m"}, "style": style}
    assert shown(failed, 1000)["error"] == {"code": "c", "message": "m"}


def test_an_id_of_digits_may_be_a_number() -> None:
    data = {"ids": "{digits}", "style": {"id": "number"}}
    assert shown(data, task="123456789012345")["id"] == 123456789012345


def test_a_style_of_one_operation_leaves_the_other_alone() -> None:
    data = {"style": [{"operation": "retrieve", "envelope": True}, {"omit": ["created_at"]}]}
    assert shown(data)["data"]["id"] == "task_1"
    assert "created_at" not in shown(data)["data"]
    assert (shown(data, created=True)["id"], "created_at" in shown(data, created=True)) == ("task_1", False)


def test_an_envelope_within_an_envelope_holds_the_job() -> None:
    assert shown({"style": {"envelope": "twice"}})["data"]["data"]["status"] == "queued"


def test_an_added_field_names_the_job() -> None:
    extra = {"links": ["{base_url}/videos/{id}", "{created_at}", "{nothing}"]}
    links = shown({"style": {"extra": extra, "statuses": {"queued": "SUBMITTED"}}})["links"]
    assert links == ["http://own/v1/videos/task_1", 1000, "{nothing}"]
    words = {"extra": {"word": "{status}"}, "statuses": {"queued": "SUBMITTED"}}
    assert shown({"style": words})["word"] == "SUBMITTED"


@pytest.mark.parametrize(
    ("style", "status"),
    [({"omit": ["status"]}, "left out"), ({"extra": {"status": None}}, None), ({"extra": {"status": ""}}, "")],
)
def test_a_phase_shows_no_status(style: dict[str, Any], status: str | None) -> None:
    data = {"phases": [{"duration": 10, "style": style}, {"duration": 10}]}
    assert [shown(data, at).get("status", "left out") for at in (5, 15)] == [status, "in_progress"]
