"""Render the packaged clips of mockveo/content, which are served if PyAV is not installed."""

from pathlib import Path

from mockveo.content.media import Media
from mockveo.content.rendering import render

FOLDER = Path(__file__).resolve().parent.parent / "mockveo" / "content"


def clips() -> dict[str, Media]:
    """Render the clips, by the names of their files."""
    return {
        name: render(
            portrait=name == "portrait", title="mockveo", caption="a made-up clip: no video was generated for this job"
        )
        for name in ("landscape", "portrait")
    }


def main() -> None:
    """Write the files and print their sizes."""
    FOLDER.mkdir(exist_ok=True)
    for name, media in clips().items():
        for suffix, data in zip((".mp4", ".webp", ".jpg"), media, strict=True):
            path = FOLDER / f"{name}{suffix}"
            path.write_bytes(data)
            print(f"{path.name}: {len(data):,} bytes")


if __name__ == "__main__":
    main()
