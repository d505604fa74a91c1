"""The whole flow with aiohttp: use_aiohttp.py PROMPT OUTPUT [IMAGE...]."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import aiohttp

URL = f"{os.environ['COMETAPI_BASE_URL']}/videos"


async def main(prompt: str, output: str, *images: str) -> None:
    headers = {"Authorization": f"Bearer {os.environ['COMETAPI_KEY']}"}
    async with aiohttp.ClientSession(headers=headers, raise_for_status=True) as session:
        form = aiohttp.FormData({"prompt": prompt, "model": "veo3-fast"})
        for image in images:
            form.add_field("input_reference", Path(image).open("rb"), filename=Path(image).name)  # noqa: ASYNC230, SIM115
        async with session.post(URL, data=form) as answer:
            job = await answer.json()
        statuses = [job["status"]]
        while job["status"] in ("queued", "in_progress"):
            await asyncio.sleep(0.05)
            async with session.get(f"{URL}/{job['id']}") as answer:
                job = await answer.json()
            statuses.append(job["status"])
        async with session.get(f"{URL}/{job['id']}/content") as answer:
            with Path(output).open("wb") as file:  # noqa: ASYNC230 - there is nothing else to do meanwhile
                async for chunk in answer.content.iter_chunked(65536):
                    file.write(chunk)
    json.dump({"id": job["id"], "statuses": statuses, "path": output}, sys.stdout)


asyncio.run(main(*sys.argv[1:]))
