"""`translation:local`: a small language model on this machine; best between English, French, German, Spanish."""

from __future__ import annotations

from hopline.tools.backend import Call
from hopline.tools.gguf import TextBackend


class Local(TextBackend):
    """Translates a text; into English unless a language is said."""

    tool = "translation"
    most_tokens = 1500

    def instruction(self, call: Call) -> str:
        language = call.parameters.get("language") or "English"
        return f"Translate this text into {language}. Keep names and numbers as they are."
