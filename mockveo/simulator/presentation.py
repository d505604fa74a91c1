"""How responses about jobs look when a scenario departs from the document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mockveo.simulator.jobs import Job, View
from mockveo.simulator.scenarios import Scenario, Style
from mockveo.spec.templates import fill


def styles_of(scenario: Scenario, now: View, operation: str) -> list[Style]:
    """Return the styles of a response to an operation: the scenario's, then those of the job's phase."""
    return [style for style in (*scenario.styles, *now.styles) if style.applies(operation)]


def apply_style(
    body: dict[str, Any],
    values: Mapping[str, Any],
    job: Job,
    now: View,
    scenario: Scenario,
    *,
    operation: str,
    date: int,
) -> dict[str, Any]:
    """Return the body of a response about a job as a scenario wants it.

    `values` are all that could be said of the job, `operation` is create or retrieve, `date` is the present in Unix
    seconds.
    """
    created, styles = operation == "create", styles_of(scenario, now, operation)
    body = dict(body)
    _place_end(body, values, now, scenario, created=created, date=date)
    values = {**values, "status": _shown_status(now.status, styles)}
    if "status" in body:
        body["status"] = values["status"]
    for style in styles:
        body = _restyled(body, values, job, style, created=created)
    # Source: the gateway family, whose `fail_reason` holds the URL of a job that succeeded.
    reason = values.get("video_url", "") if now.error is None else now.error["message"]
    for level in range(max([style.envelope for style in styles], default=0)):
        body = {"code": "success", "message": "", "data": {**body, "fail_reason": reason} if level == 0 else body}
    return body


def _restyled(
    body: dict[str, Any], values: Mapping[str, Any], job: Job, style: Style, *, created: bool
) -> dict[str, Any]:
    if style.model is not None and "model" in body:
        echoed = style.model == "echoed" or (style.model == "flip" and created)
        body["model"] = job.alias if echoed else job.model
    if style.progress == "text" and "progress" in body:
        body["progress"] = f"{body['progress']}%"
    # A job that was made before the scenario may have other ids.
    if style.id == "number" and job.id.isdecimal():
        body |= {name: int(job.id) for name in ("id", "task_id") if name in body}
    body = {style.names.get(key, key): value for key, value in body.items() if key not in style.omit}
    body = {**body, **{name: None for name in style.nulls if name not in body}, **fill(style.extra, values)}
    if style.order is not None:
        keys = sorted(body) if style.order == "sorted" else list(body)[::-1]
        body = {key: body[key] for key in keys}
    return body


def _place_end(
    body: dict[str, Any], values: Mapping[str, Any], now: View, scenario: Scenario, *, created: bool, date: int
) -> None:
    """Set or remove `completed_at` and `video_url`."""
    if scenario.completed_at == "never" or (scenario.completed_at and now.ended_at is None):
        body.pop("completed_at", None)
    elif scenario.completed_at and "completed_at" in values:
        body["completed_at"] = values["completed_at"]
    if scenario.video_url is False or (created and now.ended_at is None):
        body.pop("video_url", None)
    elif scenario.video_url and "video_url" in values:
        body["video_url"] = values["video_url"]
    if scenario.completed_at == "early" and now.ended_at is None and not created:
        # Observed: a response `in_progress` whose `completed_at` is a minute after its `created_at`.
        body["completed_at"] = date


def polled_status(now: View, scenario: Scenario) -> str:
    """Return the status that a poll shows."""
    return _shown_status(now.status, styles_of(scenario, now, "retrieve"))


def _shown_status(status: str, styles: Iterable[Style]) -> str:
    for style in styles:
        if status in style.statuses:
            return style.statuses[status]
    return status
