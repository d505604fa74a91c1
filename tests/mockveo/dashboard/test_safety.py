"""The dashboard with hostile text, hostile pages, a keyboard, a screen reader, and windows of any size."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from browser import Tab
from installed_clients import environment
from playwright.sync_api import Browser, expect
from watched import Watched

#: What would run, end, forge or turn something if it were not text.
MARKUP = (
    "</script><script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
    "<a href=\"javascript:document.title='run'\">x</a> ${document.title='run'} {{x}}"
    " \u202eknil\u202c \u2066x\u2069 \x1b[31m"
)
STREAM = """new Promise(done => {
  const stream = new EventSource("URL");
  stream.onerror = () => done("refused");
  stream.onopen = () => done("open");
})"""
FRAME = """new Promise(done => {
  const frame = document.createElement("iframe");
  frame.src = "URL";
  frame.onload = done;
  document.body.append(frame);
}).then(() => 0)"""
VIEWS = ("", "#/exchanges", "#/exchange/1", "#/trouble", "#/findings", "#/bill", "#/rule/multipart-wellformed")


def hostile(watched: Watched) -> str:
    watched.http.headers["User-Agent"] = MARKUP.encode("ascii", "ignore").decode().replace("\x1b", "")
    files = [("input_reference", (MARKUP.replace("\x1b", "") + ".png", b"x", "image/png"))]
    data = {"prompt": MARKUP, "model": "veo3", "size": "<img src=x onerror=alert(1)>", "<b>": MARKUP}
    watched.http.post("/videos", data={**data, "model": MARKUP}, files=files)
    answer = watched.http.post("/videos", data=data, files=files)
    assert answer.status_code == 200, answer.text
    job = str(answer.json()["id"])
    watched.control.put(
        "scenarios/x", json={"summary": MARKUP, "ending": "failure", "error": {"code": MARKUP, "message": MARKUP}}
    )
    watched.control.put("scenario", json={"scenario": "x"})
    watched.control.post(f"jobs/{job}/end", json={"ending": "failure", "error": {"code": MARKUP, "message": MARKUP}})
    watched.poll(job)
    watched.http.get("/videos/" + "%3Cimg%20src=x%3E")
    return job


def test_hostile_text_stays_text(watched: Watched) -> None:
    job = hostile(watched)
    watched.open()
    for view in (*VIEWS, f"#/job/{job}", f"#/job/{job}/2", "#/job/%3Cimg%20src=x%3E", "#/<img src=x>"):
        watched.go(view)
        assert watched.page.title() != "run"
        assert watched.tab.run("document.scripts.length") == 1
        assert watched.tab.run("document.querySelectorAll('main img, main iframe, a[href^=javascript]').length") == 0
        assert "\u202e" not in watched.page.locator("body").inner_text()
        assert watched.tab.complaints == []
    watched.go(f"#/job/{job}/2")
    expect(watched.page.locator(".detail .form")).to_contain_text("<img src=x onerror=")
    expect(watched.page.locator(".job header h2")).to_contain_text("\\u202eknil")


@contextmanager
def other_page() -> Iterator[str]:
    """The root of a page on another port of this machine."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>a dev server</title>")

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_page_on_another_port_can_neither_read_nor_press_nor_frame(watched: Watched) -> None:
    job = watched.create()
    root = f"{watched.url}/_mockveo"
    with other_page() as page:
        watched.tab.open(page)
        for how in ("{}", "{mode: 'no-cors'}", "{headers: {'X-Own': '1'}}"):
            asked = f"fetch('{root}/jobs', {how}).then(async answer => answer.status + await answer.text(), () => '0')"
            assert watched.tab.run(asked) == "0"
        watched.tab.run(f"fetch('{root}/reset', {{method: 'POST', mode: 'no-cors', body: '{{}}'}}).catch(() => 0)")
        typed = "{method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{\"ending\": \"failure\"}'}"
        ended = f"fetch('{root}/jobs/{job}/end', {typed}).then(() => 'sent', () => 'refused')"
        assert watched.tab.run(ended) == "refused"
        assert watched.tab.run(STREAM.replace("URL", f"{root}/events")) == "refused"
        watched.tab.run(FRAME.replace("URL", f"{root}/"))
        assert all(frame.locator("#app").count() == 0 for frame in watched.page.frames[1:])
    assert watched.poll(job)["status"] == "queued"


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, watched: Watched, scheme: str) -> None:
    axe = (environment("node") / "node_modules" / "axe-core" / "axe.min.js").read_text()
    job = hostile(watched)
    done = watched.create("a kite")
    watched.control.put("scenario", json={"scenario": "normal"})
    context = browser.new_context(color_scheme=scheme, reduced_motion="reduce", bypass_csp=True)  # type: ignore[arg-type]
    watched.page, own = (tab := Tab(context)).page, watched.page
    watched.tab = tab
    for view in (*VIEWS, f"#/job/{job}/2", f"#/job/{done}"):
        watched.open(view)
        watched.page.wait_for_timeout(300)
        watched.tab.run(axe)
        violations = watched.tab.run("axe.run(document, {resultTypes: ['violations']})")["violations"]
        shown = [(entry["id"], [node["html"][:160] for node in entry["nodes"][:3]]) for entry in violations]
        assert shown == [], f"{view}: {json.dumps(shown, indent=1)}"
    context.close()
    watched.page = own


@pytest.mark.slow
def test_keyboard_alone_reaches_a_job_and_its_buttons(watched: Watched) -> None:
    job = watched.create("a kite")
    watched.open()
    watched.tab.press("Tab")
    assert watched.tab.run("document.activeElement.textContent") == "To the content"
    watched.tab.press("Enter")
    assert watched.tab.run("document.activeElement.id") == "main"
    for _ in range(4):
        watched.tab.press("Tab")
        if watched.tab.run("document.activeElement.className").startswith("card"):
            break
    watched.tab.press("Enter")
    watched.page.locator("article.job").wait_for()
    for _ in range(30):
        watched.tab.press("Tab")
        if watched.tab.run("document.activeElement.textContent") == "Fail":
            break
    watched.tab.press("Enter")
    expect(watched.page.locator(".now")).to_contain_text("failed")
    assert watched.poll(job)["status"] == "failed"


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1600])
def test_views_fit_narrow_and_wide_windows(watched: Watched, width: int) -> None:
    job = hostile(watched)
    watched.page.set_viewport_size({"width": width, "height": 800})
    for view in (*VIEWS, f"#/job/{job}/2"):
        watched.open(view)
        watched.page.wait_for_timeout(150)
        wide = (
            "[...document.querySelectorAll('#app *')].filter(each => each.getBoundingClientRect().right > innerWidth)"
        )
        shown = watched.tab.run(f"{wide}.slice(0, 3).map(each => each.outerHTML.slice(0, 200))")
        assert watched.tab.run("document.documentElement.scrollWidth") <= width, f"{view}: {shown}"
    watched.open("#/exchanges")
    watched.page.wait_for_timeout(150)
    assert watched.tab.run("(main => main.scrollWidth - main.clientWidth)(document.querySelector('main'))") <= 0
