"""The plan as a picture: every box once, every edge drawn, in two shapes."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hopline.agent.views.plan import plan_svg
from hopline.agent.views.plan_graph import graph
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.views.conftest import Sample


def step(number: int, *sources: dict[str, Any], tool: str = "summarization") -> dict[str, Any]:
    return {"id": f"step{number}", "tool": tool, "inputs": {"text": list(sources)}}


def from_step(number: int) -> dict[str, Any]:
    return {"step": f"step{number}"}


DIAMOND = {
    "steps": [
        step(1, {"attachment": "audio1"}),
        step(2, from_step(1)),
        step(3, from_step(1)),
        step(4, from_step(2), from_step(3), from_step(1), {"text": "in French"}),
    ]
}


def test_columns_follow_the_data_and_given_things_stand_before_their_use() -> None:
    layers = graph(DIAMOND).layers()
    assert layers == {
        "attachment audio1": 0,
        "step step1": 1,
        "step step2": 2,
        "step step3": 2,
        "text in French": 2,
        "step step4": 3,
    }


def test_every_edge_is_drawn_in_both_shapes() -> None:
    drawn = plan_svg(DIAMOND)
    wide, rail = re.findall(r"<svg.*?</svg>", drawn, re.DOTALL)
    assert wide.count('<g class="hl-edge">') == 7
    assert rail.count('class="hl-edge"') == 7
    assert wide.count("hl-box hl-box-") == rail.count("hl-box hl-box-") == 6


def test_the_description_tells_the_plan(sample: Sample) -> None:
    drawn = plan_svg(sample.run.plan or {}, sample.hops, sample.run.attachments)
    assert "Speech to text (step1 · 1.3 s) reads audio1 (memo.wav), done." in drawn
    assert 'href="#hop-1"' in drawn


def test_a_long_plan_is_drawn_as_a_rail_only() -> None:
    steps = [step(1, {"attachment": "image1"}), *(step(n, from_step(n - 1)) for n in range(2, 12))]
    drawn = plan_svg({"steps": steps})
    assert drawn.count("<svg") == 1
    assert "hl-plan-long" in drawn


def test_mapped_and_failed_steps_say_so(sample: Sample) -> None:
    hops = [replace(sample.hops[0], id=n, item=n, status=s) for n, s in enumerate(("ok", "failed", "skipped"))]  # type: ignore[arg-type]  # a HopStatus
    (box,) = [b for b in graph(sample.run.plan or {}, hops).boxes if b.key == "step step1"]
    assert (box.note, box.status) == ("step1 · 3 hops · failed", "failed")


@given(st.lists(st.lists(st.integers(0, 11), max_size=4), min_size=1, max_size=12))
def test_any_graph_keeps_its_boxes_inside_the_picture(needs: list[list[int]]) -> None:
    steps = [step(n, *(from_step(m) for m in set(before) if m < n)) for n, before in enumerate(needs)]
    layers = graph({"steps": steps}).layers()
    for number, before in enumerate(needs):
        assert all(layers[f"step step{m}"] < layers[f"step step{number}"] for m in before if m < number)
    for svg in re.findall(r"<svg.*?</svg>", plan_svg({"steps": steps}), re.DOTALL):
        width, height = map(float, re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)[0])
        corners = re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', svg)
        assert len(corners) == len(steps)
        for x, y, w, h in (map(float, corner) for corner in corners):
            assert x + w <= width + 1
            assert y + h <= height + 1
