"""`translation:local`: a small language model on this machine; best between English, French, German, Spanish."""

from __future__ import annotations

from hopline.tools.backend import Call
from hopline.tools.gguf import TextBackend
from hopline.tools.texts import translate


class Local(TextBackend):
    """Translates a text; into English unless a language is said."""

    tool = "translation"
    most_tokens = 1500

    def instruction(self, call: Call) -> str:
        return translate(call)
