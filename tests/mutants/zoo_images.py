"""Mutants of the zoo that spoil the images, and the parts of the form that they are."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from mockveo_contracts import Image
from zoo_client import Client, mutant


@mutant("refs-exact")
class Brackets(Client):
    """Images are sent as `input_reference[]`."""

    def image_name(self, image: Image) -> str:
        return f"{super().image_name(image)}[]"


@mutant("refs-exact", "unknown-parts")
class FramesByName(Client):
    """Images are sent as `first_frame` and `last_frame`."""

    def image_name(self, image: Image) -> str:
        return "first_frame" if image is self.given.images[0] else "last_frame"


@mutant("refs-exact")
class ImagesAsText(Client):
    """Images are sent as text of base64."""

    def file_headers(self, image: Image) -> dict[str, str]:
        return {"Content-Disposition": f'form-data; name="{self.image_name(image)}"'}

    def data(self, image: Image) -> bytes:
        return base64.b64encode(super().data(image))


@mutant("refs-exact", only=True)
class Recompresses(Client):
    """Images arrive as other bytes."""

    def data(self, image: Image) -> bytes:
        return super().data(image)[:-1] + b"\0\0"


@mutant("refs-exact")
class FirstMegabyte(Client):
    """Of an image no more than a megabyte is sent."""

    def data(self, image: Image) -> bytes:
        return super().data(image)[: 2**20]


@mutant("refs-exact")
class TextMode(Client):
    """Images are read as text, which drops what is not."""

    def data(self, image: Image) -> bytes:
        return super().data(image).decode("utf-8", "ignore").encode()


@mutant("refs-exact")
class LineBreaks(Client):
    """Line breaks within images are turned into those of forms."""

    def data(self, image: Image) -> bytes:
        return super().data(image).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


@mutant("refs-exact")
class FirstImage(Client):
    """Of two images the first is sent."""

    def images(self) -> Sequence[Image]:
        return super().images()[:1]


@mutant("refs-exact")
class FirstTwice(Client):
    """Of two images the first is sent twice."""

    def images(self) -> Sequence[Image]:
        return [super(FirstTwice, self).images()[0] for _ in self.given.images]


@mutant("refs-exact")
class OneOfAName(Client):
    """Images are kept by their names, so one of two of a name is lost."""

    def images(self) -> Sequence[Image]:
        return list({image.filename: image for image in super().images()}.values())


@mutant("refs-exact")
class SkipsJpeg(Client):
    """Images are looked for as *.png."""

    def images(self) -> Sequence[Image]:
        return [image for image in super().images() if image.filename.endswith(".png")]


@mutant("refs-exact")
class SkipsTiny(Client):
    """An image too small to be one is left out."""

    def images(self) -> Sequence[Image]:
        return [image for image in super().images() if len(self.data(image)) > 100]


@mutant("refs-order", only=True)
class Swapped(Client):
    """The last frame is sent first."""

    def images(self) -> Sequence[Image]:
        return super().images()[::-1]


@mutant("refs-order")
class ByName(Client):
    """Images are sent in the order of their names."""

    def images(self) -> Sequence[Image]:
        return sorted(super().images(), key=lambda image: image.filename)


@mutant("refs-order")
class BySize(Client):
    """Images are sent in the order of their sizes."""

    def images(self) -> Sequence[Image]:
        return sorted(super().images(), key=lambda image: len(self.data(image)))


@mutant("filename-star", only=True)
class FilenameStar(Client):
    """Names of files come as filename*."""

    def file_headers(self, image: Image) -> dict[str, str]:
        disposition = f"form-data; name=\"input_reference\"; filename*=UTF-8''{quote(image.filename)}"
        return {**super().file_headers(image), "Content-Disposition": disposition}


@mutant("file-filename", only=True)
class EmptyFilename(Client):
    """Names of files are empty."""

    def file_headers(self, image: Image) -> dict[str, str]:
        disposition = f'form-data; name="{self.image_name(image)}"; filename=""'
        return {**super().file_headers(image), "Content-Disposition": disposition}


@mutant("file-filename", "refs-exact")
class NoFilename(Client):
    """Files have no name, so that they count as text."""

    def file_headers(self, image: Image) -> dict[str, str]:
        disposition = f'form-data; name="{self.image_name(image)}"'
        return {**super().file_headers(image), "Content-Disposition": disposition}


@mutant("file-media-type", only=True)
class NoMediaType(Client):
    """Files have no Content-Type, as requests sends them."""

    def file_headers(self, image: Image) -> dict[str, str]:
        return {"Content-Disposition": super().file_headers(image)["Content-Disposition"]}


@mutant("file-media-type")
class PlainText(Client):
    """Files are sent as text."""

    def file_headers(self, image: Image) -> dict[str, str]:
        return {**super().file_headers(image), "Content-Type": "text/plain"}


@mutant("no-transfer-encoding-header", only=True)
class TransferEncoding(Client):
    """Files have a Content-Transfer-Encoding."""

    def file_headers(self, image: Image) -> dict[str, str]:
        return {**super().file_headers(image), "Content-Transfer-Encoding": "binary"}


@mutant("no-transfer-encoding-header")
class TransferEncodingOfText(Client):
    """Fields have a Content-Transfer-Encoding."""

    def text(self, name: str, value: Any) -> bytes:
        headers = {"Content-Disposition": f'form-data; name="{name}"', "Content-Transfer-Encoding": "8bit"}
        return self.part(headers, self.encoded(value))


@mutant("unknown-parts", only=True)
class SendsSeconds(Client):
    """A field of another API is sent."""

    def fields(self) -> dict[str, Any]:
        return {**super().fields(), "seconds": 8}


@mutant("unknown-parts")
class PromptTwice(Client):
    """The prompt is sent twice."""

    def joined(self, boundary: bytes, parts: Sequence[bytes]) -> bytes:
        return super().joined(boundary, [parts[0], *parts])
