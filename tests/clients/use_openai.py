"""The whole flow with openai 3, which marks videos as deprecated: use_openai.py PROMPT OUTPUT [IMAGE...]."""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from openai import OpenAI, omit


def main(prompt: str, output: str, *images: str) -> None:
    warnings.simplefilter("ignore", DeprecationWarning)
    client = OpenAI(base_url=os.environ["COMETAPI_BASE_URL"], api_key=os.environ["COMETAPI_KEY"])
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
