"""A client that misbehaves as a process: misbehaves.py WAY [FILE]. FILE counts how often it was started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from client import FEATURES, play, say

Json = dict[str, Any]


def messages() -> Iterator[Json]:
    for line in sys.stdin:
        yield json.loads(line)


def hello(**other: Any) -> None:
    say({"type": "hello", "client": "misbehaves", "features": FEATURES, **other})


def answering(answer: Callable[[Json], None], *, features: Json | None = None, width: int = 1) -> None:
    for message in messages():
        if message["type"] == "hello":
            hello(features=FEATURES if features is None else features, max_in_flight=width)
        else:
            answer(message)


def raw(text: str, *, file: int = 1) -> None:
    os.write(file, text.encode())


def plainly(case: Json) -> None:
    say(play(case))


def starts(file: str) -> int:
    count = len(Path(file).read_text()) + 1 if Path(file).exists() else 1
    Path(file).write_text("x" * count)
    return count


def dies_at_start() -> None:
    sys.exit("no module named flux")


def never_says_hello() -> None:
    time.sleep(60)


def dies_once(file: str) -> None:
    first = starts(file) == 1
    answering(lambda case: _die(3) if first and "die" in case["base_url"] else plainly(case))


def dies(_: str = "") -> None:
    answering(lambda case: _die(3) if "die" in case["base_url"] else plainly(case))


def killed() -> None:
    answering(lambda _: os.kill(os.getpid(), signal.SIGKILL))


def _die(status: int) -> None:
    raw("Traceback: flux is empty\n", file=2)
    os._exit(status)


def exits_after_each() -> None:
    def answer(case: Json) -> None:
        plainly(case)
        sys.exit()

    answering(answer)


def prints_rubbish() -> None:
    def answer(case: Json) -> None:
        raw("polling...\n")
        plainly(case)

    answering(answer)


def answers_twice() -> None:
    def answer(case: Json) -> None:
        result = json.dumps(play(case))
        raw(f"{result}\n{result}\n")

    answering(answer)


def answers_for_another() -> None:
    answering(lambda case: say({**play(case), "id": int(case["id"])}))


def never_answers(declared: str) -> None:
    def answer(case: Json) -> None:
        if "mute" not in case["base_url"]:
            plainly(case)

    answering(answer, features={**FEATURES, "deadline": declared == "deadline"}, width=2)


def never_answers_and_ignores_sigterm(file: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, 1); time.sleep(60)"])
    Path(file).write_text(f"{os.getpid()} {child.pid}")
    answering(lambda _: None)


def leaks_on_standard_error() -> None:
    def answer(case: Json) -> None:
        raw(f"using {case['api_key'][:20]}", file=2)
        result = play(case)
        raw(f"{case['api_key'][20:]}\n", file=2)
        say(result)

    answering(answer)


def leaks_in_the_result() -> None:
    answering(lambda case: say({**play(case), "error": {"type": "x", "message": f"with {case['api_key']}"}}))


def leaks_at_the_end() -> None:
    last = ""
    for message in messages():
        if message["type"] == "hello":
            hello()
        else:
            last = message["api_key"]
            plainly(message)
    raw(f"bye, {last}\n", file=2)


def leaks_later() -> None:
    keys = [""]

    def answer(case: Json) -> None:
        raw(f"before: {keys[-1]}\n", file=2)
        keys.append(case["api_key"])
        plainly(case)

    answering(answer)


def leaves_a_child(file: str) -> None:
    child = subprocess.Popen(["sleep", "60"])
    Path(file).write_text(str(child.pid))
    answering(plainly)


def child_holds_the_pipes(file: str) -> None:
    child = subprocess.Popen(["sleep", "60"])
    Path(file).write_text(str(child.pid))
    answering(lambda _: _die(3))


def no_newline_at_the_end() -> None:
    result = json.dumps(play(json.loads(sys.stdin.readline())))
    raw(result)


def says_other_hellos(how: str) -> None:
    sys.stdin.readline()
    raw({"text": "Loading...", "list": "[1]", "result": '{"type":"result","id":"1"}'}.get(how, how) + "\n")
    time.sleep(60)


def writes_like_windows() -> None:
    raw("\ufeff")

    def answer(case: Json) -> None:
        raw(f"\r\n{json.dumps(play(case))}\r\n")

    for message in messages():
        raw(f"{json.dumps({'type': 'hello', 'client': 'crlf'})}\r\n") if message["type"] == "hello" else answer(message)


def stores_nothing() -> None:
    answering(lambda case: say({**play(case, store=False), "content_path": "/nowhere/out.mp4"}))


def is_loud() -> None:
    def answer(case: Json) -> None:
        for _ in range(40):
            raw("noise " * 10000, file=2)
        plainly(case)

    answering(answer)


def breaks() -> None:
    answering(lambda case: say({"type": "adapter_error", "id": case["id"], "message": "no flux"}))


def reports_oddly(members: str) -> None:
    answering(lambda case: say({**play(case, store=False), **json.loads(members)}))


def is_deaf() -> None:
    sys.stdin.readline()
    hello()
    time.sleep(60)


def shows_its_environment() -> None:
    names = sorted(name for name in os.environ if name.startswith(("COMETAPI", "OPENAI", "MOCKVEO")))
    for message in messages():
        if message["type"] == "hello":
            hello(client=",".join(names) or "none")


def goes_on_after_its_result() -> None:
    say(play(json.loads(sys.stdin.readline())))
    time.sleep(60)


def exits(status: str) -> None:
    sys.exit(int(status))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
