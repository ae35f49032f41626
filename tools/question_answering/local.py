"""`question_answering:local`: a small language model on this machine answers from the texts it is given."""

from __future__ import annotations

from hopline.tools.backend import Call
from hopline.tools.gguf import TextBackend
from hopline.tools.texts import answer


class Local(TextBackend):
    """Answers a question from texts, and says so where they do not answer it."""

    tool = "question_answering"

    def instruction(self, call: Call) -> str:
        return answer(call)
