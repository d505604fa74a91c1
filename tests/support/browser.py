"""The real browser that tests run."""

from __future__ import annotations

from installed_clients import tool

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]


def chromium() -> str:
    return tool("chromium", "chromium-browser", "google-chrome")
