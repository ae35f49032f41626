"""A chat model of any other provider that LangChain's `init_chat_model` knows."""

from __future__ import annotations

import os
from importlib import metadata
from typing import TYPE_CHECKING, Any

from hopline.tools.chat.model import ChatModel, Request, Settings
from hopline.tools.errors import BackendFailed, BadPlan, BadReply, HoplineError, HopTimeout, MissingExtra, UserError
from hopline.tools.speech_server import on_this_machine

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


class ProviderModel(ChatModel):
    """A model that some provider runs: what it is told leaves this machine.

    Args:
        name: as `init_chat_model` takes it, `openai:gpt-4o`.
        settings: how it answers.
        client: a model of LangChain already made, instead of one by its name.

    Raises:
        MissingExtra: the provider's package is not installed.
        BadPlan: LangChain does not know the name.
        UserError: the provider wants a key.
    """

    remote = True

    def __init__(self, name: str, settings: Settings, client: BaseChatModel | None = None) -> None:
        super().__init__(name, settings)
        self._chat = client or _opened(name, settings)
        profile: Any = getattr(self._chat, "profile", None) or {}
        self.takes_pictures = bool(profile.get("image_inputs", True))
        self.takes_sounds = bool(profile.get("audio_inputs", True))
        self.calls_tools = profile.get("tool_calling")
        self._context: int | None = profile.get("max_input_tokens")

    @property
    def identity(self) -> dict[str, str]:
        return {
            "model": self.name,
            "temperature": str(self.settings.temperature),
            "langchain_core": metadata.version("langchain-core"),
        }

    @property
    def context_tokens(self) -> int | None:
        return self._context

    def _client(self, request: Request) -> BaseChatModel:
        return self._chat

    def _options(self, request: Request) -> dict[str, Any]:
        if not request.tools:
            return {}
        tools = [dict(tool) for tool in request.tools]
        # `bind_tools` turns them into the provider's own form.
        bound = self._chat.bind_tools(tools, tool_choice=request.tool_choice or None)
        return dict(getattr(bound, "kwargs", {}))

    def _translated(self, error: BaseException, request: Request) -> HoplineError:
        from langchain_core.exceptions import OutputParserException

        kind = type(error).__name__
        if "Timeout" in kind:
            return HopTimeout(f"{self.name} did not answer in {self.settings.timeout_s:g} s.")
        if isinstance(error, OutputParserException):
            return BadReply(f"{self.name}: {str(error).splitlines()[0]}")
        return BackendFailed(f"{self.name}: {kind}: {error}")


def _opened(name: str, settings: Settings) -> BaseChatModel:
    try:
        from langchain.chat_models import init_chat_model
    except ImportError:
        raise MissingExtra("chat models need langchain.", hint="pip install hopline") from None
    options: dict[str, Any] = {"max_tokens": settings.most_tokens, "timeout": settings.timeout_s}
    if settings.temperature is not None:
        options["temperature"] = settings.temperature
    if name.startswith("openai:") and not os.environ.get("OPENAI_API_KEY"):
        address = os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_BASE") or ""
        if on_this_machine(address):
            options["api_key"] = "none"  # the client wants one, a server of one's own does not
    try:
        made: BaseChatModel = init_chat_model(name, **options)
    except ImportError as error:
        package = f"langchain-{name.partition(':')[0].replace('_', '-')}"
        raise MissingExtra(f"{name} needs a package: {error}", hint=f"pip install {package}") from None
    except ValueError as error:
        raise BadPlan(f"{name!r} is no chat model that LangChain knows: {error}") from None
    except Exception as error:  # a provider's own, for instance that there is no key
        raise UserError(f"{name} cannot be opened: {error}") from None
    return made
