"""Models that a server serves besides those of its document."""

from __future__ import annotations

from collections.abc import Sequence

from mockveo.spec.openapi import Document
from mockveo.spec.structure import escape


def add_models(document: Document, models: Sequence[str]) -> None:
    """Add models to those that creates of the document accept; responses repeat their names.

    A document that lists no models accepts any.
    """
    for path, item in document.at("/paths").items():
        if item.get("post", {}).get("operationId") != "createVideo":
            continue
        content = f"/paths/{escape(path)}/post/requestBody/content"
        for media_type in document.find(content) or {}:
            field = document.find(f"{content}/{escape(media_type)}/schema/properties/model") or {}
            if "x-aliases" in field:
                field["x-aliases"] = {**field["x-aliases"], **{model: model for model in models}}
            if "enum" in field:
                field["enum"] += [model for model in dict.fromkeys(models) if model not in field["enum"]]
