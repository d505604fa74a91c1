"""A client by curl, a process for each request.

Texts are sent by --form-string, as --form would read a file for a prompt with @ in front. A create follows no redirect:
where a connection that it has used before breaks, curl sends again, be it a POST. `with_curl.py follow` does follow.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from course import LOST, Answer, Request, played
from program import speak


def send(request: Request) -> Answer:
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        command = ["curl", "--silent", "--config", "-", "--max-time", f"{request.timeout:.3f}"]
        command += ["--output", str(place / "body"), "--dump-header", str(place / "headers"), request.url]
        if request.operation != "create" or "follow" in sys.argv:
            command += ["--location"]
        for name, value in request.fields.items():
            command += ["--form-string", f"{name}={value}"]
        for number, file in enumerate(request.files):
            path = place / f"{number}"
            path.write_bytes(file.data)
            name = file.filename.replace("\\", "\\\\").replace('"', '\\"')
            command += ["--form", f'input_reference=@{path};filename="{name}";type={file.content_type}']
        # Not as an argument, which every process may read.
        key = f'header = "Authorization: Bearer {request.key}"'
        done = subprocess.run(command, input=key, text=True, capture_output=True, check=False)
        if done.returncode:
            return LOST
        body = place / "body"
        return answer((place / "headers").read_text("latin-1"), body.read_bytes() if body.exists() else b"")


def answer(heads: str, body: bytes) -> Answer:
    """The last of the answers whose heads there are; those before it are redirects."""
    first, *lines = heads.replace("\r", "").strip().split("\n\n")[-1].split("\n")
    headers = (line.partition(":") for line in lines)
    return Answer(int(first.split()[1]), {name: value.strip() for name, _, value in headers}, body)


if __name__ == "__main__":
    version = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    speak("curl", version, lambda case: played(case, send))
