"""The whole flow with requests: use_requests.py PROMPT OUTPUT [IMAGE...]."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import requests

URL = f"{os.environ['COMETAPI_BASE_URL']}/videos"


def main(prompt: str, output: str, *images: str) -> None:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {os.environ['COMETAPI_KEY']}"
    with ExitStack() as opened:
        files = [("input_reference", opened.enter_context(Path(image).open("rb"))) for image in images]
        answer = session.post(URL, data={"prompt": prompt, "model": "veo3-fast"}, files=files, timeout=30)
    answer.raise_for_status()
    job = answer.json()
    statuses = [job["status"]]
    while job["status"] in ("queued", "in_progress"):
        time.sleep(0.05)
        answer = session.get(f"{URL}/{job['id']}", timeout=30)
        answer.raise_for_status()
        job = answer.json()
        statuses.append(job["status"])
    with session.get(f"{URL}/{job['id']}/content", stream=True, timeout=30) as answer, Path(output).open("wb") as file:
        answer.raise_for_status()
        file.writelines(answer.iter_content(65536))
    json.dump({"id": job["id"], "statuses": statuses, "path": output}, sys.stdout)


main(*sys.argv[1:])
