"""What a real client sends is read whatever the chunks it comes in; half a form never is."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paths import DATA

from mockveo.http.forms import media_type_fits, reader
from mockveo.http.multipart_reader import FileRoom
from mockveo.http.parts import MAX_PARTS, FormError, Part

REQUESTS = sorted((DATA / "requests").glob("*.http"))


def read(content_type: str, body: bytes, cuts: list[int] | None = None, *, keep_files: bool = True) -> list[Part]:
    form = reader(content_type, FileRoom(2**30) if keep_files else None)
    edges = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts or [])})
    for start, end in pairwise(edges):
        form.feed(body[start:end])
    return form.finish().parts


def multipart(*parts: str, boundary: str = "b", end: str = "--b--\r\n") -> tuple[str, bytes]:
    body = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts) + end
    return f"multipart/form-data; boundary={boundary}", body.encode()


HEADER = 'Content-Disposition: form-data; name="prompt"'
PROMPT = 'Content-Disposition: form-data; name="prompt"\r\n\r\na kite'


def refused(content_type: str, body: bytes) -> str:
    with pytest.raises(FormError) as caught:
        read(content_type, body)
    return caught.value.message


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
# How a backslash or a percent sign in a name is quoted differs from client to client.
names = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\\%"), min_size=1, max_size=12)


@given(
    fields=st.dictionaries(names, texts, max_size=4),
    files=st.lists(st.tuples(names, names, st.binary(max_size=300)), min_size=1, max_size=3),
    cuts=st.lists(st.integers(0, 5000), max_size=12),
)
def test_reader_reads_forms_of_httpx_in_any_chunks(
    fields: dict[str, str], files: list[tuple[str, str, bytes]], cuts: list[int]
) -> None:
    request = httpx.Request(
        "POST", "http://x", data=fields, files=[(name, (filename, data, "image/png")) for name, filename, data in files]
    )
    parts = read(request.headers["content-type"], request.read(), cuts)
    assert {part.name: part.value for part in parts if not part.is_file} == fields
    kept = [part for part in parts if part.is_file]
    assert [(part.name, part.data, part.size) for part in kept] == [(name, data, len(data)) for name, _, data in files]
    for part in kept:
        assert part.data is not None
        assert part.sha256 == hashlib.sha256(part.data).hexdigest()
        assert part.content_type == "image/png"


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.stem)
def test_reader_byte_by_byte_reads_recorded_requests_alike(path: Path) -> None:
    head, _, body = path.read_bytes().partition(b"\r\n\r\n")
    headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    content_type = next(value for name, value in headers.items() if name.lower() == b"content-type").decode()
    if b"boundary" not in content_type.encode() and "multipart" in content_type:
        assert refused(content_type, body) == "no multipart boundary param in Content-Type"
        return
    parts = read(content_type, body)
    assert parts
    assert read(content_type, body, list(range(len(body)))) == parts


@given(cut=st.integers(0, 10_000))
def test_truncated_form_is_refused(cut: int) -> None:
    kind, body = multipart(PROMPT, 'Content-Disposition: form-data; name="f"; filename="a.png"\r\n\r\nPNG')
    whole = len(body) - 2  # the line break after the closing boundary is not needed
    assert "boundary" in refused(kind, body[: cut % whole])


def test_truncated_form_names_the_missing_boundary() -> None:
    kind, body = multipart(PROMPT, end="")
    assert refused(kind, body) == "the form ends in the part 'prompt' before its closing boundary --b--"
    assert refused(kind, body + b"\r\n--b\r\n") == "the form ends before its closing boundary --b--"


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ('Content-Disposition: form-data; filename="a"\r\n\r\nx', "a part has no name"),
        ('Content-Disposition: form-data; name=""\r\n\r\nx', "a part has no name"),
        (
            "Content-Type: text/plain\r\n\r\nx",
            "the form is malformed: a part has no Content-Disposition; expected e.g. " + HEADER,
        ),
        (
            "no header at all\r\n\r\nx",
            "the form is malformed: the line 'no header at all' of a part is no header; expected e.g. " + HEADER,
        ),
        (
            "Content-Disposition: attachment\r\n\r\nx",
            "the form is malformed: a part has the Content-Disposition 'attachment'; expected e.g. " + HEADER,
        ),
    ],
)
def test_malformed_part_is_refused(part: str, message: str) -> None:
    assert refused(*multipart(part)) == message


def test_boundary_unlike_the_header_is_refused() -> None:
    _, body = multipart(PROMPT)
    message = refused("multipart/form-data; boundary=other", body)
    assert message == "the body begins with '--b'; expected the boundary --other that Content-Type names"


def test_body_without_line_breaks_is_refused_early_in_flat_memory() -> None:
    form = reader("multipart/form-data; boundary=b")
    with pytest.raises(FormError, match="a line before the boundary has more than 4096 bytes"):
        form.feed(b"x" * 5000)


#: What Go's mime/multipart, which the gateway family uses, reads although it is unusual.
UNUSUAL = {
    "preamble": b"This is a form.\r\n--b\r\n%s\r\n\r\nA kite\r\n--b--\r\n",
    "line-ends": b"--b\n%s\n\nA kite\n--b--\n",
    "padding": b"--b  \r\n%s\r\n\r\nA kite\r\n--b-- \t\r\n",
}


@pytest.mark.parametrize("code", UNUSUAL)
def test_unusual_form_in_any_chunks_is_read_and_noted(code: str) -> None:
    body = UNUSUAL[code] % HEADER.encode()
    for cuts in ([], [1], [5], list(range(20)), list(range(len(body)))):
        form = reader("multipart/form-data; boundary=b")
        for start, end in pairwise([0, *sorted({*cuts} - {0}), len(body)]):
            form.feed(body[start:end])
        parts, notes = form.finish()
        assert [(part.name, part.value) for part in parts] == [("prompt", "A kite")]
        assert [note for note, _ in notes] == [code]


def outcome(form: bytes, cuts: Sequence[int]) -> object:
    try:
        read_form = reader("multipart/form-data; boundary=b")
        for start, end in pairwise([0, *cuts, len(form)]):
            read_form.feed(form[start:end])
        return read_form.finish()
    except FormError as error:
        return error.message


PIECES = [
    b"--b",
    b"--b--",
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"--",
    b"c",
    b"\xff",
    HEADER.encode(),
    b"; filename=a",
    b"X: y",
]
USUAL = [b"--b\r\n%s\r\n\r\nkite\r\n" % HEADER.encode(), b"--b--\r\n"]


@given(st.lists(st.sampled_from([*PIECES, *USUAL * 3]), max_size=8).map(b"".join))
def test_form_that_comes_at_once_is_read_as_one_after_an_empty_chunk(form: bytes) -> None:
    assert outcome(form, []) == outcome(form, [0])


def test_most_parts_are_read_and_no_more() -> None:
    parts = [PROMPT] * MAX_PARTS
    assert len(read(*multipart(*parts))) == MAX_PARTS
    assert f"more than {MAX_PARTS} parts" in refused(*multipart(*parts, PROMPT))


def test_content_with_line_feeds_in_a_form_with_line_feeds_is_kept() -> None:
    content = b"\n--\r\n--bc\r\n\n--\r"
    file = b'Content-Disposition: form-data; name="input_reference"; filename="a"'
    body = b"--b\n%s\n\n%s\n--b--" % (file, content)
    for cuts in ([], list(range(len(body)))):
        (part,) = read("multipart/form-data; boundary=b", body, cuts)
        assert part.data == content


@pytest.mark.parametrize(
    "body",
    [
        b"--b\n%s\r\n\r\nA kite\r\n--b--\r\n",
        b"--b\r\n%s\n\nA kite\n--b--\n",
        b"--b\r\n%s\nContent-Type: text/plain\n\nA kite\r\n--b--\r\n",
        b"--b\n%s\n\nA kite\n--b--\r\n",
        b"--b\r\n%s\r\n\r\nA kite\r\n--b\n",
    ],
)
def test_mixed_line_ends_in_any_chunks_are_refused(body: bytes) -> None:
    whole = body % HEADER.encode()
    for cuts in ([], list(range(len(whole)))):
        with pytest.raises(FormError, match=r"the form is malformed|closing boundary"):
            read("multipart/form-data; boundary=b", whole, cuts)


def test_boundary_that_goes_on_is_content() -> None:
    kind, body = multipart(PROMPT + "\r\n--bc\r\nx")
    for cuts in ([], list(range(len(body)))):
        assert [part.value for part in read(kind, body, cuts)] == ["a kite\r\n--bc\r\nx"]


def test_empty_content_without_a_line_break_of_its_own_is_read() -> None:
    body = b'--b\r\n%s\r\n\r\n--b\r\nContent-Disposition: form-data; name="size"\r\n\r\n9x16\r\n--b--' % HEADER.encode()
    for cuts in ([], list(range(len(body)))):
        parts = read("multipart/form-data; boundary=b", body, cuts)
        assert [(part.name, part.value) for part in parts] == [("prompt", ""), ("size", "9x16")]


def test_header_in_two_lines_is_one() -> None:
    (part,) = read(*multipart('Content-Disposition: form-data;\r\n name="prompt"\r\n\r\nx'))
    assert (part.name, *part.headers) == ("prompt", ("Content-Disposition", 'form-data; name="prompt"'))


def test_epilogue_in_any_chunks_is_ignored() -> None:
    kind, body = multipart(PROMPT)
    for cuts in ([], [len(body)], list(range(len(body) + 9))):
        assert len(read(kind, body + b"epilogue\r\n", cuts)) == 1


def test_empty_form_has_no_parts() -> None:
    assert read("multipart/form-data; boundary=b", b"--b--\r\n") == []


def test_million_parts_are_refused_early_in_flat_memory() -> None:
    form = reader("multipart/form-data; boundary=b")
    many = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n' * 1000
    tracemalloc.start()
    with pytest.raises(FormError, match=f"more than {MAX_PARTS} parts"):
        for _ in range(1000):
            form.feed(many)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20


def test_file_is_kept_only_on_request() -> None:
    form = reader("multipart/form-data; boundary=b")
    form.feed(b'--b\r\nContent-Disposition: form-data; name="input_reference"; filename="a.png"\r\n\r\n')
    tracemalloc.start()
    for _ in range(160):
        form.feed(b"\x89PNG" * 16384)
    form.feed(b"\r\n--b--\r\n")
    (part,) = form.finish().parts
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (part.size, part.data) == (160 * 65536, None)
    assert part.sha256 == hashlib.sha256(b"\x89PNG" * 16384 * 160).hexdigest()
    assert peak < 2 * 2**20


@pytest.mark.parametrize("charset", ["undefined", "utf-8", "x-none", '"', "UTF-7"])
def test_charset_of_a_part_is_ignored(charset: str) -> None:
    kind, body = multipart(
        f'Content-Disposition: form-data; name="prompt"\r\nContent-Type: text/plain; charset={charset}\r\n\r\ncafé'
    )
    assert [part.value for part in read(f"{kind}; charset={charset}", body)] == ["café"]
    assert read(f"application/x-www-form-urlencoded; charset={charset}", b"prompt=caf%C3%A9")[0].value == "café"


def test_field_that_is_not_utf_8_is_read_and_noted() -> None:
    (part,) = read(
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\ncaf\xe9\r\n--b--\r\n',
    )
    assert (part.value, part.notes) == ("caf\ufffd", ("is not UTF-8",))


def test_filename_star_makes_a_file() -> None:
    (part,) = read(
        *multipart(
            "Content-Disposition: form-data; name=\"input_reference\"; filename*=UTF-8''%E5%86%99.png\r\n\r\nPNG"
        )
    )
    assert (part.filename, part.size) == ("写.png", 3)


@pytest.mark.parametrize(
    ("star", "filename"),
    [
        ("filename*=utf-8'en'a%20b.png", "a b.png"),
        ("filename*=US-ASCII''a%3Bb", "a;b"),
        ("filename*=utf-8''%ff", "\ufffd"),
        ('filename*0="a \\"b"; filename*1*=%C3%A4; filename*2=.png', 'a "bä.png'),
        ("filename*0*=UTF-8''%C3; filename*1*=%A4", "ä"),
        ('x="filename*=utf-8a"', None),
        ("filename*1=a", None),
    ],
)
def test_filename_star_is_read_as_go_reads_it(star: str, filename: str | None) -> None:
    (part,) = read(*multipart(f'Content-Disposition: form-data; name="f"; {star}\r\n\r\nPNG'))
    assert part.filename == filename


@pytest.mark.parametrize("charset", ["utf-7", "undefined", "punycode", "idna", "", "iso-8859-1"])
def test_filename_star_in_another_charset_is_refused(charset: str) -> None:
    head = f"Content-Disposition: form-data; name=\"f\"; filename*={charset}''a"
    assert f"filename* is in {charset!r}; expected UTF-8" in refused(*multipart(f"{head}\r\n\r\nPNG"))


@pytest.mark.parametrize(
    ("content_type", "body", "message"),
    [
        ("application/json", b"{", "the body is not application/json: "),
        ("application/json", b"[1]", "it is an array, wanted an object"),
        ("application/json", b"null", "it is null, wanted an object"),
        ("application/json", b'{"prompt": "\\ud800"}', "the body is not application/json: "),
        ("application/json", b"[" * 100_000, "the body is not application/json: "),
        ("application/x-www-form-urlencoded", b"prompt=%FF", "the body is not application/x-www-form-urlencoded: "),
        ("application/x-www-form-urlencoded", "prompt=é".encode(), "the body is not application/x-www-form-urlencoded"),
        ("application/x-www-form-urlencoded", b"a=1&" * 2000, "the body is not application/x-www-form-urlencoded: "),
    ],
)
def test_body_unlike_its_content_type_is_refused(content_type: str, body: bytes, message: str) -> None:
    assert message in refused(content_type, body)


@pytest.mark.parametrize("content_type", ["text/plain", "", "multipart/mixed; boundary=b", "image/png"])
def test_unsupported_content_type_is_refused_with_the_right_type(content_type: str) -> None:
    with pytest.raises(FormError, match="send the fields as multipart/form-data"):
        reader(content_type)


@given(st.text(max_size=60), st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=5))
def test_garbage_raises_nothing_but_form_errors(options: str, body: bytes, cuts: list[int]) -> None:
    for kind in ("multipart/form-data; boundary=b", "multipart/form-data", "application/json", ""):
        try:
            read(f"{kind};{options}", b"--b\r\n" + body, cuts)
        except FormError as error:
            assert error.message


@pytest.mark.parametrize(
    ("kind", "patterns", "fits"),
    [
        ("image/png", ("image/*",), True),
        ("text/plain", ("image/*", "application/octet-stream"), False),
        ("application/octet-stream", ("image/*", "application/octet-stream"), True),
        ("text/plain", ("*/*",), True),
    ],
)
def test_media_type_fits_patterns(kind: str, patterns: tuple[str, ...], *, fits: bool) -> None:
    assert media_type_fits(kind, patterns) is fits


def test_file_without_room_is_read_and_not_kept() -> None:
    room = FileRoom(1500)
    body = "".join(
        f'--b\r\nContent-Disposition: form-data; name="input_reference"; filename="{name}"\r\n\r\n{name * 1000}\r\n'
        for name in "xyz"
    )
    form = reader("multipart/form-data; boundary=b", room)
    for start in range(0, len(body), 100):
        form.feed(body[start : start + 100].encode())
    form.feed(b"--b--\r\n")
    parts = form.finish().parts
    assert [(part.size, part.data) for part in parts] == [(1000, b"x" * 1000), (1000, None), (1000, None)]
    assert [part.sha256 for part in parts] == [sha256(name.encode() * 1000).hexdigest() for name in "xyz"]
    room.give_back(form.kept_bytes)
    assert room.take(1500)
