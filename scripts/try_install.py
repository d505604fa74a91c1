"""Try both ways to install: `make serve` in a fresh copy, and the wheel in an empty environment.

Each server gets the documented curl command; its job is polled through all three states and its video downloaded.
The wheel without extras also checks a client and verifies a server.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEY = {"Authorization": "Bearer <token>"}


def try_server(name: str, command: list[str], directory: Path) -> None:
    """Start a server and take a job through it."""
    ready = directory / "ready.json"
    env = os.environ | {
        "MOCKVEO_PORT": "0",
        "MOCKVEO_READY_FILE": str(ready),
        "MOCKVEO_SPEED": "60",
        "MOCKVEO_RENDER": "0",
    }
    process = subprocess.Popen(command, cwd=directory, env=env, start_new_session=True)
    try:
        deadline = time.monotonic() + 300
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{name}: the server did not start")
            time.sleep(0.02)
        drive(json.loads(ready.read_text())["url"], directory)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(30)
    print(f"{name}: works")


def drive(url: str, directory: Path) -> None:
    """Create a job as documented, poll it through all states and download the video."""
    (directory / "example-file").write_bytes(b"\x89PNG\r\n\x1a\n")
    parts = ["--header", "Authorization: Bearer <token>", "--header", "Content-Type: multipart/form-data"]
    parts += ["--form", "prompt=A paper kite floats above a field.", "--form", "input_reference=@example-file"]
    command = ["curl", "--silent", "--show-error", "--fail", "--request", "POST", "--url", f"{url}/v1/videos", *parts]
    made = json.loads(subprocess.run(command, cwd=directory, check=True, capture_output=True).stdout)
    assert list(made) == ["created_at", "id", "model", "object", "progress", "seconds", "size", "status"], made
    assert (made["model"], made["seconds"], made["size"]) == ("veo_3_1-4K", "", "16x9"), made
    statuses = [made["status"]]
    while statuses[-1] not in ("completed", "failed"):
        time.sleep(0.02)
        status = json.loads(get(f"{url}/v1/videos/{made['id']}"))["status"]
        statuses += [status] if status != statuses[-1] else []
    assert statuses == ["queued", "in_progress", "completed"], statuses
    assert get(f"{url}/v1/videos/{made['id']}/content")[4:8] == b"ftyp"


def try_contracts(mockveo: str, directory: Path) -> None:
    """Check a correct client and verify a server without the extras."""
    client = [sys.executable, str(ROOT / "tests" / "clients" / "programs" / "client.py"), "session"]
    check = [mockveo, "check", "--quiet", "--generated", "0", "--case", "call/*", "--case", "create/*", "--", *client]
    print(last_line(check, directory))
    ready = directory / "ready.json"
    ready.unlink(missing_ok=True)
    command = [mockveo, "--port", "0", "--quiet", "--no-render", "--ready-file", str(ready)]
    server = subprocess.Popen(command, cwd=directory)
    try:
        while not ready.exists():
            time.sleep(0.02)
        print(last_line([mockveo, "verify", json.loads(ready.read_text())["url"], "--quiet"], directory))
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


def last_line(command: list[str], directory: Path) -> str:
    """Run a command and return the last line that it prints."""
    return subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True).stdout.splitlines()[-1]


def get(url: str) -> bytes:
    """Return the body of a response."""
    with urllib.request.urlopen(urllib.request.Request(url, headers=KEY)) as response:
        body: bytes = response.read()
        return body


def main() -> None:
    """Try both ways."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "copy"
        shutil.copytree(
            ROOT, copy, ignore=shutil.ignore_patterns(".venv", ".clients", ".git", ".*_cache", ".hypothesis")
        )
        try_server("make serve", ["make", "serve"], copy)

        empty = Path(name) / "empty"
        subprocess.run([sys.executable, "-m", "venv", str(empty)], check=True)
        build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", name, str(ROOT)]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        (wheel,) = Path(name).glob("*.whl")
        pip = [str(empty / "bin" / "pip"), "install", "--quiet"]
        subprocess.run([*pip, "--require-hashes", "-r", str(ROOT / "requirements" / "runtime.txt")], check=True)
        subprocess.run([*pip, "--no-deps", str(wheel)], check=True)
        try_server("the wheel", [str(empty / "bin" / "mockveo")], empty)
        try_contracts(str(empty / "bin" / "mockveo"), empty)


if __name__ == "__main__":
    main()
