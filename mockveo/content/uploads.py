"""Uploaded bytes -> a picture of the size of a frame, within limits: they come from whoever can reach the server."""

from io import BytesIO
from typing import Final

from PIL import Image, ImageOps

#: Of an uploaded picture; decoded, this many take 200 MB.
_MAX_PIXELS: Final = 50_000_000
#: Of a progressive JPEG, which usually has ten. Each costs a pass over all pixels and need not take 100 bytes.
_MAX_SCANS: Final = 64


def opened(data: bytes, size: tuple[int, int]) -> Image.Image:
    """The picture scaled to cover `size` and cropped around its middle. Raises anything where there is none."""
    # The formats are named so that none of the others, some of which start programs, is tried on what a client sent.
    with Image.open(BytesIO(data), formats=("PNG", "JPEG", "WEBP", "GIF", "BMP")) as image:
        if image.width * image.height > _MAX_PIXELS:
            raise ValueError("too many pixels")
        if image.format in ("JPEG", "MPO") and data.count(b"\xff\xda") > _MAX_SCANS:
            raise ValueError("too many scans")
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode.startswith("I"):  # 16 bits of grey, of which convert() would cut off the upper half
            colours = image.point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
        else:
            colours = image.convert("RGBA" if image.has_transparency_data else "RGB")
    # Scaling needs true colours; transparency is resolved when there are fewer pixels.
    fitted = ImageOps.fit(colours, size, Image.Resampling.BICUBIC).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", size, "white"), fitted)
