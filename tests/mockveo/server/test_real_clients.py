"""Real, unmodified clients against the real server: the programs of tests/clients take a job from create to .mp4.

Most need environments of their own: `python scripts/install_clients.py` makes them in .clients/, or in the directory
that the variable MOCKVEO_CLIENTS names. A client that is missing is skipped, and a failure where CI is set.
"""

from __future__ import annotations

import io
import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from urllib.request import ProxyHandler, Request, build_opener

import av
import pytest
from installed_clients import environment, tool
from paths import CLIENTS, DATA

import mockveo
from mockveo.server.run import ServerThread
from mockveo.traffic.record import ExchangeRecord

PROGRAMS = CLIENTS

Done: TypeAlias = subprocess.CompletedProcess[str]

LIFECYCLE = ["queued", "in_progress", "completed"]
#: Text that curl's --form and careless encoders would spoil.
PROMPT = "@kite; ✈ é <b>=&+%41"


class ClientProgram(NamedTuple):
    program: str
    #: The environment it lives in; empty where it needs none.
    home: str = ""
    #: Codes of what it does unlike the page, for each number of images.
    deviations: tuple[tuple[str, ...], ...] = ((), (), ())
    #: Whether it reports the statuses that it saw; the SDK's own poller does not.
    reports: bool = True


#: Without a file these send a form, but not a multipart one.
URLENCODED = (("content-type",), (), ())
#: Given a list, openai's SDKs send `input_reference[]`.
ARRAY = ((), (), ("image-field-name", "image-field-name"))

CLIENTS = {
    "curl": ClientProgram("curl.sh"),
    "requests": ClientProgram("use_requests.py", "cometapi", URLENCODED),
    "httpx": ClientProgram("use_httpx.py", "cometapi", URLENCODED),
    "aiohttp": ClientProgram("use_aiohttp.py", "cometapi", URLENCODED),
    "urllib": ClientProgram("use_urllib.py"),
    "cometapi-py": ClientProgram("use_cometapi.py", "cometapi", ARRAY, reports=False),
    "openai-py": ClientProgram("use_openai.py", "openai", ARRAY, reports=False),
    "cometapi-node": ClientProgram("use_cometapi.mjs", "node", ARRAY),
    "fetch": ClientProgram("use_fetch.mjs"),
}


class Run(NamedTuple):
    """What a client has done."""

    output: dict[str, Any]
    #: The file that it has downloaded.
    content: bytes
    #: All its exchanges, in order.
    exchanges: list[ExchangeRecord]


@pytest.fixture(scope="module")
def server() -> Iterator[ServerThread]:
    # A job takes from 0.5 to 1.5 s, less than a tenth of it in the queue.
    with mockveo.serve(speed=130, self_check=True, render=False, max_exchanges=100_000) as server:
        yield server


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Two files that are no pictures but different, one name with a blank, a comma and a semicolon in it."""
    files = [tmp_path / "the first, or; so.png", tmp_path / "last.png"]
    for file in files:
        file.write_bytes(b"\x89PNG\r\n\x1a\n\r\n--" + file.name.encode() * 500)
    return files


def a_key() -> str:
    """A key that no other client uses, to recognise a client's exchanges."""
    return f"sk-{secrets.token_hex(8)}"


def execute(server: ServerThread, command: list[str], directory: Path, *, key: str = "", source: str = "") -> Done:
    """Runs a command to its good end with nothing of ours but the PATH: no proxies, no configuration files."""
    done = subprocess.run(
        command,
        input=source,
        cwd=directory,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", **server.env, "COMETAPI_KEY": key},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def run(server: ServerThread, name: str, output: Path, images: list[Path]) -> Run:
    """Runs a client's program to its end, with a key of its own."""
    client, key = CLIENTS[name], a_key()
    program, directory, source = PROGRAMS / client.program, output.parent, ""
    if program.suffix == ".mjs":
        # From stdin, so that packages are looked for where the program is run, not where it lies.
        command, source = [tool("node"), "--input-type=module", "-"], program.read_text("utf-8")
        directory = environment(client.home) if client.home else directory
    elif program.suffix == ".py":
        python = os.fspath(environment(client.home) / "bin" / "python") if client.home else sys.executable
        command = [python, os.fspath(program)]
    else:
        tool("curl")
        command = [tool("sh"), os.fspath(program)]
    command += [PROMPT, os.fspath(output), *map(os.fspath, images)]
    done = execute(server, command, directory, key=key, source=source)
    return Run(json.loads(done.stdout), output.read_bytes(), exchanges(server, key, "retrieveVideoContent"))


def exchanges(server: ServerThread, key: str, last: str) -> list[ExchangeRecord]:
    """The exchanges of a key, of which the last is of this operation; one is journalled just after its answer."""
    deadline = time.monotonic() + 10
    while True:
        exchanges = [exchange for exchange in list(server.app.world.journal) if exchange.owner == key]
        if exchanges and exchanges[-1].operation == last:
            return exchanges
        assert time.monotonic() < deadline, f"no {last} came from {key}"
        time.sleep(0.005)


def served(server: ServerThread, made: ExchangeRecord) -> bytes:
    """The content of a job as the server serves it."""
    request = Request(f"{server.base_url}/videos/{made.job_id}/content")
    request.add_header("Authorization", f"Bearer {made.owner}")
    with build_opener(ProxyHandler({})).open(request, timeout=10) as answer:
        content: bytes = answer.read()
    return content


def digests(files: list[Path]) -> list[str]:
    return [sha256(file.read_bytes()).hexdigest() for file in files]


def sent_images(made: ExchangeRecord) -> list[str]:
    return [part.sha256 for part in made.parts if part.is_file]


def codes(made: ExchangeRecord) -> tuple[str, ...]:
    return tuple(note.code for note in made.deviations)


@pytest.mark.parametrize("count", [0, 1, 2], ids=["no-image", "one-image", "two-images"])
@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_goes_from_prompt_to_video(
    server: ServerThread, tmp_path: Path, images: list[Path], name: str, count: int
) -> None:
    client, sent = CLIENTS[name], images[:count]
    output, content, (made, *polls, fetched) = run(server, name, tmp_path / "clip.mp4", sent)

    # One job was made of what was sent, and of nothing else.
    assert made.operation == "createVideo"
    job = server.app.world.find(made.owner, output["id"])
    assert job is not None
    assert job.id == made.job_id
    assert job.prompt == PROMPT
    assert job.model == "veo_3_1-4K"
    assert sent_images(made) == digests(sent)
    assert {part.name for part in made.parts} - {"input_reference", "input_reference[]"} == {"prompt", "model"}
    assert codes(made) == client.deviations[count]

    # It was polled to its end, and then fetched once.
    assert {poll.operation for poll in polls} == {"retrieveVideo"}
    assert all(exchange.status == 200 and exchange.job_id == job.id for exchange in (made, *polls, fetched))
    walk = [exchange.state for exchange in (made, *polls)]
    assert [state for state, _ in groupby(walk)] == LIFECYCLE
    assert walk.count("completed") == 1
    assert output["statuses"] == (walk if client.reports else ["completed"])
    progress = [poll.progress for poll in polls if poll.progress is not None]
    assert progress == sorted(progress)
    assert progress[-1] == 100

    assert output["path"] == os.fspath(tmp_path / "clip.mp4")
    assert sha256(content).hexdigest() == sha256(served(server, made)).hexdigest()


def test_a_download_plays_to_its_last_frame(server: ServerThread, tmp_path: Path) -> None:
    _, content, _ = run(server, "urllib", tmp_path / "clip.mp4", [])
    with av.open(io.BytesIO(content), "r") as container:
        frames = sum(1 for _ in container.decode(video=0))
    assert frames == 192


def test_a_stream_is_sent_in_chunks_by_node(server: ServerThread, tmp_path: Path) -> None:
    large = [tmp_path / "first.png", tmp_path / "last.png"]
    for file in large:
        file.write_bytes(file.name.encode() * 300_000)
    made = run(server, "cometapi-node", tmp_path / "clip.mp4", large).exchanges[0]
    assert ("transfer-encoding", "chunked") in made.headers
    assert "content-length" not in dict(made.headers)
    assert sent_images(made) == digests(large)
    assert codes(made) == ("image-field-name", "image-field-name")
    assert {part.content_type for part in made.parts if part.is_file} == {"application/octet-stream"}


def curl(server: ServerThread, image: Path, *options: str) -> tuple[ExchangeRecord, str]:
    """A create with curl: the exchange, and what curl says of it."""
    key = a_key()
    command = [tool("curl"), "--verbose", "--fail", *options, "--header", f"Authorization: Bearer {key}"]
    command += ["--form", "prompt=a kite", "--form", f"input_reference=@{image.name}", f"{server.base_url}/videos"]
    done = execute(server, command, image.parent)
    (made,) = exchanges(server, key, "createVideo")
    assert made.job_id == json.loads(done.stdout)["id"]
    return made, done.stderr


def test_curl_sends_chunks_on_request(server: ServerThread, tmp_path: Path) -> None:
    image = tmp_path / "first.png"
    image.write_bytes(b"chunks" * 100_000)
    made, _ = curl(server, image, "--header", "Transfer-Encoding: chunked")
    assert ("transfer-encoding", "chunked") in made.headers
    assert "content-length" not in dict(made.headers)
    assert sent_images(made) == digests([image])
    assert codes(made) == ()


def test_curl_asks_before_it_sends_a_large_file(server: ServerThread, tmp_path: Path) -> None:
    image = tmp_path / "first.png"
    image.write_bytes(b"large" * 400_000)  # curl asks from 1 MiB up
    made, said = curl(server, image, "--expect100-timeout", "20")
    assert ("expect", "100-continue") in made.headers
    assert "< HTTP/1.1 100 Continue" in said
    assert sent_images(made) == digests([image])
    assert codes(made) == ()


#: As the API's page has it.
DOCUMENTED = """\
curl --request POST \\
  --url https://api.cometapi.com/v1/videos \\
  --header 'Authorization: Bearer <token>' \\
  --header 'Content-Type: multipart/form-data' \\
  --form 'prompt=A paper kite floats above a field.' \\
  --form input_reference='@example-file'
"""


def test_documented_command_gets_the_documented_response(server: ServerThread, tmp_path: Path) -> None:
    tool("curl")
    (tmp_path / "example-file").write_bytes(b"\x89PNG\r\n\x1a\n")
    command = DOCUMENTED.replace("https://api.cometapi.com", server.url)
    answer = json.loads(execute(server, [tool("sh"), "-c", command], tmp_path).stdout)
    documented = json.loads((DATA / "bodies.json").read_text())["create_v1_veo_2026_03"]["body"]
    assert answer == {**documented, "id": answer["id"], "created_at": answer["created_at"]}
    assert re.fullmatch("task_[0-9A-Za-z]{32}", answer["id"])
    assert type(answer["created_at"]) is int
    assert abs(answer["created_at"] - time.time()) < 60
    (made,) = exchanges(server, "<token>", "createVideo")
    assert made.status == 200
    assert made.job_id == answer["id"]
    assert sent_images(made) == digests([tmp_path / "example-file"])
    assert codes(made) == ()
