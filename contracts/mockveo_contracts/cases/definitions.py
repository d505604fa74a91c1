"""A script: what a case is made of, as plain data - the call that a client is asked to make, and the scenario it meets.

The catalogue is a file of scripts, generated ones are made of the same schema, and a failure that was found is written
as a file of one, to be committed, run again, and served by hand.
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
from mockveo.errors import MockveoError, did_you_mean
from mockveo.schemas import DataSchema
from mockveo.simulator import scenarios
from mockveo.simulator.scenarios import Scenario
from mockveo.spec.spec import Spec
from mockveo_contracts.cases.images import USUAL_SIZE

_HERE: Final = Path(__file__).parent
SCHEMA: Final = _HERE / "case.schema.json"
CATALOGUE: Final = _HERE / "catalogue.yaml"
#: Seconds of a scenario in one of the client's.
SPEED: Final = 100.0
#: What is asked for where a script does not say.
PROMPT: Final = "A paper kite floats above a field."
DEADLINE: Final = 6.0
POLL_INTERVAL: Final = 0.05
#: The deadline of generated cases that would never end; arbitrary, as every such case takes that long.
BRIEF_DEADLINE_S: Final = 1.5
#: What the names of generated ones begin with.
GENERATED: Final = "generated/"
#: Phases of a scenario that names none, in its seconds: long enough for some polls of each.
BRIEF: Final = ({"duration": 8, "progress": 0}, {"duration": 12, "progress": {"from": 0, "to": 99}})


class CaseError(MockveoError):
    """A case does not exist, or its data is none."""


@dataclass(frozen=True, slots=True)
class TestCase:
    """A case to be played. Equal to another one that was made of the same data."""

    #: Not a class of tests, for pytest.
    __test__: ClassVar = False

    name: str
    says: str = field(compare=False)
    prompt: str = field(compare=False)
    model: str | None = field(compare=False)
    size: str | None = field(compare=False)
    #: Names and lengths of the images.
    images: tuple[tuple[str, int], ...] = field(compare=False)
    deadline: float = field(compare=False)
    poll_interval: float = field(compare=False)
    scenario: Scenario = field(compare=False)
    #: Features without which it says nothing.
    needs: frozenset[str] = field(compare=False)
    seed: int = field(compare=False)
    #: What it was made of; whole, so that it says the same whatever is usual later.
    data: Mapping[str, Any] = field(repr=False)
    #: Where it was read from, if that was a file.
    file: str = field(default="", compare=False)

    __hash__ = object.__hash__

    @property
    def world(self) -> str:
        """The name of the world that it is played in; ids follow from it."""
        return self.name.replace("/", ".")

    @property
    def key(self) -> str:
        """The API key of its client, which is no other's."""
        return f"sk-{sha256(f'{self.name} {self.seed}'.encode()).hexdigest()[:40]}"

    def missing(self, features: Mapping[str, Any]) -> list[str]:
        """The features that a client lacks for it."""
        lacks = [name for name in sorted(self.needs) if not features[name]]
        lacks += [name for name in ("model", "size") if getattr(self, name) is not None and not features[name]]
        images = len(self.images)
        return lacks + ([f"images={images}"] if images > features["images"] else [])

    def fitted(self, spec: Spec) -> TestCase:
        """The same for a document that wants a model, which a case may leave out: with the first that it has."""
        if self.model is not None or not spec.form.requires("model") or not spec.aliases:
            return self
        call = {**self.data["call"], "model": next(iter(spec.aliases))}
        return replace(script({**self.data, "call": call}), file=self.file)

    def refused_by(self, spec: Spec) -> str:
        """Why a document would refuse what the client is asked to send; empty where it would not."""
        values: dict[str, Any] = {"prompt": self.prompt, "model": self.model, "size": self.size}
        values = {name: value for name, value in values.items() if value is not None}
        if self.images:
            values["input_reference"] = ["x"] * len(self.images)
        problems = [problem.message for problem in spec.form.problems(values) if not problem.missing]
        if self.model is not None and self.model not in (spec.aliases or (self.model,)):
            problems.append(f"model: {self.model!r} is not one of {', '.join(spec.aliases or ())}")
        return problems[0] if problems else ""


def script(data: Any, name: str = "unnamed") -> TestCase:
    """The script that plain data describes. `name` is for data that has none.

    Raises CaseError or ScenarioError, which say what is wrong and what was wanted.
    """
    if not isinstance(data, dict):
        raise CaseError(f"case {name} is {data!r}; wanted a mapping, e.g. {{scenario: fails}}")
    mistakes = _vocabulary().mistakes(data)
    if mistakes:
        raise CaseError("\n  ".join([f"case {name}: {mistakes[0]}", *mistakes[1:]]))
    name, call = data.get("name", name), data.get("call", {})
    prompt = call.get("prompt", PROMPT)
    given = data.get("scenario", {})
    if isinstance(given, str):
        scenario = scenarios.named(given)
    else:
        scenario = scenarios.scenario({"phases": list(BRIEF), **given}, name.rpartition("/")[2])
    return TestCase(
        name=name,
        says=data.get("says", ""),
        prompt=prompt if isinstance(prompt, str) else prompt["text"] * prompt["times"],
        model=call.get("model"),
        size=call.get("size"),
        images=tuple((one["filename"], one.get("bytes", USUAL_SIZE)) for one in call.get("images", ())),
        deadline=float(call.get("deadline_s", DEADLINE)),
        poll_interval=float(call.get("poll_interval_s", POLL_INTERVAL)),
        scenario=scenario,
        needs=frozenset(data.get("needs", ())),
        seed=data.get("seed", 0),
        data={**data, "name": name, "call": call, "scenario": given if isinstance(given, str) else scenario.data},
    )


def read(path: Path) -> TestCase:
    """The script of a YAML or JSON file. Raises CaseError or ScenarioError."""
    data = yamlfiles.parse(yamlfiles.read(path, CaseError), path.name, CaseError)
    return replace(script(data, path.stem.lower()), file=str(path))


def write(one: TestCase, directory: Path, root: Path = Path()) -> TestCase:
    """Writes a script to a file of its own, whose name is the script's; the script, which knows its file.

    `root` is where a relative directory begins. Raises CaseError where the file cannot be written.
    """
    path = directory / f"{one.world}.yaml"
    try:
        (root / directory).mkdir(parents=True, exist_ok=True)
        (root / path).write_text(as_yaml(one), encoding="utf-8")
    except OSError as error:
        raise CaseError(f"{path}: the case cannot be written: {error.strerror}") from None
    return replace(one, file=str(path))


def as_yaml(one: TestCase) -> str:
    """A script as a file has it."""
    return yamlfiles.dump(dict(one.data))


@cache
def catalogue() -> Mapping[str, TestCase]:
    """The cases that are always played, by name, in their order."""
    data = yamlfiles.parse(CATALOGUE.read_bytes(), CATALOGUE.name, CaseError)
    return {name: script({"name": name, **one}) for name, one in data.items()}


def corpus(directory: Path, root: Path = Path()) -> Iterator[TestCase]:
    """The scripts in the files of a directory, by name. Raises CaseError where two have one name.

    `root` is where a relative directory begins.
    """
    found: dict[str, Path] = {}
    whole = root / directory
    for path in sorted([*whole.glob("*.yaml"), *whole.glob("*.yml"), *whole.glob("*.json")]):
        one = replace(read(path), file=str(directory / path.name))
        if one.name in found or one.name in catalogue():
            other = found[one.name].name if one.name in found else "the catalogue"
            raise CaseError(f"{path.name}: its name {one.name!r} is that of {other} too; wanted another")
        found[one.name] = path
        yield one


def find(what: str) -> TestCase:
    """The case of the catalogue of that name, or the one in the file of that path. Raises CaseError."""
    return read(Path(what)) if _is_file(what) else matching((what,), catalogue())[0]


def matching(what: tuple[str, ...], among: Mapping[str, TestCase]) -> list[TestCase]:
    """The scripts that names, patterns of them such as "create/*", or paths of files tell. Raises CaseError."""
    found: dict[str, TestCase] = {}
    for one in what:
        if _is_file(one):
            script = read(Path(one))
            found[script.name] = script
            continue
        named = {name: script for name, script in among.items() if fnmatchcase(name, one)}
        if not named:
            raise CaseError(f"no case is named {one!r}; {did_you_mean(one, among)}`mockveo cases` lists all")
        found |= named
    return list(found.values())


def canonical(data: Mapping[str, Any]) -> str:
    """Data as text that is the same for the same data."""
    return json.dumps(data, sort_keys=True)


def fit_deadline(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a case whose client gives up soon if the case would never end, and as usual if it ends."""
    call, scenario = data.get("call", {}), data.get("scenario", {})
    call = {name: value for name, value in call.items() if name != "deadline_s"}
    times = [fault["nth"] for fault in scenario.get("faults", ())]
    endless = any(isinstance(nth, list) and nth[1] is None for nth in times)
    if endless or scenario.get("ending") == "never":
        call["deadline_s"] = BRIEF_DEADLINE_S
    fitted = {"call": call, "scenario": scenario}
    return {name: value for name, value in fitted.items() if value}


def _is_file(what: str) -> bool:
    return what.endswith((".yaml", ".yml", ".json"))


@cache
def _vocabulary() -> DataSchema:
    return DataSchema(SCHEMA, "the case")
