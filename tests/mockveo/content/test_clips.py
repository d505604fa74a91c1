import logging
import re
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mockveo.content import clips, rendering
from mockveo.content.clips import Clips
from mockveo.content.media import MEDIA_TYPES, Media, Source, portrait
from mockveo.errors import SettingsError

WIDE = Source("task_wide", "16x9", "a lighthouse")
HIGH = Source("task_high", "9x16", "a lighthouse")


class Renderer:
    """A fake of rendering.render: 300 bytes a clip, at once or after `go` is set."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.go = threading.Event()
        self.go.set()

    def __call__(self, **arguments: Any) -> Media:
        self.calls.append(arguments)
        self.go.wait(5)
        content = f"{len(self.calls):0100d}".encode()
        return Media(content, b"t" + content[1:], b"s" + content[1:])


@pytest.fixture
def renderer(monkeypatch: pytest.MonkeyPatch) -> Renderer:
    renderer = Renderer()
    monkeypatch.setattr(rendering, "render", renderer)
    return renderer


def source(number: int) -> Source:
    return Source(f"task_{number}", "16x9", "")


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("16x9", False),
        ("9x16", True),
        ("9:16", True),
        ("720*1280", True),
        ("1280x720", False),
        ("720 x 1280", True),
        (" 9/16 ", True),
        ("size=9x16", True),
        ("1x1", False),
        ("16x10", False),
        ("9x", False),
        ("portrait", False),
        ("", False),
        ("9" * 5000 + "x1", False),
    ],
)
def test_portrait_reads_sizes(size: str, expected: bool) -> None:
    assert portrait(size) is expected


@given(st.text("0123456789٣²x:*/ ."))
def test_portrait_takes_any_text(size: str) -> None:
    assert portrait(size) in (True, False)


def test_variants_are_the_fields_of_media() -> None:
    assert tuple(MEDIA_TYPES) == Media._fields


# Packaged clips


@pytest.mark.parametrize(("job", "size"), [(WIDE, (1280, 720)), (HIGH, (720, 1280))])
def test_packaged_video_with_a_job_id_is_decodable(job: Source, size: tuple[int, int]) -> None:
    video = Clips(render=False).get(job, "video")
    box = struct.pack(">I4s", 8 + len(job.id), b"free") + job.id.encode()
    assert video.endswith(box)
    with av.open(BytesIO(video)) as container:
        frames = [(frame.width, frame.height) for frame in container.decode(video=0)]
    assert frames == [size] * rendering.FRAMES


@pytest.mark.parametrize(("job", "long_side"), [(WIDE, "width"), (HIGH, "height")])
def test_packaged_pictures_have_format_and_size(job: Source, long_side: str) -> None:
    packaged = Clips(render=False)
    with Image.open(BytesIO(packaged.get(job, "thumbnail"))) as thumbnail:
        assert thumbnail.format == "WEBP"
        assert getattr(thumbnail, long_side) == max(thumbnail.size) == 640
    with Image.open(BytesIO(packaged.get(job, "spritesheet"))) as sheet:
        assert sheet.format == "JPEG"
        assert getattr(sheet, long_side) == max(sheet.size) == 1280


def test_videos_of_two_jobs_differ() -> None:
    packaged = Clips(render=False)
    assert packaged.get(source(1), "video") != packaged.get(source(2), "video")


def test_at_hand_without_rendering_returns_packaged_clips() -> None:
    packaged = Clips(render=False)
    assert not packaged.renders
    for variant in MEDIA_TYPES:
        assert packaged.at_hand(WIDE, variant) == packaged.get(WIDE, variant)


def test_get_unknown_variant_raises() -> None:
    with pytest.raises(KeyError, match="poster"):
        Clips(render=False).get(WIDE, "poster")


# With and without PyAV


def test_clips_without_the_libraries_do_not_render(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Clips().renders
    monkeypatch.setattr(clips, "find_spec", lambda name: None if name == "av" else object())
    assert not Clips().renders


def test_render_without_the_libraries_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=re.escape('pip install "mockveo[video]"')):
        Clips(render=True)
    Clips(render=False)


def test_clips_before_the_first_import_neither_pyav_nor_pillow() -> None:
    code = "import sys\nfrom mockveo.content.clips import Clips; assert Clips().renders"
    code += "; print({'av', 'PIL'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert answer.stdout.strip() == "set()"


# Rendered clips


def test_get_renders_a_clip_once() -> None:
    made = Clips(render=True)
    job = Source("task_real", "720x1280", "a lighthouse", (b"not a picture",))
    assert made.at_hand(job, "video") is None
    video = made.get(job, "video")
    assert video.endswith(b"freetask_real")
    assert made.at_hand(job, "video") is video
    with av.open(BytesIO(video)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (720, 1280)
    with Image.open(BytesIO(made.get(job, "thumbnail"))) as thumbnail:
        assert thumbnail.size == (360, 640)


def test_get_passes_job_and_pictures_to_the_renderer(renderer: Renderer) -> None:
    made = Clips()
    for images in ((), (b"1",), (b"1", b"2"), (b"1", b"2", b"3")):
        made.get(Source("task_1", "9x16", "hello", images), "video")
    common = {"portrait": True, "title": "task_1", "caption": "hello", "stopped": made._closed.is_set}
    assert renderer.calls == [
        common | {"first": None, "last": None},
        common | {"first": b"1", "last": None},
        common | {"first": b"1", "last": b"2"},
        common | {"first": b"1", "last": b"2"},
    ]


def test_get_same_id_with_another_prompt_is_another_clip(renderer: Renderer) -> None:
    made = Clips()
    first = made.get(Source("task_1", "16x9", "first"), "thumbnail")
    second = made.get(Source("task_1", "16x9", "second"), "thumbnail")
    assert first != second
    assert len(renderer.calls) == 2


def test_close_gives_waiting_threads_a_packaged_clip(renderer: Renderer) -> None:
    made = Clips()
    renderer.go.clear()
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(made.get, source(number), "video") for number in range(4)]
        while not renderer.calls:
            threading.Event().wait(0.001)
        made.close()
        renderer.go.set()
        assert all(answer.result(5)[4:8] == b"ftyp" or answer.result(5) for answer in answers)
    assert len(renderer.calls) == 1
    assert made.get(source(9), "video") == Clips(render=False).get(source(9), "video")


def test_get_cached_clip_does_not_wait_for_another(renderer: Renderer) -> None:
    made = Clips()
    first = made.get(source(1), "video")
    renderer.go.clear()
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(made.get, source(2), "video")
        while len(renderer.calls) < 2:
            threading.Event().wait(0.001)
        assert pool.submit(made.get, source(1), "video").result(2) == first
        renderer.go.set()
        slow.result(5)


def test_get_from_many_threads_renders_once(renderer: Renderer) -> None:
    made = Clips()
    renderer.go.clear()
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(made.get, WIDE, variant) for variant in [*MEDIA_TYPES, *MEDIA_TYPES, "video", "video"]]
        while not renderer.calls:
            threading.Event().wait(0.001)
        assert made.at_hand(WIDE, "video") is None, "at_hand must not wait for the rendering"
        renderer.go.set()
        videos = {answer.result(5) for answer in answers}
    assert len(videos) == len(MEDIA_TYPES)
    assert len(renderer.calls) == 1


def test_cache_full_drops_the_least_recently_used_clip(renderer: Renderer) -> None:
    made = Clips(cache_bytes=650)  # two clips of 300 bytes and their boxes of 14
    made.get(source(1), "video")
    made.get(source(2), "video")
    made.at_hand(source(1), "video")
    made.get(source(3), "video")
    assert [made.at_hand(source(number), "video") is None for number in (1, 2, 3)] == [False, True, False]
    made.get(source(2), "video")
    assert len(renderer.calls) == 4


def test_clip_larger_than_the_cache_is_rendered_again(renderer: Renderer) -> None:
    made = Clips(cache_bytes=100)
    assert made.get(WIDE, "video") != made.get(WIDE, "video")
    assert len(renderer.calls) == 2


@given(st.integers(0, 60), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 20)), max_size=40), st.integers(0, 5))
def test_cache_stays_within_its_limit(limit: int, puts: list[tuple[int, int]], wanted: int) -> None:
    cache = clips._Cache(limit)
    for key, length in puts:
        media = Media(bytes(length), b"", b"")
        cache.put(key, media)
        assert cache.get(key) is (media if length <= limit else None)
        cache.get(wanted)
        assert cache._bytes == sum(len(kept.video) for kept in cache._kept.values()) <= limit


def test_failed_rendering_is_logged_once_and_replaced_by_a_packaged_clip(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**_: object) -> Media:
        raise av.error.EncoderNotFoundError(1, "no libx264")

    monkeypatch.setattr(rendering, "render", fail)
    made = Clips()
    with caplog.at_level(logging.DEBUG):
        for variant in MEDIA_TYPES:
            assert made.get(WIDE, variant) == Clips(render=False).get(WIDE, variant)
    assert [(record.levelname, record.name) for record in caplog.records] == [("WARNING", "mockveo.content.clips")]
    assert "task_wide" in caplog.text
    assert "no libx264" in caplog.text
