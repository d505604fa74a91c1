"""Rules about single requests: real traffic that keeps each, breaks it, or comes close."""

from __future__ import annotations

from traces import (
    FIRST,
    HEAD,
    KEY,
    LAST,
    PROMPT,
    SECRET,
    TAIL,
    Recorder,
    RuleExamples,
    image,
)

from mockveo.rules.trace import CallTrace

EXAMPLES = RuleExamples()
expect = EXAMPLES.expect
OF_FILES = ("filename-star", "file-as-it-is", "file-filename", "file-media-type", "no-transfer-encoding-header")
OF_FORMS = ("multipart-wellformed", "part-once", "unknown-parts", "idempotency-key")
ELSEWHERE = {"operation": "create", "attempt": 1, "redirect": {"status": 307, "origin": "other"}}
PICTURE = 'Content-Disposition: form-data; name="input_reference"; filename="a.png"\nContent-Type: image/png\n\npixels'
TEXT = f'Content-Disposition: form-data; name="prompt"\n\n{PROMPT}'


@expect("auth-bearer", "auth-in-url", "known-operation", "did-create", "prompt-exact", "omit-unset", *OF_FORMS)
@expect("param-exact", *OF_FILES[:4], "refs-order", verdict="not exercised")
@expect("auth-cross-origin", verdict="not exercised")
def a_plain_life(recorder: Recorder) -> CallTrace:
    recorder.content(recorder.finished())
    recorder.send("GET", "/v1/models")
    recorder.send("GET", "/api/models", headers={})
    return recorder.call("completed")


@expect("did-create", verdict="violation", message="the client sent no create")
@expect("auth-bearer", "auth-in-url", "known-operation", verdict="not exercised")
@expect("prompt-exact", "omit-unset", "refs-exact", *OF_FILES, *OF_FORMS, verdict="not exercised")
@expect("params-in-form", verdict="not exercised")
def nothing(recorder: Recorder) -> CallTrace:
    return recorder.call("error")


@expect("did-create", verdict="not exercised")
def traffic_without_a_case(recorder: Recorder) -> CallTrace:
    recorder.create()
    return recorder.traffic()


@expect("auth-bearer", verdict="violation", message="GET /v1/models carried no Authorization; expected Auth")
def no_key(recorder: Recorder) -> CallTrace:
    recorder.create()
    recorder.send("GET", "/v1/models", headers={})
    return recorder.call()


@expect("auth-bearer", verdict="violation", message=r"POST /v1/videos carried Authorization: \(key [0-9a-f]{8}\)")
@expect("multipart-wellformed")
@expect("prompt-exact", "refs-exact", verdict="not exercised")
def the_key_alone(recorder: Recorder) -> CallTrace:
    recorder.send("POST", "/v1/videos", files={"prompt": (None, PROMPT)}, headers={"Authorization": SECRET})
    return recorder.call()


@expect("auth-bearer", verdict="violation", message=r"carried Bearer \(key \w+\); expected the key of this case, Bear")
def another_key(recorder: Recorder) -> CallTrace:
    recorder.create(headers={"Authorization": "Bearer sk-another"})
    return recorder.call()


@expect("auth-bearer", verdict="violation", message=r"carried Authorization: Bearer Bearer \(key \w{8}\); expected")
def a_scheme_that_is_sent_twice(recorder: Recorder) -> CallTrace:
    recorder.create(headers={"Authorization": f"Bearer Bearer {SECRET}"})
    return recorder.traffic()


@expect("auth-bearer", verdict="violation", message=r"Authorization: Bearer \(key \w{8}\), Bearer \(key \w{8}\); exp")
def a_header_that_is_sent_twice(recorder: Recorder) -> CallTrace:
    recorder.send("GET", "/v1/models", headers=[*KEY.items(), *KEY.items()])
    return recorder.traffic()


@expect("auth-bearer", verdict="warning", message="carried the key in x-api-key, the field token too; the")
def a_key_in_other_places_too(recorder: Recorder) -> CallTrace:
    recorder.create(headers={"X-Api-Key": SECRET}, token=SECRET)
    return recorder.call()


@expect("auth-bearer", verdict="warning", message="GET /v1/models carried the key in cookie too")
def a_key_in_a_cookie_too(recorder: Recorder) -> CallTrace:
    recorder.send("GET", "/v1/models", headers={**KEY, "Cookie": SECRET})
    return recorder.traffic()


@expect("auth-bearer", verdict="warning", message="GET /v1/models carried the key in cookie too")
def a_key_in_one_of_two_cookies_too(recorder: Recorder) -> CallTrace:
    recorder.send("GET", "/v1/models", headers={**KEY, "Cookie": f"theme=dark; session={SECRET}"})
    return recorder.traffic()


@expect("auth-bearer")
def two_blanks_after_the_scheme(recorder: Recorder) -> CallTrace:
    recorder.create(headers={"Authorization": f"Bearer  {SECRET}"})
    return recorder.call()


@expect("auth-bearer")
def any_key_without_a_case(recorder: Recorder) -> CallTrace:
    recorder.create(headers={"Authorization": "bearer sk-another"})
    return recorder.traffic()


@expect("auth-bearer", "known-operation")
def a_redirect_followed_without_the_key(recorder: Recorder) -> CallTrace:
    recorder.play({**ELSEWHERE, "redirect": {"status": 307}})
    where = recorder.send("POST", "/v1/videos", files={"prompt": (None, PROMPT)})
    assert where is not None
    recorder.send(
        "POST", f"{recorder.server.url}{where.headers['location']}", files={"prompt": (None, PROMPT)}, headers={}
    )
    return recorder.call()


@expect("auth-in-url", verdict="violation", message=r"GET had a key in its URL: /v1/models\?api_key=\.\.\.")
def a_key_by_its_name(recorder: Recorder) -> CallTrace:
    recorder.send("GET", "/v1/models?api_key=whatever")
    return recorder.traffic()


@expect("auth-in-url", verdict="violation", message=r"a key in its URL: /v1/models\?k=\(key \w{8}\)")
def a_key_that_the_header_has_too(recorder: Recorder) -> CallTrace:
    recorder.send("GET", f"/v1/models?k={SECRET}")
    return recorder.traffic()


@expect("auth-in-url", verdict="violation", message=r"had the key in its URL: /v1/models\?k=\(key \w{8}\)$")
def a_key_that_no_header_has(recorder: Recorder) -> CallTrace:
    recorder.send("GET", f"/v1/models?k={SECRET}", headers={})
    return recorder.call()


@expect("auth-in-url", verdict="violation", message=r"had the key in its URL: /v1/\(key \w{8}\)/videos$")
def a_key_in_a_path(recorder: Recorder) -> CallTrace:
    recorder.send("GET", f"/v1/{SECRET}/videos")
    return recorder.call()


@expect("auth-in-url", "auth-cross-origin")
def a_signed_url(recorder: Recorder) -> CallTrace:
    recorder.play(video_url=True, phases=[])
    recorder.send("GET", recorder.poll(recorder.create())["video_url"], headers={})
    return recorder.call("completed")


@expect("auth-in-url", verdict="violation", message=r"api_key=\.\.\.")
def a_key_added_to_a_signed_url(recorder: Recorder) -> CallTrace:
    recorder.play(video_url=True, phases=[])
    recorder.send("GET", recorder.poll(recorder.create())["video_url"] + f"&api_key={SECRET}", headers={})
    return recorder.call("completed")


@expect("auth-cross-origin", verdict="violation", message="GET /videos/task_\\w+.mp4 sent the key to another origin")
def a_key_for_the_delivery(recorder: Recorder) -> CallTrace:
    recorder.play(video_url=True, phases=[])
    recorder.send("GET", recorder.poll(recorder.create())["video_url"])
    return recorder.traffic()


@expect("auth-cross-origin", verdict="violation", message="POST /v1/videos sent the key to another origin")
def a_key_for_a_redirect(recorder: Recorder) -> CallTrace:
    recorder.play(ELSEWHERE)
    where = recorder.send("POST", "/v1/videos", files={"prompt": (None, PROMPT)})
    assert where is not None
    recorder.send("POST", where.headers["location"], files={"prompt": (None, PROMPT)})
    return recorder.call()


@expect("auth-cross-origin", verdict="violation", message="sent the key to another origin")
def a_key_in_another_header(recorder: Recorder) -> CallTrace:
    recorder.play(video_url=True, phases=[])
    recorder.send("GET", recorder.poll(recorder.create())["video_url"], headers={"X-Api-Key": SECRET})
    return recorder.call()


@expect("auth-cross-origin", verdict="violation", message="sent the key to another origin")
def a_key_in_the_address_of_a_page(recorder: Recorder) -> CallTrace:
    recorder.play(video_url=True, phases=[])
    page = {"Referer": f"http://app.example/?key={SECRET}"}
    recorder.send("GET", recorder.poll(recorder.create())["video_url"], headers=page)
    return recorder.call()


@expect("auth-cross-origin", verdict="violation", message="sent the key to another origin")
def a_key_in_a_header_of_any_name(recorder: Recorder) -> CallTrace:
    recorder.play(video_url=True, phases=[])
    recorder.send("GET", recorder.poll(recorder.create())["video_url"], headers={"X-Client": SECRET})
    return recorder.call()


@expect("auth-cross-origin", verdict="not exercised")
@expect("no-transfer-encoding-header", "unknown-parts")
def a_redirect_refused(recorder: Recorder) -> CallTrace:
    recorder.play(ELSEWHERE)
    recorder.create()
    return recorder.call("error")


@expect(
    "known-operation",
    verdict="violation",
    message=r"GET /v1/video is not in the OpenAPI document; the paths are POST",
)
def another_path(recorder: Recorder) -> CallTrace:
    recorder.send("GET", "/v1/video")
    return recorder.traffic()


@expect("known-operation", verdict="violation", message=r"DELETE /v1/videos/\w+ is not in the OpenAPI document")
def another_method(recorder: Recorder) -> CallTrace:
    recorder.send("DELETE", f"/v1/videos/{recorder.create()}")
    return recorder.call()


@expect("known-operation", "auth-in-url")
def head_options_and_queries(recorder: Recorder) -> CallTrace:
    job = recorder.finished()
    recorder.send("HEAD", f"/v1/videos/{job}/content?variant=thumbnail")
    recorder.send("OPTIONS", "/v1/videos")
    recorder.send("GET", f"/v1/videos/{job}?_=1")
    return recorder.call()


@expect("known-operation")
def a_post_that_is_led_to_the_job(recorder: Recorder) -> CallTrace:
    recorder.play({"operation": "create", "redirect": {"status": 307}, "applied": True})
    recorder.send("POST", "/v1/videos", files={"prompt": (None, PROMPT)}, follow_redirects=True)
    return recorder.call()


@expect("multipart-wellformed", verdict="warning", message="form-data; programs of this route are known to send this")
@expect("prompt-exact")
def a_create_of_json(recorder: Recorder) -> CallTrace:
    recorder.send("POST", "/v1/videos", json={"prompt": PROMPT})
    return recorder.call()


@expect(
    "multipart-wellformed", verdict="violation", message="sent as application/json; the page says multipart/form-da"
)
@expect("unknown-parts", verdict="warning", message="'input_reference' was sent as text; the page says a file")
def a_create_of_json_with_an_image(recorder: Recorder) -> CallTrace:
    recorder.send("POST", "/v1/videos", json={"prompt": PROMPT, "input_reference": "data:image/png;base64,AAAA"})
    return recorder.traffic()


@expect(
    "multipart-wellformed",
    verdict="warning",
    message="multipart/form-data; the service is known to accept this",
)
def urlencoded_text(recorder: Recorder) -> CallTrace:
    recorder.send("POST", "/v1/videos", data={"prompt": PROMPT})
    return recorder.call()


@expect("multipart-wellformed", verdict="warning", message="sent as application/x-www-form-urlencoded")
def urlencoded_text_with_a_bad_key(recorder: Recorder) -> CallTrace:
    recorder.send("POST", "/v1/videos", data={"prompt": PROMPT}, headers={"Authorization": "sk"})
    return recorder.call()


@expect("multipart-wellformed", verdict="violation", message="sent as application/x-www-form-urlencoded")
@expect("refs-exact", verdict="violation", message="0 images arrived as input_reference; expected 1")
def urlencoded_with_an_image(recorder: Recorder) -> CallTrace:
    recorder.send("POST", "/v1/videos", data={"prompt": PROMPT})
    return recorder.call(images=[image(FIRST)])


@expect("multipart-wellformed", verdict="violation", message="could not be read: .*no multipart boundary param")
@expect("prompt-exact", "refs-exact", "unknown-parts", verdict="not exercised")
def no_boundary(recorder: Recorder) -> CallTrace:
    recorder.raw("multipart/form-data", b"--x\r\n")
    return recorder.call()


@expect("multipart-wellformed", verdict="violation", message="could not be read: .*before its closing boundary")
def no_end(recorder: Recorder) -> CallTrace:
    recorder.raw("multipart/form-data; boundary=x", f"--x\r\n{TEXT}\r\n".replace("\n\n", "\r\n\r\n").encode())
    return recorder.traffic()


def _redirected(recorder: Recorder, agent: str) -> None:
    """Send a create, and after a redirect one whose form cannot be read, as Node's fetch does."""
    recorder.play({**ELSEWHERE, "redirect": {"status": 307}})
    headers = {**KEY, "User-Agent": agent}
    response = recorder.send("POST", "/v1/videos", files={"prompt": (None, PROMPT)}, headers=headers)
    assert response is not None
    form = {**headers, "Content-Type": "multipart/form-data; boundary=old"}
    recorder.send("POST", f"{recorder.server.url}{response.headers['location']}", content=b"--new\r\n", headers=form)


@expect(
    "multipart-wellformed", verdict="violation", message="Node's fetch spoilt the form when it followed the redir.*man"
)
def a_form_that_nodes_fetch_spoils(recorder: Recorder) -> CallTrace:
    _redirected(recorder, "node")
    return recorder.call()


@expect("multipart-wellformed", verdict="violation", message="after the redirect with 307 the form could not be read")
def a_form_that_another_client_spoils(recorder: Recorder) -> CallTrace:
    _redirected(recorder, "another/1.0")
    return recorder.call()


@expect("multipart-wellformed", verdict="warning", message="lines of the form end in LF alone; RFC 2046")
@expect("prompt-exact")
def lines_that_end_in_line_feeds(recorder: Recorder) -> CallTrace:
    recorder.raw("multipart/form-data; boundary=x", f"--x\n{TEXT}\n--x--\n".encode())
    return recorder.call()


@expect("multipart-wellformed", verdict="warning", message="there is text before the first boundary; RFC 2046")
def a_preamble(recorder: Recorder) -> CallTrace:
    body = f"This is a form.\n--x\n{TEXT}\n--x--\n".replace("\n", "\r\n")
    recorder.raw("multipart/form-data; boundary=x", body.encode())
    return recorder.traffic()


@expect("multipart-wellformed", verdict="violation", message="sent as nothing; expected multipart/form-data")
def no_body(recorder: Recorder) -> CallTrace:
    recorder.raw("", b"")
    return recorder.call()


@expect("multipart-wellformed", "prompt-exact", *OF_FILES, "refs-exact", "unknown-parts", "idempotency-key")
def an_odd_boundary_and_chunks(recorder: Recorder) -> CallTrace:
    body = (
        f'--"=?x\r\n{TEXT}\r\n--"=?x\r\n{PICTURE}\r\n--"=?x--\r\n'.replace('"=?', "'()+_")
        .replace("\n", "\r\n")
        .replace("\r\r", "\r")
    )
    chunks = iter([body[:50].encode(), body[50:].encode()])
    headers = {**KEY, "Content-Type": 'multipart/form-data; boundary="\'()+_x"', "X-Trace": "1"}
    recorder.send("POST", "/v1/videos", content=chunks, headers=headers)
    return recorder.call(images=[image(b"pixels", "other.png")])


@expect("prompt-exact", verdict="violation", message="arrived as 'A paper kite'; expected 'A paper kite floats")
def another_prompt(recorder: Recorder) -> CallTrace:
    recorder.create(prompt=PROMPT[:12])
    return recorder.call()


@expect("prompt-exact", verdict="violation", message="the prompt arrived as None; expected")
@expect("multipart-wellformed")
def an_empty_form(recorder: Recorder) -> CallTrace:
    recorder.form()
    return recorder.call()


@expect("prompt-exact", verdict="violation", message=r"x{50,}\.\.\. \(502 characters\); expected")
def a_long_prompt_cut(recorder: Recorder) -> CallTrace:
    recorder.create(prompt="x" * 500)
    return recorder.call(prompt="x" * 501)


@expect("prompt-exact")
def line_breaks_of_forms(recorder: Recorder) -> CallTrace:
    recorder.create(prompt="eins\r\nzwei\r\ndrei ☃ ")
    return recorder.call(prompt="eins\nzwei\rdrei ☃ ")


@expect("prompt-exact", verdict="violation", message="drei")
def a_prompt_that_is_stripped(recorder: Recorder) -> CallTrace:
    recorder.create(prompt="drei")
    return recorder.call(prompt="drei ")


@expect("param-exact")
def model_and_size(recorder: Recorder) -> CallTrace:
    recorder.create(model="veo3.1", size="9x16")
    return recorder.call(model="veo3.1", size="9x16")


@expect("param-exact", verdict="violation", message="size arrived as '16x9'; expected '9x16'")
def another_size(recorder: Recorder) -> CallTrace:
    recorder.create(model="veo3.1", size="16x9")
    return recorder.call(model="veo3.1", size="9x16")


@expect("param-exact", verdict="violation", message="model arrived as None; expected 'veo3.1'")
@expect("omit-unset")
def a_model_left_out(recorder: Recorder) -> CallTrace:
    recorder.create()
    return recorder.call(model="veo3.1")


@expect("omit-unset", verdict="not exercised")
@expect("param-exact")
def everything_is_set(recorder: Recorder) -> CallTrace:
    recorder.form(
        TEXT, *(f'Content-Disposition: form-data; name="{k}"\n\n{v}' for k, v in (("size", "9x16"), ("model", "veo3")))
    )
    return recorder.call(model="veo3", size="9x16")


@expect("omit-unset", verdict="warning", message="the caller left out size, but the client sent its default, '16x9'")
def the_default_is_sent(recorder: Recorder) -> CallTrace:
    recorder.create(size="16x9")
    return recorder.call()


@expect("omit-unset", verdict="violation", message="the caller left out size, but the client sent the text 'None'")
def none_is_sent(recorder: Recorder) -> CallTrace:
    recorder.create(size="None")
    return recorder.call(model="veo3")


@expect("omit-unset", verdict="violation", message="but the client sent 'veo3.1'")
def another_model_is_sent(recorder: Recorder) -> CallTrace:
    recorder.create(model="veo3.1")
    return recorder.call()


@expect("refs-exact", "refs-order", *OF_FILES, "unknown-parts")
def two_images(recorder: Recorder) -> CallTrace:
    recorder.create(HEAD, TAIL)
    return recorder.call(images=[image(FIRST), image(LAST)])


@expect("refs-order", verdict="violation", message="the images arrived in the order 2, 1; expected 1, 2")
@expect("refs-exact")
def two_images_swapped(recorder: Recorder) -> CallTrace:
    recorder.create(TAIL, HEAD)
    return recorder.call(images=[image(FIRST), image(LAST)])


@expect("refs-order", verdict="not exercised")
@expect("refs-exact")
def the_same_image_twice(recorder: Recorder) -> CallTrace:
    recorder.create(HEAD, HEAD)
    return recorder.call(images=[image(FIRST), image(FIRST)])


@expect("refs-exact", verdict="violation", message="1 image arrived as input_reference; expected 2")
@expect("refs-order", verdict="not exercised")
def one_image_of_two(recorder: Recorder) -> CallTrace:
    recorder.create(HEAD)
    return recorder.call(images=[image(FIRST), image(LAST)])


@expect("refs-exact", verdict="violation", message="1 image arrived as input_reference with other bytes than expected")
def another_image(recorder: Recorder) -> CallTrace:
    recorder.create(TAIL)
    return recorder.call(images=[image(FIRST)])


@expect("refs-exact", verdict="violation", message="'input_reference\\[\\]' was sent; the page says 'input_reference'")
def images_as_a_list(recorder: Recorder) -> CallTrace:
    recorder.create(("input_reference[]", HEAD[1]))
    return recorder.call(images=[image(FIRST)])


@expect("refs-exact", verdict="violation", message="was sent as text; the page says a file")
def a_path_for_an_image(recorder: Recorder) -> CallTrace:
    recorder.create(input_reference="first.png")
    return recorder.call(images=[image(FIRST)])


@expect(
    "unknown-parts",
    verdict="warning",
    message="the file part 'first_frame' is not in the page; a file is sent as input_",
)
@expect("refs-exact", verdict="violation", message="0 images arrived as input_reference; expected 1")
def a_frame_under_another_name(recorder: Recorder) -> CallTrace:
    recorder.create(("first_frame", HEAD[1]))
    return recorder.call(images=[image(FIRST)])


@expect("unknown-parts", verdict="warning", message="the field 'seconds' is not in the page; the fields are")
def a_field_of_another_page(recorder: Recorder) -> CallTrace:
    recorder.create(seconds="8")
    return recorder.traffic()


@expect("unknown-parts", verdict="warning", message=r"'input_reference\[\]' was sent; the page says 'input_reference'")
def images_as_a_list_in_traffic(recorder: Recorder) -> CallTrace:
    recorder.create(("input_reference[]", HEAD[1]))
    return recorder.traffic()


@expect("part-once", verdict="violation", message="'prompt' was sent again; the first one counts")
@expect("unknown-parts")
def a_prompt_that_is_sent_twice(recorder: Recorder) -> CallTrace:
    recorder.form(TEXT, TEXT)
    return recorder.traffic()


@expect(
    "filename-star", verdict="violation", message="names its file with filename\\*, which RFC 7578 section 4.2 forbids"
)
@expect("file-filename", "file-media-type", "refs-exact")
def a_filename_with_a_star(recorder: Recorder) -> CallTrace:
    recorder.form(TEXT, PICTURE.replace('filename="a.png"', "filename*=UTF-8''%C3%A4.png"))
    return recorder.call(images=[image(b"pixels")])


@expect(*OF_FILES[:1], *OF_FILES[2:])
def filenames_of_all_kinds(recorder: Recorder) -> CallTrace:
    for name in ("ä ☃.png", "a%22b.png", "../a;b=c.png", "star.png"):
        recorder.form(TEXT, PICTURE.replace("a.png", name))
    return recorder.call()


@expect("file-filename", verdict="warning", message="a file part has an empty filename; expected one")
def an_empty_filename(recorder: Recorder) -> CallTrace:
    recorder.form(TEXT, PICTURE.replace("a.png", ""))
    return recorder.traffic()


@expect("file-filename", verdict="warning", message="a file part has no filename; expected one")
@expect("refs-exact", verdict="violation", message="sent as text; the page says a file")
@expect("file-media-type", "filename-star", verdict="not exercised")
def bytes_without_a_filename(recorder: Recorder) -> CallTrace:
    part = PICTURE.replace('; filename="a.png"', "").removesuffix("pixels").encode() + FIRST[:100]
    recorder.form(TEXT, part)
    return recorder.call(images=[image(FIRST[:100])])


@expect("file-media-type", verdict="warning", message="a.png arrived without a Content-Type of its own")
def no_media_type(recorder: Recorder) -> CallTrace:
    recorder.form(TEXT, PICTURE.replace("\nContent-Type: image/png", ""))
    return recorder.traffic()


@expect("file-media-type")
def a_media_type_before_the_disposition(recorder: Recorder) -> CallTrace:
    disposition, kind, *rest = PICTURE.split("\n")
    recorder.form(TEXT, "\n".join([kind, disposition, *rest]))
    return recorder.call(images=[image(b"pixels")])


@expect(
    "file-as-it-is",
    verdict="info",
    message="^(first.png was sent as image/jpeg; expected image/png|the file 'last.jpg' is image/p)",
)
@expect("file-media-type", "file-filename", "refs-exact")
def images_that_are_called_another_format(recorder: Recorder) -> CallTrace:
    first = ("input_reference", ("first.png", FIRST, "image/jpeg"))
    recorder.create(first, ("input_reference", ("last.jpg", LAST, "application/octet-stream")))
    return recorder.call(images=[image(FIRST), image(LAST)])


@expect("file-as-it-is", verdict="info", message="a.jpg was sent as image/png; expected image/jpeg")
def a_name_that_contradicts_the_type(recorder: Recorder) -> CallTrace:
    recorder.form(TEXT, PICTURE.replace("a.png", "a.jpg"))
    return recorder.traffic()


@expect("file-as-it-is", verdict="info", message=r"the file name '(/tmp/a.png|C:\\\\a.png)' has a path")
def paths_as_names(recorder: Recorder) -> CallTrace:
    for name in ("/tmp/a.png", r"C:\a.png"):
        recorder.form(TEXT, PICTURE.replace("a.png", name))
    return recorder.traffic()


@expect("file-as-it-is")
def files_of_an_unknown_type(recorder: Recorder) -> CallTrace:
    for name in ("a.png", "b.JPEG", "blob", ""):
        recorder.create(("input_reference", (name, FIRST, "application/octet-stream")))
    return recorder.traffic()


@expect(
    "no-transfer-encoding-header",
    verdict="warning",
    message="has a Content-Transfer-Encoding, which RFC 7578 section 4.7",
)
def a_transfer_encoding(recorder: Recorder) -> CallTrace:
    recorder.form(TEXT, PICTURE.replace("\n\n", "\nContent-Transfer-Encoding: binary\n\n"))
    return recorder.traffic()


@expect("no-transfer-encoding-header")
@expect("prompt-exact")
def a_charset_of_a_field(recorder: Recorder) -> CallTrace:
    recorder.form(TEXT.replace("\n\n", "\nContent-Type: text/plain; charset=utf-8\n\n"), PICTURE)
    return recorder.call()


@expect(
    "params-in-form", verdict="warning", message="the query has 'model', 'x', which the page does not have there; para"
)
@expect("known-operation", "unknown-parts")
def parameters_in_the_query(recorder: Recorder) -> CallTrace:
    recorder.send("POST", "/v1/videos?model=veo3.1&x=1&x=2", files={"prompt": (None, PROMPT)})
    return recorder.traffic()


@expect("params-in-form", verdict="warning", message="the headers have 'model', 'input_reference', which the page does")
def parameters_in_headers(recorder: Recorder) -> CallTrace:
    recorder.create(headers={"X-Model": "veo3.1", "Input-Reference": "first.png"})
    return recorder.traffic()


@expect("params-in-form", verdict="info", message=r"GET /v1/videos/\w+: (the query has 'id'|a GET has a body)")
def parameters_of_a_poll(recorder: Recorder) -> CallTrace:
    job = recorder.create()
    recorder.send("GET", f"/v1/videos/{job}?id={job}", content=b"{}")
    return recorder.call()


@expect("params-in-form")
@expect("auth-in-url", verdict="violation", message="had a key in its URL")
def queries_of_other_rules(recorder: Recorder) -> CallTrace:
    job = recorder.finished()
    recorder.content(job, "?variant=thumbnail&api_key=a")
    recorder.play({"operation": "create", "redirect": {"status": 307}})
    recorder.send("POST", "/v1/videos", files={"prompt": (None, PROMPT)}, follow_redirects=True)
    return recorder.call()


@expect("idempotency-key", verdict="info", message="carried an Idempotency-Key, which the service ignores")
@expect("unknown-parts")
def a_key_against_repetition(recorder: Recorder) -> CallTrace:
    recorder.create(headers={"Idempotency-Key": "1"})
    return recorder.traffic()


@expect("idempotency-key", verdict="info", message="carried an Idempotency-Key, which the service ignores")
def a_key_against_repetition_by_another_name(recorder: Recorder) -> CallTrace:
    recorder.create(headers={"X-Idempotency-Key": "1"})
    return recorder.traffic()
