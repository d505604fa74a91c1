"""The whole flow with httpx: use_httpx.py PROMPT OUTPUT [IMAGE...]."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx


def main(prompt: str, output: str, *images: str) -> None:
    headers = {"Authorization": f"Bearer {os.environ['COMETAPI_KEY']}"}
    with httpx.Client(base_url=os.environ["COMETAPI_BASE_URL"], headers=headers, timeout=30) as client:
        with ExitStack() as opened:
            files = [("input_reference", opened.enter_context(Path(image).open("rb"))) for image in images]
            answer = client.post("videos", data={"prompt": prompt, "model": "veo3-fast"}, files=files)
        job = answer.raise_for_status().json()
        statuses = [job["status"]]
        while job["status"] in ("queued", "in_progress"):
            time.sleep(0.05)
            job = client.get(f"videos/{job['id']}").raise_for_status().json()
            statuses.append(job["status"])
        with client.stream("GET", f"videos/{job['id']}/content") as answer, Path(output).open("wb") as file:
            file.writelines(answer.raise_for_status().iter_bytes())
    json.dump({"id": job["id"], "statuses": statuses, "path": output}, sys.stdout)


main(*sys.argv[1:])
