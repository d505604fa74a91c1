"""A client by litellm, which sends one image and always a model: by default that of the documentation."""

from __future__ import annotations

import os
from contextlib import suppress
from importlib.metadata import version

# Before it is imported, as it would fetch a list of prices.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import httpx
import litellm
from course import LOST, Answer, Case, Request, Result, played
from litellm.llms.custom_httpx.http_handler import HTTPHandler
from program import speak

DEFAULT_MODEL = "veo3-fast"
# It would print advice where results belong.
litellm.suppress_debug_info = True


def ask(request: Request, http: HTTPHandler) -> None:
    common = {"api_base": request.base_url, "api_key": request.key, "timeout": request.timeout, "client": http}
    if request.operation == "create":
        given = {"model": DEFAULT_MODEL, **request.fields}
        image = {"input_reference": request.files[0].data} if request.files else {}
        litellm.video_generation(**{**given, "model": f"openai/{given['model']}"}, **image, **common)
    else:
        asked = litellm.video_status if request.operation == "retrieve" else litellm.video_content
        asked(request.job, custom_llm_provider="openai", **common)


def plays(case: Case) -> Result:
    came: list[httpx.Response] = []

    def keep(response: httpx.Response) -> None:
        response.read()
        came.append(response)

    with httpx.Client(event_hooks={"response": [keep]}, trust_env=False) as client:
        http = HTTPHandler(client=client)

        def send(request: Request) -> Answer:
            came.clear()
            # It raises many kinds of errors; the responses say more than they do.
            with suppress(Exception):
                ask(request, http)
            return Answer(came[-1].status_code, came[-1].headers, came[-1].content) if came else LOST

        return played(case, send)


if __name__ == "__main__":
    speak("litellm", version("litellm"), plays, images=1)
