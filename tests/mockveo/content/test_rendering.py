import runpy
import struct
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from io import BytesIO
from typing import Any, NamedTuple

import av
import pytest
from av.video.reformatter import ColorRange, Colorspace
from hypothesis import example, given, settings
from hypothesis import strategies as st
from paths import ROOT
from PIL import Image, ImageChops, ImageDraw, ImageOps, ImageStat

from mockveo.content import rendering
from mockveo.content.media import Media
from mockveo.content.rendering import FRAMES, LANDSCAPE, PORTRAIT, render, wrap

PROMPT = "A lighthouse at dusk; 灯台, маяк, منارة, 🗼. " * 20


class Decoded(NamedTuple):
    frames: list[Image.Image]  # some, by `keep`
    sizes: list[tuple[int, int]]
    seconds_of_sound: Fraction
    logged: list[Any]


def decoded(video: bytes, *keep: int) -> Decoded:
    """Decode everything to its end; damage raises or is logged."""
    av.logging.set_level(av.logging.WARNING)
    try:
        with (
            av.logging.Capture(local=False) as logged,
            av.open(BytesIO(video), options={"err_detect": "explode"}) as container,
        ):
            frames, sizes, samples = [], [], 0
            for frame in container.decode(video=0, audio=0):
                if isinstance(frame, av.AudioFrame):
                    samples += frame.samples
                    continue
                if len(sizes) in keep:
                    # PyAV 15 does not see by itself that the range must be widened.
                    frames.append(frame.to_image(src_color_range=ColorRange.MPEG, dst_color_range=ColorRange.JPEG))
                sizes.append((frame.width, frame.height))
            return Decoded(frames, sizes, Fraction(samples, container.streams.audio[0].rate), logged)
    finally:
        av.logging.set_level(None)


def boxes(video: bytes) -> Iterator[str]:
    """The top-level boxes of an MP4 file, to its last byte."""
    at = 0
    while at < len(video):
        length, name = struct.unpack_from(">I4s", video, at)
        yield name.decode()
        at += length
    assert at == len(video)


def difference(image: Image.Image, other: Image.Image) -> float:
    """Return the mean absolute difference of two pictures, 0 to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(image.convert("RGB"), other.convert("RGB"))).mean) / 3


def drawing(colour: str, size: tuple[int, int] = (900, 700)) -> Image.Image:
    """Return a picture that differs from its mirror images and from another colour's."""
    image = ImageOps.colorize(Image.linear_gradient("L").resize(size), "white", colour)
    width, height = size
    ImageDraw.Draw(image).polygon([(width * 0.3, height * 0.2), (width * 0.6, height * 0.5), (0, height)], "black")
    ImageDraw.Draw(image).ellipse((width * 0.7, height * 0.6, width * 0.9, height * 0.8), "yellow")
    return image


def saved(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def turned(image: Image.Image) -> bytes:
    """Return a JPEG as an upright camera writes it: lying, with an Exif note to turn it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(image.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=90)


def rgb(planes: rendering._Planes) -> Image.Image:
    return rendering._video_frame(planes, 0).to_image(src_colorspace=Colorspace.ITU709)


RED, BLUE = drawing("red"), drawing("blue")


@pytest.fixture(scope="module")
def plain() -> dict[str, Media]:
    """The clips that make_clips would write now."""
    clips: dict[str, Media] = runpy.run_path(str(ROOT / "scripts" / "make_clips.py"))["clips"]()
    return clips


@pytest.fixture(scope="module")
def between() -> Media:
    """A clip from a red picture to a blue one."""
    return render(portrait=False, title="task_1", caption=PROMPT, first=saved(RED), last=turned(BLUE))


# The clip


@pytest.mark.parametrize("name", ["landscape", "portrait"])
def test_video_has_the_documented_streams(plain: dict[str, Media], name: str) -> None:
    video = plain[name].video
    assert len(video) <= 150_000
    with av.open(BytesIO(video)) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        assert (picture.codec.name, picture.profile, picture.pix_fmt) == ("h264", "High", "yuv420p")
        assert (picture.average_rate, picture.codec_context.colorspace, picture.codec_context.color_range) == (24, 1, 1)
        assert (sound.codec.name, sound.rate) == ("aac", 48_000)
        assert container.duration == 8 * av.time_base
        assert picture.duration * picture.time_base == sound.duration * sound.time_base == 8
        assert not {"creation_time", "encoder"} & set(container.metadata)
    order = list(boxes(video))
    assert order.index("moov") < order.index("mdat"), "a browser needs the index first to play while it loads"


@pytest.mark.parametrize(("name", "size"), [("landscape", LANDSCAPE), ("portrait", PORTRAIT)])
def test_video_decodes_like_the_packaged_clip(plain: dict[str, Media], name: str, size: tuple[int, int]) -> None:
    now = decoded(plain[name].video)
    assert now.sizes == [size] * FRAMES
    assert now.seconds_of_sound == pytest.approx(8, abs=0.05)
    assert not now.logged
    packaged = decoded((ROOT / "mockveo" / "content" / f"{name}.mp4").read_bytes())
    assert packaged == now


@pytest.mark.parametrize(("name", "size"), [("landscape", LANDSCAPE), ("portrait", PORTRAIT)])
def test_thumbnail_and_spritesheet_show_the_clip(plain: dict[str, Media], name: str, size: tuple[int, int]) -> None:
    first, middle, last = decoded(plain[name].video, 0, FRAMES // 2, FRAMES - 1).frames
    with Image.open(BytesIO(plain[name].thumbnail)) as thumbnail:
        assert thumbnail.format == "WEBP"
        assert thumbnail.size == (size[0] // 2, size[1] // 2)
        assert difference(thumbnail, middle.resize(thumbnail.size)) < 4
    with Image.open(BytesIO(plain[name].spritesheet)) as sheet:
        assert sheet.format == "JPEG"
        assert sheet.size == size
        width, height = size[0] // 5, size[1] // 5
        for number, frame in ((0, first), (2, middle), (4, last)):
            tile = sheet.crop((number * width, number * height, (number + 1) * width, (number + 1) * height))
            assert difference(tile, frame.resize(tile.size)) < 4


def test_scene_moves_and_words_come_and_go(plain: dict[str, Media]) -> None:
    frames = decoded(plain["landscape"].video, 0, 60, 100, FRAMES - 1).frames
    sky = [frame.crop((0, 0, 1280, 360)) for frame in frames]
    ground = [frame.crop((0, 560, 1280, 720)) for frame in frames]
    assert difference(sky[1], sky[2]) > 2
    assert difference(ground[1], ground[2]) < 1
    assert difference(ground[0], ground[1]) > 20
    assert difference(ground[0], ground[3]) < 2


def test_render_same_input_gives_the_same_bytes(between: Media) -> None:
    assert render(portrait=False, title="task_1", caption=PROMPT, first=saved(RED), last=turned(BLUE)) == between


# Uploaded pictures


def test_clip_fades_from_the_first_picture_to_the_last(between: Media) -> None:
    clip = decoded(between.video, 0, FRAMES // 2, FRAMES - 1)
    assert clip.sizes == [LANDSCAPE] * FRAMES
    assert not clip.logged
    start, end = (ImageOps.fit(image, LANDSCAPE) for image in (RED, BLUE))
    assert difference(clip.frames[0], start) < 3
    assert difference(clip.frames[2], end) < 3
    strip = (0, 320, 1280, 400)  # between the kite and the words
    assert difference(clip.frames[1].crop(strip), Image.blend(start, end, 0.5).crop(strip)) < 5
    assert difference(start, end) > 40


def test_scene_replaces_a_missing_picture() -> None:
    red, blue = (rendering._picture(saved(image), LANDSCAPE) for image in (RED, BLUE))
    pictures = ([None, None], [red, None], [None, blue])
    frames = zip(*(rendering._frames(LANDSCAPE, "task_1", "", pair) for pair in pictures), strict=True)
    scene, from_red, to_blue = next(frames)
    assert (from_red, to_blue) == (red, scene)
    ((scene, from_red, to_blue),) = deque(frames, maxlen=1)
    assert (from_red, to_blue) == (scene, blue)


def alpha() -> Image.Image:
    image = RED.convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(RED.size))
    return image


FLAT = Image.alpha_composite(Image.new("RGBA", RED.size, "white"), alpha())
GREY = Image.linear_gradient("L").resize((640, 400))
DEEP = GREY.convert("I").point(lambda value: value * 257).convert("I;16")


def chunk(name: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def odd_animation() -> bytes:
    """Return a PNG with an animation of no frames: Pillow warns and shows the picture."""
    plain = saved(RED)
    data = plain[:33] + chunk(b"acTL", bytes(8)) + plain[33:]  # behind the header
    with pytest.warns(UserWarning, match="APNG"), Image.open(BytesIO(data)):
        return data


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(saved(RED), RED, id="png"),
        pytest.param(odd_animation(), RED, id="png that Pillow warns of"),
        pytest.param(saved(RED, "JPEG", quality=90), RED, id="jpeg"),
        pytest.param(saved(RED, "JPEG", quality=90, progressive=True), RED, id="progressive jpeg"),
        pytest.param(turned(RED), RED, id="turned jpeg"),
        pytest.param(saved(RED.convert("CMYK"), "JPEG", quality=90), RED, id="cmyk jpeg"),
        pytest.param(saved(RED, "WEBP", quality=90), RED, id="webp"),
        pytest.param(saved(RED, "BMP"), RED, id="bmp"),
        pytest.param(saved(RED.quantize(64)), RED, id="palette png"),
        pytest.param(saved(alpha()), FLAT, id="alpha png"),
        pytest.param(saved(alpha().quantize(64)), FLAT, id="palette and alpha png"),
        pytest.param(saved(GREY), GREY, id="grey png"),
        pytest.param(saved(DEEP), GREY, id="16 bit png"),
        pytest.param(saved(GREY.convert("1")), GREY.convert("1"), id="1 bit png"),
        pytest.param(saved(RED, "GIF"), RED, id="gif"),
        pytest.param(saved(RED, "GIF", save_all=True, append_images=[BLUE]), RED, id="moving gif"),
        pytest.param(saved(Image.new("RGB", (1, 1), "red")), Image.new("RGB", (1, 1), "red"), id="one pixel"),
        pytest.param(saved(Image.new("RGB", (9000, 1), "red")), Image.new("RGB", (1, 1), "red"), id="a line"),
    ],
)
@pytest.mark.parametrize("size", [LANDSCAPE, PORTRAIT])
def test_picture_covers_the_frame(data: bytes, expected: Image.Image, size: tuple[int, int]) -> None:
    planes = rendering._picture(data, size)
    assert planes is not None
    assert difference(rgb(planes), ImageOps.fit(expected.convert("RGB"), size)) < 5


def forged(width: int, height: int) -> bytes:
    """Return a PNG that claims to be that large and ends before its pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT")


def many_scans() -> bytes:
    data = saved(GREY.resize((3000, 3000)), "JPEG", progressive=True)
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * 20_000 + data[-2:]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not a picture", id="text"),
        pytest.param(b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', id="svg"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", id="a program for Ghostscript"),
        pytest.param(saved(RED)[:40], id="header alone"),
        pytest.param(saved(RED)[: len(saved(RED)) // 2], id="half a png"),
        pytest.param(saved(RED, "JPEG")[:-1000], id="truncated jpeg"),
        pytest.param(saved(Image.new("1", (8000, 8000))), id="64 megapixels in 8 kB"),
        pytest.param(forged(10_000, 10_000), id="so large that Pillow warns"),
        pytest.param(forged(2**31 - 1, 2**31 - 1), id="so large that Pillow refuses"),
        pytest.param(many_scans, id="jpeg of 20 000 scans"),
    ],
)
def test_picture_of_bad_bytes_is_none_and_quick(data: bytes | Callable[[], bytes]) -> None:
    data = data if isinstance(data, bytes) else data()
    started = time.process_time()
    assert rendering._picture(data, LANDSCAPE) is None
    assert time.process_time() - started < 1


PICTURES = [saved(RED.resize((90, 70)), form) for form in ("PNG", "JPEG", "GIF", "WEBP", "BMP")]
PICTURES += [turned(RED.resize((90, 70))), saved(alpha().resize((90, 70)).quantize(8))]


@settings(deadline=None)
@given(st.sampled_from(PICTURES), st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=4)), max_size=6))
def test_damaged_pictures_never_raise_or_warn(data: bytes, damage: list[tuple[int, bytes]]) -> None:
    for at, other in damage:
        data = data[:at] + other + data[at + len(other) :]
    planes = rendering._picture(data, (64, 36))
    assert planes is None or planes.y.size == (64, 36)


# Words


@given(st.text(max_size=200), st.integers(1, 30), st.integers(1, 5))
def test_wrap_keeps_its_bounds_and_marks_each_cut(text: str, width: int, lines: int) -> None:
    wrapped = wrap(text, lambda line: len(line) <= width, lines)
    assert len(wrapped) <= lines
    assert all(0 < len(line) <= width for line in wrapped)
    whole = "".join(character for character in text if character.isprintable() and not character.isspace())
    shown = "".join(wrapped).replace(" ", "")
    assert shown == whole or (shown.endswith("…") and whole.startswith(shown[:-1]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t", []),
        ("a kite", ["a kite"]),
        ("a kite over\nhills", ["a kite", "over hills"]),
        ("a kite over hills and a house", ["a kite", "over hill…"]),
        ("unbreakable-word", ["unbreakabl", "e-word"]),
        ("a\x00b\ud800c", ["a b c"]),
    ],
)
def test_wrap_breaks_at_spaces(text: str, expected: list[str]) -> None:
    assert wrap(text, lambda line: len(line) <= 10, 2) == expected


@settings(deadline=None, max_examples=20)
@given(st.text())
@example(PROMPT)
@example("x" * 100_000)
@example("\ud800 lone surrogate \udfff")
@example("Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!͖̬̰̙̗̿̋ͥͥ̂ͣ̐́́͜͞" * 50)
def test_words_draw_any_text(text: str) -> None:
    words = rendering._words(720, text, text)
    assert words.planes.y.width == 720
    assert words.planes.y.height < 400


def test_words_without_a_system_font_draw_any_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "_FONTS", ("no such font.ttf",))
    rendering.installed_font.cache_clear()
    try:
        assert rendering._words(1280, "task_1", PROMPT).planes.y.width == 1280
    finally:
        rendering.installed_font.cache_clear()
