"""A client by aiohttp, whose form is one of many parts as soon as one of them is given a Content-Type or a name."""

from __future__ import annotations

import asyncio

import aiohttp
from course import LOST, Answer, Case, Request, Result, played_async
from program import speak


def form(request: Request) -> aiohttp.FormData | None:
    if not request.fields:
        return None
    data = aiohttp.FormData(default_to_multipart=True)
    for name, value in request.fields.items():
        data.add_field(name, value)
    for file in request.files:
        data.add_field("input_reference", file.data, filename=file.filename, content_type=file.content_type)
    return data


async def plays(case: Case) -> Result:
    async with aiohttp.ClientSession() as http:

        async def send(request: Request) -> Answer:
            timeout = aiohttp.ClientTimeout(request.timeout)
            arguments = {"headers": request.headers, "data": form(request), "timeout": timeout}
            try:
                async with http.request(request.method, request.url, **arguments) as response:
                    return Answer(response.status, response.headers, await response.read())
            except (aiohttp.ClientError, TimeoutError):
                return LOST

        return await played_async(case, send)


if __name__ == "__main__":
    speak("aiohttp", aiohttp.__version__, lambda case: asyncio.run(plays(case)))
