"""Malformed documents and overlays: refused in one sentence, or served; never a traceback, whatever is wrong."""

from __future__ import annotations

import asyncio
import copy
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import mockveo
from mockveo._paths import data_file
from mockveo.cli.main import main
from mockveo.errors import MockveoError

KEY = {"Authorization": "Bearer sk-test"}
TEXT = data_file("openapi.yaml").read_bytes()
DOCUMENT = json.loads(json.dumps(yaml.safe_load(TEXT)))
OVERLAY = (data_file("overlays") / "gateway.yaml").read_bytes()
CHANGES = json.loads(json.dumps(yaml.safe_load(OVERLAY)))
#: Characters of a refusal: a few lines, however long the values of the document are.
MAX_REFUSAL = 1500


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


PLACES = list(places(DOCUMENT))
REFERENCES = ("#/paths", "#/components/schemas/Video", "#/components/parameters/VideoId", "#/nope", "else.yaml", 1, {})
ODD = st.one_of(
    st.sampled_from([None, True, 0, -1, 1e300, 2**63, "", "x", "{a}", "(", "\x1b[2J", "x" * 5000]),
    st.sampled_from([[], {}, [[]], [{}], {"": {}}, ["a"], [1], {"1": None}, {"enum": []}, {"enum": [{}, []]}]),
    st.sampled_from(REFERENCES).map(lambda reference: {"$ref": reference}),
    st.sampled_from([{"type": "string"}, {"type": "object", "properties": {"a": {}}}, {"type": "array", "items": {}}]),
    # A part of the document where another belongs.
    st.sampled_from(PLACES).map(lambda path: value_at(DOCUMENT, path)),
)
KEYS = st.sampled_from(["", "x", "200", "999", "get", "$ref", "{x}", "/", "a/b~c", "type", "const", "default", "items"])
#: What is done to a document: a place gets another value, is removed, or its key another name.
changes = st.one_of(
    st.tuples(st.just("set"), st.sampled_from(PLACES), ODD),
    st.tuples(st.just("remove"), st.sampled_from(PLACES), st.none()),
    st.tuples(st.just("rename"), st.sampled_from(PLACES), KEYS),
)


def value_at(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def changed(tree: Any, work: list[tuple[str, tuple[Any, ...], Any]]) -> Any:
    """Return a document with these changes; those whose place is gone are left out."""
    tree = {"all": copy.deepcopy(tree)}
    for kind, path, value in work:
        *above, last = ("all", *path)
        try:
            node = value_at(tree, tuple(above))
            if kind == "set":
                node[last] = copy.deepcopy(value)
            elif above and kind == "remove":
                del node[last]
            elif above and isinstance(node, dict):
                node[value] = node.pop(last)
        except (KeyError, IndexError, TypeError):
            continue
    return tree["all"]


async def play(app: Any) -> None:
    """Ask a server for all that its document describes; it must have an answer of its own for each."""
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=KEY) as client:
        files = {"input_reference": ("a.png", b"x", "image/png")}
        created = [
            await client.post("/v1/videos", files={"prompt": (None, "A kite."), "model": (None, "veo3.1")}),
            await client.post("/v1/videos", data={"prompt": "A kite.", "size": "16x9"}, files=files),
            await client.post("/v1/videos", json={"prompt": [[1]], "seconds": 4, "model": 7}),
        ]
        ids = [answer.json()["id"] for answer in created if "id" in answer.text and answer.status_code == 200]
        await client.post("/_mockveo/clock/advance", json={"seconds": 300})
        paths = [f"/v1/videos/{identifier}{rest}" for identifier in ids for rest in ("", "/content")]
        paths += ["/v1/videos/none", "/v1/models", "/api/models", "/api/model/x", "/nope", "/openapi.json"]
        for path in [*paths, "/_mockveo/jobs", "/_mockveo/journal.har", "/_mockveo/findings", "/_mockveo/bill"]:
            answer = await client.get(path)
            created.append(answer)
    for answer in created:
        assert "internal_error" not in answer.text, answer.request


def refused_or_played(**documents: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an overlay that selects nothing
        try:
            app = mockveo.app(seed=1, render=False, clock="manual", **documents)
        except MockveoError as error:
            assert 10 < len(str(error)) < MAX_REFUSAL, str(error)
            return
        asyncio.run(play(app))


hostile = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
SCHEMAS = ("components", "schemas")
SIZE = (*SCHEMAS, "CreateVideoForm", "properties", "size")
VARIANT = ("paths", "/v1/videos/{video_id}/content", "get", "parameters", 0)


@hostile
@given(st.lists(changes, min_size=1, max_size=3))
@example([("set", ("security", 0), -1)])
@example([("set", ("components", "securitySchemes"), {"$ref": "#/paths"})])
@example([("set", ("components", "securitySchemes", "bearer"), [1])])
@example([("set", VARIANT, {"$ref": "#/components/schemas/Video"})])
@example([("set", (*VARIANT, "schema", "enum"), [{}])])
@example([("set", (*SIZE, "default"), {})])
@example([("set", (*SCHEMAS, "Video", "properties", "id", "type"), {"1": None})])
@example([("set", (*SCHEMAS, "CreatedVideo", "properties", "status"), {"$ref": "#/components/schemas/Video"})])
@example([("set", (*SCHEMAS, "ModelList", "properties", "data"), {"type": "string"})])
@example([("set", (*SCHEMAS, "Video", "properties", "more"), {"$ref": "#/components/schemas/Video"})])
@example([("set", (*SCHEMAS, "TaskError"), {"$ref": "#/components/schemas/TaskError"})])
@example([("set", ("paths", "/v1/videos", "post", "responses", "400"), {"$ref": "#/components/schemas"})])
@example([("set", (*SCHEMAS, "TaskError", "required", 0), "x" * 5000)])
def test_malformed_document_is_refused_in_a_sentence_or_served(
    tmp_path: Path, work: list[tuple[str, tuple[Any, ...], Any]]
) -> None:
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(changed(DOCUMENT, work)))
    refused_or_played(spec=path)


@hostile
@given(st.sampled_from([TEXT, OVERLAY]), st.data())
def test_broken_text_of_a_document_is_refused_in_a_sentence_or_served(
    tmp_path: Path, text: bytes, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 200, len(text))))
    odd = [b"", b"\x00", b"\xff\xfe", b"- ", b": ", b"\t", b"[" * 300, b"&a [*a]", b"? ", b"!!binary x", b"'", b"{"]
    middle = data.draw(st.sampled_from(odd))
    rest = data.draw(st.sampled_from([text[end:], b""]))
    path = tmp_path / "openapi.yaml"
    path.write_bytes(text[:start] + middle + rest)
    if text == TEXT:
        refused_or_played(spec=path)
    else:
        refused_or_played(overlay=[path])


@hostile
@given(st.lists(st.tuples(st.sampled_from(list(places(CHANGES))), ODD), min_size=1, max_size=3))
@example([(("actions",), {"a": 1})])
@example([(("actions", 0), [[]])])
@example([(("actions", 0, "target"), "x" * 5000)])
@example([(("actions", 0, "target"), "$..*")])
@example([(("actions", 0, "target"), "")])
@example([((), [])])
def test_malformed_overlay_is_refused_in_a_sentence_or_served(tmp_path: Path, work: list[Any]) -> None:
    path = tmp_path / "overlay.json"
    path.write_text(json.dumps(changed(CHANGES, [("set", place, value) for place, value in work])))
    refused_or_played(overlay=[path])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], '/paths: [] is not of type "object"; expected e.g. {/v1/models: {get:'),
        ({"/x": {"get": []}}, '/paths/~1x/get: [] is not of type "object"; expected e.g. {operationId: listModels,'),
        ({"/x": {"get": {"operationId": 1, "responses": {}}}}, '1 is not of type "string"; expected e.g. {operationId'),
    ],
)
def test_command_refuses_a_malformed_document_with_status_2_and_an_example(
    tmp_path: Path, value: Any, message: str
) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({**DOCUMENT, "paths": value}))
    done = CliRunner().invoke(main, ["--spec", str(path), "--port", "0"])
    assert done.exit_code == 2
    assert message in done.output
    assert done.output.startswith("mockveo: mine.json: ")
    assert done.output.count("\n") == 1
