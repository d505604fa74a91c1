"""The rows of `benchmarks/hostile.py` about memory that hostile or many requests take."""

from __future__ import annotations

import asyncio
import io
import json
import re
import struct
import subprocess
import sys
import time
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hostile_server import BOUNDARY, ROOT, HostileServer, form, request, row, served
from jobs import listed


@row("4e", "RSS with 1,000 worlds of two prompts of 900 KB each", 400, "MB", "+1,198 MB by 40 worlds of 2 x 15 MB")
def worlds() -> float:
    """Return MB."""
    with served("--no-render", "--log", "json") as server:
        create = form(prompt="p" * 900_000)
        for number in range(1000):
            server.ask(*[request("POST", f"/@w{number}/v1/videos", create)] * 2)
        return server.resident()


@row("3d", "growth by 50 unfinished forms with texts of 30 MB", 100, "MB", "+1,509")
def unfinished_texts() -> float:
    """Return MB."""
    return _unfinished("\r\n\r\n", "--no-render")


@row("3d", "growth by 50 unfinished uploads of 30 MB that would be rendered", 100, "MB", "+1,432")
def unfinished_uploads() -> float:
    """Return MB."""
    return _unfinished('; filename="a.png"\r\nContent-Type: image/png\r\n\r\n')


def _unfinished(rest_of_head: str, *flags: str) -> float:
    with served("--quiet", *flags) as server, ExitStack() as stack:
        server.ask(request("POST", "/v1/videos", form(prompt="p")))
        before = server.resident()
        server.forget_peak()
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="input_reference"{rest_of_head}'.encode()
        for _ in range(50):
            connection = stack.enter_context(server.connect())
            lines = request("POST", "/v1/videos", b"x").partition(b"\r\n\r\n")[0]
            lines = lines.replace(b"Content-Length: 1", b"Content-Length: 31000000")
            try:
                connection.sendall(lines + b"\r\n\r\n" + head)
                for _ in range(30):
                    connection.sendall(b"p" * 1_000_000)
            except OSError:
                continue  # refused before its end
        time.sleep(1)
        return server.peak() - before


@row(
    "4e", "growth by 2,000 creates with keys of 60 KB each, each its own", 50, "MB", "+108 MB with one key, without end"
)
def long_keys() -> float:
    """Return MB."""
    with served("--no-render", "--quiet") as server:
        for number in range(1000):
            server.ask(request("POST", "/v1/videos", form(prompt="p"), key=f"{number:060000}"))
        before = server.resident()
        for number in range(1000, 3000):
            server.ask(request("POST", "/v1/videos", form(prompt="p"), key=f"{number:060000}"))
        return server.resident() - before


def app_with_jobs(count: int) -> Any:
    """Return an application with so many jobs."""
    import mockveo

    app = mockveo.app(seed=1, max_jobs=count, render=False)
    owner = app.world.accounts.owner(b"Bearer sk-test") or ""
    for number in range(count):
        app.world.add(owner, "veo_3_1-4K", {"prompt": f"A paper kite floats above field {number}", "size": "16x9"}, ())
    return app


def own_resident() -> float:
    """Return the resident memory of this process in MB."""
    return int(re.findall(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))[0]) / 1024


@row("4c", "RSS with a million jobs", 400, "MB", "513")
def million_jobs() -> float:
    """Return MB."""
    code = "import hostile_memory; app = hostile_memory.app_with_jobs(1_000_000); print(hostile_memory.own_resident())"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT / "benchmarks")
    return float(answer.stdout)


@row("4d", "GET /_mockveo/jobs?limit=1 among a million jobs", 5, "ms", "8,000")
def list_one_job() -> float:
    """Return ms."""
    app = app_with_jobs(1_000_000)
    return sorted(asyncio.run(listed(app, b"limit=1"))[0] for _ in range(5))[2] * 1000


@row("4d", "longest hold of the loop by a list that fits none of a million jobs", 50, "ms of CPU", "66, at first")
def list_no_job() -> float:
    """Return ms."""
    app = app_with_jobs(1_000_000)
    return max(asyncio.run(listed(app, b"status=failed"))[1] for _ in range(3)) * 1000


@row(
    "4e",
    "growth by a JSON log that is not read, 15,000 creates with prompts of 60 KB",
    100,
    "MB",
    "41 -> 959 MB in 12 s",
)
def unread_log() -> float:
    """Return MB."""
    with served("--no-render", "--log", "json", stdout=subprocess.PIPE) as server:
        create = request("POST", "/v1/videos", form(prompt="p" * 60_000))
        server.ask(*[create] * 1500)  # fills the journal and the images' bound, which are no part of this row
        before = server.resident()
        server.forget_peak()
        server.ask(*[create] * 13_500)
        assert server.process.stdout is not None
        return server.peak() - before


@row("1f", "growth by 20 event streams that are not read, while 18 MB go by", 60, "MB", "+32 MB by one")
def unread_events() -> float:
    """Return MB."""
    with served("--no-render", "--quiet") as server, ExitStack() as stack:
        create = request("POST", "/v1/videos", form(prompt="p" * 60_000))
        server.ask(*[create] * 1500)
        before = server.resident()
        for _ in range(20):
            stack.enter_context(server.connect()).sendall(request("GET", "/_mockveo/events?since=0"))
        server.ask(*[create] * 300)
        return server.resident() - before


@row(
    "3e",
    "peak of drawing the dearest pictures within the limits",
    200,
    "MB",
    "+970 (1 x 49,999,999 pixels), +546 (16 bits)",
)
def pictures() -> float:
    """Return MB above what a small picture takes, the most of all pictures."""
    from PIL import Image

    def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
        file = io.BytesIO()
        image.save(file, kind, **options)
        return file.getvalue()

    side = 6080
    dearest = [
        png(side, side, 16, 6, 8),
        png(side, side, 8, 2, 3),
        png(side, side, 16, 0, 2),
        png(1, 5_300_000, 8, 0, 1),
        png(49_999_999, 1, 8, 0, 1),
        png(1, 49_999_999, 8, 0, 1),
        saved(Image.new("RGB", (4500, 4500)), "JPEG", progressive=True, subsampling=0),
        saved(Image.new("RGB", (2880, 2880)), "WEBP", method=0),
        saved(Image.new("P", (5400, 5400)), "GIF"),
        saved(Image.new("RGB", (3250, 3250)), "BMP"),
    ]
    with served("--speed", "100000", "--quiet") as server:
        _download(server, dearest[4], "small")
        peak = 0.0
        for number, data in enumerate(dearest):
            server.forget_peak()
            before = server.resident()
            _download(server, data, str(number))
            peak = max(peak, server.peak() - before)
        return peak


@row("3e", "RSS that stays after a burst of 20 downloads of clips to be rendered", 200, "MB", "274-708")
def after_rendering() -> float:
    """Return MB."""
    from concurrent.futures import ThreadPoolExecutor

    with served("--speed", "100000", "--quiet") as server, ThreadPoolExecutor(20) as pool:
        picture = png(4000, 4000, 8, 2, 3)
        list(pool.map(lambda number: _download(server, picture, str(number)), range(20)))
        time.sleep(1)
        return server.resident()


def _download(server: HostileServer, image: bytes, prompt: str) -> None:
    (created,) = server.ask(request("POST", "/v1/videos", form(prompt=prompt, input_reference=image)))
    job = json.loads(created.partition(b"\r\n\r\n")[2])["id"]
    time.sleep(0.1)
    (answer,) = server.ask(request("GET", f"/v1/videos/{job}/content"))
    assert answer.startswith(b"HTTP/1.1 200"), answer[:300]


def png(width: int, height: int, bits: int, colour_type: int, pixel_bytes: int) -> bytes:
    """Return a PNG of one colour, made row by row."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    deflate = zlib.compressobj(9)
    line = b"\0" + b"\x11" * (width * pixel_bytes)
    rows = b"".join([deflate.compress(line) for _ in range(height)]) + deflate.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@row("3c", "growth by 50 MB of trailers", 10, "MB", "+46")
def trailers() -> float:
    """Return MB."""
    with served("--no-render", "--quiet") as server:
        server.ask(request("POST", "/v1/videos", form(prompt="p")))
        before = server.resident()
        server.forget_peak()
        with server.connect() as connection:
            head = request("POST", "/v1/videos", b"x").partition(b"\r\n\r\n")[0]
            head = head.replace(b"Content-Length: 1", b"Transfer-Encoding: chunked")
            try:
                connection.sendall(head + b"\r\n\r\n1\r\nx\r\n0\r\n")
                for _ in range(500):
                    connection.sendall(b"x: v\r\n" * 17_000)
            except OSError:
                pass  # refused
        time.sleep(0.5)
        return server.peak() - before
