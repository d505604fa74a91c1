"""Mutants that change the images, or the parts of the form that hold them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from mockveo_contracts import Image
from zoo_client import Answer, CorrectClient, mutant


@mutant("refs-exact")
class Brackets(CorrectClient):
    """Images are sent as `input_reference[]`."""

    def image_name(self, image: Image) -> str:
        return f"{super().image_name(image)}[]"


@mutant("refs-exact", "unknown-parts")
class FramesByName(CorrectClient):
    """Images are sent as `first_frame` and `last_frame`."""

    def image_name(self, image: Image) -> str:
        return "first_frame" if image is self.input.images[0] else "last_frame"


@mutant("refs-exact")
class ImagesAsText(CorrectClient):
    """Images are sent as base64 text."""

    def file_headers(self, image: Image) -> dict[str, str]:
        return {"Content-Disposition": f'form-data; name="{self.image_name(image)}"'}

    def data(self, image: Image) -> bytes:
        return base64.b64encode(super().data(image))


@mutant("refs-exact", only=True)
class Recompresses(CorrectClient):
    """Images arrive as other bytes."""

    def data(self, image: Image) -> bytes:
        return super().data(image)[:-1] + b"\0\0"


@mutant("refs-exact")
class FirstMegabyte(CorrectClient):
    """An image is cut after a megabyte."""

    def data(self, image: Image) -> bytes:
        return super().data(image)[: 2**20]


@mutant("refs-exact")
class TextMode(CorrectClient):
    """Images are read as text, which drops invalid bytes."""

    def data(self, image: Image) -> bytes:
        return super().data(image).decode("utf-8", "ignore").encode()


@mutant("refs-exact")
class LineBreaks(CorrectClient):
    """Line breaks within images are normalised as in text."""

    def data(self, image: Image) -> bytes:
        return super().data(image).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


@mutant("refs-exact")
class FirstImage(CorrectClient):
    """Only the first of two images is sent."""

    def images(self) -> Sequence[Image]:
        return super().images()[:1]


@mutant("refs-exact")
class FirstTwice(CorrectClient):
    """The first of two images is sent twice."""

    def images(self) -> Sequence[Image]:
        return [super(FirstTwice, self).images()[0] for _ in self.input.images]


@mutant("refs-exact")
class OneOfAName(CorrectClient):
    """Images are keyed by name, so one of two with the same name is lost."""

    def images(self) -> Sequence[Image]:
        return list({image.filename: image for image in super().images()}.values())


@mutant("refs-exact", unlikely="no two images of a generated case are equal")
class OneOfEqualImages(CorrectClient):
    """Images are kept by their hashes, so one of two that are equal is lost."""

    def images(self) -> Sequence[Image]:
        return list({self.data(image): image for image in super().images()}.values())


@mutant("refs-exact")
class SkipsJpeg(CorrectClient):
    """Only images named *.png are sent."""

    def images(self) -> Sequence[Image]:
        return [image for image in super().images() if image.filename.endswith(".png")]


@mutant("refs-exact")
class SkipsTiny(CorrectClient):
    """An image that is too small to be valid is left out."""

    def images(self) -> Sequence[Image]:
        return [image for image in super().images() if len(self.data(image)) > 100]


@mutant("refs-exact")
class SkipsCapitals(CorrectClient):
    """Only images whose extension is in lower case are sent."""

    def images(self) -> Sequence[Image]:
        return [image for image in super().images() if image.filename.endswith((".png", ".jpg", ".jpeg"))]


@mutant("refs-order", only=True)
class Swapped(CorrectClient):
    """The last frame is sent first."""

    def images(self) -> Sequence[Image]:
        return super().images()[::-1]


@mutant("refs-order")
class ByName(CorrectClient):
    """Images are sent in the order of their names."""

    def images(self) -> Sequence[Image]:
        return sorted(super().images(), key=lambda image: image.filename)


@mutant("refs-order")
class BySize(CorrectClient):
    """Images are sent in the order of their sizes."""

    def images(self) -> Sequence[Image]:
        return sorted(super().images(), key=lambda image: len(self.data(image)))


@mutant("filename-star", only=True)
class FilenameStar(CorrectClient):
    """File names are sent as filename*."""

    def file_headers(self, image: Image) -> dict[str, str]:
        disposition = f"form-data; name=\"input_reference\"; filename*=UTF-8''{quote(image.filename)}"
        return {**super().file_headers(image), "Content-Disposition": disposition}


@mutant("file-filename", only=True)
class EmptyFilename(CorrectClient):
    """File names are empty."""

    def file_headers(self, image: Image) -> dict[str, str]:
        disposition = f'form-data; name="{self.image_name(image)}"; filename=""'
        return {**super().file_headers(image), "Content-Disposition": disposition}


@mutant("file-filename", "refs-exact")
class NoFilename(CorrectClient):
    """Files have no name, so they count as text."""

    def file_headers(self, image: Image) -> dict[str, str]:
        disposition = f'form-data; name="{self.image_name(image)}"'
        return {**super().file_headers(image), "Content-Disposition": disposition}


@mutant("file-media-type", only=True)
class NoMediaType(CorrectClient):
    """Files have no Content-Type, as requests sends them."""

    def file_headers(self, image: Image) -> dict[str, str]:
        return {"Content-Disposition": super().file_headers(image)["Content-Disposition"]}


@mutant("file-media-type")
class PlainText(CorrectClient):
    """Files are sent as text."""

    def file_headers(self, image: Image) -> dict[str, str]:
        return {**super().file_headers(image), "Content-Type": "text/plain"}


@mutant("file-as-it-is", only=True)
class AlwaysJpeg(CorrectClient):
    """Every image is sent as image/jpeg."""

    def file_headers(self, image: Image) -> dict[str, str]:
        return {**super().file_headers(image), "Content-Type": "image/jpeg"}


@mutant("file-as-it-is")
class NamedAsJpeg(CorrectClient):
    """Every image is named image.jpg."""

    def file_headers(self, image: Image) -> dict[str, str]:
        disposition = f'form-data; name="{self.image_name(image)}"; filename="image.jpg"'
        return {**super().file_headers(image), "Content-Disposition": disposition}


@mutant("file-as-it-is")
class PathAsName(CorrectClient):
    """The file name is the whole path."""

    def file_headers(self, image: Image) -> dict[str, str]:
        path = image.path.replace('"', "%22")
        disposition = f'form-data; name="{self.image_name(image)}"; filename="{path}"'
        return {**super().file_headers(image), "Content-Disposition": disposition}


@mutant("refs-exact", "redirect-method")
class ReadToTheEnd(CorrectClient):
    """The first attempt reads the files to their end, so the next one sends them empty."""

    sent = False

    def send(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        if method == "POST" and self.sent:
            boundary = headers["Content-Type"].rpartition("=")[2].encode()
            body = self.joined(boundary, [*map(self.text, *zip(*self.fields().items(), strict=True)), *self.empty()])
        self.sent = self.sent or method == "POST"
        return super().send(method, url, body, headers)

    def empty(self) -> Sequence[bytes]:
        """Return the parts of the images without their bytes."""
        return [self.part(self.file_headers(image), b"") for image in self.images()]


@mutant("refs-exact")
class HalfOfTheLast(ReadToTheEnd):
    """The first attempt reads some of the files, and the next one begins where it stopped."""

    def empty(self) -> Sequence[bytes]:
        return [self.part(self.file_headers(image), self.data(image)[-100:]) for image in self.images()]


@mutant("no-transfer-encoding-header", only=True)
class TransferEncoding(CorrectClient):
    """Files have a Content-Transfer-Encoding."""

    def file_headers(self, image: Image) -> dict[str, str]:
        return {**super().file_headers(image), "Content-Transfer-Encoding": "binary"}


@mutant("no-transfer-encoding-header")
class TransferEncodingOfText(CorrectClient):
    """Fields have a Content-Transfer-Encoding."""

    def text(self, name: str, value: Any) -> bytes:
        headers = {"Content-Disposition": f'form-data; name="{name}"', "Content-Transfer-Encoding": "8bit"}
        return self.part(headers, self.encoded(value))


@mutant("part-once", "param-exact")
class DefaultsFirst(CorrectClient):
    """The client's own defaults come first, and the caller's values are added."""

    def joined(self, boundary: bytes, parts: Sequence[bytes]) -> bytes:
        default = [self.text("size", "16x9")] if self.size() is not None else []
        return super().joined(boundary, [*default, *parts])


@mutant("unknown-parts", only=True)
class SendsSeconds(CorrectClient):
    """A field of another API is sent."""

    def fields(self) -> dict[str, Any]:
        return {**super().fields(), "seconds": 8}


@mutant("part-once", only=True)
class PromptTwice(CorrectClient):
    """The prompt is sent twice."""

    def joined(self, boundary: bytes, parts: Sequence[bytes]) -> bytes:
        return super().joined(boundary, [parts[0], *parts])
