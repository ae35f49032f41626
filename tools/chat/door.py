"""The door: a chat model by its name."""

from __future__ import annotations

import os

from hopline.tools.chat.model import ChatModel, Settings
from hopline.tools.chat.ollama import OllamaModel, passes_on
from hopline.tools.chat.provider import ProviderModel
from hopline.tools.chat.server import server
from hopline.tools.errors import BadPlan
from hopline.tools.speech_server import on_this_machine


def open_chat(name: str, settings: Settings | None = None) -> ChatModel:
    """A chat model, looked at before it is asked anything.

    Args:
        name: as LangChain's `init_chat_model` takes it: `ollama:qwen2.5`, `openai:gpt-4o`. For Ollama the
            server is the one of `OLLAMA_HOST`, this machine's by default.
        settings: how it answers.

    Raises:
        MissingServer: Ollama does not answer; the hint is the command, with the model's size.
        MissingModel: the model was not pulled; the hint is the command and its size.
        MissingExtra: a package is not installed.
        BadPlan: the name is not one.
    """
    provider, colon, model = name.partition(":")
    if provider == "local":
        raise BadPlan(
            f"{name!r}: the small model of this machine does not hold a conversation.",
            hint="It plans with --planner assisted and works on texts as summarization:local; for the rest name "
            "a larger one, such as ollama:qwen2.5.",
        )
    if not colon or not provider or not model:
        raise BadPlan(f"{name!r} names no chat model.", hint="Write provider:model, such as ollama:qwen2.5.")
    chosen = settings or Settings()
    if provider == "ollama":
        return OllamaModel(model, server(), chosen)
    made = ProviderModel(name, chosen)
    made.remote = is_remote(name)
    return made


def is_remote(name: str) -> bool:
    """Whether what a model is told leaves this machine, as far as its name, `OLLAMA_HOST` and `OPENAI_BASE_URL` say."""
    provider, _, model = name.partition(":")
    if provider == "openai":
        # Any server may speak OpenAI's API, one on this machine too.
        address = os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_BASE") or ""
        return not (address and on_this_machine(address))
    return provider != "ollama" or not server().loopback or passes_on(model)
