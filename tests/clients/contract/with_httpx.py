"""Two clients by httpx, one that blocks and one in asyncio. Following redirects is an option."""

from __future__ import annotations

from typing import Any

import httpx
from course import FEATURES, LOST, Answer, Case, Request, Result, played, played_async
from program import speak


def arguments(request: Request) -> dict[str, Any]:
    parts = [(name, (None, value)) for name, value in request.fields.items()]
    parts += [("input_reference", file) for file in request.files]  # (name, bytes, media type)
    return {"headers": request.headers, "files": parts or None, "timeout": request.timeout}


def answer_of(response: httpx.Response) -> Answer:
    return Answer(response.status_code, response.headers, response.content)


#: Made once, as it reads certificates, which nothing here needs.
TLS = httpx.create_ssl_context(verify=False)
OPTIONS = {"follow_redirects": True, "trust_env": False, "verify": TLS}


def plays(case: Case) -> Result:
    with httpx.Client(**OPTIONS) as http:

        def send(request: Request) -> Answer:
            try:
                return answer_of(http.request(request.method, request.url, **arguments(request)))
            except httpx.HTTPError:
                return LOST

        return played(case, send)


def client(case: Any) -> Result:
    return plays(case.message)


async def async_client(case: Any) -> Result:
    async with httpx.AsyncClient(**OPTIONS) as http:

        async def send(request: Request) -> Answer:
            try:
                return answer_of(await http.request(request.method, request.url, **arguments(request)))
            except httpx.HTTPError:
                return LOST

        return await played_async(case.message, send)


for function in (client, async_client):
    function.features = FEATURES
    function.version = httpx.__version__

if __name__ == "__main__":
    speak("httpx", httpx.__version__, plays)
