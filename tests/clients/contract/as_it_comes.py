"""The SDK of openai or of cometapi as its pages show it: `as_it_comes.py openai|cometapi`.

Its own retries, its own poller, several images as a list, and whatever is not completed taken for failed. The one
timeout that it takes is the deadline.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from importlib.metadata import version
from typing import Any

from course import Case, Result
from program import Play, speak

# openai 3 marks its videos as deprecated.
warnings.simplefilter("ignore", DeprecationWarning)


def plays(sdk_of: Any) -> Play:
    def play(case: Case) -> Result:
        with sdk_of(base_url=case["base_url"], api_key=case["api_key"], timeout=case["deadline_s"]) as sdk:
            try:
                return result(sdk, case)
            except Exception as error:  # noqa: BLE001 - the caller gets whatever it raises
                return {"outcome": "error", "error": {"type": type(error).__name__, "message": str(error)}}

    return play


def result(sdk: Any, case: Case) -> Result:
    given = {name: value for name, value in case["input"].items() if value and name != "images"}
    files = [(image["filename"], contents(image["path"]), image["content_type"]) for image in case["input"]["images"]]
    if files:
        given["input_reference"] = files if len(files) > 1 else files[0]
    video = sdk.videos.create_and_poll(**given, poll_interval_ms=round(case["poll_interval_s"] * 1000))
    common = {"video": {"id": video.id, "status": video.status, "model": video.model}}
    if video.status != "completed":
        return {"outcome": "failed", **common, "error": {"type": "failed", "message": str(video.error)}}
    path = f"{case['state_dir']}/video.mp4"
    sdk.videos.download_content(video.id).write_to_file(path)
    return {"outcome": "completed", **common, "content_path": path}


def contents(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read()


if __name__ == "__main__":
    name = sys.argv[1]
    sdk_of = getattr(importlib.import_module(name), {"openai": "OpenAI", "cometapi": "CometAPI"}[name])
    speak(name, version(name), plays(sdk_of))
