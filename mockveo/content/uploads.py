"""Uploaded bytes as a picture of a frame's size, within limits.

Memory holds the decoded picture once: it is cut, converted and reduced in strips, and only the rest is scaled.
"""

from io import BytesIO
from math import ceil
from typing import Final

from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

#: Bytes that decoding a picture may take; 37 million pixels of a PNG, which is more than phones take by default.
MAX_DECODED_BYTES: Final = 150_000_000
#: Bytes that a pixel takes while it is decoded: Pillow's four, and the canvases of libwebp and of animations. Measured.
_BYTES_PER_PIXEL: Final = {"PNG": 4, "BMP": 4, "JPEG": 4, "MPO": 4, "GIF": 5, "WEBP": 18}
#: Bytes that a row takes besides its pixels: pointers and padding. Measured with a picture of one column.
_BYTES_PER_ROW: Final = 24
#: Bytes of a coefficient of a JPEG, which libjpeg keeps whole if there is more than one scan.
_COEFFICIENT_BYTES: Final = 2
#: Scans of a progressive JPEG, which usually has ten. Each costs a pass over all pixels and may take under 100 bytes.
_MAX_SCANS: Final = 64
#: Pixels of a strip. Arbitrary: 1 MB.
_STRIP_PIXELS: Final = 250_000
#: What undoes an orientation of Exif. Source: Exif 2.3, section 4.6.4, tag 274.
_ORIENTATION: Final = 274
_TRANSPOSITIONS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_picture(data: bytes, size: tuple[int, int]) -> Image.Image:
    """Return the picture scaled to cover `size` and cropped around its middle; raise any exception for bad bytes."""
    # Only these formats, as Pillow's others include some that start programs.
    with Image.open(BytesIO(data), formats=("PNG", "JPEG", "WEBP", "GIF", "BMP")) as image:
        if not isinstance(image, JpegImageFile):
            _check_size(image, 0)  # before Exif is looked for, which in a PNG may stand behind the pixels
        orientation = image.getexif().get(_ORIENTATION, 1)
        target = size[::-1] if orientation in (5, 6, 7, 8) else size
        if isinstance(image, JpegImageFile):
            kept_bytes = _coefficient_bytes(image, data.count(b"\xff\xda"))
            image.draft(None, target)  # decodes at a half, quarter or eighth
            _check_size(image, kept_bytes)
        reduced = _reduced(image, target)
    # Scaling needs true colours; transparency is resolved when there are fewer pixels.
    fitted = ImageOps.fit(reduced, target, Image.Resampling.BICUBIC).convert("RGBA")
    if orientation in _TRANSPOSITIONS:
        fitted = fitted.transpose(_TRANSPOSITIONS[orientation])
    return Image.alpha_composite(Image.new("RGBA", size, "white"), fitted)


def _check_size(image: Image.Image, kept_bytes: int) -> None:
    """Raise ValueError if decoding takes too much memory, besides the bytes that the decoder keeps."""
    kept_bytes += image.height * (image.width * _BYTES_PER_PIXEL[image.format or ""] + _BYTES_PER_ROW)
    if kept_bytes > MAX_DECODED_BYTES:
        raise ValueError("too many pixels")


def _coefficient_bytes(image: JpegImageFile, scans: int) -> int:
    """Return the bytes of what libjpeg keeps of a picture with more than one scan. Raises ValueError for too many."""
    if scans > _MAX_SCANS:
        raise ValueError("too many scans")
    if scans < 2:
        return 0
    samples = [across * down for _, across, down, _ in image.layer]
    return image.width * image.height * sum(samples) // max(samples) * _COEFFICIENT_BYTES


def _reduced(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return what will be seen of a picture in true colours, at least twice as large as `size` unless it is smaller."""
    scale = min(image.width / size[0], image.height / size[1])
    width, height = (min(max(ceil(scale * side), 1), whole) for side, whole in zip(size, image.size, strict=True))
    # An odd rest would move the middle by half a pixel.
    width, height = width + (image.width - width) % 2, height + (image.height - height) % 2
    left, top = (image.width - width) // 2, (image.height - height) // 2
    factor = max(int(scale / 2), 1)
    mode = "RGBA" if image.has_transparency_data else "RGB"
    rows = max(_STRIP_PIXELS // width // factor, 1) * factor
    reduced = Image.new(mode, (ceil(width / factor), ceil(height / factor)))
    for begin in range(0, height, rows):
        strip = image.crop((left, top + begin, left + width, top + min(begin + rows, height)))
        if strip.mode.startswith("I"):  # 16 bits of grey; convert() would clip them to 8
            strip = strip.point(lambda value: value * (1 / 256)).convert("L")
        reduced.paste(strip.convert(mode).reduce(factor), (0, begin // factor))
    return reduced
