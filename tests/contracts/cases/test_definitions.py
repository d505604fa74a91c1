from __future__ import annotations

import struct
import zlib
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mockveo_contracts.cases.definitions import (
    SCHEMA,
    CaseError,
    as_yaml,
    catalogue,
    corpus,
    find,
    matching,
    parse_case,
    read,
    write,
)
from mockveo_contracts.cases.images import picture
from mockveo_contracts.clients.testbed import Testbed

from mockveo import yamlfiles
from mockveo.errors import MockveoError, ScenarioError
from mockveo.spec.spec import load

FEATURES = {"images": 2, "content": False, "deadline": True, "poll_interval": True, "model": True, "size": True}


def test_case_without_data_has_the_defaults() -> None:
    case = parse_case({}, "mine")
    assert (case.name, case.prompt, case.model, case.size, case.images) == (
        "mine",
        "A paper kite floats above a field.",
        None,
        None,
        (),
    )
    assert (case.deadline, case.poll_interval, case.seed) == (6.0, 0.05, 0)
    assert [phase.longest for phase in case.scenario.phases] == [6, 8]
    assert case.scenario.ending == "success"


def test_case_takes_every_key() -> None:
    case = parse_case(
        {
            "name": "group/mine",
            "says": "x",
            "call": {
                "prompt": {"text": "ab", "times": 3},
                "model": "veo3",
                "size": "16x9",
                "images": [{"filename": "a.png", "bytes": 9}, {"filename": "b.png", "same": True}],
                "deadline_s": 2,
                "poll_interval_s": 0.5,
            },
            "scenario": {"phases": [], "ending": "failure"},
            "needs": ["content"],
            "seed": 4,
        }
    )
    assert (case.prompt, case.images, case.deadline, case.poll_interval) == (
        "ababab",
        (("a.png", 9, False), ("b.png", 5000, True)),
        2,
        0.5,
    )
    assert (case.world, case.scenario.phases, case.needs, case.seed) == ("group.mine", (), {"content"}, 4)


def test_a_built_in_scenario_by_name() -> None:
    assert parse_case({"scenario": "fails"}).scenario.name == "fails"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], r"case unnamed is \[\]; expected a mapping"),
        ({"cal": {}}, r"cal is not a key; did you mean 'call'\? expected one of "),
        ({"call": {"deadline_s": 0}}, r"call.deadline_s is 0; expected a number: the client.* e.g. deadline_s: 2"),
        ({"call": {"images": [{}]}}, r"call.images\[0\] has no 'filename'; expected e.g."),
        ({"call": {"images": [{"filename": "a.gif"}]}}, r"filename is \"a.gif\"; expected a text: a file name"),
        ({"needs": ["contents"]}, r"did you mean 'content'\?"),
        ({"name": "Two Words"}, r'name is "Two Words"; expected a text: a name of lower-case letters'),
    ],
)  # fmt: skip
def test_mistake_is_explained(data: object, message: str) -> None:
    with pytest.raises(CaseError, match=message):
        parse_case(data)


def test_mistake_in_the_scenario_is_explained() -> None:
    with pytest.raises(ScenarioError, match="did you mean 'failure'"):
        parse_case({"scenario": {"ending": "failed"}})


def test_the_examples_of_the_schema_are_right() -> None:
    schema = orjson.loads(SCHEMA.read_bytes())
    for example in schema["examples"]:
        parse_case(example)
    for key, node in schema["properties"].items():
        for example in node["examples"]:
            parse_case({key: example})
    for key, node in schema["properties"]["call"]["properties"].items():
        for example in node["examples"]:
            parse_case({"call": {key: example}})


def test_catalogue_has_unique_described_cases() -> None:
    cases = catalogue()
    # Each costs a client time. The 25 about restarts cost only a client with `resume`, and need a process each.
    assert 60 <= sum(case.restarts is None for case in cases.values()) <= 140
    assert 20 <= sum(case.restarts is not None for case in cases.values()) <= 30
    assert all(case.description.endswith(".") for case in cases.values())
    assert len({case.world for case in cases.values()}) == len(cases)
    assert len({case.key for case in cases.values()}) == len(cases)


@pytest.mark.parametrize("profile", ["docs-2026-03", "docs-2026-10", "gateway"])
def test_every_case_can_be_played_under_every_profile(profile: str) -> None:
    with Testbed(profile=profile) as stage:
        for case in catalogue().values():
            stage.open(case).close()


def test_profile_refuses_calls_outside_its_document() -> None:
    usual, autumn = load(None), load(None, profile="docs-2026-10")
    assert [case.name for case in catalogue().values() if case.refused_by(usual)] == []
    assert "1280x720" in find("call/size").refused_by(autumn)
    assert "veo3.1-fast" in find("call/model").refused_by(autumn)
    assert "input_reference" in find("image/two-ordered").refused_by(autumn)
    assert find("image/one").refused_by(autumn) == ""


def test_every_operation_meets_every_kind_of_fault() -> None:
    faults = {
        (fault.operation, name)
        for case in catalogue().values()
        for fault in case.scenario.faults
        for name in fault.names
    }  # fmt: skip
    assert {name for operation, name in faults if operation == "create"} >= {
        *("error", "status", "retry_after", "html", "malformed", "empty", "redirect", "delay", "truncate", "reset"),
        "close",
    }
    assert {name for operation, name in faults if operation == "retrieve"} >= {
        *("error", "status", "retry_after", "html", "malformed", "empty", "redirect", "delay", "truncate", "reset"),
        *("close", "drip"),
    }
    assert {name for operation, name in faults if operation == "content"} >= {
        *("error", "status", "retry_after", "html", "redirect", "truncate", "reset", "bandwidth"),
    }


def test_missing_features_are_listed() -> None:
    case = parse_case({"call": {"images": [{"filename": "a.png"}] * 2, "model": "veo3"}, "needs": ["content"]})
    assert case.missing(FEATURES) == ["content"]
    assert case.missing({**FEATURES, "content": True}) == []
    assert case.missing({**FEATURES, "content": True, "images": 1, "model": False}) == ["model", "images=2"]


def test_names_and_patterns_and_files(tmp_path: Path) -> None:
    path = Path(write(parse_case({"scenario": "fails"}, "generated/mine"), tmp_path / "new").file)
    assert path.name == "generated.mine.yaml"
    named = matching(("image/one", "text/*", str(path)), catalogue())
    assert named[0].name == "image/one"
    assert named[-1].name == "generated/mine"
    assert find(str(path)) == named[-1]
    with pytest.raises(CaseError, match="no case is named 'image/tow'; did you mean 'image/"):
        matching(("image/tow",), catalogue())


def test_a_corpus_is_found_from_its_root(tmp_path: Path) -> None:
    written = write(parse_case({}, "generated/mine"), Path("a/corpus"), tmp_path)
    assert written.file == "a/corpus/generated.mine.yaml"
    (read_again,) = corpus(Path("a/corpus"), tmp_path)
    assert (read_again, read_again.file) == (written, written.file)
    (tmp_path / "file").write_text("")
    with pytest.raises(CaseError, match=r"file/x/y\.yaml: the case cannot be written: "):
        write(parse_case({}, "y"), Path("file/x"), tmp_path)


def test_case_is_the_same_when_it_is_read_again(tmp_path: Path) -> None:
    for case in catalogue().values():
        again = read(Path(write(case, tmp_path).file))
        assert again == case
        assert (again.world, again.key, again.prompt, again.scenario) == (
            case.world,
            case.key,
            case.prompt,
            case.scenario,
        )
        assert as_yaml(again) == as_yaml(case)


def test_two_files_of_a_corpus_cannot_have_one_name(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: x/y\n")
    (tmp_path / "b.json").write_text('{"name": "x/y"}')
    with pytest.raises(CaseError, match=r"b.json: the name 'x/y' is used in a.yaml too"):
        list(corpus(tmp_path))
    (tmp_path / "b.json").write_text('{"name": "image/one"}')
    with pytest.raises(CaseError, match=r"the name 'image/one' is used in the catalogue too"):
        list(corpus(tmp_path))


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MockveoError, match=r"nothing\.yaml"):
        find(str(tmp_path / "nothing.yaml"))


@given(st.integers(1, 200_000), st.sampled_from(["image/png", "image/jpeg"]))
def test_picture_has_exactly_the_requested_length(size: int, content_type: str) -> None:
    assert len(picture(content_type, size, "a")) == size


@pytest.mark.parametrize("size", [200, 4200, 5000, 65537, 65538, 131_000, 5_000_000])
@pytest.mark.parametrize("content_type", ["image/png", "image/jpeg"])
def test_picture_is_valid(size: int, content_type: str) -> None:
    from io import BytesIO

    from PIL import Image

    first, other = picture(content_type, size, "a"), picture(content_type, size, "b")
    assert len(first) == size
    assert first != other
    with Image.open(BytesIO(first)) as image:
        image.load()
        assert image.size == (1, 1)
        assert image.get_format_mimetype() == content_type
    if content_type == "image/png":
        assert struct.unpack(">I", first[-4:])[0] == zlib.crc32(b"IEND")


def test_yaml_of_a_case_can_be_read_by_people() -> None:
    text = as_yaml(find("create/503"))
    assert yamlfiles.parse(text.encode(), "x.yaml", CaseError)["name"] == "create/503"
    assert "operation: create" in text
