"""A run as the parts of the page: the fragments of `hopline.agent.views`, media by address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hopline.agent import Run
from hopline.agent.hops.records import ArtifactRef, Failure
from hopline.agent.views.gallery import SHOWN_TYPES, Gallery
from hopline.agent.views.markup import Html, tag
from hopline.agent.views.page import run_header, run_sections, section

PARTS = ("head", "plan", "result", "facts", "hops", "given", "rest")
"""Pieces of the page that change one by one, so that a hop that arrives leaves a player alone.

In the order of the page: what happens next comes first, what the person knows already comes last.
"""


class AddressedGallery(Gallery):
    """Gives media as addresses of this server, under the run that they belong to."""

    def __init__(self, run: Run) -> None:
        super().__init__(run.read)
        self._run = run

    def source(self, ref: ArtifactRef) -> str | Failure:
        """An address for `src`, or why there is none."""
        if ref.media_type not in SHOWN_TYPES:
            return Failure(reason="no_preview", message=f"A browser does not show {ref.media_type}.")
        return f"/artifacts/{self._run.id}/{ref.id}"


def run_parts(run: Run, loss: Mapping[str, Any] | None) -> dict[str, Html]:
    """HTML by part.

    Args:
        run: it may still be running.
        loss: a `hopline.loss/1`; None where nothing was measured.
    """
    record, hops = run.record, run.hops
    shown = dict.fromkeys(PARTS, Html(""))
    shown["head"] = tag("div", run_header(record, hops), class_="hl", data_run=record.id)
    sections = run_sections(record, hops, run.probes, run.model_calls, loss, AddressedGallery(run))
    for name, title, content in sections:
        part = name if name in PARTS else "rest"
        if part == "result" and record.status == "running":
            continue
        shown[part] = Html(shown[part] + section(name, title, content))
    return {part: tag("div", html, class_="hl") if part != "head" and html else html for part, html in shown.items()}


def nothing_yet(words: str) -> dict[str, Html]:
    """The parts when there is no run to show: a heading with a few words."""
    head = tag("div", tag("header", tag("h1", words), class_="hl-header"), class_="hl")
    return {**dict.fromkeys(PARTS, Html("")), "head": head}
