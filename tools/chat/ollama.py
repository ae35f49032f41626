"""A chat model of an Ollama server, through LangChain's `ChatOllama`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hopline.tools.chat.model import ChatModel, Request, Settings
from hopline.tools.chat.remembered import keep, recall
from hopline.tools.chat.server import Server, Shown, Tag, full_tag
from hopline.tools.errors import BackendFailed, BadPlan, BadReply, CutReply, HoplineError, HopTimeout, MissingExtra

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_CONNECT_TIMEOUT_S = 5.0


def passes_on(model: str) -> bool:
    """Whether a name says that the server only passes it on to Ollama's cloud (`gpt-oss:120b-cloud`)."""
    return full_tag(model).endswith((":cloud", "-cloud"))


class OllamaModel(ChatModel):
    """One model of one server, as both were when it was opened.

    Args:
        model: `qwen2.5`, with or without a tag.
        server: where it is.
        settings: how it answers.

    Attributes:
        tag: what the name stands for: digest, quantisation.
        shown: what it can do.
        changed_from: the digest last seen under this tag, where it was another; else empty.

    Raises:
        MissingExtra: langchain-ollama is not installed.
        MissingServer: nobody answers there; the hint is the command.
        MissingModel: it was not pulled; the hint is the command and its size.
        BadPlan: the server passes it on to another machine, which its name does not say.
    """

    takes_sounds = False

    def __init__(self, model: str, server: Server, settings: Settings) -> None:
        super().__init__(f"ollama:{model}", settings)
        self.model = model
        self.server = server
        self.tag: Tag = server.tag(model)
        self.shown: Shown = server.show(model)
        self.version = server.version()
        self.remote = not server.loopback or passes_on(model)
        if self.tag.elsewhere and not self.remote:
            raise BadPlan(f"{model} is run by another machine, though this one's Ollama lists it.")
        self.takes_pictures = self.shown.can("vision")
        self.calls_tools = self.shown.can("tools")
        self.changed_from = note_digest(server, self.tag)
        self._chat = self._opened()

    @property
    def context_tokens(self) -> int:
        """`num_ctx`, or what the model was made for where that is less."""
        made_for = self.shown.context_length
        return min(self.settings.num_ctx, made_for) if made_for else self.settings.num_ctx

    @property
    def identity(self) -> dict[str, str]:
        return {
            "model": self.name,
            **identity_of(self.tag, self.version),
            "server": self.server.url,
            "num_ctx": str(self.context_tokens),
            "temperature": str(self.settings.temperature),
            "seed": str(self.settings.seed),
        }

    def _opened(self) -> BaseChatModel:
        try:
            from langchain_ollama import ChatOllama
        except ImportError:
            raise MissingExtra("Ollama needs langchain-ollama.", hint="pip install 'hopline[ollama]'") from None
        import httpx

        headers = {"Authorization": self.server.authorization} if self.server.authorization else {}
        timeout = httpx.Timeout(self.settings.timeout_s, connect=_CONNECT_TIMEOUT_S)
        return ChatOllama(
            model=full_tag(self.model),
            base_url=self.server.url,
            # The options of each request are ours (below); thinking aloud would be taken for the answer.
            reasoning=False if self.shown.capabilities and "thinking" in self.shown.capabilities else None,
            # Neither a proxy nor a redirect may carry elsewhere what was said to this server.
            # A connection is closed after its reply, so that nothing is left open when the model is dropped.
            client_kwargs={
                "timeout": timeout,
                "headers": headers,
                "trust_env": False,
                "follow_redirects": False,
                "limits": httpx.Limits(max_keepalive_connections=0),
            },
        )

    def _client(self, request: Request) -> BaseChatModel:
        return self._chat

    def _options(self, request: Request) -> dict[str, Any]:
        options: dict[str, Any] = {
            "num_ctx": self.context_tokens,
            "num_predict": request.most_tokens,
            "seed": self.settings.seed if request.seed is None else request.seed,
        }
        if self.settings.temperature is not None:
            options["temperature"] = self.settings.temperature
        arguments: dict[str, Any] = {"options": options}
        if request.tools:
            arguments["tools"] = [dict(tool) for tool in request.tools]
        if request.schema:
            arguments["format"] = dict(request.schema)
        return arguments

    def _translated(self, error: BaseException, request: Request) -> HoplineError:
        import httpx
        import ollama
        from langchain_core.exceptions import OutputParserException
        from pydantic import ValidationError

        match error:
            case httpx.ConnectError() | ConnectionRefusedError():
                return self.server.down(self.model, error)
            case httpx.TimeoutException():
                return HopTimeout(f"Ollama said nothing for {self.settings.timeout_s:g} s.")
            case httpx.RemoteProtocolError() | httpx.ReadError() | json.JSONDecodeError():
                return CutReply(f"Ollama's reply broke off ({error}).")
            case ValueError() if "No generation chunks" in str(error):  # LangChain's word for an empty stream
                return CutReply("Ollama's reply broke off before its first word.")
            case ConnectionError():
                return self.server.down(self.model)
            case ollama.ResponseError() if error.status_code == 404:
                return self.server.not_pulled(self.model)
            case ollama.ResponseError() if "tool call" in str(error):
                return BadReply(f"the chat model made a call that does not read: {error.error}.")
            case ollama.ResponseError():
                return BackendFailed(f"Ollama: {error.error} (status {error.status_code}).")
            case OutputParserException() | ValidationError() if request.tools:
                first = str(error).splitlines()[0]
                return BadReply(f"the chat model made a call that does not read: {first}.")
        return BackendFailed(f"Ollama: {type(error).__name__}: {error}.")


def identity_of(tag: Tag, version: str) -> dict[str, str]:
    """What a tag stands for, as part of an identity."""
    return {
        "tag": tag.name,
        "digest": tag.digest or "unknown",
        "quantization": tag.quantization or "unknown",
        "ollama": version,
    }


def note_digest(server: Server, tag: Tag, reader: str = "") -> str:
    """Keep what a tag stands for; gives the digest it had before, where that was another.

    Args:
        server: where the tag is.
        tag: as it is now.
        reader: who is told; each is told of a change once.
    """
    key = f"{server.url} {tag.name} {reader}".strip()
    before = recall("digests", key)
    if before != tag.digest:
        keep("digests", key, tag.digest)
    return str(before) if before and before != tag.digest else ""
