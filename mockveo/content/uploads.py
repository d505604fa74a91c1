"""Uploaded bytes as a picture of a frame's size, within limits."""

from io import BytesIO
from typing import Final

from PIL import Image, ImageOps

#: Pixels of an uploaded picture; decoded, this many take 200 MB.
_MAX_PIXELS: Final = 50_000_000
#: Scans of a progressive JPEG, which usually has ten. Each costs a pass over all pixels and may take under 100 bytes.
_MAX_SCANS: Final = 64


def open_picture(data: bytes, size: tuple[int, int]) -> Image.Image:
    """Return the picture scaled to cover `size` and cropped around its middle; raise any exception for bad bytes."""
    # Only these formats, as Pillow's others include some that start programs.
    with Image.open(BytesIO(data), formats=("PNG", "JPEG", "WEBP", "GIF", "BMP")) as image:
        if image.width * image.height > _MAX_PIXELS:
            raise ValueError("too many pixels")
        if image.format in ("JPEG", "MPO") and data.count(b"\xff\xda") > _MAX_SCANS:
            raise ValueError("too many scans")
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode.startswith("I"):  # 16 bits of grey; convert() would clip them to 8
            colours = image.point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
        else:
            colours = image.convert("RGBA" if image.has_transparency_data else "RGB")
    # Scaling needs true colours; transparency is resolved when there are fewer pixels.
    fitted = ImageOps.fit(colours, size, Image.Resampling.BICUBIC).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", size, "white"), fitted)
