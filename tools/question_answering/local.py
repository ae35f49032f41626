"""`question_answering:local`: a small language model on this machine answers from the texts it is given."""

from __future__ import annotations

from hopline.tools.backend import Call
from hopline.tools.gguf import TextBackend


class Local(TextBackend):
    """Answers a question from texts, and says so where they do not answer it."""

    tool = "question_answering"

    def instruction(self, call: Call) -> str:
        question = call.one("question").text
        return f"Answer this question from the text alone; if the text does not answer it, say so. Question: {question}"
