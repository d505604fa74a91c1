"""How responses about jobs look when a scenario departs from the document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mockveo.simulator.jobs import Job, View
from mockveo.simulator.scenarios import Scenario, Style

_PLAIN: Final = Style()


def apply_style(
    body: dict[str, Any],
    values: Mapping[str, Any],
    job: Job,
    now: View,
    scenario: Scenario,
    *,
    created: bool,
    date: int,
) -> dict[str, Any]:
    """Return the body of a response about a job as a scenario wants it.

    `values` are all that could be said of the job, `created` is true for the response to a create, `date` is the
    present in Unix seconds.
    """
    style = scenario.style or _PLAIN
    body = dict(body)
    _place_end(body, values, now, scenario, created=created, date=date)
    if style.model is not None and "model" in body:
        echoed = style.model == "echoed" or (style.model == "flip" and created)
        body["model"] = job.alias if echoed else job.model
    if "status" in body:
        body["status"] = shown_status(now.status, scenario)
    if style.progress == "text" and "progress" in body:
        body["progress"] = f"{body['progress']}%"
    body = {**{key: value for key, value in body.items() if key not in style.omit}, **style.extra}
    if style.order is not None:
        keys = sorted(body) if style.order == "sorted" else list(body)[::-1]
        body = {key: body[key] for key in keys}
    if not style.envelope:
        return body
    # Source: the gateway family, whose `fail_reason` holds the URL of a job that succeeded.
    reason = values.get("video_url", "") if now.error is None else now.error["message"]
    return {"code": "success", "message": "", "data": {**body, "fail_reason": reason}}


def _place_end(
    body: dict[str, Any], values: Mapping[str, Any], now: View, scenario: Scenario, *, created: bool, date: int
) -> None:
    """Set or remove `completed_at` and `video_url`."""
    if scenario.completed_at == "never" or (scenario.completed_at and now.ended_at is None):
        body.pop("completed_at", None)
    elif scenario.completed_at and "completed_at" in values:
        body["completed_at"] = values["completed_at"]
    if scenario.video_url is False:
        body.pop("video_url", None)
    elif scenario.video_url and "video_url" in values:
        body["video_url"] = values["video_url"]
    if scenario.completed_at == "early" and now.ended_at is None and not created:
        # Observed: a response `in_progress` whose `completed_at` is a minute after its `created_at`.
        body["completed_at"] = date


def shown_status(status: str, scenario: Scenario) -> str:
    """Return the word that a scenario shows for a status of the document."""
    return scenario.style.statuses.get(status, status) if scenario.style else status
