"""A whole page inside another one: a notebook's cell, a report."""

from __future__ import annotations

from hopline.agent.views.markup import Html, tag


def page_frame(page: str, *, title: str = "A run", height_px: int = 760) -> Html:
    """The page in a frame of its own, so that neither style sheet touches the other.

    The frame is sandboxed: nothing in it can run a script or reach what is around it.

    Args:
        page: what `run_page` gave, with all media in it (`media_folder=None`).
        title: of the frame, for people who do not see it.
        height_px: height; the width is that of the place.
    """
    return tag("iframe", srcdoc=page, title=title, width="100%", height=height_px, sandbox=True, loading="lazy")
