"""Saved traffic as exporters write it: what a file lacks is unknown, not wrong."""

from __future__ import annotations

import base64
import cProfile
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paths import DATA

from mockveo.errors import TraceError
from mockveo.rules.bill import STATES
from mockveo.rules.client_rules import findings
from mockveo.rules.money import traffic_bill
from mockveo.traffic.har import HarPage, har_of_pages
from mockveo.traffic.importing import read

HAR = DATA / "har"
LOST = [("no-blind-retry", "warning", (1, 2))]
#: Files with a mistake of the client -> the findings. In all others nothing is wrong.
BROKEN: dict[str, list[tuple[str, str, tuple[int, ...]]]] = {
    "07a_status_minus_1.har": LOST,
    "07b_aborted_200.har": LOST,
    "07c_reset_as_200.har": LOST,
    "07d_no_response.har": LOST,
    "07e_status_0.har": LOST,
    "x_content_early.har": [("content-after-completed", "violation", (6,))],
    "x_key_in_url.har": [("auth-in-url", "violation", (2,))],
}
KEY = "sk-example-0001"


def judged(path: Path) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(finding.rule, finding.verdict, finding.exchanges) for finding in findings(read(path))]


@pytest.mark.parametrize("name", sorted(path.name for path in HAR.iterdir()))
def test_saved_traffic_gives_expected_findings(name: str) -> None:
    assert judged(HAR / name) == BROKEN.get(name, [])


@pytest.mark.parametrize("name", sorted(path.name for path in HAR.iterdir()))
def test_saved_traffic_gives_a_bill_that_blames_no_client(name: str) -> None:
    bill = traffic_bill(read(HAR / name))
    assert bill.wasted == 0
    assert sum(map(bill.count, STATES)) == bill.made
    assert bool(bill.uncertain) == (BROKEN.get(name) is LOST or "no_texts" in name or "no_body" in name)


def flawless() -> Any:
    return json.loads((HAR / "00_flawless.har").read_text())


def saved(tmp_path: Path, data: Any, encoding: str = "utf-8") -> Path:
    path = tmp_path / "saved.har"
    path.write_text(json.dumps(data, ensure_ascii=False), encoding=encoding)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encoding_of_file_does_not_change_what_is_read(tmp_path: Path, encoding: str) -> None:
    path = saved(tmp_path, flawless(), encoding)
    assert read(path) == read(HAR / "00_flawless.har")
    lines = tmp_path / "log.jsonl"
    lines.write_text("\n".join(map(json.dumps, read(path))), encoding=encoding)
    assert judged(lines) == []


def entries_of(change: Callable[[dict[str, Any]], None], *places: int) -> Any:
    """Return the flawless session with changed entries, by default with all of them changed."""
    data = flawless()
    for place, entry in enumerate(data["log"]["entries"]):
        if not places or place in places:
            change(entry)
    return data


def authorised_by(value: str) -> Callable[[dict[str, Any]], None]:
    def change(entry: dict[str, Any]) -> None:
        for header in entry["request"]["headers"]:
            if header["name"] == "Authorization":
                header["value"] = value

    return change


@pytest.mark.parametrize("value", ["REDACTED", "Bearer [REDACTED]", "***", "Bearer xxxxx", "<removed>"])
def test_masked_credentials_are_unknown(tmp_path: Path, value: str) -> None:
    assert judged(saved(tmp_path, entries_of(authorised_by(value)))) == []


def test_key_without_its_scheme_is_found_in_each_request(tmp_path: Path) -> None:
    rules = {rule for rule, _, _ in judged(saved(tmp_path, entries_of(authorised_by(KEY))))}
    assert rules == {"auth-bearer"}


def test_key_that_only_one_request_lacks_is_found(tmp_path: Path) -> None:
    def change(entry: dict[str, Any]) -> None:
        entry["request"]["headers"] = [{"name": "Accept", "value": "*/*"}]

    assert judged(saved(tmp_path, entries_of(change, 2))) == [("auth-bearer", "violation", (3,))]


def test_missing_key_that_was_refused_is_found(tmp_path: Path) -> None:
    def change(entry: dict[str, Any]) -> None:
        entry["request"]["headers"] = [{"name": "Content-Type", "value": "multipart/form-data; boundary=x"}]
        entry["response"]["status"] = 401

    data = entries_of(change)
    del data["log"]["entries"][1:]
    assert judged(saved(tmp_path, data)) == [("auth-bearer", "violation", (1,))]


def moved(prefix: str) -> Callable[[dict[str, Any]], None]:
    def change(entry: dict[str, Any]) -> None:
        entry["request"]["url"] = entry["request"]["url"].replace("https://api.example", prefix)

    return change


def test_api_below_a_prefix_is_read(tmp_path: Path) -> None:
    path = saved(tmp_path, entries_of(moved("https://gateway.example/proxy/veo")))
    assert [exchange["request"]["path"] for exchange in read(path)][:1] == ["/v1/videos"]
    assert judged(path) == []


def test_wrong_prefix_is_an_unknown_path(tmp_path: Path) -> None:
    def change(entry: dict[str, Any]) -> None:
        moved("https://api.example/v1")(entry)
        entry["response"]["status"] = 404

    data = entries_of(change)
    del data["log"]["entries"][1:]
    (finding,) = findings(read(saved(tmp_path, data)))
    assert finding.rule == "known-operation"
    assert "POST /v1/v1/videos is not in the OpenAPI document; the paths are POST /v1/videos" in finding.message


def test_other_path_is_unknown_only_if_it_was_refused(tmp_path: Path) -> None:
    data = flawless()
    for status, path in ((200, "chat/completions"), (404, "videos/generations")):
        entry = json.loads(json.dumps(data["log"]["entries"][0]))
        entry["request"]["url"] = f"https://api.example/v1/{path}"
        entry["response"]["status"] = status
        entry["startedDateTime"] = "2026-03-12T10:00:00Z"
        data["log"]["entries"].append(entry)
    assert judged(saved(tmp_path, data)) == [("known-operation", "violation", (10,))]


def with_video(headers: list[dict[str, str]]) -> Any:
    """Return the flawless session with a download from the URL that the last poll shows."""
    data = flawless()
    *_, poll, content = data["log"]["entries"]
    job = json.loads(poll["response"]["content"]["text"])
    url = "https://store.example/bucket/v1/videos/kite.mp4?sig=1"
    poll["response"]["content"]["text"] = json.dumps({**job, "video_url": f"{url}#t=1"})
    content["request"] |= {"url": url, "headers": headers}
    return data


def test_key_sent_to_the_address_of_a_video_is_found(tmp_path: Path) -> None:
    sent = with_video([{"name": "Authorization", "value": f"Bearer {KEY}"}])
    assert judged(saved(tmp_path, sent)) == [("auth-cross-origin", "violation", (8,))]
    cookie = with_video([{"name": "Cookie", "value": "consent=1"}])
    assert judged(saved(tmp_path, cookie)) == []


def test_key_in_a_path_is_hidden_and_found(tmp_path: Path) -> None:
    def change(entry: dict[str, Any]) -> None:
        entry["request"]["url"] += f"?q={KEY}"

    path = saved(tmp_path, entries_of(change, 3))
    assert judged(path) == [("auth-in-url", "violation", (4,)), ("params-in-form", "info", (4,))]
    assert KEY not in json.dumps(read(path))


PART = '--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nA kite.\r\n--x--\r\n'


@pytest.mark.parametrize(
    "post_data",
    [
        {"mimeType": "multipart/form-data; boundary=x", "text": PART},
        {"mimeType": "multipart/form-data", "text": PART},
        {"mimeType": "multipart/form-data; boundary=x", "text": PART.replace("\r\n", "\n"), "params": []},
        {
            "mimeType": "multipart/form-data; boundary=x",
            "text": base64.b64encode(PART.encode()).decode(),
            "encoding": "base64",
        },
        {"mimeType": "application/x-www-form-urlencoded", "text": "prompt=A+kite."},
        {"mimeType": "multipart/form-data", "params": [{"name": "prompt", "value": "A kite."}]},
    ],
)
def test_form_is_read_from_text_or_params(tmp_path: Path, post_data: dict[str, Any]) -> None:
    def change(entry: dict[str, Any]) -> None:
        entry["request"] |= {"postData": post_data, "headers": []}

    first = read(saved(tmp_path, entries_of(change, 0)))[0]
    assert first["request"]["fields"] == [{"name": "prompt", "value": "A kite."}]


@pytest.mark.parametrize(
    "post_data",
    [
        None,
        {},
        {"mimeType": "multipart/form-data; boundary=x", "text": ""},
        {"mimeType": "multipart/form-data; boundary=x", "text": PART[:40]},
        {"mimeType": "multipart/form-data; boundary=x", "text": "!", "encoding": "base64"},
        {"mimeType": "application/json", "text": "{"},
    ],
)
def test_form_that_the_file_lacks_is_unknown(tmp_path: Path, post_data: dict[str, Any] | None) -> None:
    data = flawless()
    data["log"]["entries"] = [json.loads(json.dumps(data["log"]["entries"][0])) for _ in range(2)]
    for entry in data["log"]["entries"]:
        entry["request"]["postData"] = post_data
        entry["response"] = None
    path = saved(tmp_path, data)
    assert "fields" not in read(path)[0]["request"]
    assert judged(path) == []


def test_refused_poll_that_is_repeated_is_found(tmp_path: Path) -> None:
    def change(entry: dict[str, Any]) -> None:
        entry["response"] = {"status": 404, "content": {}}

    assert judged(saved(tmp_path, entries_of(change, 1, 2))) == [("poll-4xx-stop", "warning", (2, 3, 4))]


def test_json_create_is_found(tmp_path: Path) -> None:
    def change(entry: dict[str, Any]) -> None:
        entry["request"]["headers"][1]["value"] = "application/json"
        entry["request"]["postData"] = {"mimeType": "application/json", "text": '{"prompt": "A kite."}'}

    assert [rule for rule, _, _ in judged(saved(tmp_path, entries_of(change, 0)))] == ["multipart-wellformed"]


def test_own_export_keeps_the_hashes_of_files(tmp_path: Path) -> None:
    exchange: Any = read(HAR / "x_own_two_images.har")[0]
    for number, sha256 in enumerate(("00", "11"), 1):
        file = {**exchange["request"]["files"][0], "bytes": 5, "sha256": sha256}
        page = HarPage(
            "1", "one", [{**exchange, "number": number, "request": {**exchange["request"], "files": [file]}}]
        )
        path = saved(tmp_path, har_of_pages([page]))
        assert read(path)[0]["request"]["files"] == [file]


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("request", 5, "entry 2: request is 5; expected a mapping"),
        ("headers", 5, "entry 2: request.headers is 5; expected a list"),
        ("headers", [["a"]], "entry 2: request.headers[0] is"),
        ("files", [{}], "entry 2: request.files[0] has no 'name'"),
        ("fields", [{"name": 5, "value": 5}], "entry 2: request.fields[0].name is 5"),
        ("time", None, "entry 2: time is null; expected a number"),
        ("number", "a", 'entry 2: number is "a"; expected a whole number'),
        ("response", "x", 'entry 2: response is "x"; expected a mapping or null'),
        ("response", {}, "entry 2: response has no 'status'"),
        ("deviations", [5], "entry 2: deviations[0] is 5"),
        ("operation", 5, "entry 2: operation is 5"),
    ],
)
def test_wrong_type_in_journal_names_the_entry(tmp_path: Path, member: str, value: Any, message: str) -> None:
    exchanges: list[Any] = [dict(exchange) for exchange in read(HAR / "00_flawless.har")]
    where = exchanges[1] if member in exchanges[1] or member == "deviations" else exchanges[1]["request"]
    where[member] = value
    with pytest.raises(TraceError) as caught:
        read(saved(tmp_path, {"exchanges": exchanges}))
    assert f"saved.har: {message}" in str(caught.value)
    assert "e.g." in str(caught.value)


def test_numbers_that_repeat_are_given_anew_in_order_of_time(tmp_path: Path) -> None:
    exchanges = read(HAR / "00_flawless.har")
    path = saved(tmp_path, [{**exchange, "number": 1} for exchange in reversed(exchanges)])
    assert [exchange["number"] for exchange in read(path)] == [*range(1, len(exchanges) + 1)]
    assert judged(path) == []


SCALARS = st.none() | st.booleans() | st.integers(-2, 600) | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


def places_in(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all members of JSON data."""
    names: Any = data if isinstance(data, dict) else range(len(data) if isinstance(data, list) else 0)
    return [place for name in names for place in [(*path, name), *places_in(data[name], (*path, name))]]


@pytest.mark.parametrize("kind", ["har", "journal"])
@given(data=st.data())
def test_any_value_anywhere_is_read_or_refused(
    kind: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    tree: Any = flawless() if kind == "har" else {"exchanges": read(HAR / "00_flawless.har")}
    tree = json.loads(json.dumps(tree))
    place = data.draw(st.sampled_from([place for place in places_in(tree) if len(place) > 1]))
    parent = tree
    for name in place[:-1]:
        parent = parent[name]
    parent[place[-1]] = data.draw(VALUES)
    path = tmp_path_factory.mktemp("any") / "any.har"
    path.write_text(json.dumps(tree))
    try:
        findings(read(path))
    except TraceError as error:
        assert str(error).startswith("any.har: ")


def test_same_form_in_two_worlds_is_two_calls(tmp_path: Path) -> None:
    create, *_ = read(HAR / "07e_status_0.har")
    trace = [{**create, "number": 1, "world": "a"}, {**create, "number": 1, "world": "b"}]
    assert judged(saved(tmp_path, trace)) == []


@pytest.mark.parametrize("kind", ["one-call", "many-calls", "unknown", "polls-of-other-jobs"])
def test_work_to_judge_grows_with_the_number_of_ids(tmp_path: Path, kind: str) -> None:
    def calls(count: int) -> int:
        create, poll, *_, content = flawless()["log"]["entries"]
        entries = []
        for number in range(count // 2):
            job = f"task_{number}"
            answer = {"content": {"size": 9, "text": json.dumps({"id": job, "status": "completed"})}}
            prompt = "A kite." if kind == "one-call" else f"A kite {number}."
            form = {"mimeType": "multipart/form-data", "params": [{"name": "prompt", "value": prompt}]}
            made = {**create, "request": {**create["request"], "postData": form}}
            url = f"https://api.example/v1/videos/{job}"
            fetched = {**content, "request": {**content["request"], "url": f"{url}/content"}}
            polled = {**poll, "request": {**poll["request"], "url": url}}
            polled["response"] = {**poll["response"], "status": 429, "headers": [{"name": "Retry-After", "value": "1"}]}
            other = {**polled, "request": {**poll["request"], "url": f"https://api.example/v1/videos/other_{number}"}}
            pairs = {"unknown": (polled, fetched), "polls-of-other-jobs": (made, other)}
            pair = pairs.get(kind, (made, fetched))
            entries += [{**pair[0], "response": {**pair[0]["response"], **answer}}, pair[1]]
        path = saved(tmp_path, {"log": {"entries": entries}})
        # Calls of functions, which no other load of the machine changes.
        profile = cProfile.Profile()
        profile.runcall(lambda: findings(read(path)))
        return sum(entry.callcount for entry in profile.getstats())

    assert calls(1200) < 5 * calls(300)


def with_query(entry: dict[str, Any]) -> None:
    entry["request"]["url"] += "?size=16x9"


def with_header(entry: dict[str, Any]) -> None:
    entry["request"]["headers"].append({"name": "X-Model", "value": "veo3"})


@pytest.mark.parametrize("change", [with_query, with_header])
def test_parameters_outside_the_form_are_found(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    assert judged(saved(tmp_path, entries_of(change, 0))) == [("params-in-form", "warning", (1,))]


@pytest.mark.parametrize(
    ("disposition", "rules"),
    [
        ('name="input_reference[]"; filename="1.png"', ["unknown-parts"]),
        ('name="input_reference"', ["unknown-parts"]),
        ('name="seconds"', ["unknown-parts"]),
        ('name="input_reference"; filename="1.png"', []),
    ],
)
def test_parts_of_a_form_that_was_saved_whole_are_held_against_the_document(
    tmp_path: Path, disposition: str, rules: list[str]
) -> None:
    def change(entry: dict[str, Any]) -> None:
        parts = ['name="prompt"\r\n\r\nA kite.', f"{disposition}\r\nContent-Type: image/png\r\n\r\n\ufffd"]
        text = "".join(f"--b\r\nContent-Disposition: form-data; {part}\r\n" for part in parts) + "--b--\r\n"
        kind = "multipart/form-data; boundary=b"
        entry["request"]["postData"] = {"mimeType": kind, "text": text}
        for header in entry["request"]["headers"]:
            if header["name"].lower() == "content-type":
                header["value"] = kind

    assert [name for name, _, _ in judged(saved(tmp_path, entries_of(change, 0)))] == rules
