"""The rules about single requests, each told by real traffic: what keeps it, what breaks it, what looks close."""

from __future__ import annotations

import urllib.parse

import pytest
from traces import FIRST, HEAD, KEY, LAST, PROMPT, SECRET, TAIL, Stage, Tales, Told, check, http, image, judged, stage

from mockveo.rules.trace import CallTrace

__all__ = ["http", "stage"]  # fixtures

TALES = Tales()
told = TALES.told
OF_FILES = ("filename-star", "file-filename", "file-media-type", "no-transfer-encoding-header")
OF_FORMS = ("multipart-wellformed", "unknown-parts", "idempotency-key")
ELSEWHERE = {"operation": "create", "attempt": 1, "redirect": {"status": 307, "origin": "other"}}
PICTURE = 'Content-Disposition: form-data; name="input_reference"; filename="a.png"\nContent-Type: image/png\n\npixels'
TEXT = f'Content-Disposition: form-data; name="prompt"\n\n{PROMPT}'


@told("auth-bearer", "auth-in-url", "known-operation", "did-create", "prompt-exact", "omit-unset", *OF_FORMS)
@told("param-exact", *OF_FILES[:3], "refs-order", verdict="not exercised")
@told("auth-cross-origin", verdict="not exercised")
def a_plain_life(stage: Stage) -> CallTrace:
    stage.content(stage.finished())
    stage.send("GET", "/v1/models")
    stage.send("GET", "/api/models", headers={})
    return stage.story("completed")


@told("did-create", verdict="violation", message="no create came")
@told("auth-bearer", "auth-in-url", "known-operation", verdict="not exercised")
@told("prompt-exact", "omit-unset", "refs-exact", *OF_FILES, *OF_FORMS, verdict="not exercised")
def nothing(stage: Stage) -> CallTrace:
    return stage.story("error")


@told("did-create", verdict="not exercised")
def traffic_of_which_no_case_is_known(stage: Stage) -> CallTrace:
    stage.create()
    return stage.traffic()


@told("auth-bearer", verdict="violation", message="GET /v1/models carried no Authorization, wanted Auth")
def no_key(stage: Stage) -> CallTrace:
    stage.create()
    stage.send("GET", "/v1/models", headers={})
    return stage.story()


@told("auth-bearer", verdict="violation", message=r"POST /v1/videos carried Authorization: \(key [0-9a-f]{8}\)")
@told("multipart-wellformed")
@told("prompt-exact", "refs-exact", verdict="not exercised")
def the_key_alone(stage: Stage) -> CallTrace:
    stage.send("POST", "/v1/videos", files={"prompt": (None, PROMPT)}, headers={"Authorization": SECRET})
    return stage.story()


@told(
    "auth-bearer", verdict="violation", message=r"carried Bearer \(key \w+\), which is not the key of this case, Bear"
)
def another_key(stage: Stage) -> CallTrace:
    stage.create(headers={"Authorization": "Bearer sk-another"})
    return stage.story()


@told("auth-bearer")
def any_key_where_no_case_is_known(stage: Stage) -> CallTrace:
    stage.create(headers={"Authorization": "bearer sk-another"})
    return stage.traffic()


@told("auth-bearer", "known-operation")
def a_redirect_followed_without_the_key(stage: Stage) -> CallTrace:
    stage.play({**ELSEWHERE, "redirect": {"status": 307}})
    where = stage.send("POST", "/v1/videos", files={"prompt": (None, PROMPT)})
    assert where is not None
    stage.send("POST", f"{stage.server.url}{where.headers['location']}", files={"prompt": (None, PROMPT)}, headers={})
    return stage.story()


@told("auth-in-url", verdict="violation", message=r"GET had a key in its URL: /v1/models\?api_key=\.\.\.")
def a_key_by_its_name(stage: Stage) -> CallTrace:
    stage.send("GET", "/v1/models?api_key=whatever")
    return stage.traffic()


@told("auth-in-url", verdict="violation", message=r"a key in its URL: /v1/models\?k=\(key \w{8}\)")
def a_key_that_the_header_has_too(stage: Stage) -> CallTrace:
    stage.send("GET", f"/v1/models?k={SECRET}")
    return stage.traffic()


@told("auth-in-url", verdict="violation", message=r"had the key in its URL: /v1/models\?k=\(key \w{8}\)$")
def a_key_that_no_header_has(stage: Stage) -> CallTrace:
    stage.send("GET", f"/v1/models?k={SECRET}", headers={})
    return stage.story()


@told("auth-in-url", verdict="violation", message=r"had the key in its URL: /v1/\(key \w{8}\)/videos$")
def a_key_in_a_path(stage: Stage) -> CallTrace:
    stage.send("GET", f"/v1/{SECRET}/videos")
    return stage.story()


@told("auth-in-url", "auth-cross-origin")
def a_signed_url(stage: Stage) -> CallTrace:
    stage.play(video_url=True, phases=[])
    stage.send("GET", stage.poll(stage.create())["video_url"], headers={})
    return stage.story("completed")


@told("auth-in-url", verdict="violation", message=r"api_key=\.\.\.")
def a_key_added_to_a_signed_url(stage: Stage) -> CallTrace:
    stage.play(video_url=True, phases=[])
    stage.send("GET", stage.poll(stage.create())["video_url"] + f"&api_key={SECRET}", headers={})
    return stage.story("completed")


@told(
    "auth-cross-origin", verdict="violation", message="GET /videos/task_\\w+.mp4 took the key along to another origin"
)
def a_key_for_the_delivery(stage: Stage) -> CallTrace:
    stage.play(video_url=True, phases=[])
    stage.send("GET", stage.poll(stage.create())["video_url"])
    return stage.traffic()


@told("auth-cross-origin", verdict="violation", message="POST /v1/videos took the key along")
def a_key_for_a_redirect(stage: Stage) -> CallTrace:
    stage.play(ELSEWHERE)
    where = stage.send("POST", "/v1/videos", files={"prompt": (None, PROMPT)})
    assert where is not None
    stage.send("POST", where.headers["location"], files={"prompt": (None, PROMPT)})
    return stage.story()


@told("auth-cross-origin", verdict="violation", message="took the key along")
def a_key_in_another_header(stage: Stage) -> CallTrace:
    stage.play(video_url=True, phases=[])
    stage.send("GET", stage.poll(stage.create())["video_url"], headers={"X-Api-Key": SECRET})
    return stage.story()


@told("auth-cross-origin", verdict="not exercised")
@told("no-transfer-encoding-header", "unknown-parts")
def a_redirect_refused(stage: Stage) -> CallTrace:
    stage.play(ELSEWHERE)
    stage.create()
    return stage.story("error")


@told("known-operation", verdict="violation", message=r"GET /v1/video is not in the document; there is POST /v1/videos")
def another_path(stage: Stage) -> CallTrace:
    stage.send("GET", "/v1/video")
    return stage.traffic()


@told("known-operation", verdict="violation", message=r"DELETE /v1/videos/\w+ is not in the document")
def another_method(stage: Stage) -> CallTrace:
    stage.send("DELETE", f"/v1/videos/{stage.create()}")
    return stage.story()


@told("known-operation", "auth-in-url")
def head_options_and_queries(stage: Stage) -> CallTrace:
    job = stage.finished()
    stage.send("HEAD", f"/v1/videos/{job}/content?variant=thumbnail")
    stage.send("OPTIONS", "/v1/videos")
    stage.send("GET", f"/v1/videos/{job}?_=1")
    return stage.story()


@told("known-operation")
def a_post_that_is_led_to_the_job(stage: Stage) -> CallTrace:
    stage.play({"operation": "create", "redirect": {"status": 307}, "applied": True})
    stage.send("POST", "/v1/videos", files={"prompt": (None, PROMPT)}, follow_redirects=True)
    return stage.story()


@told(
    "multipart-wellformed", verdict="violation", message="sent as application/json; the page says multipart/form-data"
)
@told("prompt-exact")
def a_create_of_json(stage: Stage) -> CallTrace:
    stage.send("POST", "/v1/videos", json={"prompt": PROMPT})
    return stage.story()


@told(
    "multipart-wellformed", verdict="warning", message="page says multipart/form-data; the service is known to take it"
)
def urlencoded_text(stage: Stage) -> CallTrace:
    stage.send("POST", "/v1/videos", data={"prompt": PROMPT})
    return stage.story()


@told("multipart-wellformed", verdict="warning", message="sent as application/x-www-form-urlencoded")
def urlencoded_text_with_a_bad_key(stage: Stage) -> CallTrace:
    stage.send("POST", "/v1/videos", data={"prompt": PROMPT}, headers={"Authorization": "sk"})
    return stage.story()


@told("multipart-wellformed", verdict="violation", message="sent as application/x-www-form-urlencoded")
@told("refs-exact", verdict="violation", message="0 images came as input_reference, wanted 1")
def urlencoded_where_there_is_an_image(stage: Stage) -> CallTrace:
    stage.send("POST", "/v1/videos", data={"prompt": PROMPT})
    return stage.story(images=[image(FIRST)])


@told("multipart-wellformed", verdict="violation", message="could not be read: .*no multipart boundary param")
@told("prompt-exact", "refs-exact", "unknown-parts", verdict="not exercised")
def no_boundary(stage: Stage) -> CallTrace:
    stage.raw("multipart/form-data", b"--x\r\n")
    return stage.story()


@told("multipart-wellformed", verdict="violation", message="could not be read: .*before its closing boundary")
def no_end(stage: Stage) -> CallTrace:
    stage.raw("multipart/form-data; boundary=x", f"--x\r\n{TEXT}\r\n".replace("\n\n", "\r\n\r\n").encode())
    return stage.traffic()


@told("multipart-wellformed", verdict="violation", message="sent as nothing, wanted multipart/form-data")
def no_body(stage: Stage) -> CallTrace:
    stage.raw("", b"")
    return stage.story()


@told("multipart-wellformed", "prompt-exact", *OF_FILES, "refs-exact", "unknown-parts", "idempotency-key")
def an_odd_boundary_and_chunks(stage: Stage) -> CallTrace:
    body = (
        f'--"=?x\r\n{TEXT}\r\n--"=?x\r\n{PICTURE}\r\n--"=?x--\r\n'.replace('"=?', "'()+_")
        .replace("\n", "\r\n")
        .replace("\r\r", "\r")
    )
    chunks = iter([body[:50].encode(), body[50:].encode()])
    headers = {**KEY, "Content-Type": 'multipart/form-data; boundary="\'()+_x"', "X-Trace": "1"}
    stage.send("POST", "/v1/videos", content=chunks, headers=headers)
    return stage.story(images=[image(b"pixels", "other.png")])


@told("prompt-exact", verdict="violation", message="the prompt came as 'A paper kite', wanted 'A paper kite floats")
def another_prompt(stage: Stage) -> CallTrace:
    stage.create(prompt=PROMPT[:12])
    return stage.story()


@told("prompt-exact", verdict="violation", message="the prompt came as None, wanted")
@told("multipart-wellformed")
def an_empty_form(stage: Stage) -> CallTrace:
    stage.form()
    return stage.story()


@told("prompt-exact", verdict="violation", message=r"x{50,}\.\.\. \(502 characters\), wanted")
def a_long_prompt_cut(stage: Stage) -> CallTrace:
    stage.create(prompt="x" * 500)
    return stage.story(prompt="x" * 501)


@told("prompt-exact")
def line_breaks_of_forms(stage: Stage) -> CallTrace:
    stage.create(prompt="eins\r\nzwei\r\ndrei ☃ ")
    return stage.story(prompt="eins\nzwei\rdrei ☃ ")


@told("prompt-exact", verdict="violation", message="drei")
def a_prompt_that_is_stripped(stage: Stage) -> CallTrace:
    stage.create(prompt="drei")
    return stage.story(prompt="drei ")


@told("param-exact")
def model_and_size(stage: Stage) -> CallTrace:
    stage.create(model="veo3.1", size="9x16")
    return stage.story(model="veo3.1", size="9x16")


@told("param-exact", verdict="violation", message="size came as '16x9', wanted '9x16'")
def another_size(stage: Stage) -> CallTrace:
    stage.create(model="veo3.1", size="16x9")
    return stage.story(model="veo3.1", size="9x16")


@told("param-exact", verdict="violation", message="model came as None, wanted 'veo3.1'")
@told("omit-unset")
def a_model_left_out(stage: Stage) -> CallTrace:
    stage.create()
    return stage.story(model="veo3.1")


@told("omit-unset", verdict="not exercised")
@told("param-exact")
def everything_is_set(stage: Stage) -> CallTrace:
    stage.form(
        TEXT, *(f'Content-Disposition: form-data; name="{k}"\n\n{v}' for k, v in (("size", "9x16"), ("model", "veo3")))
    )
    return stage.story(model="veo3", size="9x16")


@told("omit-unset", verdict="warning", message="size was left out by the caller and sent as its default, '16x9'")
def the_default_is_sent(stage: Stage) -> CallTrace:
    stage.create(size="16x9")
    return stage.story()


@told("omit-unset", verdict="violation", message="size was left out by the caller and sent as the text 'None'")
def none_is_sent(stage: Stage) -> CallTrace:
    stage.create(size="None")
    return stage.story(model="veo3")


@told("omit-unset", verdict="violation", message="sent as 'veo3.1'")
def another_model_is_sent(stage: Stage) -> CallTrace:
    stage.create(model="veo3.1")
    return stage.story()


@told("refs-exact", "refs-order", *OF_FILES, "unknown-parts")
def two_images(stage: Stage) -> CallTrace:
    stage.create(HEAD, TAIL)
    return stage.story(images=[image(FIRST), image(LAST)])


@told("refs-order", verdict="violation", message="the images came in the order 2, 1, wanted 1, 2")
@told("refs-exact")
def two_images_swapped(stage: Stage) -> CallTrace:
    stage.create(TAIL, HEAD)
    return stage.story(images=[image(FIRST), image(LAST)])


@told("refs-order", verdict="not exercised")
@told("refs-exact")
def the_same_image_twice(stage: Stage) -> CallTrace:
    stage.create(HEAD, HEAD)
    return stage.story(images=[image(FIRST), image(FIRST)])


@told("refs-exact", verdict="violation", message="1 images came as input_reference, wanted 2")
@told("refs-order", verdict="not exercised")
def one_image_of_two(stage: Stage) -> CallTrace:
    stage.create(HEAD)
    return stage.story(images=[image(FIRST), image(LAST)])


@told("refs-exact", verdict="violation", message="1 images came as input_reference, of other bytes, wanted 1")
def another_image(stage: Stage) -> CallTrace:
    stage.create(TAIL)
    return stage.story(images=[image(FIRST)])


@told("refs-exact", verdict="violation", message="'input_reference\\[\\]' was sent; the page says 'input_reference'")
def images_as_a_list(stage: Stage) -> CallTrace:
    stage.create(("input_reference[]", HEAD[1]))
    return stage.story(images=[image(FIRST)])


@told("refs-exact", verdict="violation", message="was sent as text; the page says a file")
def a_path_for_an_image(stage: Stage) -> CallTrace:
    stage.create(input_reference="first.png")
    return stage.story(images=[image(FIRST)])


@told(
    "unknown-parts",
    verdict="warning",
    message="the file part 'first_frame' is not in the page; a file is sent as input_",
)
@told("refs-exact", verdict="violation", message="0 images came as input_reference, wanted 1")
def a_frame_under_another_name(stage: Stage) -> CallTrace:
    stage.create(("first_frame", HEAD[1]))
    return stage.story(images=[image(FIRST)])


@told("unknown-parts", verdict="warning", message="the field 'seconds' is not in the page; the fields are")
def a_field_of_another_page(stage: Stage) -> CallTrace:
    stage.create(seconds="8")
    return stage.traffic()


@told(
    "filename-star", verdict="violation", message="names its file with filename\\*, which RFC 7578 section 4.2 forbids"
)
@told("file-filename", "file-media-type", "refs-exact")
def a_filename_with_a_star(stage: Stage) -> CallTrace:
    stage.form(TEXT, PICTURE.replace('filename="a.png"', "filename*=UTF-8''%C3%A4.png"))
    return stage.story(images=[image(b"pixels")])


@told(*OF_FILES)
def filenames_of_all_kinds(stage: Stage) -> CallTrace:
    for name in ("ä ☃.png", "a%22b.png", "../a;b=c.png", "star.png"):
        stage.form(TEXT, PICTURE.replace("a.png", name))
    return stage.story()


@told("file-filename", verdict="warning", message="came with an empty filename, wanted one")
def an_empty_filename(stage: Stage) -> CallTrace:
    stage.form(TEXT, PICTURE.replace("a.png", ""))
    return stage.traffic()


@told("file-filename", verdict="warning", message="came without a filename, wanted one")
@told("refs-exact", verdict="violation", message="sent as text; the page says a file")
@told("file-media-type", "filename-star", verdict="not exercised")
def bytes_without_a_filename(stage: Stage) -> CallTrace:
    part = PICTURE.replace('; filename="a.png"', "").removesuffix("pixels").encode() + FIRST[:100]
    stage.form(TEXT, part)
    return stage.story(images=[image(FIRST[:100])])


@told("file-media-type", verdict="warning", message="a.png came without a Content-Type of its own")
def no_media_type(stage: Stage) -> CallTrace:
    stage.form(TEXT, PICTURE.replace("\nContent-Type: image/png", ""))
    return stage.traffic()


@told("file-media-type")
def a_media_type_before_the_disposition(stage: Stage) -> CallTrace:
    disposition, kind, *rest = PICTURE.split("\n")
    stage.form(TEXT, "\n".join([kind, disposition, *rest]))
    return stage.story(images=[image(b"pixels")])


@told(
    "no-transfer-encoding-header",
    verdict="warning",
    message="has a Content-Transfer-Encoding, which RFC 7578 section 4.7",
)
def a_transfer_encoding(stage: Stage) -> CallTrace:
    stage.form(TEXT, PICTURE.replace("\n\n", "\nContent-Transfer-Encoding: binary\n\n"))
    return stage.traffic()


@told("no-transfer-encoding-header")
@told("prompt-exact")
def a_charset_of_a_field(stage: Stage) -> CallTrace:
    stage.form(TEXT.replace("\n\n", "\nContent-Type: text/plain; charset=utf-8\n\n"), PICTURE)
    return stage.story()


@told("idempotency-key", verdict="info", message="carried an Idempotency-Key; the service knows none")
@told("unknown-parts")
def a_key_against_repetition(stage: Stage) -> CallTrace:
    stage.create(headers={"Idempotency-Key": "1"})
    return stage.traffic()


@pytest.mark.parametrize("one", TALES, ids=str)
def test_a_rule_of_requests(stage: Stage, one: Told) -> None:
    check(one, stage)


def test_no_message_has_the_key(stage: Stage) -> None:
    stage.send("GET", f"/v1/models?{urllib.parse.urlencode({'k': SECRET})}", headers={})
    assert SECRET not in str(judged(stage.story(), "auth-in-url"))
