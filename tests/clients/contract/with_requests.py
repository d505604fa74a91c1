"""A client by requests, which sends a form of many parts only with files: texts are files without a name."""

from __future__ import annotations

from typing import Any

import requests
from course import FEATURES, LOST, Answer, Request, Result, played
from program import speak


def send(request: Request) -> Answer:
    parts = [(name, (None, value)) for name, value in request.fields.items()]
    parts += [("input_reference", file) for file in request.files]  # (name, bytes, media type)
    with requests.Session() as session:
        session.trust_env = False
        try:
            response = session.request(
                request.method, request.url, headers=request.headers, files=parts, timeout=request.timeout
            )
        except requests.RequestException:
            return LOST
        return Answer(response.status_code, response.headers, response.content)


def client(case: Any) -> Result:
    return played(case.message, send)


client.features = FEATURES
client.version = requests.__version__

if __name__ == "__main__":
    speak("requests", requests.__version__, lambda case: played(case, send))
