"""What was seen, as a contract case and as a scenario: data that `mockveo replay` and `check --corpus` play.

A case is the call that a client made, and a scenario that unfolds as its job did: the durations that the job had, its
end, and the faults and styles of the scenario that governed it. Faults are counted anew, as in any world that begins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from mockveo import yamlfiles
from mockveo.simulator.jobs import Job, Stage, lasting
from mockveo.simulator.scenarios import Scenario
from mockveo.traffic.exchange import ExchangeJson

#: Seconds of a scenario that pass in one second of a client, and the client's usual deadline. Source: case.schema.json.
ACCELERATION: Final = 100.0
USUAL_DEADLINE_S: Final = 6.0
MAX_DEADLINE_S: Final = 600.0
#: The progress of a job that succeeds. Source: the API's pages.
COMPLETE: Final = 100
#: Characters of an id in a name. Arbitrary: enough to find the job again.
ID_CHARACTERS: Final = 12
#: What a case may call an image. Source: case.schema.json.
_IMAGE_NAME: Final = re.compile(r"[^/\\\x00]+\.(png|jpg|jpeg)")


class SavedCase(NamedTuple):
    """A case and a scenario, as data and as the text of files. `file` is the name of the case's file."""

    name: str
    file: str
    case: Mapping[str, Any]
    scenario: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return it as the control API documents it."""
        texts = {"case": yamlfiles.dump(self.case), "scenario": yamlfiles.dump(self.scenario)}
        return {"name": self.name, "file": self.file, **texts}


def case_of_job(job: Job, scenario: Scenario, created: ExchangeJson | None, lifecycle: Sequence[str]) -> SavedCase:
    """Return the case of a job; `scenario` governed its exchanges, `created` is its create if that is known."""
    ending = {True: "success", False: "failure"}[job.plan.error is None and job.plan.final == lifecycle[-1]]
    unfolded: dict[str, Any] = {"phases": _phases(job, scenario, lifecycle), "ending": ending}
    if not job.plan.ends:
        unfolded["ending"] = "never"
    elif ending == "failure" and job.plan.error is not None:
        unfolded["error"] = dict(job.plan.error)
    call = _call(created, job.prompt) if created else _remembered_call(job)
    seconds = sum(phase["duration"] for phase in unfolded["phases"]) / ACCELERATION
    if 2 * seconds > USUAL_DEADLINE_S:
        call["deadline_s"] = round(min(2 * seconds, MAX_DEADLINE_S), 1)
    return _saved(job.id, call, scenario, unfolded, f"A job that ended as {job.plan.final!r}" if job.plan.ends else "")


def case_of_create(created: ExchangeJson, scenario: Scenario) -> SavedCase:
    """Return the case of a create that made no job."""
    says = f"A create that was answered with {created['response']['status']}" if created["response"] else ""
    return _saved(f"create-{created['number']}", _call(created, ""), scenario, {}, says or "A create without an answer")


def _saved(
    subject: str, call: Mapping[str, Any], scenario: Scenario, unfolded: Mapping[str, Any], says: str
) -> SavedCase:
    slug = re.sub(r"[^a-z0-9]+", "-", subject.lower()).strip("-")[: ID_CHARACTERS + len("task-")].strip("-")
    name = f"seen/{slug or 'job'}"
    kept = {
        key: value
        for key, value in scenario.data.items()
        if key not in ("name", "summary", "source", "error", *unfolded)
    }
    data = {**unfolded, **kept}
    if "error" in scenario.data and "ending" not in unfolded:
        data["error"] = scenario.data["error"]
    summary = f"{says or 'A job that never ends'}, under the scenario {scenario.name}."
    case = {"name": name, "says": summary, "call": call, "scenario": data}
    return SavedCase(name, f"{name.replace('/', '.')}.yaml", case, {"summary": summary, **data})


def _phases(job: Job, scenario: Scenario, lifecycle: Sequence[str]) -> list[dict[str, Any]]:
    stages = lasting(job)
    plain = [stage.status for stage, _ in stages] == list(lifecycle[: len(stages)])
    given = scenario.data.get("phases", ())
    phases = []
    for place, (stage, seconds) in enumerate(stages):
        is_last = place == len(stages) - 1 and job.plan.progress < COMPLETE
        shown = _progress(stage, job.plan.progress if is_last else None)
        phase: dict[str, Any] = {"duration": round(seconds, 3), "progress": shown}
        if not plain:
            phase["status"] = stage.status
        if len(given) == len(stages) and "style" in given[place]:
            phase["style"] = given[place]["style"]
        phases.append(phase)
    return phases


def _progress(stage: Stage, last: int | None) -> Any:
    """Return the progress of a phase, which ends at `last` if that is where the job stopped."""
    if stage.steps:
        steps = list(stage.steps)
        return steps[: steps.index(last) + 1] if last in steps else steps
    end = max(stage.end - 1, 0) if last is None else last
    return {"from": min(stage.start, end), "to": end}


def _call(created: ExchangeJson, otherwise: str) -> dict[str, Any]:
    """Return the call that a create came from; `otherwise` is its prompt if the form has none."""
    fields = {field["name"]: field["value"] for field in created["request"].get("fields", ())}
    prompt = fields.get("prompt") or otherwise
    call: dict[str, Any] = {"prompt": str(prompt)} if prompt else {}
    call |= {name: str(fields[name]) for name in ("model", "size") if fields.get(name)}
    files = created["request"].get("files", ())[:2]
    if files:
        call["images"] = [_image(place, file) for place, file in enumerate(files, 1)]
    return call


def _image(place: int, file: Mapping[str, Any]) -> dict[str, Any]:
    name = str(file.get("filename") or "")
    usable = name if _IMAGE_NAME.fullmatch(name) else f"image-{place}.png"
    return {"filename": usable, "bytes": max(int(file.get("bytes") or 1), 1)}


def _remembered_call(job: Job) -> dict[str, Any]:
    call: dict[str, Any] = {"prompt": job.prompt} if job.prompt else {}
    call |= {name: str(value) for name, value in (("model", job.alias), ("size", job.echo.get("size"))) if value}
    if job.image_count:
        call["images"] = [{"filename": f"image-{place}.png"} for place in range(1, min(job.image_count, 2) + 1)]
    return call
