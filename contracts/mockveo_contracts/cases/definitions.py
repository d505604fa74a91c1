"""Cases as plain data: the call that a client is asked to make, and the scenario that it meets.

The catalogue is a file of cases, generated ones follow the same schema, and a failure that was found is written as a
file of one case, to be committed, run again, and served by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Final

from mockveo import yamlfiles
from mockveo._paths import write_whole
from mockveo.errors import MockveoError, did_you_mean
from mockveo.rules.requirements import FIRST
from mockveo.schemas import DataSchema
from mockveo.simulator import scenarios
from mockveo.simulator.fault import Fault
from mockveo.simulator.scenarios import Scenario
from mockveo.spec.spec import Spec
from mockveo_contracts.cases.images import DEFAULT_BYTES

_HERE: Final = Path(__file__).parent
SCHEMA: Final = _HERE / "case.schema.json"
CATALOGUE: Final = _HERE / "catalogue.yaml"
#: Defaults of a call. Source: case.schema.json and docs/client-protocol.md.
DEFAULT_PROMPT: Final = "A paper kite floats above a field."
DEFAULT_DEADLINE_S: Final = 6.0
DEFAULT_POLL_INTERVAL_S: Final = 0.05
#: The deadline of generated cases that would never end; arbitrary, as every such case takes that long.
BRIEF_DEADLINE_S: Final = 1.5
#: Kills in a case at most. Arbitrary: a client that survives three survives a fourth.
MAX_KILLS: Final = 4
#: The prefix of the names of generated cases.
GENERATED: Final = "generated/"
#: Phases of a scenario without any, in its seconds: long enough for a poll of each, and no longer, as every case of a
#: program takes that long.
BRIEF: Final = ({"duration": 6, "progress": 0}, {"duration": 8, "progress": {"from": 0, "to": 99}})


class CaseError(MockveoError):
    """The case does not exist or is invalid."""


@dataclass(frozen=True, slots=True)
class RestartPlan:
    """What happens to the client of a case, which gets the same call more than once."""

    #: The most kills; 0 if none is in the scenario.
    kills: int
    #: The outcome after which the call comes again; empty for none.
    again_after: str
    #: How long it stays down after a kill, in its seconds.
    down_s: float
    #: Whether its state is overwritten, and whether the images are deleted, while it is down.
    damaged: bool
    images_gone: bool
    #: Whether another call with the same input comes between a kill and the restart.
    meanwhile: bool


@dataclass(frozen=True, slots=True)
class TestCase:
    """A case to play. Equal to another that was made of the same data."""

    #: Not a class of tests, for pytest.
    __test__: ClassVar = False

    name: str
    description: str = field(compare=False)
    prompt: str = field(compare=False)
    model: str | None = field(compare=False)
    size: str | None = field(compare=False)
    #: Names of the images, their lengths in bytes, and whether the bytes are those of the image before.
    images: tuple[tuple[str, int, bool], ...] = field(compare=False)
    deadline: float = field(compare=False)
    poll_interval: float = field(compare=False)
    scenario: Scenario = field(compare=False)
    #: Features that a client must have for the case to say anything about it.
    needs: frozenset[str] = field(compare=False)
    seed: int = field(compare=False)
    #: What it was made of, with defaults, so that it means the same if a default changes.
    data: Mapping[str, Any] = field(repr=False)
    #: The file that it was read from, if any.
    file: str = field(default="", compare=False)
    #: None for a call that comes once.
    restarts: RestartPlan | None = field(default=None, compare=False)
    #: Seconds that a client gets after its deadline, if fewer than usual.
    patience: float | None = field(default=None, compare=False)
    #: The month of the first requirements that ask for it.
    since: str = field(default=FIRST, compare=False)

    __hash__ = object.__hash__

    @property
    def world(self) -> str:
        """The name of the world that it is played in; ids depend on it."""
        return self.name.replace("/", ".")

    @property
    def key(self) -> str:
        """The API key of its client, which no other case has."""
        return f"sk-{sha256(f'{self.name} {self.seed}'.encode()).hexdigest()[:40]}"

    @property
    def usually_ends(self) -> bool:
        """Whether a correct client has its result long before the deadline, which is the usual one."""
        return "deadline_s" not in self.data["call"]

    def missing(self, features: Mapping[str, Any]) -> list[str]:
        """Return the features that a client lacks for it."""
        missing = [name for name in sorted(self.needs) if not features[name]]
        missing += [name for name in ("model", "size") if getattr(self, name) is not None and not features[name]]
        images = len(self.images)
        return missing + ([f"images={images}"] if images > features["images"] else [])

    def fitted(self, spec: Spec) -> TestCase:
        """Return the case for an API that requires a model: if it has none, with the first one of the API."""
        if self.model is not None or not spec.form.requires("model") or not spec.aliases:
            return self
        call = {**self.data["call"], "model": next(iter(spec.aliases))}
        return replace(parse_case({**self.data, "call": call}), file=self.file)

    def refused_by(self, spec: Spec) -> str:
        """Return why an API would refuse the call; empty if it would not."""
        values: dict[str, Any] = {"prompt": self.prompt, "model": self.model, "size": self.size}
        values = {name: value for name, value in values.items() if value is not None}
        if self.images:
            values["input_reference"] = ["x"] * len(self.images)
        problems = [problem.message for problem in spec.form.problems(values) if not problem.missing]
        if self.model is not None and self.model not in (spec.aliases or (self.model,)):
            problems.append(f"model: {self.model!r} is not one of {', '.join(spec.aliases or ())}")
        return problems[0] if problems else ""


def parse_case(data: Any, name: str = "unnamed") -> TestCase:
    """Return the case in plain data; `name` is for data without one.

    Raises CaseError or ScenarioError, with what is wrong and what was expected.
    """
    if not isinstance(data, dict):
        raise CaseError(f"case {name} is {data!r}; expected a mapping, e.g. {{scenario: fails}}")
    mistakes = _schema().mistakes(data)
    if mistakes:
        raise CaseError("\n  ".join([f"case {name}: {mistakes[0]}", *mistakes[1:]]))
    name, call = data.get("name", name), data.get("call", {})
    prompt = call.get("prompt", DEFAULT_PROMPT)
    scenario_data = data.get("scenario", {})
    if isinstance(scenario_data, str):
        scenario = scenarios.named(scenario_data)
    else:
        scenario = scenarios.scenario({"phases": list(BRIEF), **scenario_data}, name.rpartition("/")[2])
        scenario_data = scenario.data
    restarts = _restart_plan(data, scenario)
    return TestCase(
        name=name,
        description=data.get("says", ""),
        prompt=prompt if isinstance(prompt, str) else prompt["text"] * prompt["times"],
        model=call.get("model"),
        size=call.get("size"),
        images=tuple(
            (image["filename"], image.get("bytes", DEFAULT_BYTES), "same" in image) for image in call.get("images", ())
        ),
        deadline=float(call.get("deadline_s", DEFAULT_DEADLINE_S)),
        poll_interval=float(call.get("poll_interval_s", DEFAULT_POLL_INTERVAL_S)),
        scenario=scenario,
        needs=frozenset([*data.get("needs", ()), *(["resume"] if restarts else [])]),
        restarts=restarts,
        seed=data.get("seed", 0),
        since=data.get("since", FIRST),
        data={**data, "name": name, "call": call, "scenario": scenario_data},
    )


def _restart_plan(data: Mapping[str, Any], scenario: Scenario) -> RestartPlan | None:
    """Return what happens to the client; None if the call comes once."""
    kills = sum(_times(fault) for fault in scenario.faults if fault.kill)
    if not kills and "again_after" not in data:
        return None
    return RestartPlan(
        kills=min(kills, MAX_KILLS),
        again_after=data.get("again_after", ""),
        down_s=float(data.get("down_s", 0.0)),
        damaged=data.get("state") == "damaged",
        images_gone=data.get("images") == "gone",
        meanwhile="meanwhile" in data,
    )


def _times(fault: Fault) -> int:
    """Return how often a fault applies to the same job at most, as far as its numbers say."""
    limits = [when for when in (fault.nth, fault.attempt) if when is not None]
    sizes = [MAX_KILLS if when.last is None else when.last - when.first + 1 for when in limits]
    return min(sizes, default=1)


def read(path: Path) -> TestCase:
    """Return the case in a YAML or JSON file. Raises CaseError or ScenarioError."""
    data = yamlfiles.parse(yamlfiles.read(path, CaseError), path.name, CaseError)
    return replace(parse_case(data, path.stem.lower()), file=str(path))


def write(test_case: TestCase, directory: Path, root: Path = Path()) -> TestCase:
    """Write a case to a file that is named as the case is; return the case with that file.

    A relative directory begins at `root`. Raises CaseError if the file cannot be written.
    """
    path = directory / f"{test_case.world}.yaml"
    try:
        (root / directory).mkdir(parents=True, exist_ok=True)
        write_whole(root / path, as_yaml(test_case).encode())
    except OSError as error:
        raise CaseError(f"{path}: the case cannot be written: {error.strerror}") from None
    return replace(test_case, file=str(path))


def as_yaml(test_case: TestCase) -> str:
    """Return a case as its file has it."""
    return yamlfiles.dump(dict(test_case.data))


@cache
def catalogue() -> Mapping[str, TestCase]:
    """Return the cases that every check plays, by name, in their order."""
    data = yamlfiles.parse(CATALOGUE.read_bytes(), CATALOGUE.name, CaseError)
    return {name: parse_case({"name": name, **case}) for name, case in data.items()}


def corpus(directory: Path, root: Path = Path()) -> Iterator[TestCase]:
    """Yield the cases in the files of a directory, by name. Raises CaseError if two have the same name.

    A relative directory begins at `root`.
    """
    paths: dict[str, Path] = {}
    folder = root / directory
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml"), *folder.glob("*.json")]):
        test_case = replace(read(path), file=str(directory / path.name))
        name = test_case.name
        if name in paths or name in catalogue():
            other = paths[name].name if name in paths else "the catalogue"
            raise CaseError(f"{path.name}: the name {name!r} is used in {other} too; expected another name")
        paths[name] = path
        yield test_case


def find(name: str) -> TestCase:
    """Return the case of the catalogue with a name, or the one in a file. Raises CaseError."""
    return read(Path(name)) if _is_file(name) else matching((name,), catalogue())[0]


def matching(patterns: tuple[str, ...], among: Mapping[str, TestCase]) -> list[TestCase]:
    """Return the cases that names, patterns such as "create/*", or paths of files select. Raises CaseError."""
    selected: dict[str, TestCase] = {}
    for pattern in patterns:
        if _is_file(pattern):
            test_case = read(Path(pattern))
            selected[test_case.name] = test_case
            continue
        matches = {name: test_case for name, test_case in among.items() if fnmatchcase(name, pattern)}
        if not matches:
            suggestion = did_you_mean(pattern, among)
            raise CaseError(f"no case is named {pattern!r}; {suggestion}`mockveo cases` lists all")
        selected |= matches
    return list(selected.values())


def canonical(data: Mapping[str, Any]) -> str:
    """Return data as text that is the same for the same data."""
    return json.dumps(data, sort_keys=True)


def fit_deadline(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a case whose client gives up soon if the case would never end, and as usual if it ends."""
    call, scenario = data.get("call", {}), data.get("scenario", {})
    call = {name: value for name, value in call.items() if name != "deadline_s"}
    times = [fault["nth"] for fault in scenario.get("faults", ())]
    endless = any(isinstance(nth, list) and nth[1] is None for nth in times)
    if endless or scenario.get("ending") == "never":
        call["deadline_s"] = BRIEF_DEADLINE_S
    fitted = {**data, "call": call, "scenario": scenario}
    return {name: value for name, value in fitted.items() if value}


def _is_file(name: str) -> bool:
    return name.endswith((".yaml", ".yml", ".json"))


@cache
def _schema() -> DataSchema:
    return DataSchema(SCHEMA, "the case")
