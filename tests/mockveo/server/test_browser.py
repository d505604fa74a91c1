"""A page in a real browser: creates a job, polls it, and plays the video to its end."""

from __future__ import annotations

import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import FLAGS, chromium

import mockveo

PAGE = """<!doctype html><title>a page</title><body><script>
const report = body => fetch("/result", {method: "POST", body: JSON.stringify(body)});
async function run() {
  const headers = {Authorization: "Bearer sk-browser"};
  const form = new FormData();
  form.append("prompt", "A paper kite floats above a field.");
  let video = await (await fetch("BASE/videos", {method: "POST", headers, body: form})).json();
  const seen = [video.status];
  while (video.status === "queued" || video.status === "in_progress") {
    await new Promise(resolve => setTimeout(resolve, 50));
    video = await (await fetch(`BASE/videos/${video.id}`, {headers})).json();
    if (seen.at(-1) !== video.status) seen.push(video.status);
  }
  const content = await fetch(`BASE/videos/${video.id}/content`, {headers});
  const element = document.body.appendChild(document.createElement("video"));
  element.muted = true;
  element.src = URL.createObjectURL(await content.blob());
  element.onerror = () => report({error: element.error.message});
  element.onloadedmetadata = () => { element.playbackRate = 8; element.play(); };
  element.onended = () => report({
    seen, duration: element.duration, width: element.videoWidth, height: element.videoHeight,
    frames: element.getVideoPlaybackQuality().totalVideoFrames, etag: content.headers.get("etag"),
  });
}
run().catch(error => report({error: String(error)}));
</script>"""


class PageServer:
    """Serves the page and takes its report."""

    def __init__(self, base_url: str) -> None:
        self.results: list[dict[str, object]] = []
        self.reported = threading.Event()
        page = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = PAGE.replace("BASE", base_url).encode() if self.path == "/" else b""
                self.send_response(200 if body else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                page.results.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()
                page.reported.set()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://localhost:{self.server.server_port}/"


@pytest.fixture
def page() -> Iterator[PageServer]:
    with mockveo.serve(speed=100, render=False) as server:
        served = PageServer(server.base_url)
        thread = threading.Thread(target=served.server.serve_forever)
        thread.start()
        yield served
        served.server.shutdown()
        served.server.server_close()
        thread.join()


def test_a_page_creates_polls_and_plays(page: PageServer, tmp_path: Path) -> None:
    browser = chromium()
    process = subprocess.Popen(
        [browser, *FLAGS, f"--user-data-dir={tmp_path}", page.url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        assert page.reported.wait(60), "the page did not report"
    finally:
        process.terminate()
        process.wait(20)
    (result,) = page.results
    assert "error" not in result, result
    assert result["seen"] == ["queued", "in_progress", "completed"]
    assert (result["width"], result["height"]) == (1280, 720)
    assert result["duration"] == pytest.approx(8, abs=0.1)
    assert isinstance(result["frames"], int)
    assert result["frames"] > 0
    assert result["etag"]
