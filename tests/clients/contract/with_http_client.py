"""A client by http.client: a form and connections by hand, as the standard library has neither forms nor redirects."""

from __future__ import annotations

import platform
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from course import FEATURES, LOST, Answer, Request, Result, played
from forms import multipart


def send(request: Request) -> Answer:
    parts = urlsplit(request.url)
    connection = HTTPConnection(parts.netloc, timeout=request.timeout)
    body, headers = multipart(request) if request.fields else (None, {})
    try:
        connection.request(request.method, parts.path, body, {**headers, **request.headers})
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
    except (OSError, HTTPException):
        return LOST
    finally:
        connection.close()


def client(case: Any) -> Result:
    return played(case.message, send)


client.features = FEATURES  # type: ignore[attr-defined]
client.version = platform.python_version()  # type: ignore[attr-defined]
