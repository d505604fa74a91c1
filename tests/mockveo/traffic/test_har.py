"""The export is HAR 1.2: held against a schema written from the specification's tables."""

from __future__ import annotations

import hashlib
import json

import httpx
from json_shapes import HAR

import mockveo
from mockveo.server.run import ServerThread
from mockveo.simulator.scenarios import named, scenario
from mockveo.traffic.har import har


def test_har_exports_every_kind_of_exchange(server: ServerThread) -> None:
    world = server.app.worlds.reset("har", {}, named("instant"))
    key = {"Authorization": "Bearer sk-secret"}
    with httpx.Client(base_url=f"{server.url}/@har", headers=key) as http:
        image = {"input_reference": ("é.png", b"12345", "image/png")}
        job = http.post("/v1/videos?token=t", data={"prompt": "ü"}, files=image).json()["id"]
        http.post("/v1/videos", json={"prompt": {"a": 1}})
        http.post("/v1/videos", content=b"\xff\xfe", headers={"Content-Type": "text/plain"})
        http.get(f"/v1/videos/{job}/content")
        http.get("/nope")
        for fault in ({"reset": True}, {"status": 524}, {"redirect": {"status": 308, "origin": "other"}}):
            world.use(scenario({"faults": [{"operation": "models", **fault}]}))
            try:
                http.get("/v1/models", follow_redirects=True)
            except httpx.ReadError:
                assert fault == {"reset": True}
        exported = http.get("/_mockveo/journal.har").json()
    HAR.validate(exported)
    entries = exported["log"]["entries"]
    assert [entry["response"]["status"] for entry in entries] == [200, 400, 400, 200, 404, 0, 524, 308, 200]
    assert entries[0]["request"]["postData"]["params"] == [
        {"name": "prompt", "value": "ü"},
        {
            "name": "input_reference",
            "fileName": "é.png",
            "contentType": "image/png",
            "_mockveo": {"content_type": "image/png", "bytes": 5, "sha256": hashlib.sha256(b"12345").hexdigest()},
        },
    ]
    assert entries[0]["request"]["url"] == f"{server.url}/@har/v1/videos?token=..."
    assert json.loads(entries[0]["response"]["content"]["text"])["id"] == job
    assert "text" not in entries[3]["response"]["content"]
    assert entries[8]["request"]["url"].startswith(f"{server.app.origins.other}/@har/v1/models?")
    assert entries[7]["response"]["redirectURL"].startswith(f"{server.app.origins.other}/@har/v1/models?ticket=")
    assert "sk-secret" not in json.dumps(exported)


def test_har_of_no_exchanges_is_an_empty_log() -> None:
    empty = har([], "http://a", "http://b")
    HAR.validate(empty)
    assert empty["log"]["creator"] == {"name": "mockveo", "version": mockveo.__version__}
