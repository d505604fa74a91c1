"""The whole flow with the standard library alone: use_urllib.py PROMPT OUTPUT [IMAGE...]."""

from __future__ import annotations

import json
import mimetypes
import os
import shutil
import sys
import time
import uuid
from http.client import HTTPResponse
from pathlib import Path
from urllib.request import Request, urlopen

URL = f"{os.environ['COMETAPI_BASE_URL']}/videos"


def ask(url: str, body: bytes | None = None, content_type: str = "") -> HTTPResponse:
    headers = {"Authorization": f"Bearer {os.environ['COMETAPI_KEY']}"}
    if body is not None:
        headers["Content-Type"] = content_type
    answer: HTTPResponse = urlopen(Request(url, body, headers), timeout=30)
    return answer


def form(fields: dict[str, str], images: tuple[str, ...]) -> tuple[bytes, str]:
    """The body of a multipart/form-data request (RFC 7578) and its Content-Type."""
    boundary = uuid.uuid4().hex
    body = b""
    for name, value in fields.items():
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    for image in map(Path, images):
        kind = mimetypes.guess_type(image)[0] or "application/octet-stream"
        disposition = f'form-data; name="input_reference"; filename="{image.name}"'
        head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\nContent-Type: {kind}\r\n\r\n"
        body += head.encode() + image.read_bytes() + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def main(prompt: str, output: str, *images: str) -> None:
    with ask(URL, *form({"prompt": prompt, "model": "veo3-fast"}, images)) as answer:
        job = json.load(answer)
    statuses = [job["status"]]
    while job["status"] in ("queued", "in_progress"):
        time.sleep(0.05)
        with ask(f"{URL}/{job['id']}") as answer:
            job = json.load(answer)
        statuses.append(job["status"])
    with ask(f"{URL}/{job['id']}/content") as answer, Path(output).open("wb") as file:
        shutil.copyfileobj(answer, file)
    json.dump({"id": job["id"], "statuses": statuses, "path": output}, sys.stdout)


main(*sys.argv[1:])
