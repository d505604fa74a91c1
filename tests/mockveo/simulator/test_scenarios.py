from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockveo import yamlfiles
from mockveo._paths import built_in_scenarios
from mockveo.errors import ScenarioError
from mockveo.simulator.fault import Fault, Range
from mockveo.simulator.scenarios import SCHEMA, Style, built_in, find, named, read, scenario

FAULT = orjson.loads(SCHEMA.read_bytes())["$defs"]["fault"]["properties"]


def test_each_built_in_one_is_found_by_its_name_and_has_a_sentence_and_its_source() -> None:
    for name, path in built_in_scenarios().items():
        built = named(name)
        assert built.name == name
        assert built.summary.endswith(".")
        assert "\n" not in built.summary
        assert built.data["source"].endswith(".")
        assert find(str(path)) == built


def test_keys_of_a_fault_are_its_fields() -> None:
    parts_of_other_keys = {"as_date", "other_origin", "endless"}
    assert set(FAULT) == {field.name for field in fields(Fault)} - parts_of_other_keys


def test_promised_scenarios_exist() -> None:
    promised = (
        "normal instant slow stuck-queued stuck-at-99 fails fails-without-detail moderated rate-limited retry-after"
        " overloaded no-credit bad-key model-not-found accepted-then-dropped flaky-polls html-errors not-yet-visible"
        " unknown-status upper-case echo-model flip-model gateway-envelope early-completed-at no-video-url expired-url"
        " content-not-ready truncated-video"
    )
    assert set(promised.split()) <= {scenario.name for scenario in built_in()}
    assert next(iter(built_in())).name == "normal"


def test_a_name_that_does_not_exist_is_an_error_that_names_the_nearest_and_those_that_do() -> None:
    with pytest.raises(ScenarioError, match=r"'nromal' does not exist; did you mean 'normal'\? expected one of n"):
        named("nromal")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"stylee": {}}, "scenario unnamed: stylee is not a key; did you mean 'style'? expected one of name, summary,"),
        (
            {"ending": "sucess"},
            """ending is "sucess"; did you mean 'success'? expected one of success, failure""",
        ),
        (
            {"phases": [{"duration": "long"}]},
            """phases[0].duration is "long"; expected a number or a list: seconds of the world's clock""",
        ),
        ({"phases": [{"duration": [1]}]}, "phases[0].duration is [1]; expected a number or a list: seconds"),
        ({"phases": [{"duration": [1, -2]}]}, "phases[0].duration[1] is -2; expected a number or a list: seconds"),
        ({"phases": [{}]}, """phases[0] has no 'duration'; expected e.g. {"duration":[60,180]}"""),
        (
            {"phases": [{"duration": 1, "progress": 101}]},
            "phases[0].progress is 101; expected a whole number or a list or a mapping: the progress shown",
        ),
        ({"error": {"code": "x"}}, "error has no 'message'; expected e.g."),
        (
            {"faults": [{"operation": "creat", "status": 503}]},
            "faults[0].operation is \"creat\"; did you mean 'create'?",
        ),
        (
            {"faults": [{"status": "abc"}]},
            'faults[0].status is "abc"; expected a whole number: a status from 200',
        ),
        (
            {"faults": [{"nth": [0, 2], "status": 500}]},
            "faults[0].nth[0] is 0; expected a whole number or a list: which of them",
        ),
        (
            {"faults": [{"drip": {"bytes": 1}}]},
            """faults[0].drip has no 'every'; expected e.g. {"bytes":1,"every":0.5}""",
        ),
        ({"faults": [{"redirect": {"status": 300}}]}, "faults[0].redirect.status is 300; did you mean '30"),
        ({"faults": [{"status": 500, "headers": {"a b": "c"}}]}, "faults[0].headers is"),
        ({"faults": [{"status": 500, "headers": {"a": "c\r\nd"}}]}, "faults[0].headers.a is"),
        (
            {"faults": [{"json": {"a": ["{prompt} " * 10, {"b": "{prompt}" * 11}]}}]},
            "faults[0] has 21 names in braces; expected at most 20 in one response, e.g. text: '{id} is {status}'",
        ),
        (
            {
                "style": [{"extra": {"a": "{prompt}" * 20}}],
                "phases": [{"duration": 1, "style": {"extra": {"b": "{id}"}}}],
            },
            "the style has 21 names in braces; expected at most 20",
        ),
        ({"faults": [{"operation": "create"}]}, "faults[0]: it does nothing; expected e.g. status: 503"),
        ({"faults": [{"html": True, "empty": True}]}, "faults[0]: html and empty exclude each other"),
        ({"faults": [{"reset": True, "close": True}]}, "faults[0]: reset and close exclude each other"),
        ({"faults": [{"message": "x"}]}, "envelope, code and message describe the error of a `status`"),
        ({"faults": [{"delay": 1, "applied": False}]}, "faults[0].applied is false, so there is no job to respond"),
        ({"phases": [{"duration": [180, 60]}]}, "phases[0].duration is [180,60]; expected the smaller first: [60,180]"),
        ({"faults": [{"nth": [2, 1], "status": 500}]}, "faults[0].nth is [2,1]; expected the smaller first: [1,2]"),
        ({"error": {"code": "c", "message": "m"}}, "jobs do not fail; expected ending: failure with it"),
        ({"faults": [{"reset": True, "status": 503}]}, "with reset there is no response, so status is lost"),
        ({"faults": [{"kill": "before", "status": 503}]}, "with kill there is no response, so status is lost"),
        ({"faults": [{"kill": "before", "reset": True}]}, "faults[0]: reset and kill exclude each other"),
        (
            {"faults": [{"operation": "retrieve", "kill": "during"}]},
            "faults[0].kill is during, which is of downloads, and the operation is retrieve; expected",
        ),
        ({"faults": [{"status": 503, "redirect": {"status": 307}}]}, "redirect and status exclude each other"),
        (
            {"faults": [{"operation": "retrieve", "reset": True, "applied": True}]},
            "faults[0].applied is of creates, and the operation is retrieve; expected operation: create",
        ),
        (
            {"faults": [{"status": 503, "message": "Busy.", "json": {}}]},
            "faults[0].message is lost, since json is the body; expected either message or json",
        ),
        (
            {"faults": [{"status": 503, "code": "a", "message": "b", "html": True}]},
            "faults[0].code is lost, since html is the body; expected either code and message or html",
        ),
        ({"faults": [{"status": 503, "envelope": "flat", "text": "no"}]}, "faults[0].envelope is lost, since text is"),
        ({"faults": [{"status": 503, "message": "b", "empty": True}]}, "faults[0].message is lost, since empty is"),
        (
            {"faults": [{"status": 503, "message": "b", "error": "overloaded"}]},
            "faults[0].message is lost, since error is the body",
        ),
        (
            {"faults": [{"text": "a", "content_type": "a/b", "headers": {"Content-Type": "c/d"}}]},
            "faults[0].content_type is lost, since headers has content-type too",
        ),
        (
            {"faults": [{"redirect": {"status": 302}, "headers": {"Location": "/x"}}]},
            "faults[0].redirect is lost, since headers has location too",
        ),
        ({"faults": [{"encode": "br"}]}, 'faults[0].encode is "br"; expected one of gzip, deflate'),
        ({"faults": [{"content_length": "decoded"}]}, "content_length is decoded, and the body is not encoded"),
        (
            {"faults": [{"operation": "content", "status": 400, "file_type": "none"}]},
            "faults[0].file_type is of creates, and the operation is content; expected operation: create",
        ),
        ({"ids": "fixed"}, 'ids is "fixed"; expected a text: the ids of new jobs, with `{letters}`'),
        ({"ids": "a/{uuid}"}, 'ids is "a/{uuid}"; expected a text: the ids of new jobs'),
        ({"style": {"id": "number"}}, 'ids is null, and style.id is number; expected ids: "{digits}"'),
        ({"style": [{"omit": ["a"]}, {"omti": ["b"]}]}, "style[1].omti is not a key; did you mean 'omit'?"),
        ({"style": [[]]}, "style[0] is []; expected"),
        ({"phases": [{"duration": 1, "style": {"ordr": 1}}]}, "phases[0].style.ordr is not a key"),
        ({"video_url": {"origin": "api"}}, 'video_url.origin is "api"; expected one of other, own, path'),
        ({"video_url": {}}, "video_url is {}; expected true or false or a mapping"),
        ({"ending": "no", "stile": {}}, "did you mean 'style'?"),
        ({"ending": "no", "stile": {}}, 'ending is "no"; expected one of success'),
        ({"faults": [{"status": 500, "headers": {"Content-Length": "5"}}]}, "faults[0].headers"),
        ({"faults": [{"json": 2**70}]}, "cannot be written as JSON"),
        ({"style": {"extra": {"x": "\ud800"}}}, "cannot be written as JSON"),
        ({"faults": [{"status": 429, "retry_after": {"date": 1e12}}]}, "faults[0].retry_after.date is 1000000000000"),
        ({"faults": [{"truncate": 1e20}]}, "faults[0].truncate is 1e+20; expected a whole number"),
        ({"faults": [{"nth": [1, 1e20], "status": 500}]}, "faults[0].nth[1] is 1e+20; expected"),
        ({"faults": [{"bandwidth": 5e-324}]}, "faults[0].bandwidth is 5e-324; expected a number"),
        ({"style": {"extra": {"x": (float("nan"),)}}}, "cannot be written as JSON: nan is not a number of JSON"),
        ({"style": {"ordr": 1}}, "style.ordr is not a key; did you mean 'order'?"),
        ([1], "scenario unnamed is [1]; expected a mapping, e.g. {ending: failure}"),
    ],
)
def test_a_mistake_names_the_key_the_value_what_was_wanted_and_the_nearest_word(data: Any, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        scenario(data)
    assert message in str(caught.value)


def test_a_file_is_named_in_its_error(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("faults: [{status: 99}]")
    with pytest.raises(ScenarioError, match=r"^scenario bad: faults\[0\].status is 99"):
        read(path)
    path.write_text("faults: [")
    with pytest.raises(ScenarioError, match=r"^bad.yaml: not valid YAML"):
        find(str(path))
    with pytest.raises(ScenarioError, match=r"gone.yaml: cannot be read: No such file"):
        find(str(tmp_path / "gone.yaml"))


def test_file_named_by_bytes_gives_a_name_that_can_be_sent(tmp_path: Path) -> None:
    path = tmp_path / "bad\udcff.yaml"
    path.write_text("style: {extra: {x: 1.0e+20, y: 3.0}}")
    made = read(path)
    assert made.name == "bad?"
    assert orjson.dumps(made.data) == b'{"style":{"extra":{"x":1e+20,"y":3}}}'


def test_nesting_without_an_end_is_refused() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ScenarioError, match="cannot be written as JSON"):
        scenario({"style": {"extra": {"x": deep}}})


def test_whole_numbers_may_be_written_with_a_point() -> None:
    (fault,) = scenario({"faults": [{"truncate": 10.0, "drip": {"bytes": 1.0, "every": 0}, "nth": [1.0, 2.0]}]}).faults
    assert repr((fault.truncate, fault.drip)) == "(10, (1, 0))"
    assert 2 in (fault.nth or ())
    assert scenario({"phases": [{"duration": 1, "progress": 1.0}]}).phases[0].steps == (1,)


def test_a_key_that_is_there_twice_and_nesting_are_refused_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("ending: failure\nending: success\n")
    with pytest.raises(ScenarioError, match=r"^twice.yaml: .*'ending' is a duplicate key"):
        read(path)
    path.write_text("a: " + "[" * 100_000 + "]" * 100_000)
    with pytest.raises(ScenarioError, match=r"^twice.yaml: .*nested"):
        read(path)
    path.write_text("base: &base {status: 503}\nfaults: [{<<: *base, status: 502}]")
    with pytest.raises(ScenarioError, match="base is not a key"):
        read(path)


def test_the_schema_and_the_types_have_the_same_keys() -> None:
    assert set(Style.__dataclass_fields__) == set(orjson.loads(SCHEMA.read_bytes())["$defs"]["style"]["properties"])
    assert set(Fault.__dataclass_fields__) - {"as_date", "other_origin", "endless"} == set(FAULT)


CONDITIONS = {"operation", "nth", "every", "attempt", "probability", "file_type"}


@pytest.mark.parametrize("key", sorted(set(FAULT) - CONDITIONS))
def test_every_example_of_the_schema_is_valid(key: str) -> None:
    for example in FAULT[key]["examples"]:
        data = {key: example}
        if key in ("code", "message", "envelope", "applied"):
            data["status"] = 503
        if example == "decoded":
            data["encode"] = "gzip"
        (fault,) = scenario({"faults": [data]}).faults
        assert key in [*fault.names, "applied"]


def test_whether_a_create_is_applied_follows_from_what_is_sent() -> None:
    def applied(**data: Any) -> bool:
        return scenario({"faults": [data]}).faults[0].applied

    assert not applied(status=503)
    assert not applied(error="rate_limited", delay=1)
    assert not applied(redirect={"status": 307})
    assert not applied(reset=True)
    assert applied(truncate=10, reset=True)
    assert applied(delay=1)
    assert applied(malformed=True)
    assert applied(status=202)
    assert applied(status=503, applied=True)


def test_scenario_can_be_made_again_from_its_data() -> None:
    for built in built_in():
        data = yamlfiles.parse(yamlfiles.dump(built.data).encode(), "again", ScenarioError)
        assert scenario(data, built.name) == built


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 50))
def test_a_range_has_both_its_ends(first: int, more: int, number: int) -> None:
    assert (number in Range(first, first + more)) == (first <= number <= first + more)
    assert (number in Range(first, None)) == (number >= first)
