"""The sentence of the demo, whatever else changes."""

from __future__ import annotations

import pytest
from hopline.agent.planning import typed
from hopline.tools.registry import installed

HOPS = ["speech_to_text", "text_to_image", "image_captioning", "text_to_speech"]


@pytest.mark.models
@pytest.mark.parametrize("memo", ["the memo", "memo.wav"])
def test_the_demo_is_planned_in_four_hops(memo: str) -> None:
    request = f"Listen to {memo}, draw what it describes, then describe the drawing aloud."
    plan = typed.plan(request, installed(), {"audio1": "audio"})
    assert plan.tools == HOPS
    assert not plan.errors
