"""Drawing and encoding of a clip: eight seconds of a kite over hills.

Theory of operation. What makes a small clip expensive in Python is copying whole RGB frames. So every visible piece
(the scene, an uploaded picture, a cloud, the kite, the words) is converted once into the planes the encoder takes, a
full one for brightness and two of half the size for colour. A few pastes put a frame together, at even offsets because
of the smaller planes. The same frames give the thumbnail and the spritesheet.

The clip begins with the first picture alone and ends with the last picture alone, with a cross-fade between them; the
scene replaces a missing picture. The kite and the words come and go in between.

The same input gives the same bytes with the same PyAV, Pillow and fonts: the encoders run on one thread, and nothing
writes a date. Bytes that are not a picture are treated as if none had been uploaded.
"""

import math
import warnings
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import cache
from io import BytesIO
from typing import Final, NamedTuple

import av
from av.video.reformatter import Colorspace
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from mockveo.content import uploads
from mockveo.content.media import Media, Stopped

FRAMES_PER_SECOND: Final = 24
#: Eight seconds, which is what Veo makes.
FRAMES: Final = 8 * FRAMES_PER_SECOND
LANDSCAPE: Final = (1280, 720)
PORTRAIT: Final = (720, 1280)

# The phases of a clip, in frames. Kite and words are gone when the hold begins, which shows the last picture alone.
_CROSS_FADE: Final = range(72, 120)
_HOLD: Final = FRAMES - 12
_TEXT_FADE: Final = 6

#: The spritesheet is a grid with this many frames a side; the thumbnail is the middle frame.
_GRID: Final = 5
_STILLS: Final = tuple(round(number * (FRAMES - 1) / (_GRID**2 - 1)) for number in range(_GRID**2))
_STILL_SIDE: Final = 640

_SAMPLE_RATE: Final = 48_000
#: Samples in a frame of AAC; eight seconds are 375 frames exactly.
_AAC_FRAME: Final = 1024
#: Hz, whole numbers: a second of this chord can be repeated without a click.
_CHORD: Final = (147, 220, 294, 370)

#: The first installed font is used; those with more scripts come first. Pillow knows where systems keep fonts.
_FONTS: Final = ("NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "DejaVuSans.ttf", "NotoSans-Regular.ttf", "arial.ttf")


class _Palette(NamedTuple):
    zenith: str
    horizon: str
    sun: str
    hills: tuple[str, str, str]
    kite: tuple[str, str]


_PALETTES: Final = (
    _Palette("#3f7fc4", "#f6e3c0", "#fff6d8", ("#8fb7a8", "#5f9484", "#3c6b63"), ("#e4572e", "#ffc145")),
    _Palette("#4a4e9c", "#f7b48c", "#ffe9b8", ("#9a7ba8", "#6d5a8c", "#463d68"), ("#e63b60", "#ffd166")),
    _Palette("#2a8aa8", "#d9f2e0", "#fdfff0", ("#84c2a5", "#4e9a86", "#2e6f6b"), ("#f26419", "#fdf0d5")),
    _Palette("#6f6bb5", "#fcd5ce", "#fff1e6", ("#b497bd", "#8a76a8", "#5a5486"), ("#1b998b", "#f5e663")),
)


class _Planes(NamedTuple):
    """A picture for the encoder: BT.709, limited range, colour at half the size."""

    y: Image.Image
    u: Image.Image
    v: Image.Image


class _Sprite(NamedTuple):
    """A picture and, plane by plane, how much it covers of the background."""

    planes: _Planes
    masks: _Planes


def render(
    *,
    portrait: bool,
    title: str,
    caption: str,
    first: bytes | None = None,
    last: bytes | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Media:
    """Return a clip and two pictures of its frames.

    It has 192 frames of 1280x720 (or 720x1280) in H.264 with AAC. Raises Stopped soon after `stopped` has become true.
    """
    size = PORTRAIT if portrait else LANDSCAPE
    pictures = [None if data is None else _picture(data, size) for data in (first, last)]
    frames = _until(stopped, _frames(size, title, caption, pictures))
    video, stills = _encode(size, frames)
    return Media(video, _saved(stills[len(stills) // 2], "WEBP"), _saved(_sheet(size, stills), "JPEG"))


def _until(stopped: Callable[[], bool], frames: Iterator[_Planes]) -> Iterator[_Planes]:
    for frame in frames:
        if stopped():
            raise Stopped
        yield frame


# Frames


def _frames(size: tuple[int, int], title: str, caption: str, pictures: Sequence[_Planes | None]) -> Iterator[_Planes]:
    width, height = size
    palette = _PALETTES[zlib.crc32(title.encode("utf-8", "replace")) % len(_PALETTES)]
    sky, cloud, kites, words = _sky(size, palette), _cloud(), _kites(palette), _words(width, title, caption)
    for number in range(FRAMES):
        scene = _Planes(*(plane.copy() for plane in sky))
        for left, top, drift in ((0.06, 0.12, 80), (0.40, 0.25, 60), (0.72, 0.06, 100)):
            _paste(scene, cloud, left * width + drift * number / FRAMES, top * height)
        crossed = (number - _CROSS_FADE.start) / len(_CROSS_FADE)
        frame = _blend(pictures[0] or scene, pictures[1] or scene, min(max(crossed, 0), 1))

        flown = number / _HOLD
        kite = kites[number // 3 % len(kites)]
        rise = 0.14 + 0.07 * math.cos(2 * math.pi * flown) - 0.03 * math.sin(5 * math.pi * flown)
        _paste(frame, kite, flown * width - (1 - flown) * kite.planes.y.width, rise * height)

        shown = min(number, _HOLD - number) / _TEXT_FADE
        if shown > 0:
            _paste(frame, words if shown >= 1 else _faded(words, shown), 0, height - words.planes.y.height)
        yield frame


def _paste(frame: _Planes, sprite: _Sprite, left: float, top: float) -> None:
    x, y = round(left / 2), round(top / 2)
    for plane, picture, mask, scale in zip(frame, sprite.planes, sprite.masks, (2, 1, 1), strict=True):
        plane.paste(picture, (x * scale, y * scale), mask)


def _blend(first: _Planes, second: _Planes, weight: float) -> _Planes:
    return _Planes(*(Image.blend(below, above, weight) for below, above in zip(first, second, strict=True)))


def _faded(sprite: _Sprite, opacity: float) -> _Sprite:
    return _Sprite(sprite.planes, _Planes(*(mask.point(lambda value: value * opacity) for mask in sprite.masks)))


def _planes(image: Image.Image) -> _Planes:
    frame = av.VideoFrame.from_image(image.convert("RGB"))
    frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
    # A plane's rows may be longer than the picture's, so they are cropped; `_video_frame` pads them again.
    rows = (Image.frombytes("L", (plane.line_size, plane.height), bytes(plane)) for plane in frame.planes)
    return _Planes(
        *(row.crop((0, 0, plane.width, plane.height)) for row, plane in zip(rows, frame.planes, strict=True))
    )


def _sprite(image: Image.Image) -> _Sprite:
    mask = image.getchannel("A")
    half = mask.reduce(2)
    return _Sprite(_planes(image), _Planes(mask, half, half))


# The scene


def _sky(size: tuple[int, int], palette: _Palette) -> _Planes:
    width, height = size
    shade = Image.new("L", size, 255)
    shade.paste(Image.linear_gradient("L").resize((width, round(height * 0.66))))
    image = ImageOps.colorize(shade, palette.zenith, palette.horizon)

    glow = Image.new("L", size)
    x, y, radius = width * 0.76, height * 0.44, min(size) * 0.09
    ImageDraw.Draw(glow).circle((x, y), radius, 255)
    image.paste(palette.sun, mask=glow.filter(ImageFilter.GaussianBlur(radius)).point(lambda value: value * 0.6))
    image.paste(palette.sun, mask=glow.filter(ImageFilter.GaussianBlur(2)))

    for number, colour in enumerate(palette.hills):
        # Drawn twice as large and reduced, for smooth edges.
        hill = Image.new("L", (2 * width, 2 * height))
        ridge = [
            (2 * x, 2 * height * (0.62 + 0.10 * number - 0.05 * math.sin(x / (150 + 40 * number) + 2.4 * number)))
            for x in range(0, width + 8, 8)
        ]
        ImageDraw.Draw(hill).polygon([(0, 2 * height), *ridge, (2 * width + 16, 2 * height)], 255)
        image.paste(colour, mask=hill.reduce(2))
    return _planes(image)


def _cloud() -> _Sprite:
    mask = Image.new("L", (280, 120))
    draw = ImageDraw.Draw(mask)
    for x, y, radius in ((70, 76, 24), (110, 58, 34), (160, 52, 38), (205, 72, 26)):
        draw.circle((x, y), radius, 210)
    draw.rounded_rectangle((40, 70, 240, 98), 14, 210)
    cloud = Image.new("RGBA", mask.size, "white")
    cloud.putalpha(mask.filter(ImageFilter.GaussianBlur(5)))
    return _sprite(cloud)


def _kites(palette: _Palette) -> list[_Sprite]:
    """Return the poses of one sway; each lasts three frames, the whole two seconds."""
    poses = 2 * FRAMES_PER_SECOND // 3
    return [_kite(palette, 2 * math.pi * pose / poses) for pose in range(poses)]


def _kite(palette: _Palette, phase: float) -> _Sprite:
    warm, bright = palette.kite
    image = Image.new("RGBA", (640, 560))  # twice as large as it will be
    draw = ImageDraw.Draw(image)
    lean = math.radians(38 + 7 * math.sin(phase))

    def at(across: float, along: float) -> tuple[float, float]:
        # Convert from the kite's axes (to its right, towards its tail) to the picture's.
        return (
            470 + across * math.cos(lean) - along * math.sin(lean),
            150 + across * math.sin(lean) + along * math.cos(lean),
        )

    tail = [at(18 * math.sin(step / 3 - 2 * phase) * min(step / 8, 1), 190 + 7 * step) for step in range(32)]
    draw.line(tail, "#4a4a55", 5, joint="curve")
    for step in (7, 15, 23, 31):
        x, y = tail[step]
        draw.polygon([(x, y), (x - 20, y - 12), (x - 20, y + 12)], warm)
        draw.polygon([(x, y), (x + 20, y - 12), (x + 20, y + 12)], bright)

    top, right, bottom, left, middle = at(0, -120), at(95, 0), at(0, 190), at(-95, 0), at(0, 0)
    panels = (((top, right), warm), ((right, bottom), bright), ((bottom, left), warm), ((left, top), bright))
    for corners, colour in panels:
        draw.polygon([middle, *corners], colour)
    draw.line([top, bottom], "#4a4a55", 4)
    draw.line([left, right], "#4a4a55", 4)
    return _sprite(image.reduce(2))


# Words


def _words(width: int, title: str, caption: str) -> _Sprite:
    """Return a panel as wide as the frame, for its bottom."""
    small, large = installed_font(24), installed_font(34)
    room = width - 2 * 64
    lines = [(line, small, "#ffe3a8") for line in wrap(title, lambda text: small.getlength(text) <= room, 1)]
    lines += [(line, large, "white") for line in wrap(caption, lambda text: large.getlength(text) <= room, 4)]
    image = Image.new("RGBA", (width, 72 + 46 * len(lines)))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((32, 0, width - 32, image.height - 32), 20, (16, 20, 32, 150))
    for number, (line, font, colour) in enumerate(lines):
        draw.text((64, 18 + 46 * number), line, colour, font)
    return _sprite(image)


@cache
def installed_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the first installed font, or Pillow's own."""
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def wrap(text: str, fits: Callable[[str], bool], lines: int) -> list[str]:
    """Break a text into at most `lines` lines; an ellipsis marks a cut."""
    text = "".join(character if character.isprintable() else " " for character in text[:2000])
    rest = " ".join(text.split())
    result: list[str] = []
    while rest and len(result) < lines:
        end = max(bisect_left(range(1, len(rest) + 1), True, key=lambda length: not fits(rest[:length])), 1)
        if end < len(rest) and (space := rest.rfind(" ", 0, end + 1)) > 0:
            end = space
        result.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    if rest:
        last = result.pop()
        while last and not fits(last + "…"):
            last = last[:-1].rstrip()
        result.append(last + "…")
    return result


# Uploaded pictures


def _picture(data: bytes, size: tuple[int, int]) -> _Planes | None:
    """Return the picture scaled to cover the frame and cropped around its middle; None if it cannot be read."""
    try:
        # Pillow warns of large and of odd files, which is the client's concern. (Before Python 3.14 the filters belong
        # to the whole process, so another thread's warning may get lost at this moment.)
        with warnings.catch_warnings(action="ignore"):
            return _planes(uploads.open_picture(data, size))
    except Exception:  # noqa: BLE001 - a damaged file makes Pillow raise anything, e.g. struct.error or IndexError
        return None


# Encoding

#: "superfast" without B-frames takes half the time of "veryfast"; with a qcomp above the default, moving things
#: leave no trail; the limit on the rate keeps a clip of noise, the worst upload, below 2 MB.
_VIDEO_OPTIONS: Final = {
    "preset": "superfast",
    "crf": "32",
    "qcomp": "0.8",
    "maxrate": "1500k",
    "bufsize": "3000k",
    "bf": "0",
    "g": str(FRAMES),
    "threads": "1",
    "flags": "+bitexact",
    "color_range": "tv",
    **dict.fromkeys(("colorspace", "color_primaries", "color_trc"), "bt709"),
}
_AUDIO_OPTIONS: Final = {"b": "24k", "aac_coder": "fast", "flags": "+bitexact"}
#: Bytes for the index in front of the data; half are used. This is "faststart" without a second pass.
_CONTAINER_OPTIONS: Final = {"moov_size": "10240", "fflags": "+bitexact"}


def _encode(size: tuple[int, int], frames: Iterator[_Planes]) -> tuple[bytes, list[Image.Image]]:
    """Return the video and the frames of _STILLS."""
    stills = []
    file = BytesIO()
    with av.open(file, "w", format="mp4", options=_CONTAINER_OPTIONS) as container:
        video = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=_VIDEO_OPTIONS)
        video.width, video.height = size
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=_SAMPLE_RATE, options=_AUDIO_OPTIONS, layout="mono")
        for number, samples in enumerate(_chord()):
            container.mux(audio.encode(_audio_frame(samples, number)))
        container.mux(audio.encode(None))
        for number, planes in enumerate(frames):
            frame = _video_frame(planes, number)
            if number in _STILLS:
                stills.append(_still(frame))
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return file.getvalue(), stills


def _video_frame(planes: _Planes, number: int) -> av.VideoFrame:
    frame = av.VideoFrame(planes.y.width, planes.y.height, "yuv420p")
    for target, plane in zip(frame.planes, planes, strict=True):
        target.update(plane.crop((0, 0, target.line_size, target.height)).tobytes())
    frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_SECOND)
    return frame


def _still(frame: av.VideoFrame) -> Image.Image:
    width, height = (side * _STILL_SIDE // max(frame.width, frame.height) for side in (frame.width, frame.height))
    scaled = frame.reformat(width, height, "rgb24", src_colorspace=Colorspace.ITU709, interpolation="AREA")
    return scaled.to_image()  # type: ignore[no-any-return]


def _audio_frame(samples: bytes, number: int) -> av.AudioFrame:
    frame = av.AudioFrame("fltp", "mono", _AAC_FRAME)
    frame.planes[0].update(samples)
    frame.sample_rate = _SAMPLE_RATE
    frame.pts, frame.time_base = number * _AAC_FRAME, Fraction(1, _SAMPLE_RATE)
    return frame


@cache
def _chord() -> list[bytes]:
    """Return eight seconds of a quiet chord, in frames of AAC."""
    second = [
        0.02 * sum(math.sin(2 * math.pi * pitch * moment / _SAMPLE_RATE) for pitch in _CHORD)
        for moment in range(_SAMPLE_RATE)
    ]
    total = _SAMPLE_RATE * FRAMES // FRAMES_PER_SECOND
    frames = []
    for start in range(0, total, _AAC_FRAME):
        # One volume per frame is fine enough for a swell of a second.
        volume = min(start, total - start, _SAMPLE_RATE) / _SAMPLE_RATE
        moments = range(start, start + _AAC_FRAME)
        frames.append(array("f", [volume * second[moment % _SAMPLE_RATE] for moment in moments]).tobytes())
    return frames


def _sheet(size: tuple[int, int], stills: list[Image.Image]) -> Image.Image:
    tile = size[0] // _GRID, size[1] // _GRID
    sheet = Image.new("RGB", size)
    for number, still in enumerate(stills):
        sheet.paste(still.resize(tile, Image.Resampling.BOX), (number % _GRID * tile[0], number // _GRID * tile[1]))
    return sheet


def _saved(image: Image.Image, form: str) -> bytes:
    file = BytesIO()
    image.save(file, form, quality=70, optimize=True)
    return file.getvalue()
