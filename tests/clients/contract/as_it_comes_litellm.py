"""litellm as its pages show it: a loop of one's own, and whatever is not completed taken for failed.

It always sends a model, another service's where it is given none; here that is the one that the page names as default.
"""

from __future__ import annotations

import os
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Before it is imported, as it would fetch a list of prices.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm
from course import Case, Result
from program import speak

# It would print advice where results belong.
litellm.suppress_debug_info = True


def plays(case: Case) -> Result:
    try:
        return result(case)
    except Exception as error:  # noqa: BLE001 - the caller gets whatever it raises
        return {"outcome": "error", "error": {"type": type(error).__name__, "message": str(error)}}


def result(case: Case) -> Result:
    where = {"api_base": case["base_url"], "api_key": case["api_key"], "timeout": case["deadline_s"]}
    asked = case["input"]
    given: dict[str, Any] = {name: asked[name] for name in ("prompt", "size") if asked[name]}
    given["model"] = f"openai/{asked['model'] or 'veo3-fast'}"
    if asked["images"]:
        given["input_reference"] = Path(asked["images"][0]["path"]).read_bytes()
    video = litellm.video_generation(**given, **where)
    while video.status in ("queued", "in_progress"):
        time.sleep(case["poll_interval_s"])
        video = litellm.video_status(video.id, **where)
    common = {"video": {"id": video.id, "status": video.status, "model": video.model}}
    if video.status != "completed":
        return {"outcome": "failed", **common, "error": {"type": "failed", "message": str(video.error)}}
    path = Path(case["state_dir"], "video.mp4")
    path.write_bytes(litellm.video_content(video.id, **where))
    return {"outcome": "completed", **common, "content_path": str(path)}


if __name__ == "__main__":
    speak("litellm", version("litellm"), plays, images=1)
