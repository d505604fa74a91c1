"""A client by the SDK of openai, or of cometapi, which is the same by another name: `with_openai.py openai|cometapi`.

Its own retries are off, as they would send a create again whose answer was lost, and two images are sent by `post`, as
`videos.create` would name them `input_reference[]`.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from importlib.metadata import version
from typing import Any

import openai
from course import LOST, Answer, Case, Request, Result, played
from program import Play, speak

try:
    import httpx2 as httpx  # since openai 3
except ImportError:
    import httpx

# openai 3 marks its videos as deprecated.
warnings.simplefilter("ignore", DeprecationWarning)


def ask(sdk: Any, request: Request) -> Any:
    videos, timeout = sdk.videos.with_raw_response, request.timeout
    if request.operation == "retrieve":
        return videos.retrieve(request.job, timeout=timeout)
    if request.operation == "content":
        return videos.download_content(request.job, timeout=timeout)
    if len(request.files) < 2:
        image = {"input_reference": request.files[0]} if request.files else {}
        return videos.create(**request.fields, **image, timeout=timeout)
    return sdk.post(
        "/videos",
        body=dict(request.fields),
        files=[("input_reference", file) for file in request.files],
        options={"headers": {"Content-Type": "multipart/form-data"}, "timeout": timeout},
        cast_to=httpx.Response,
    )


def plays(sdk_of: Any) -> Play:
    def play(case: Case) -> Result:
        with sdk_of(base_url=case["base_url"], api_key=case["api_key"], max_retries=0) as sdk:

            def send(request: Request) -> Answer:
                try:
                    raw = ask(sdk, request)
                    return Answer(raw.status_code, raw.headers, raw.content)
                except openai.APIStatusError as error:
                    return Answer(error.status_code, error.response.headers, error.response.content)
                except (openai.APIError, httpx.HTTPError):
                    return LOST

            return played(case, send)

    return play


if __name__ == "__main__":
    name = sys.argv[1]
    sdk_of = getattr(importlib.import_module(name), {"openai": "OpenAI", "cometapi": "CometAPI"}[name])
    speak(name, version(name), plays(sdk_of))
