"""Mutants that change the text of a call: the prompt, the model and the size."""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Any
from urllib.parse import quote

from zoo_client import CorrectClient, mutant

# The prompt


@mutant("prompt-exact", only=True)
class Strips(CorrectClient):
    """The prompt loses leading and trailing blanks."""

    def prompt(self) -> str:
        return super().prompt().strip()


@mutant("prompt-exact")
class Collapses(CorrectClient):
    """Consecutive blanks in the prompt become one."""

    def prompt(self) -> str:
        return " ".join(super().prompt().split())


@mutant("prompt-exact")
class Shortens(CorrectClient):
    """The prompt ends after 4096 characters."""

    def prompt(self) -> str:
        return super().prompt()[:4096]


@mutant("prompt-exact")
class FirstLine(CorrectClient):
    """The prompt ends at its first line break."""

    def prompt(self) -> str:
        return super().prompt().splitlines()[0]


@mutant("prompt-exact")
class AsciiOnly(CorrectClient):
    """Characters outside ASCII are dropped."""

    def encoded(self, value: Any) -> bytes:
        return str(value).encode("ascii", "ignore")


@mutant("prompt-exact")
class Latin(CorrectClient):
    """Text is sent as Latin-1."""

    def encoded(self, value: Any) -> bytes:
        return str(value).encode("latin-1", "replace")


@mutant("prompt-exact")
class EncodesTwice(CorrectClient):
    """UTF-8 is read as Latin-1, and encoded again."""

    def encoded(self, value: Any) -> bytes:
        return super().encoded(value).decode("latin-1").encode()


@mutant("prompt-exact")
class BasicPlane(CorrectClient):
    """Characters beyond the basic plane become question marks, as in some databases."""

    def prompt(self) -> str:
        return "".join(char if ord(char) < 0x10000 else "?" for char in super().prompt())


@mutant("prompt-exact")
class Normalises(CorrectClient):
    """Letters and their accents are composed."""

    def prompt(self) -> str:
        return unicodedata.normalize("NFC", super().prompt())


@mutant("prompt-exact")
class EscapesHtml(CorrectClient):
    """The prompt is escaped for HTML."""

    def prompt(self) -> str:
        return html.escape(super().prompt(), quote=False)


@mutant("prompt-exact")
class EscapesQuotes(CorrectClient):
    """Quotes get a backslash."""

    def prompt(self) -> str:
        return super().prompt().replace('"', '\\"')


@mutant("prompt-exact")
class Percent(CorrectClient):
    """The prompt is URL-encoded."""

    def prompt(self) -> str:
        return quote(super().prompt(), safe=" .,'\n")


@mutant("prompt-exact")
class ExpandsAt(CorrectClient):
    """A prompt that begins with @ is read as a file name, as by curl's -F."""

    def prompt(self) -> str:
        return super().prompt().removeprefix("@")


@mutant("prompt-exact")
class CutsAtSemicolon(CorrectClient):
    """The prompt ends at a semicolon, as with curl's -F."""

    def prompt(self) -> str:
        return super().prompt().partition(";")[0]


@mutant("prompt-exact")
class Unescapes(CorrectClient):
    r"""A backslash and n become a line break."""

    def prompt(self) -> str:
        return super().prompt().replace("\\n", "\n")


@mutant("prompt-exact")
class Fills(CorrectClient):
    """Braces in the prompt are filled as in a template."""

    def prompt(self) -> str:
        return super().prompt().replace("{0}", "").replace("${x}", "")


@mutant("prompt-exact")
class ExpandsVariables(CorrectClient):
    """Names after a dollar sign are variables, as in a shell, and empty."""

    def prompt(self) -> str:
        return re.sub(r"\$\w+", "", super().prompt())


@mutant("prompt-exact")
class PlusIsBlank(CorrectClient):
    """A plus sign becomes a blank, as in a query that is decoded once too often."""

    def prompt(self) -> str:
        return super().prompt().replace("+", " ")


@mutant("prompt-exact")
class TabIsBlanks(CorrectClient):
    """A tab becomes blanks, as in an editor."""

    def prompt(self) -> str:
        return super().prompt().expandtabs()


@mutant("prompt-exact")
class OneKindOfBlank(CorrectClient):
    """A blank that does not break becomes an ordinary one."""

    def prompt(self) -> str:
        return super().prompt().replace("\u00a0", " ")


# Model and size


@mutant("param-exact")
class ResolvesModel(CorrectClient):
    """The alias is replaced by the provider's id."""

    def model(self) -> str | None:
        model = super().model()
        return "veo_3_1-4K" if model == "veo3-fast" else model


@mutant("param-exact")
class OneModel(CorrectClient):
    """The same model is sent whatever the caller sets."""

    def model(self) -> str | None:
        return "veo3.1-fast" if super().model() is not None else None


@mutant("param-exact", only=True)
class Pixels(CorrectClient):
    """The size is sent in pixels."""

    def size(self) -> str | None:
        return {"16x9": "1280x720", "9x16": "720x1280"}.get(str(super().size()), super().size())


@mutant("param-exact")
class DropsSize(CorrectClient):
    """The size is not sent."""

    def size(self) -> str | None:
        return None


@mutant("param-exact")
class AlwaysLandscape(CorrectClient):
    """The landscape size is sent whatever the caller sets."""

    def size(self) -> str | None:
        return "16x9" if super().size() is not None else None


@mutant("omit-unset", only=True)
class NoneAsText(CorrectClient):
    """A value that the caller leaves out is sent as None."""

    def fields(self) -> dict[str, Any]:
        return {"model": str(self.model()), "size": str(self.size()), "prompt": self.prompt()}


@mutant("omit-unset")
class EmptySize(CorrectClient):
    """A size that the caller leaves out is sent as an empty string."""

    def size(self) -> str | None:
        return super().size() or ""


@mutant("omit-unset")
class SizeOfItsOwn(CorrectClient):
    """A size that the caller leaves out gets the client's own default."""

    def size(self) -> str | None:
        return super().size() or "1280x720"


@mutant("omit-unset", verdict="warning")
class SendsDefault(CorrectClient):
    """A model that the caller leaves out is sent as the documented default."""

    def model(self) -> str | None:
        return super().model() or "veo3-fast"
