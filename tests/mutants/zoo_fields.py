"""Mutants of the zoo that spoil what the caller gave as text: the prompt, the model and the size."""

from __future__ import annotations

import html
import unicodedata
from typing import Any
from urllib.parse import quote

from zoo_client import Client, mutant

# The prompt


@mutant("prompt-exact", only=True)
class Strips(Client):
    """The prompt loses blanks in front and behind."""

    def prompt(self) -> str:
        return super().prompt().strip()


@mutant("prompt-exact")
class Collapses(Client):
    """Blanks within the prompt become one."""

    def prompt(self) -> str:
        return " ".join(super().prompt().split())


@mutant("prompt-exact")
class Shortens(Client):
    """The prompt ends after 4096 characters."""

    def prompt(self) -> str:
        return super().prompt()[:4096]


@mutant("prompt-exact")
class FirstLine(Client):
    """The prompt ends at its first line break."""

    def prompt(self) -> str:
        return super().prompt().splitlines()[0]


@mutant("prompt-exact")
class AsciiOnly(Client):
    """Characters that are not ASCII are left out."""

    def encoded(self, value: Any) -> bytes:
        return str(value).encode("ascii", "ignore")


@mutant("prompt-exact")
class Latin(Client):
    """Text is sent as Latin-1."""

    def encoded(self, value: Any) -> bytes:
        return str(value).encode("latin-1", "replace")


@mutant("prompt-exact")
class EncodesTwice(Client):
    """UTF-8 is taken for Latin-1, and encoded again."""

    def encoded(self, value: Any) -> bytes:
        return super().encoded(value).decode("latin-1").encode()


@mutant("prompt-exact")
class BasicPlane(Client):
    """Characters beyond the basic plane become question marks, as in some databases."""

    def prompt(self) -> str:
        return "".join(one if ord(one) < 0x10000 else "?" for one in super().prompt())


@mutant("prompt-exact")
class Normalises(Client):
    """Letters and their accents are put together."""

    def prompt(self) -> str:
        return unicodedata.normalize("NFC", super().prompt())


@mutant("prompt-exact")
class EscapesHtml(Client):
    """The prompt is escaped for a page of HTML."""

    def prompt(self) -> str:
        return html.escape(super().prompt(), quote=False)


@mutant("prompt-exact")
class EscapesQuotes(Client):
    """Quotes get a backslash."""

    def prompt(self) -> str:
        return super().prompt().replace('"', '\\"')


@mutant("prompt-exact")
class Percent(Client):
    """The prompt is encoded as for a URL."""

    def prompt(self) -> str:
        return quote(super().prompt(), safe=" .,'\n")


@mutant("prompt-exact")
class ExpandsAt(Client):
    """A prompt with @ in front is the name of a file, as curl's -F has it."""

    def prompt(self) -> str:
        return super().prompt().removeprefix("@")


@mutant("prompt-exact")
class CutsAtSemicolon(Client):
    """The prompt ends at a semicolon, as curl's -F has it."""

    def prompt(self) -> str:
        return super().prompt().partition(";")[0]


@mutant("prompt-exact")
class Unescapes(Client):
    r"""A backslash and n become a line break."""

    def prompt(self) -> str:
        return super().prompt().replace("\\n", "\n")


@mutant("prompt-exact")
class Fills(Client):
    """Braces of the prompt are filled as a template's."""

    def prompt(self) -> str:
        return super().prompt().replace("{0}", "").replace("${x}", "")


# Model and size


@mutant("param-exact")
class ResolvesModel(Client):
    """The alias is replaced by the provider's id."""

    def model(self) -> str | None:
        model = super().model()
        return "veo_3_1-4K" if model == "veo3-fast" else model


@mutant("param-exact")
class OneModel(Client):
    """Whatever model is asked for, one is sent."""

    def model(self) -> str | None:
        return "veo3.1-fast" if super().model() is not None else None


@mutant("param-exact", only=True)
class Pixels(Client):
    """The size is sent in pixels."""

    def size(self) -> str | None:
        return {"16x9": "1280x720", "9x16": "720x1280"}.get(str(super().size()), super().size())


@mutant("param-exact")
class DropsSize(Client):
    """The size is not sent."""

    def size(self) -> str | None:
        return None


@mutant("param-exact")
class AlwaysLandscape(Client):
    """Whatever size is asked for, the landscape is sent."""

    def size(self) -> str | None:
        return "16x9" if super().size() is not None else None


@mutant("omit-unset", only=True)
class NoneAsText(Client):
    """What is left out is sent as None."""

    def fields(self) -> dict[str, Any]:
        return {"model": str(self.model()), "size": str(self.size()), "prompt": self.prompt()}


@mutant("omit-unset")
class EmptySize(Client):
    """A size that is left out is sent as an empty text."""

    def size(self) -> str | None:
        return super().size() or ""


@mutant("omit-unset")
class SizeOfItsOwn(Client):
    """A size that is left out is one of the client's own."""

    def size(self) -> str | None:
        return super().size() or "1280x720"


@mutant("omit-unset", verdict="warning")
class SendsDefault(Client):
    """A model that is left out is sent as the documented default."""

    def model(self) -> str | None:
        return super().model() or "veo3-fast"
