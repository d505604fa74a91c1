from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

import mockveo
from mockveo.errors import SpecError
from mockveo.spec import targets
from mockveo.spec.overlays import OverlayWarning, apply

KEY = {"Authorization": "Bearer sk-test"}


def overlay(*actions: dict[str, Any]) -> dict[str, Any]:
    return {"overlay": "1.0.0", "info": {"title": "t", "version": "1"}, "actions": list(actions)}


@pytest.mark.parametrize(
    ("action", "result"),
    [
        ({"target": "$.a", "update": {"y": 2}}, {"a": {"x": 1, "y": 2}, "l": [1, 2]}),
        ({"target": "$.a", "update": {"x": {"deep": 1}}}, {"a": {"x": {"deep": 1}}, "l": [1, 2]}),
        ({"target": "$.a.x", "update": 5}, {"a": {"x": 5}, "l": [1, 2]}),
        ({"target": "$.l", "update": [3]}, {"a": {"x": 1}, "l": [1, 2, 3]}),
        ({"target": "$.l", "update": 3}, {"a": {"x": 1}, "l": [1, 2, 3]}),
        ({"target": "$", "update": {"b": 1}}, {"a": {"x": 1}, "l": [1, 2], "b": 1}),
        ({"target": "$.a", "remove": True}, {"l": [1, 2]}),
        ({"target": "$.l[*]", "remove": True}, {"a": {"x": 1}, "l": []}),
        ({"target": "$.l[?@ == 1]", "remove": True}, {"a": {"x": 1}, "l": [2]}),
    ],
)
def test_apply_does_the_actions_on_a_copy(action: dict[str, Any], result: dict[str, Any]) -> None:
    document = {"a": {"x": 1}, "l": [1, 2]}
    assert apply(document, overlay(action), "o.yaml") == result
    assert document == {"a": {"x": 1}, "l": [1, 2]}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"actions": []}, "not an OpenAPI Overlay; expected overlay: 1.0.0 first, e.g."),
        ("text", "not an OpenAPI Overlay"),
        ({"overlay": "1.0.0"}, "`actions` is None; expected a list of actions, e.g."),
        (overlay({"update": 1}), "action 1: `target` is missing or not text"),
        (overlay({"target": "$.a", "updates": {}}), "action 1: has the keys ['target', 'updates']; expected"),
        (overlay({"target": "$.a[", "update": {}}), "action 1: `target` '$.a[' is not a JSONPath"),
        (overlay({"target": "$", "remove": True}), "action 1: `target` $ selects the whole document"),
        (overlay({"target": "$", "update": 1}), "action 1: `target` $ selects the whole document"),
    ],
)
def test_apply_invalid_overlay_is_refused_with_an_example(document: Any, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        apply({"a": 1}, document, "o.yaml")
    assert f"o.yaml: {message}" in str(caught.value)


SLOW_PATTERN = "$..[?search(@.description, '(([a-z ])+.)+[A-Z]([a-z])+$')]"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("$" + ".a" * 20_000, "has more than 1000 characters"),
        ("$" + ".a" * 499, None),
        (SLOW_PATTERN, None),
        ("$..[?match(@.description, '(A|a|[A-z])*(.*)*(.+)+Z$')]", None),
        ("$..[?$..[?$..[?$..x]]]", r"one that begins at \$"),
        ("$..[?@[?@[?@[?@..x]]]]", "more than 2 filters"),
        ("$..[?@['$ref'] == 'x']", None),
        ("$..[?@.description =~ /(a+)+$/]", "is not a JSONPath"),
    ],
)
def test_target_is_bounded_in_time(target: str, message: str | None) -> None:
    text = "some words of a description " * 100
    document = {f"key{number}": {"description": text, "list": [{"description": text}] * 5} for number in range(200)}
    if message is None:
        with pytest.warns(OverlayWarning, match="selects nothing"):
            apply(document, overlay({"target": target, "update": {}}), "o.yaml")
    else:
        with pytest.raises(SpecError, match=message):
            apply(document, overlay({"target": target, "update": {}}), "o.yaml")


def test_target_that_looks_at_too_many_nodes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "MAX_NODES", 1000)
    document = {"l": [[number] * 5 for number in range(200)]}
    assert targets.select("$.l[*]", document)
    with pytest.raises(targets.TargetError, match="it looks at more than 1000 nodes"):
        targets.select("$..*..*", document)


@pytest.mark.parametrize(
    ("condition", "selected"),
    [("match(@, 'a.c')", ["abc"]), ("search(@, 'b%')", ["ab%d"]), ("match(@, 'b')", []), ("search(@, '(')", [])],
)
def test_patterns_match_as_the_standard_says(condition: str, selected: list[str]) -> None:
    document = {"l": ["abc", "ab%d", 5]}
    if not selected:
        with pytest.warns(OverlayWarning):
            assert apply(document, overlay({"target": f"$.l[?{condition}]", "remove": True}), "o.yaml") == document
        return
    left = apply(document, overlay({"target": f"$.l[?{condition}]", "remove": True}), "o.yaml")["l"]
    assert [item for item in document["l"] if item not in left] == selected


def test_apply_target_that_selects_nothing_warns() -> None:
    with pytest.warns(OverlayWarning, match=r"o\.yaml: action 1: `target` '\$\.nope' selects nothing"):
        apply({"a": 1}, overlay({"target": "$.nope", "update": 1}), "o.yaml")


def test_profile_of_october_changes_validation_and_responses() -> None:
    with (
        mockveo.serve(profile="docs-2026-10", clock="manual", self_check=True, render=False) as server,
        httpx.Client(base_url=server.url, headers=KEY) as client,
    ):

        def create(**fields: str) -> httpx.Response:
            return client.post("/v1/videos", files={name: (None, value) for name, value in fields.items()})

        created = create(prompt="p", model="veo3.1", size="720x1280", seconds="8")
        assert set(created.json()) == {"id", "task_id", "object", "model", "status", "progress", "created_at"}
        assert created.json()["model"] == "veo3.1"
        assert "model name is required" in create(prompt="p").json()["error"]["message"]
        assert create(prompt="p", model="veo3.1", size="16x9").json()["code"] == "InvalidParameter"
        assert create(prompt="p", model="veo3.1", seconds="5").json()["code"] == "InvalidParameter"
        assert create(prompt="p", model="veo3-fast").status_code == 503
        server.app.world.clock.advance(300)
        done = client.get(f"/v1/videos/{created.json()['id']}").json()
        assert "size" not in done
        assert done["created_at"] + 65 <= done["completed_at"] <= done["created_at"] + 195


def test_profile_gateway_echoes_the_model_and_takes_json() -> None:
    with mockveo.serve(profile="gateway", clock="manual", self_check=True, render=False, strict=True) as server:
        created = httpx.post(
            f"{server.base_url}/videos", headers=KEY, json={"prompt": "p", "model": "veo3-fast", "seconds": "8"}
        )
    assert created.status_code == 200
    assert created.json()["model"] == "veo3-fast"
    assert created.json()["seconds"] == "8"


@pytest.mark.parametrize(
    ("texts", "count"),
    [
        ({}, 0),
        ({"image": "https://example.com/1.png"}, 1),
        ({"input_reference": "aGk=", "images": ["https://example.com/1.png", "aGk="]}, 3),
    ],
)
def test_images_of_a_json_body_count_as_those_of_a_form(texts: dict[str, Any], count: int) -> None:
    with mockveo.serve(profile="gateway", render=False) as server:
        httpx.post(f"{server.base_url}/videos", headers=KEY, json={"prompt": "p", "model": "veo3-fast", **texts})
        (exchange,) = server.app.world.journal
        job = server.app.world.jobs.get(exchange.job_id)
    assert job is not None
    assert job.image_count == count
    assert (f"{count} image" in exchange.to_line()) is (count > 0)


def test_overlay_files_apply_after_the_profile_in_order(tmp_path: Path) -> None:
    for number, default in enumerate(["veo3", "veo3.1"]):
        (tmp_path / f"{number}.yaml").write_text(
            "overlay: 1.0.0\ninfo: {title: t, version: '1'}\nactions:\n"
            "  - target: $.components.schemas.CreateVideoForm.properties.model\n"
            f"    update: {{default: {default}, x-aliases: {{{default}: mine-{number}}}}}\n"
        )
    with mockveo.serve(overlay=[str(tmp_path / "0.yaml"), str(tmp_path / "1.yaml")], render=False) as server:
        created = httpx.post(f"{server.base_url}/videos", headers=KEY, files={"prompt": (None, "p")})
    assert created.json()["model"] == "mine-1"
