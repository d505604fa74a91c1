"""The document drives: what is edited in a copy of it, the running server follows."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import openapi_spec_validator
import pytest
import yaml

import mockveo
from mockveo._paths import data_file, profiles
from mockveo.errors import SpecError
from mockveo.spec.spec import load

KEY = {"Authorization": "Bearer sk-test"}
DOCUMENT = yaml.safe_load(data_file("openapi.yaml").read_bytes())
FORM = "components.schemas.CreateVideoForm"


class Edited:
    """A copy of the document to be changed and played."""

    def __init__(self, directory: Path) -> None:
        self.tree: dict[str, Any] = copy.deepcopy(DOCUMENT)
        self.path = directory / "openapi.yaml"

    def at(self, path: str) -> Any:
        node = self.tree
        for key in path.split("."):
            node = node[key]
        return node

    def write(self) -> str:
        self.path.write_text(yaml.safe_dump(self.tree, sort_keys=False))
        return str(self.path)

    @contextmanager
    def played(self) -> Iterator[httpx.Client]:
        """A client of a running server that plays the edited document, with time standing still."""
        with (
            mockveo.serve(spec=self.write(), clock="manual", self_check=True, render=False) as server,
            httpx.Client(base_url=server.url, headers=KEY) as client,
        ):
            self.clock = server.app.world.clock
            yield client


@pytest.fixture
def edited(tmp_path: Path) -> Edited:
    return Edited(tmp_path)


def form(*images: str, **fields: str) -> dict[str, Any]:
    """Arguments for a create with a multipart body."""
    parts: list[tuple[str, Any]] = [(name, (None, value)) for name, value in fields.items()]
    return {"files": parts + [("input_reference", (name, b"\x89PNG", "image/png")) for name in images]}


@pytest.mark.parametrize("profile", sorted(profiles()))
def test_profile_is_a_valid_document(profile: str) -> None:
    openapi_spec_validator.validate(yaml.safe_load(load(profile=profile).text))


@pytest.mark.parametrize("profile", sorted(profiles()))
def test_x_source_names_a_known_kind_of_evidence(profile: str) -> None:
    def sources(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if "x-source" in node:
                yield node["x-source"]
            for value in node.values():
                yield from sources(value)
        elif isinstance(node, list):
            for value in node:
                yield from sources(value)

    evidence = list(sources(yaml.safe_load(load(profile=profile).text)))
    assert len(evidence) > 40
    assert set(evidence) <= {"documented", "observed", "gateway", "assumed"}


def test_property_removed_from_the_schema_leaves_the_response(edited: Edited) -> None:
    schema = edited.at("components.schemas.CreatedVideo")
    del schema["properties"]["seconds"]
    schema["required"].remove("seconds")
    del edited.tree["paths"]["/v1/videos"]["post"]["responses"]["200"]["content"]["application/json"]["examples"]
    with edited.played() as client:
        answer = client.post("/v1/videos", **form(prompt="a kite"))
    assert list(answer.json()) == ["created_at", "id", "model", "object", "progress", "size", "status"]


def test_property_added_to_the_schema_joins_the_response(edited: Edited) -> None:
    edited.at("components.schemas.Video")["properties"]["prompt"] = {"type": "string"}
    edited.at(FORM)["properties"]["seed"] = {"type": "integer"}
    edited.at("components.schemas.CreatedVideo")["properties"]["seed"] = {"type": "integer"}
    with edited.played() as client:
        created = client.post("/v1/videos", **form(prompt="a kite", seed="7")).json()
        assert created["seed"] == 7
        assert client.get(f"/v1/videos/{created['id']}").json()["prompt"] == "a kite"
        assert client.post("/v1/videos", **form(prompt="a kite", seed="seven")).status_code == 400


def test_enum_is_enforced_with_its_values_in_the_error(edited: Edited) -> None:
    edited.at(f"{FORM}.properties.size")["enum"] = ["16x9", "9x16"]
    with edited.played() as client:
        assert client.post("/v1/videos", **form(prompt="a kite", size="9x16")).json()["size"] == "9x16"
        refused = client.post("/v1/videos", **form(prompt="a kite", size="1x1"))
    assert refused.status_code == 400
    assert refused.json()["code"] == "InvalidParameter"
    assert "16x9" in refused.json()["message"]


def test_max_items_of_three_accepts_three_images(edited: Edited) -> None:
    edited.at(f"{FORM}.properties.input_reference")["maxItems"] = 3
    with edited.played() as client:
        assert client.post("/v1/videos", **form("a", "b", "c", prompt="p")).status_code == 200
        assert client.post("/v1/videos", **form("a", "b", "c", "d", prompt="p")).status_code == 400


def test_max_length_limits_the_size_of_a_file(edited: Edited) -> None:
    edited.at(f"{FORM}.properties.input_reference.items")["maxLength"] = 3
    with edited.played() as client:
        assert client.post("/v1/videos", **form("a", prompt="p")).status_code == 400


def test_required_field_with_a_default_must_be_sent(edited: Edited) -> None:
    edited.at(FORM)["required"] = ["prompt", "model", "size"]
    with edited.played() as client:
        refused = [client.post("/v1/videos", **form(prompt="p", **more)) for more in ({}, {"model": "veo3"})]
        accepted = client.post("/v1/videos", **form(prompt="p", model="veo3", size="9x16"))
    assert [answer.status_code for answer in refused] == [400, 400]
    assert refused[0].json()["error"]["message"].startswith("model name is required")
    assert refused[1].json()["message"] == "size is required"
    assert accepted.status_code == 200


@pytest.mark.parametrize(
    "keyword",
    [
        {"additionalProperties": False},
        {"not": {"required": ["fps"]}},
        {"propertyNames": {"maxLength": 15, "pattern": "^[^f]"}},
    ],
)
def test_field_that_the_document_forbids_is_refused(edited: Edited, keyword: dict[str, Any]) -> None:
    edited.at(FORM).update(keyword)
    with edited.played() as client:
        assert client.post("/v1/videos", **form("a.png", prompt="p")).status_code == 200
        refused = client.post("/v1/videos", **form(prompt="p", fps="24"))
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request")


IMAGE = "data:image/png;base64,iVBORw0KGgo="


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"input_reference": IMAGE}, 200),
        ({"image": "https://example.com/a.png"}, 200),
        ({"images": [IMAGE, IMAGE], "seconds": "8"}, 200),
        ({"input_reference": {"url": IMAGE}}, 400),
        ({"images": [5]}, 400),
        ({"seconds": 8}, 400),
        ({"prompt": ""}, 400),
    ],
)
def test_json_body_has_a_schema_of_its_own(fields: dict[str, Any], status: int) -> None:
    with mockveo.serve(profile="gateway", render=False, self_check=True) as server:
        body = {"prompt": "p", "model": "veo3", **fields}
        answer = httpx.post(f"{server.base_url}/videos", headers=KEY, json=body)
        (record,) = server.app.world.journal
    assert answer.status_code == status, answer.text
    assert list(record.deviations) == []


@pytest.mark.parametrize(
    ("authorization", "gateway"),
    [("sk-test", 200), ("Bearer sk-test", 200), ("bearer sk-test", 200), ("Basic c2stdGVzdA==", 401), ("", 401)],
)
def test_key_without_bearer_is_taken_where_the_document_says_so(authorization: str, gateway: int) -> None:
    with mockveo.serve(render=False) as server:
        server.app.worlds.reset("gateway", {"profile": "gateway"})
        statuses = [
            httpx.get(f"{server.url}{prefix}/v1/models", headers={"Authorization": authorization}).status_code
            for prefix in ("/@gateway", "")
        ]
    assert statuses == [gateway, gateway if authorization.lower().startswith("bearer") else 401]


def test_renamed_alias_replaces_the_old_one(edited: Edited) -> None:
    edited.at(f"{FORM}.properties.model")["x-aliases"] = {"veo9": "veo_9_0"}
    edited.at(f"{FORM}.properties.model")["default"] = "veo9"
    with edited.played() as client:
        assert client.post("/v1/videos", **form(prompt="p")).json()["model"] == "veo_9_0"
        refused = client.post("/v1/videos", **form(prompt="p", model="veo3-fast"))
        assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["veo9"]
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "model_not_found"


def test_added_model_is_served_listed_and_in_the_document() -> None:
    with (
        mockveo.serve(model=["veo9", "veo 9?"], render=False) as server,
        httpx.Client(base_url=server.url, headers=KEY) as client,
    ):
        answers = [client.post("/v1/videos", **form(prompt="p", model=model)) for model in ("veo9", "veo 9?")]
        listed = [model["id"] for model in client.get("/v1/models").json()["data"]]
        aliases = yaml.safe_load(client.get("/openapi.yaml").text)
        refused = client.post("/v1/videos", **form(prompt="p", model="veo8"))
        odd = client.post("/v1/videos", **form(prompt="p", model="veo\n凧"))
    assert [answer.json()["model"] for answer in answers] == ["veo9", "veo 9?"]
    assert listed[-2:] == ["veo9", "veo 9?"]
    assert aliases["components"]["schemas"]["CreateVideoForm"]["properties"]["model"]["x-aliases"]["veo9"] == "veo9"
    assert refused.headers["x-mockveo-hint"].endswith("; to serve another one too, start mockveo with --model veo8")
    assert odd.headers["x-mockveo-hint"].endswith("start mockveo with --model NAME")


def test_added_model_joins_an_enum(edited: Edited) -> None:
    edited.at(f"{FORM}.properties.model")["enum"] = ["veo3-fast"]
    assert load(edited.write(), models=["veo9"]).form.problems({"prompt": "p", "model": "veo9"}) == []


def test_model_without_aliases_is_echoed(edited: Edited) -> None:
    del edited.at(f"{FORM}.properties.model")["x-aliases"]
    with edited.played() as client:
        assert client.post("/v1/videos", **form(prompt="p", model="anything")).json()["model"] == "anything"


def test_required_model_is_enforced(edited: Edited) -> None:
    edited.at(FORM)["required"].append("model")
    del edited.at(f"{FORM}.properties.model")["default"]
    with edited.played() as client:
        refused = client.post("/v1/videos", **form(prompt="p"))
    assert refused.status_code == 400
    assert refused.json()["error"]["message"].startswith("model name is required (request id: 2026")


def test_renamed_status_is_served(edited: Edited) -> None:
    status = edited.at("components.schemas.Status")
    status["enum"] = ["waiting", "rendering", "encoding", "done", "broken"]
    status["x-transitions"] = {
        "waiting": ["rendering"], "rendering": ["encoding", "broken"], "encoding": ["done"], "done": [], "broken": [],
    }  # fmt: skip
    for responses in ("post", "get"):
        path = "/v1/videos" if responses == "post" else "/v1/videos/{video_id}"
        del edited.tree["paths"][path][responses]["responses"]["200"]["content"]["application/json"]["examples"]
    with edited.played() as client:
        created = client.post("/v1/videos", **form(prompt="p")).json()
        statuses = [created["status"]]
        for _ in range(200):
            edited.clock.advance(1)
            statuses.append(client.get(f"/v1/videos/{created['id']}").json()["status"])
    assert list(dict.fromkeys(statuses)) == ["waiting", "rendering", "encoding", "done"]


def test_moved_path_and_changed_error_are_served(edited: Edited) -> None:
    paths = edited.tree["paths"]
    paths["/v2/clips"] = paths.pop("/v1/videos")
    errors = paths["/v1/videos/{video_id}"]["get"]["responses"]
    errors["404"] = errors.pop("400")
    errors["404"]["content"]["application/json"]["examples"]["task_not_exist"]["value"]["message"] = "no such task"
    with edited.played() as client:
        assert client.post("/v2/clips", **form(prompt="p")).status_code == 200
        assert (
            client.post("/v1/videos", **form(prompt="p")).json()["error"]["message"] == "Invalid URL (POST /v1/videos)"
        )
        unknown = client.get("/v1/videos/nope")
    assert (unknown.status_code, unknown.json()["message"]) == (404, "no such task")


def test_concrete_path_wins_over_a_matching_template(edited: Edited) -> None:
    paths = edited.tree["paths"]
    paths["/v1/videos/models"] = paths.pop("/v1/models")
    with edited.played() as client:
        assert client.get("/v1/videos/models").json()["object"] == "list"
        assert client.get("/v1/videos/x").status_code == 400


@pytest.mark.parametrize(
    "schema",
    [
        {"type": ["array", "null"], "maxItems": 1, "items": {"type": "string", "contentMediaType": "image/png"}},
        {"type": "array", "maxItems": 1, "items": {"type": "string", "format": "binary"}},
    ],
)
def test_file_fields_are_recognised_by_format_and_by_media_type(edited: Edited, schema: dict[str, Any]) -> None:
    edited.at(f"{FORM}.properties")["input_reference"] = schema
    with edited.played() as client:
        assert client.post("/v1/videos", **form("a", prompt="p")).status_code == 200
        refused = client.post("/v1/videos", **form("a", "b", prompt="p"))
    assert refused.json()["message"] == "2 files were sent as input_reference, wanted at most 1"


def test_operation_without_security_needs_no_key(edited: Edited) -> None:
    edited.tree["paths"]["/v1/models"]["get"]["security"] = []
    with edited.played() as client:
        assert client.get("/v1/models", headers={"Authorization": ""}).status_code == 200


def test_document_is_served_unchanged(server: mockveo.server.ServerThread) -> None:
    served = httpx.get(f"{server.url}/openapi.yaml")
    assert served.content == data_file("openapi.yaml").read_bytes()
    assert served.headers["content-type"] == "application/yaml"
    assert httpx.get(f"{server.url}/openapi.json").json() == DOCUMENT


def test_served_document_includes_the_overlay() -> None:
    with mockveo.serve(profile="docs-2026-10", render=False) as server:
        served = yaml.safe_load(httpx.get(f"{server.url}/openapi.yaml").content)
    assert served["components"]["schemas"]["CreateVideoForm"]["required"] == ["prompt", "model"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("openapi", "3.0.3", "`openapi` is '3.0.3'; expected an OpenAPI 3.1 document"),
        ("paths./v1/models.get.operationId", "listThings", "'listThings', which mockveo cannot play; expected one of"),
        ("paths./v1/models.get.parameters", [{"name": "x", "in": "header"}], "(`in: header`) would not be enforced"),
        ("components.schemas.Status.x-transitions", {"gone": []}, "names 'gone', which is not one of the statuses"),
        ("components.schemas.Status.x-transitions", {}, "`x-transitions` is missing; expected e.g."),
        ("components.schemas.Status.x-transitions", {"queued": ["queued"]}, "form a circle; expected a way to an end"),
        ("components.schemas.CreateVideoForm.properties.size", {"type": "strng"}, "not valid JSON Schema 2020-12"),
        ("components.schemas.Video", {"oneOf": []}, "`oneOf` in a success response is not supported"),
        ("components.schemas.Video", {"$ref": "other.yaml#/x"}, "points outside the document"),
        ("components.schemas.Video", {"$ref": "#/components/schemas/Video"}, "leads back to itself"),
        ("components.schemas.Video", {"$ref": "#/components/schemas/Nope"}, "/components/schemas/Nope is missing"),
        ("components.schemas.TaskError.required", ["code", "message", "more"], "does not fit its schema"),
        ("paths./v1/videos.post.responses", {"default": {}}, "'default' is not a status"),
    ],
)
def test_unusable_document_is_refused_with_the_reason(edited: Edited, path: str, value: Any, message: str) -> None:
    *parents, last = path.replace("/v1/videos", "PATH").replace("/v1/models", "MODELS").split(".")
    node = edited.tree
    for key in parents:
        node = node[{"PATH": "/v1/videos", "MODELS": "/v1/models"}.get(key, key)]
    node[last] = value
    with pytest.raises(SpecError) as caught:
        load(edited.write())
    assert message in str(caught.value)
    assert str(caught.value).startswith("openapi.yaml: ")


def _set(path: str, value: Any) -> Any:
    """Sets what lies at a path of keys, joined by `>`."""

    def change(tree: dict[str, Any]) -> None:
        *parents, last = path.split(">")
        node: Any = tree
        for key in parents:
            node = node[int(key) if isinstance(node, list) else key]
        node[last] = value

    return change


CREATE = "paths>/v1/videos>post"
CONTENT = "paths>/v1/videos/{video_id}/content>get"
FIELDS = "components>schemas>CreateVideoForm>properties"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("paths", []), '/paths: [] is not of type "object"'),
        (_set("paths>/v1/models", None), '/paths/~1v1~1models: null is not of type "object"'),
        (_set("paths>v1/models", {}), "/paths:"),
        (_set("paths>/v1/{video-id}", {}), "/paths:"),
        (_set("paths>/v1/videos/{video_id}>parameters", ["x"]), 'parameters/0: "x" is not of type "object"'),
        (_set("paths>/v1/videos/{video_id}>parameters", [{"in": "path"}]), '"name" is a required property'),
        (_set(f"{CREATE}>parameters", [{"name": "x", "in": "query"}]), "x (`in: query`) would not be enforced"),
        (_set(f"{CREATE}>requestBody>content", {}), "{} has less than 1 property"),
        (_set(f"{CREATE}>requestBody>content>multipart/form-data>encoding", {"a": None}), "null is not of type"),
        (_set(f"{CREATE}>responses>403>content>application/json>examples", [1]), '[1] is not of type "object"'),
        (_set(f"{FIELDS}>size", True), 'true is not of type "object"'),
        (_set(f"{FIELDS}>model>x-aliases", ["a"]), '["a"] is not of type "object"'),
        (_set(f"{FIELDS}>prompt>type", ["string", "null"]), "needs a `prompt` of type string"),
        (_set("components>schemas>CreateVideoForm>required", []), "needs a `prompt` of type string"),
        (_set("components>schemas>Status>x-transitions>queued", None), 'null is not of type "array"'),
        (_set("components>responses>UnknownPath", {"description": "x"}), "UnknownPath has no example"),
        (_set("components>responses>UnknownPath>x-status", "nf"), '"nf" is not of type "integer"'),
        (_set(f"{CONTENT}>parameters>0>schema>enum", ["video", "gif"]), "the variants of retrieveVideoContent"),
        (_set(f"{CONTENT}>parameters>0>schema>type", "strng"), "not valid JSON Schema 2020-12"),
        (_set(f"{CONTENT}>parameters>0>required", True), "variant (`in: query`) would not be enforced"),
        (_set("paths>/v2", {"get": DOCUMENT["paths"]["/v1/models"]["get"]}), "listModels stands at two places"),
        (_set("paths>/v2", {"get": {"operationId": "retrieveVideo"}}), '"responses" is a required property'),
        (_set("info>x", 2**70), "not valid YAML"),
    ],
)  # fmt: skip
def test_malformed_document_is_refused_with_the_place(edited: Edited, change: Any, message: str) -> None:
    change(edited.tree)
    with pytest.raises(SpecError) as caught:
        mockveo.app(spec=edited.write(), render=False)
    assert message in str(caught.value)


def test_numeric_keys_and_dates_are_read_as_text(edited: Edited) -> None:
    for item in edited.tree["paths"].values():
        for operation in item.values():
            if isinstance(operation, dict):
                operation["responses"] = {int(status): response for status, response in operation["responses"].items()}
    edited.write()
    edited.path.write_text(edited.path.read_text().replace("version: 2026.3.0", "version: 2026-03-12"))
    with mockveo.serve(spec=edited.path, render=False) as server:
        assert httpx.get(f"{server.url}/openapi.json").json()["info"]["version"] == "2026-03-12"
        assert httpx.get(f"{server.base_url}/models").status_code == 401


def test_siblings_of_a_reference_count(edited: Edited) -> None:
    edited.at("components.schemas")["Size"] = {"type": "string", "enum": ["16x9", "1x1"]}
    edited.at(f"{FORM}.properties")["size"] = {"$ref": "#/components/schemas/Size", "default": "1x1"}
    with edited.played() as client:
        assert client.post("/v1/videos", **form(prompt="p")).json()["size"] == "1x1"
        assert client.post("/v1/videos", **form(prompt="p", size="2x2")).status_code == 400


def test_document_without_a_needed_error_is_refused(edited: Edited) -> None:
    del edited.tree["paths"]["/v1/videos"]["post"]["responses"]["503"]
    with pytest.raises(SpecError, match="createVideo has no error example named 'model_not_found'"):
        mockveo.app(spec=edited.write())


def test_unreadable_file_is_named_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"nowhere\.yaml: cannot be read: No such file"):
        load(tmp_path / "nowhere.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1\nb: 2")
    with pytest.raises(SpecError, match=r"broken\.yaml: not valid YAML: .*line 2"):
        load(broken)
    broken.write_text("- a list")
    with pytest.raises(SpecError, match="`openapi` is 'list'"):
        load(broken)


def test_unknown_profile_lists_the_valid_ones() -> None:
    with pytest.raises(
        SpecError, match="'docs-2025' does not exist; expected one of docs-2026-03, docs-2026-10, gateway"
    ):
        load(profile="docs-2025")
