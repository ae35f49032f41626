"""`summarization:local`: a small language model on this machine, which may leave out or make up things."""

from __future__ import annotations

from hopline.tools.backend import Call
from hopline.tools.gguf import TextBackend
from hopline.tools.texts import summarise


class Local(TextBackend):
    """Summarises one text, or several together."""

    tool = "summarization"

    def instruction(self, call: Call) -> str:
        return summarise(call)
