"""`summarization:local`: a small language model on this machine, which may leave out or make up things."""

from __future__ import annotations

from hopline.tools.backend import Call
from hopline.tools.gguf import TextBackend


class Local(TextBackend):
    """Summarises one text, or several together."""

    tool = "summarization"

    def instruction(self, call: Call) -> str:
        language = call.parameters.get("language", "")
        told = f" Write in {language}." if language else ""
        if len(call.inputs["text"]) > 1:
            return f"Summarise these texts together in one or two short sentences. Keep names and numbers.{told}"
        return f"Summarise this text in one or two short sentences. Keep names and numbers.{told}"
