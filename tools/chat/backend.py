"""What the backends that ask a chat model have in common: the model, its identity, what is missing."""

from __future__ import annotations

import importlib.util
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from hopline.tools.backend import Backend, Call, MechanicalLoss, Missing
from hopline.tools.chat.door import is_remote, open_chat
from hopline.tools.chat.message import Message
from hopline.tools.chat.model import ChatModel, Reply, Settings
from hopline.tools.chat.ollama import OllamaModel, identity_of, note_digest
from hopline.tools.chat.server import full_tag, server
from hopline.tools.chat.sizes import pull_command, size_bytes
from hopline.tools.errors import HoplineError, InputRefused, MissingModel, MissingServer

CHAT_MODEL = "ollama:qwen2.5"
VISION_MODEL = "llama3.2-vision"
_SHOWN_CHARACTERS = 300


class ChatBackend(Backend):
    """A tool served by a chat model; the model part of its id says which.

    Not deterministic: at temperature 0 with a seed the same words mostly come, and nobody promises it.

    Identity: what the tag stands for now (digest, quantisation), the server's version, the settings.

    Details: `model`, what answered; with the flag `model_changed` also `changed_from`, the digest that this backend
    last saw under the tag.
    """

    deterministic = False
    seeded = True
    heavy = False
    asks_server = True
    most_tokens: ClassVar[int] = 400

    def __init__(self, model: str = "") -> None:
        super().__init__(model)
        self.remote = is_remote(self.chat_name)
        self._chat: ChatModel | None = None
        self._lock = threading.Lock()

    @property
    def chat_name(self) -> str:
        """The model as `open_chat` takes it."""
        return self.model or CHAT_MODEL

    @property
    def settings(self) -> Settings:
        """How the model answers."""
        return Settings(most_tokens=self.most_tokens)

    def identity(self) -> dict[str, str]:
        settings = self.settings
        found = super().identity() | {
            "model": self.chat_name,
            "temperature": str(settings.temperature),
            "num_ctx": str(settings.num_ctx),
        }
        provider, _, model = self.chat_name.partition(":")
        if provider != "ollama":
            return found
        try:
            there = server()
            return found | identity_of(there.tag(model), there.version())
        except HoplineError:
            # A call will say why. Until then nobody knows what the tag stands for.
            return found | {"tag": full_tag(model), "digest": "unknown"}

    def missing(self) -> tuple[Missing, ...]:
        provider, _, model = self.chat_name.partition(":")
        package = f"langchain_{provider}"
        wanted = []
        if package not in self.packages and importlib.util.find_spec(package) is None:
            ours = provider in ("ollama", "openai")
            command = f"pip install 'hopline[{provider}]'" if ours else f"pip install langchain-{provider}"
            wanted.append(Missing(what=f"package {package}", command=command))
        if provider == "openai" and self.remote and not os.environ.get("OPENAI_API_KEY"):
            wanted.append(Missing(what="a key for OpenAI", command="export OPENAI_API_KEY=…"))
        if provider != "ollama":
            return tuple(wanted)
        there = server()
        pull = Missing(what=f"model {model}", command=pull_command(model), download_bytes=size_bytes(model))
        try:
            there.tag(model)
        except MissingServer:
            start = "ollama serve" if there.loopback else f"start Ollama at {there.url}"
            if there.loopback and shutil.which("ollama") is None:
                start += "  # not installed here: https://ollama.com/download"
            wanted.append(Missing(what=f"no Ollama at {there.url}", command=start))
            wanted.append(replace(pull, what=f"model {model}, unless it was pulled already"))
        except MissingModel:
            wanted.append(pull)
        except HoplineError as error:
            wanted.append(Missing(what=str(error), command=""))
        return tuple(wanted)

    def load(self) -> None:
        self._chat = open_chat(self.chat_name, self.settings)

    def current(self) -> tuple[ChatModel, dict[str, Any]]:
        """The model as it is now, opened again where its tag was changed, and the details that say so.

        Raises:
            HoplineError: it cannot be opened.
        """
        with self._lock:
            chat = self._chat or open_chat(self.chat_name, self.settings)
            if isinstance(chat, OllamaModel) and chat.server.tag(chat.model) != chat.tag:
                chat = open_chat(self.chat_name, self.settings)
            self._chat = chat
            details: dict[str, Any] = {"model": chat.identity}
            if isinstance(chat, OllamaModel):
                before = note_digest(chat.server, chat.tag, self.id)
                if before:
                    details |= {"flags": ["model_changed"], "changed_from": before}
        return chat, details

    def room(self, chat: ChatModel) -> int:
        """Tokens of the reply: its own limit, or half the context where that is small."""
        context = chat.context_tokens
        return min(self.most_tokens, context // 2) if context else self.most_tokens

    def ask(self, chat: ChatModel, messages: Sequence[Message], call: Call) -> Reply:
        """Ask for words, and report them as they come.

        Raises:
            HoplineError: see `ChatModel.reply`.
        """
        most_tokens = self.room(chat)
        return chat.reply(
            messages,
            purpose=self.tool,
            most_tokens=most_tokens,
            seed=call.seed,
            on_text=_reporting(call, most_tokens),
        )


def question_from(call: Call, what: str) -> str:
    """What a model is told to answer from a picture or recording.

    Raises:
        InputRefused: there is no word in the question.
    """
    question = call.one("question").text.strip()
    if not any(c.isalnum() for c in question):
        raise InputRefused("there is no question.")
    return f"Answer this question from the {what}; if the {what} does not answer it, say so. Question: {question}"


def flagged(details: dict[str, Any], *flags: str) -> dict[str, Any]:
    """Details with more words that a person must see."""
    both = [*details.get("flags", ()), *flags]
    return details | {"flags": both} if both else details


def cut_loss(reply: Reply, most_tokens: int) -> tuple[MechanicalLoss, ...]:
    """`truncated`, where the answer reached its limit."""
    if reply.exchange.finish_reason not in ("length", "max_tokens"):
        return ()
    message = f"the answer was cut at {most_tokens} tokens, its limit"
    return (MechanicalLoss(kind="truncated", message=message, after=most_tokens, unit="tokens"),)


def _reporting(call: Call, most_tokens: int) -> Callable[[str], None]:
    def report(text: str) -> None:
        # About four characters a token; nobody knows how long it will be, so it never says it is done.
        fraction = 0.05 + 0.9 * min(1.0, len(text) / (4 * most_tokens))
        shown = text if len(text) <= _SHOWN_CHARACTERS else f"…{text[-_SHOWN_CHARACTERS:]}"
        call.progress(fraction, shown or "waiting for the model")

    return report
