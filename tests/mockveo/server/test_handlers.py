"""The operations, through a real server, field by field and byte by byte."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import unicodedata
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paths import DATA

import mockveo
from mockveo.server.handlers import content_response
from mockveo.server.run import ServerThread
from mockveo.simulator.clock import Clock
from mockveo.simulator.scenarios import scenario

BODIES = json.loads((DATA / "bodies.json").read_bytes())
REQUEST_ID = r"20\d{12}\d{9}[0-9A-Za-z]{8}"
PNG = ("a.png", b"\x89PNG....", "image/png")


def create(client: httpx.Client, *files: tuple[str, bytes, str], **fields: str) -> httpx.Response:
    parts: list[tuple[str, Any]] = [(name, (None, value)) for name, value in {"prompt": "a kite", **fields}.items()]
    return client.post("/v1/videos", files=parts + [("input_reference", file) for file in files])


def deviations(server: ServerThread) -> list[str]:
    """Codes of the deviations of the latest exchange."""
    return [note.code for note in list(server.app.world.journal)[-1].deviations]


def kinds(body: Any) -> Any:
    """A body with each value replaced by its type."""
    return {key: kinds(value) for key, value in body.items()} if isinstance(body, dict) else type(body)


def test_create_answers_as_the_page_field_by_field(client: httpx.Client) -> None:
    answer = create(client)
    documented = BODIES["create_v1_veo_2026_03"]["body"]
    body = answer.json()
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert list(body) == list(documented)
    assert body | {"id": documented["id"], "created_at": 0} == documented | {"created_at": 0}
    assert re.fullmatch(r"task_[0-9A-Za-z]{32}", body["id"])


def test_retrieve_answers_as_the_page_field_by_field(client: httpx.Client) -> None:
    created = create(client).json()
    documented = BODIES["retrieve_v1_veo_2026_03"]["body"]
    body = client.get(f"/v1/videos/{created['id']}").json()
    assert list(body) == list(documented)
    assert kinds(body) == kinds(documented)
    assert body["task_id"] == body["id"] == created["id"]
    assert body["created_at"] == created["created_at"]
    assert "seconds" not in body


@pytest.mark.parametrize(
    ("alias", "resolved"), [("veo3-fast", "veo_3_1-4K"), ("veo3.1-fast", "veo_3_1-fast"), ("", "veo_3_1-4K")]
)
def test_the_alias_is_resolved_in_every_answer(client: httpx.Client, alias: str, resolved: str) -> None:
    created = create(client, model=alias).json()
    assert created["model"] == resolved
    assert client.get(f"/v1/videos/{created['id']}").json()["model"] == resolved


def test_a_job_goes_through_all_its_states(client: httpx.Client, clock: Clock) -> None:
    job = create(client).json()
    states = [(job["status"], job["progress"])]
    for _ in range(200):
        clock.advance(1)
        body = client.get(f"/v1/videos/{job['id']}").json()
        states.append((body["status"], body["progress"]))
    assert list(dict.fromkeys(status for status, _ in states)) == ["queued", "in_progress", "completed"]
    assert [progress for _, progress in states] == sorted(progress for _, progress in states)
    assert all((progress == 100) == (status == "completed") for status, progress in states)
    assert all(progress == 0 for status, progress in states if status == "queued")
    assert len({progress for _, progress in states}) > 30


def test_a_failed_job_says_why() -> None:
    with mockveo.serve(clock="manual", scenario="fails", self_check=True, render=False) as server:
        with httpx.Client(base_url=server.url, headers={"Authorization": "Bearer sk"}) as client:
            job = create(client).json()
            server.app.world.clock.advance(1000)
            body = client.get(f"/v1/videos/{job['id']}").json()
            content = client.get(f"/v1/videos/{job['id']}/content")
    assert body["status"] == "failed"
    assert body["error"] == {"code": "generation_failed", "message": "The video could not be generated."}
    assert content.status_code == 400
    assert content.json()["error"]["message"] == "Task is not completed yet, current status: failed"


# Errors: each row of the table, with the body that was seen.


def shape(body: Any) -> Any:
    """A body with its request ids replaced, as those differ each time."""
    return json.loads(re.sub(REQUEST_ID, "...", json.dumps(body)))


@pytest.mark.parametrize("header", [None, "", "Bearer", "sk-test", "Basic c2s6", "Token sk-test"])
@pytest.mark.parametrize("path", ["/v1/videos/x", "/v1/videos/x/content", "/v1/models"])
def test_missing_or_invalid_key_is_refused(server: ServerThread, header: str | None, path: str) -> None:
    answer = httpx.get(f"{server.url}{path}", headers={} if header is None else {"Authorization": header})
    assert answer.status_code == 401
    assert shape(answer.json()) == {"error": {"code": "", "message": "invalid token", "type": "comet_api_error"}}


@pytest.mark.parametrize("header", ["Bearer sk-test", "bearer sk-test", "BEARER  sk-test", "Bearer <token>"])
def test_any_key_will_do_and_the_scheme_has_no_case(server: ServerThread, header: str) -> None:
    assert httpx.get(f"{server.url}/v1/models", headers={"Authorization": header}).status_code == 200


def test_only_the_keys_that_were_given_are_good() -> None:
    with mockveo.serve(key=["sk-a", "sk-b"], render=False) as server:
        statuses = [
            httpx.get(f"{server.base_url}/models", headers={"Authorization": f"Bearer {key}"}).status_code
            for key in ("sk-a", "sk-b", "sk-c", "sk-a")
        ]
    assert statuses == [200, 200, 401, 200]


@pytest.mark.parametrize("prompt", [None, "", "  \n\t "])
@pytest.mark.parametrize("kind", ["files", "data", "json"])
def test_a_prompt_that_is_missing_or_blank(client: httpx.Client, prompt: str | None, kind: str) -> None:
    fields: dict[str, Any] = {"size": "16x9"} | ({} if prompt is None else {"prompt": prompt})
    if kind == "files":
        fields = {name: (None, value) for name, value in fields.items()}
    answer = client.post("/v1/videos", **{kind: fields})
    assert (answer.status_code, answer.json()) == (400, BODIES["err_400_prompt_required_flat"]["body"])


def test_missing_body_is_refused(client: httpx.Client) -> None:
    assert client.post("/v1/videos").json() == BODIES["err_400_prompt_required_flat"]["body"]


@pytest.mark.parametrize(
    ("request_", "raw"),
    [
        (("POST", {"files": {"size": (None, "16x9")}}), '{"code":"invalid_request","message":"prompt is required"}'),
        (
            ("POST", {"files": {"prompt": (None, "p"), "model": (None, "sora-2-all")}}),
            (
                '{"error":{"code":"model_not_found","message":"no available channel for group default and model'
                ' sora-2-all (distributor) (request id: ID)","type":"comet_api_error"}}'
            ),
        ),
        (("GET /v1/videos/x", {}), '{"code":"task_not_exist","message":"task_not_exist","data":null}'),
        (("GET /v1/videos/x/content", {}), '{"error":{"message":"Task not found","type":"invalid_request_error"}}'),
        (
            ("GET /v1/models", {"headers": {"Authorization": "none"}}),
            '{"error":{"code":"","message":"invalid token","type":"comet_api_error"}}',
        ),
        (
            ("GET /v1/x", {}),
            '{"error":{"message":"Invalid URL (GET /v1/x)","type":"invalid_request_error","param":"","code":""}}',
        ),
        (
            ("POST", {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}),
            '{"code":"invalid_multipart_form","message":"no multipart boundary param in Content-Type"}',
        ),
    ],
)  # fmt: skip
def test_errors_are_true_to_the_byte(client: httpx.Client, request_: tuple[str, dict[str, Any]], raw: str) -> None:
    method, _, path = request_[0].partition(" ")
    answer = client.request(method, path or "/v1/videos", **request_[1])
    assert re.sub(REQUEST_ID, "ID", answer.text) == raw


def test_out_of_credit_and_too_early_are_true_to_the_byte() -> None:
    with mockveo.serve(credit=1, clock="manual", render=False) as server:
        with httpx.Client(base_url=server.url, headers={"Authorization": "Bearer sk"}) as client:
            job = create(client).json()["id"]
            assert create(client).text == '{"code":null,"message":"user quota is not enough"}'
            assert client.get(f"/v1/videos/{job}/content").text == (
                '{"error":{"message":"Task is not completed yet, current status: queued",'
                '"type":"invalid_request_error"}}'
            )


def test_an_unknown_model_is_a_503_whatever_else_is_wrong(client: httpx.Client) -> None:
    answer = create(client, model="sora-2-all", prompt="")
    recorded = BODIES["err_503_model_not_found_videos"]
    assert answer.status_code == recorded["http"]
    assert list(answer.json()["error"]) == list(recorded["body"]["error"])
    assert shape(answer.json()) == shape(recorded["body"])


def test_a_request_id_carries_the_time_in_china(client: httpx.Client, clock: Clock) -> None:
    message = create(client, model="none").json()["error"]["message"]
    match = re.search(REQUEST_ID, message)
    assert match is not None
    shown = dt.datetime.strptime(match[0][:14] + "+0800", "%Y%m%d%H%M%S%z").timestamp()
    assert abs(shown - clock.date()) <= 1


def test_create_without_credit_is_refused() -> None:
    with mockveo.serve(credit=2, render=False) as server:
        with httpx.Client(base_url=server.url, headers={"Authorization": "Bearer sk-a"}) as client:
            answers = [create(client) for _ in range(3)]
            refused_earlier = create(client, prompt="")
            other = client.post("/v1/videos", files={"prompt": (None, "p")}, headers={"Authorization": "Bearer sk-b"})
    assert [answer.status_code for answer in answers] == [200, 200, 403]
    assert answers[2].json() == BODIES["err_403_quota_videos"]["body"]
    assert refused_earlier.status_code == 400
    assert other.status_code == 200


def test_an_unknown_id_and_another_keys_id_look_the_same(client: httpx.Client, clock: Clock) -> None:
    mine = create(client).json()["id"]
    clock.advance(200)
    other = {"Authorization": "Bearer sk-other"}
    assert client.get(f"/v1/videos/{mine}").status_code == 200
    for path, name in (("", "err_400_task_not_exist_newapi"), ("/content", "err_content_unknown_newapi")):
        for answer in (client.get(f"/v1/videos/{mine}{path}", headers=other), client.get(f"/v1/videos/nope{path}")):
            assert answer.status_code == BODIES[name]["http"]
            assert answer.json() == BODIES[name]["body"]
            assert list(answer.json()) == list(BODIES[name]["body"])


def test_content_before_completion(client: httpx.Client, clock: Clock) -> None:
    job = create(client).json()["id"]
    first = client.get(f"/v1/videos/{job}/content")
    clock.advance(20)
    second = client.get(f"/v1/videos/{job}/content")
    for answer, status in ((first, "queued"), (second, "in_progress")):
        assert answer.status_code == 400
        assert answer.json() == {
            "error": {
                "message": f"Task is not completed yet, current status: {status}",
                "type": "invalid_request_error",
            }
        }


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/videos"), ("DELETE", "/v1/videos/x"), ("POST", "/v1/videos/x/remix"), ("GET", "/v1/videos/x/"),
     ("GET", "/"), ("PUT", "/v1/models"), ("GET", "/v1"), ("POST", "/v1/videos/")],
)  # fmt: skip
def test_unknown_paths_and_methods(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 404
    assert answer.json() == {
        "error": {"message": f"Invalid URL ({method} {path})", "type": "invalid_request_error", "param": "", "code": ""}
    }


def test_a_third_image_is_refused(client: httpx.Client) -> None:
    answer = create(client, PNG, PNG, PNG)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_request"
    assert answer.json()["message"] == "3 files were sent as input_reference, wanted at most 2"


# Deviations: noted and answered normally, or refused with --strict.


CASES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("urlencoded", {"data": {"prompt": "p"}}, ["content-type"]),
    ("json", {"json": {"prompt": "p"}}, ["content-type"]),
    ("brackets", {"files": [("prompt", (None, "p")), ("input_reference[]", PNG)]}, ["image-field-name"]),
    ("text-as-image", {"files": {"prompt": (None, "p"), "input_reference": (None, "x.png")}}, ["text-for-file"]),
    ("url-as-image", {"json": {"prompt": "p", "input_reference": "https://x"}}, ["content-type", "text-for-file"]),
    ("other-name", {"files": {"prompt": (None, "p"), "first_frame": PNG}}, ["unknown-part"]),
    ("odd-name", {"files": {"prompt": (None, "p"), "nested[a][]": (None, "1")}}, ["unknown-part"]),
    ("seconds", {"files": {"prompt": (None, "p"), "seconds": (None, "8")}}, ["unknown-part"]),
    ("twice", {"files": [("prompt", (None, "p")), ("size", (None, "16x9")), ("size", (None, "9x16"))]},
     ["repeated-field"]),
    ("size-as-file", {"files": {"prompt": (None, "p"), "size": ("s", b"16x9", "text/plain")}}, ["file-for-text"]),
    ("image-as-text", {"files": {"prompt": (None, "p"), "input_reference": ("a", b"x", "text/plain")}},
     ["file-media-type"]),
    ("plain", {"files": {"prompt": (None, "p"), "input_reference": PNG}}, []),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "codes"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_deviation_is_noted_and_answered_normally(
    server: ServerThread, client: httpx.Client, arguments: dict[str, Any], codes: list[str]
) -> None:
    answer = client.post("/v1/videos", **arguments)
    assert answer.status_code == 200
    assert answer.json()["size"] == "16x9"
    noted = {exchange.job_id: exchange for exchange in server.app.world.journal}[answer.json()["id"]]
    assert [note.code for note in noted.deviations] == codes


@pytest.fixture(scope="module")
def strict() -> Any:
    with mockveo.serve(strict=True, clock="manual", self_check=True, render=False) as running:
        yield running


@pytest.mark.parametrize(("arguments", "codes"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_strict_refuses_a_deviation_and_says_what_was_wanted(
    strict: ServerThread, arguments: dict[str, Any], codes: list[str]
) -> None:
    answer = httpx.post(f"{strict.base_url}/videos", headers={"Authorization": "Bearer sk"}, **arguments)
    assert answer.status_code == (400 if codes else 200)
    if codes:
        assert answer.json()["code"] == "invalid_request"
        wanted = r"the page says|is not in the page|wanted image|the first one counts"
        assert re.search(wanted, answer.json()["message"])


def test_form_with_line_feeds_alone_is_noted_and_refused_by_strict(
    server: ServerThread, client: httpx.Client, strict: ServerThread
) -> None:
    content = b'--b\nContent-Disposition: form-data; name="prompt"\n\np\n--b--\n'
    headers = {"Authorization": "Bearer sk", "Content-Type": "multipart/form-data; boundary=b"}
    answer = client.post("/v1/videos", content=content, headers=headers)
    noted = {exchange.job_id: exchange for exchange in server.app.world.journal}[answer.json()["id"]]
    assert [note.code for note in noted.deviations] == ["line-ends"]
    refused = httpx.post(f"{strict.base_url}/videos", content=content, headers=headers)
    assert refused.status_code == 400
    assert "RFC 2046 section 5.1 wants CR LF" in refused.json()["message"]


def test_the_order_of_two_images_is_kept(server: ServerThread, client: httpx.Client) -> None:
    for first, second in ((b"one", b"two"), (b"two", b"one")):
        job = create(client, ("1.png", first, "image/png"), ("2.png", second, "image/png")).json()["id"]
        exchange = {exchange.job_id: exchange for exchange in server.app.world.journal}[job]
        assert [part.filename for part in exchange.parts if part.is_file] == ["1.png", "2.png"]
        hashes = [hashlib.sha256(data).hexdigest() for data in (first, second)]
        assert [part.sha256 for part in exchange.parts if part.is_file] == hashes


def test_an_uploaded_image_that_clips_are_made_of_is_kept_in_order() -> None:
    with mockveo.serve(clock="manual", render=True) as server:
        with httpx.Client(base_url=server.url, headers={"Authorization": "Bearer sk"}) as client:
            job = create(client, ("1", b"one", "image/png"), ("2", b"two", "image/png")).json()["id"]
        job_kept = server.app.world.jobs.get(job)
    assert job_kept is not None
    assert job_kept.images == (b"one", b"two")


ECMA_BLANKS = "\t\n\v\f\r\ufeff\u2028\u2029" + "".join(
    char for char in map(chr, range(0x10000)) if unicodedata.category(char) == "Zs"
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200))
def test_any_prompt_makes_a_job(client: httpx.Client, prompt: str) -> None:
    answer = create(client, prompt=prompt)
    # JSON Schema's \S is ECMA-262's: not quite what Python takes for a blank.
    assert answer.status_code == (200 if prompt.strip(ECMA_BLANKS) else 400)


# Content


@pytest.fixture
def finished(client: httpx.Client, clock: Clock) -> str:
    job: str = create(client).json()["id"]
    clock.advance(200)
    return f"/v1/videos/{job}/content"


def test_content_is_a_whole_mp4_with_its_length_and_tag(client: httpx.Client, finished: str) -> None:
    answer = client.get(finished)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["accept-ranges"] == "bytes"
    assert int(answer.headers["content-length"]) == len(answer.content) > 4096
    assert answer.content[4:8] == b"ftyp"
    assert client.get(finished).headers["etag"] == answer.headers["etag"]
    head = client.head(finished)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == answer.headers["content-length"]
    assert client.head(finished, headers={"Range": "bytes=0-9"}).status_code == 200


def test_each_jobs_video_is_another(client: httpx.Client, clock: Clock) -> None:
    jobs = [create(client).json()["id"] for _ in range(3)]
    clock.advance(200)
    assert len({client.get(f"/v1/videos/{job}/content").content for job in jobs}) == 3


@pytest.mark.parametrize(
    ("variant", "kind", "magic"),
    [("thumbnail", "image/webp", b"RIFF"), ("spritesheet", "image/jpeg", b"\xff\xd8\xff"), ("video", "video/mp4", b"")],
)
def test_variants_have_their_media_types(
    client: httpx.Client, finished: str, variant: str, kind: str, magic: bytes
) -> None:
    answer = client.get(finished, params={"variant": variant, "unknown": "x"})
    assert answer.headers["content-type"] == kind
    assert answer.content.startswith(magic)


def test_a_variant_that_does_not_exist(client: httpx.Client, finished: str) -> None:
    answer = client.get(finished, params={"variant": "audio"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "variant is 'audio', wanted one of video, thumbnail, spritesheet"


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [("bytes=0-99", (0, 100)), ("bytes=100-", (100, None)), ("bytes=-50", (-50, None)), ("bytes=0-99999999", (0, None)),
     ("Bytes = 5-5", (5, 6)), ("bytes=-99999999", (0, None))],
)  # fmt: skip
def test_a_range(client: httpx.Client, finished: str, asked: str, wanted: tuple[int, int | None]) -> None:
    whole = client.get(finished).content
    answer = client.get(finished, headers={"Range": asked})
    part = whole[slice(*wanted)]
    assert answer.status_code == 206
    assert answer.content == part
    start = whole.index(part) if wanted[0] else 0
    start = len(whole) - len(part) if wanted[0] < 0 else wanted[0]
    assert answer.headers["content-range"] == f"bytes {start}-{start + len(part) - 1}/{len(whole)}"


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=a-b", "bytes=-", "lines=0-1", "bytes=0-1,5-6", "bytes=1"])
def test_invalid_range_is_ignored(client: httpx.Client, finished: str, asked: str) -> None:
    assert client.get(finished, headers={"Range": asked}).status_code == 200


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=-0", f"bytes={'9' * 5000}-"])
def test_range_outside_the_content_is_refused(client: httpx.Client, finished: str, asked: str) -> None:
    answer = client.get(finished, headers={"Range": asked})
    size = len(client.get(finished).content)
    assert (answer.status_code, answer.content) == (416, b"")
    assert answer.headers["content-range"] == f"bytes */{size}"


@given(st.binary(max_size=50), st.integers(0, 60), st.one_of(st.none(), st.integers(0, 60)))
def test_ranges_cut_as_slices_do(data: bytes, start: int, last: int | None) -> None:
    header = f"bytes={start}-{'' if last is None else last}".encode()
    answer = content_response(data, "x/y", {b"range": header})
    part = data[start : None if last is None else last + 1]
    if last is not None and last < start:
        assert (answer.status, answer.body) == (200, data)
    elif part:
        assert (answer.status, answer.body) == (206, part)
    else:
        assert (answer.status, answer.body) == (416, b"")


def test_content_that_the_client_has_is_not_sent_again(client: httpx.Client, finished: str) -> None:
    etag = client.get(finished).headers["etag"]
    for header in (etag, f'"other", W/{etag}', "*"):
        answer = client.get(finished, headers={"If-None-Match": header})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert client.get(finished, headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_range_of_something_else_is_the_whole(client: httpx.Client, finished: str) -> None:
    etag = client.get(finished).headers["etag"]
    assert client.get(finished, headers={"Range": "bytes=0-9", "If-Range": etag}).status_code == 206
    assert client.get(finished, headers={"Range": "bytes=0-9", "If-Range": '"other"'}).status_code == 200


# Models


def test_the_models_are_the_aliases_of_the_document(client: httpx.Client, server: ServerThread) -> None:
    aliases = list(server.app.spec.aliases or ())
    listed = client.get("/v1/models").json()
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == aliases
    catalogue = httpx.get(f"{server.url}/api/models").json()
    assert [model["id"] for model in catalogue["data"]] == aliases
    assert catalogue["total"] == len(aliases)
    recorded = BODIES["api_models_record"]["body"]
    assert list(catalogue) == list(recorded)
    assert [name for name in catalogue["data"][0] if name in recorded["data"][0]] == list(recorded["data"][0])


def test_the_catalogue_has_what_its_readers_read(server: ServerThread) -> None:
    first = httpx.get(f"{server.url}/api/models").json()["data"][0]
    assert (first["code"], first["name"], first["provider_code"]) == ("veo3-fast", "veo3-fast", "google")
    assert json.loads(first["endpoints"])["openai-video"]["path"] == "/v1/videos"
    assert (first["upcoming"], bool(first["description"])) == (False, True)


def test_a_model_of_the_catalogue_is_asked_for_by_its_code(server: ServerThread) -> None:
    catalogue = httpx.get(f"{server.url}/api/models").json()["data"]
    answer = httpx.get(f"{server.url}/api/model/veo3.1")
    assert answer.json() == {"success": True, "data": next(model for model in catalogue if model["id"] == "veo3.1")}
    missing = httpx.get(f"{server.url}/api/model/veo9")
    assert (missing.status_code, missing.json()["message"]) == (404, "model veo9 does not exist")


def test_a_job_that_fails_at_once_says_why_in_the_answer_to_the_create(server: ServerThread) -> None:
    error = {"code": "rejected", "message": "It was rejected."}
    server.app.worlds.reset("rejected").use(scenario({"phases": [], "ending": "failure", "error": error}))
    with httpx.Client(base_url=f"{server.url}/@rejected", headers={"Authorization": "Bearer sk"}) as client:
        body = create(client).json()
    assert (body["status"], body["error"]) == ("failed", error)
