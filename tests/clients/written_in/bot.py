"""Programs with the URL of the real service written in: bot.py LIBRARY. Each makes a job and prints how it ended."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import urllib.parse
import urllib.request
import warnings
from typing import Any

URL = "https://api.cometapi.com/v1/videos"
PROMPT = "A paper kite floats above a field."
HEADERS = {"Authorization": f"Bearer {os.environ.get('COMETAPI_KEY', 'sk-from-nowhere')}"}
PAUSE_S = 0.05
RUNNING = ("queued", "in_progress")


def use_urllib() -> str:
    def ask(url: str, form: dict[str, str] | None = None) -> Any:
        data = urllib.parse.urlencode(form).encode() if form else None
        with urllib.request.urlopen(urllib.request.Request(url, data, HEADERS)) as answer:
            return json.load(answer)

    video = ask(URL, {"prompt": PROMPT})
    while video["status"] in RUNNING:
        time.sleep(PAUSE_S)
        video = ask(f"{URL}/{video['id']}")
    return str(video["status"])


def use_session(session: Any) -> str:
    video = session.post(URL, files={"prompt": (None, PROMPT)}).json()
    while video["status"] in RUNNING:
        time.sleep(PAUSE_S)
        video = session.get(f"{URL}/{video['id']}").json()
    return str(video["status"])


def use_requests() -> str:
    import requests

    session = requests.Session()
    session.headers.update(HEADERS)
    return use_session(session)


def use_httpx() -> str:
    import httpx

    return use_session(httpx.Client(headers=HEADERS))


def use_aiohttp() -> str:
    import aiohttp

    async def main() -> str:
        async with aiohttp.ClientSession(headers=HEADERS) as session:  # trust_env is False by default
            async with session.post(URL, data=aiohttp.FormData({"prompt": PROMPT})) as answer:
                video = await answer.json()
            while video["status"] in RUNNING:
                await asyncio.sleep(PAUSE_S)
                async with session.get(f"{URL}/{video['id']}") as answer:
                    video = await answer.json()
            return str(video["status"])

    return asyncio.run(main())


def use_cometapi() -> str:
    from cometapi import CometAPI

    video = CometAPI().videos.create_and_poll(prompt=PROMPT, model="veo3-fast", poll_interval_ms=50)
    return str(video.status)


def use_openai() -> str:
    from openai import OpenAI

    warnings.simplefilter("ignore", DeprecationWarning)
    client = OpenAI(base_url="https://api.cometapi.com/v1", api_key=os.environ["COMETAPI_KEY"])
    return str(client.videos.create_and_poll(prompt=PROMPT, model="veo3-fast", poll_interval_ms=50).status)


sys.stdout.write(f"{globals()[f'use_{sys.argv[1]}']()}\n")
