"""A photo is described, drawn, described, spoken and heard: every fact of the first caption is followed to the end."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from hopline.agent import Agent

CHAIN = "image_captioning | text_to_image | image_captioning | text_to_speech | speech_to_text"


@pytest.mark.models
@pytest.mark.parametrize(("photo", "kept", "lost"), [("photo-b.jpg", {"zebra"}, {"yellow", "green", "brown"})])
def test_every_fact_of_the_first_caption_is_followed(
    shared: Path, tmp_path: Path, photo: str, kept: set[str], lost: set[str]
) -> None:
    with Agent.from_profile("offline") as agent:
        run = agent.run("", [shared / "media" / photo], chain=CHAIN)
        assert run.status == "ok"
        loss = run.loss()
        page = run.page(tmp_path / "page.html").read_text("utf-8")
    steps = [f"step{number}" for number in range(1, 6)]
    assert [hop.step for hop in loss.hops] == steps
    assert loss.hops[0].unscored == "no reference"
    assert [hop.unscored for hop in loss.hops[1:]] == ["reader equals next hop", None] * 2, "no split of blame"
    assert [hop.against for hop in loss.hops if hop.kept is not None] == ["step1", "step1"]

    assert {fact.fact.text for fact in loss.facts} == kept | lost
    for fact in loss.facts:
        assert list(fact.states) == steps
        assert not {"unscored"} & set(fact.states.values())
        assert fact.last_seen == ("step5" if fact.fact.text in kept else "step1")
    assert sum(hop.not_seen_since or 0 for hop in loss.hops) == len(lost)

    assert re.search(rf"<strong>{len(lost)}</strong> last seen just before", page)
    tracks = [html.unescape(label) for label in re.findall(r'class="hl-track"[^>]*aria-label="([^"]*)"', page)]
    shown = dict(re.findall(r'class="hl-fact-name"[^>]*>([^<]+)</span><span class="hl-last[^"]*">([^<]+)', page))
    for fact in loss.facts:
        (track,) = [t for t in tracks if t.startswith(f"{fact.fact.text}: ")]
        assert re.findall(r"hop \d", track) == ["hop 1", "hop 2", "hop 3", "hop 4", "hop 5"]
        assert track.count("not read") == (0 if fact.fact.text in kept else 4)
        assert shown[fact.fact.text] == f"last seen at hop {fact.last_seen[-1]}, " + (
            "transcript" if fact.fact.text in kept else "caption"
        )
