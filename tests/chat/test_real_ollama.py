"""Against a real Ollama: only where somebody asks for it, and left out otherwise.

    HOPLINE_TEST_OLLAMA=llama3.2-vision python -m pytest -m ollama tests/chat

names a model that was pulled and takes pictures; `OLLAMA_HOST` is read as always.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from hopline.tools import Call
from hopline.tools.chat import Message, ask_structured, open_chat
from hopline.tools.chat.vision import Captioning
from hopline.tools.media import encode_png

pytestmark = pytest.mark.ollama

COLOUR = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": ["red", "green", "blue"]}},
    "required": ["colour"],
}


def test_a_real_model_answers_sees_and_keeps_to_a_schema() -> None:
    name = os.environ["HOPLINE_TEST_OLLAMA"]
    model = open_chat(f"ollama:{name}")
    asked = [Message(role="user", text="Which colour has a ripe tomato?")]
    found = ask_structured(model, asked, COLOUR, purpose="answer", name="tell")
    assert found.value == {"colour": "red"}
    assert found.exchanges[-1].finish_reason == "stop"
    assert found.exchanges[-1].input_tokens
    red = encode_png(np.full((224, 224, 3), (220, 20, 20), np.uint8))
    result = Captioning(name).call(Call(inputs={"image": (red,)}))
    assert "red" in result.outputs["text"][0].text.lower()
    assert len(result.details["model"]["digest"]) == 64
