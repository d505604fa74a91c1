"""A client by urllib.request, which follows redirects of a GET and would take all headers along to another host."""

from __future__ import annotations

import platform
import sys
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener
from urllib.request import Request as Sent

from course import FEATURES, LOST, Answer, Request, Result, played
from forms import multipart
from program import speak

OPENER = build_opener(ProxyHandler({}))


def send(request: Request) -> Answer:
    body, headers = multipart(request) if request.fields else (None, {})
    sent = Sent(request.url, body, headers, method=request.method)
    for name, value in request.headers.items():
        # As a header of this request alone the key stays here.
        sent.add_unredirected_header(name, value)
    try:
        with OPENER.open(sent, timeout=request.timeout) as response:
            return Answer(response.status, dict(response.headers), response.read())
    except HTTPError as error:
        with error:
            return _of(error)
    except (OSError, HTTPException):
        return LOST


def _of(error: HTTPError) -> Answer:
    try:
        return Answer(error.code, dict(error.headers), error.read())
    except (OSError, HTTPException):
        return LOST


def client(case: Any) -> Result:
    return played(case.message, send)


client.features = FEATURES  # type: ignore[attr-defined]
client.version = platform.python_version()  # type: ignore[attr-defined]

if __name__ == "__main__":
    speak("urllib", platform.python_version(), lambda case: played(case, send), resume="durable" in sys.argv)
