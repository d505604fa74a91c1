"""The whole flow with cometapi, and so openai 2: use_cometapi.py PROMPT OUTPUT [IMAGE...]."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from cometapi import CometAPI
from openai import omit


def main(prompt: str, output: str, *images: str) -> None:
    client = CometAPI()  # finds COMETAPI_BASE_URL and COMETAPI_KEY
    # The SDK's types know one image; given a list it sends `input_reference[]` for each.
    files = [Path(image) for image in images]
    reference: Any = files if len(files) > 1 else files[0] if files else omit
    video = client.videos.create_and_poll(
        prompt=prompt, model="veo3-fast", input_reference=reference, poll_interval_ms=50
    )
    if video.status == "completed":
        client.videos.download_content(video.id).write_to_file(output)
    json.dump({"id": video.id, "statuses": [video.status], "path": output}, sys.stdout)


main(*sys.argv[1:])
