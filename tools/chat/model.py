"""A chat model that answers, or raises: never a cut reply, never an empty one, never an unknown error."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hopline.tools.chat.message import Message, ToolCall, for_langchain, least_tokens_of, most_tokens_of
from hopline.tools.chat.streaming import OnText, collect, nobody
from hopline.tools.errors import BadReply, CutReply, HoplineError, InputRefused
from hopline.tools.exchange import Exchange
from hopline.tools.home import limits, setting

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessageChunk


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How a model answers; each is part of its identity.

    Attributes:
        most_tokens: of one reply, unless a request says otherwise.
        temperature: 0 for the likeliest words; None leaves it to the provider (some models refuse it).
        seed: for what is random, where the provider takes one.
        num_ctx: prompt and reply together, on Ollama, which otherwise cuts the front of a longer
            prompt at 4,096 tokens or fewer and says nothing; never more than the model was made for.
        timeout_s: wall clock of one reply.
        record_images: keep the bytes of pictures in the record of an exchange.
    """

    most_tokens: int = 1024
    temperature: float | None = 0.0
    seed: int = 0
    num_ctx: int = field(default_factory=lambda: limits().chat_num_ctx)
    timeout_s: float = field(default_factory=lambda: limits().chat_timeout_s)
    record_images: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What a model answered.

    Attributes:
        text: what it says; may be empty only where it calls a tool.
        calls: of tools that it was given.
        exchange: for the journal.
        warnings: words a person must see (`prompt_maybe_cut`).
    """

    text: str
    calls: tuple[ToolCall, ...] = ()
    exchange: Exchange
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One question to a model, with all that goes along.

    Attributes:
        messages: in order; the last is answered.
        purpose: written down with it.
        repair: 0 for the first try.
        most_tokens: of the reply; 0 for that of the settings.
        seed: None for that of the settings.
        tools: functions in OpenAI's form that it may call.
        tool_choice: name of the one that it must call, where the provider can force it.
        schema: JSON schema that the reply is made to follow, where the provider can.
        on_text: told the text so far.
    """

    messages: tuple[Message, ...]
    purpose: str
    repair: int = 0
    most_tokens: int = 0
    seed: int | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: str = ""
    schema: Mapping[str, Any] | None = None
    on_text: OnText = nobody

    @property
    def beside(self) -> tuple[Mapping[str, Any], ...]:
        """What is sent beside the messages and takes tokens too."""
        return (*self.tools, *([self.schema] if self.schema else []))


class ChatModel(ABC):
    """A chat model behind the one door. `open_chat` makes it.

    Attributes:
        name: as `init_chat_model` takes it, `ollama:qwen2.5`.
        settings: how it answers.
        remote: what it is told leaves this machine.
        takes_pictures: whether it does; True where nobody says.
        takes_sounds: the same of recordings.
        calls_tools: whether it can natively; None where nobody says.
    """

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.settings = settings

    remote: bool = True
    takes_pictures: bool = True
    takes_sounds: bool = True
    calls_tools: bool | None = None

    @property
    @abstractmethod
    def identity(self) -> dict[str, str]:
        """Model, digest, server, settings: what decides its answers."""

    @property
    @abstractmethod
    def context_tokens(self) -> int | None:
        """Prompt and reply together; None where nobody says."""

    @abstractmethod
    def _client(self, request: Request) -> BaseChatModel:
        """LangChain's model for a request."""

    @abstractmethod
    def _options(self, request: Request) -> dict[str, Any]:
        """Arguments of its `stream`, tools included."""

    @abstractmethod
    def _translated(self, error: BaseException, request: Request) -> HoplineError:
        """An error of the provider's library as one of ours."""

    def reply(
        self,
        messages: Sequence[Message],
        *,
        purpose: str,
        repair: int = 0,
        most_tokens: int = 0,
        seed: int | None = None,
        on_text: OnText = nobody,
    ) -> Reply:
        """Answer in words.

        A reply that reached `most_tokens` comes back with the finish reason `length`: the caller says so.

        Args:
            messages: in order; the last is answered.
            purpose: `plan`, `repair`, `answer`, or the name of a tool.
            repair: 0 for the first try.
            most_tokens: of the reply; 0 for that of the settings.
            seed: None for that of the settings.
            on_text: told the text so far, about five times a second even while nothing comes;
                what it raises (`HopCancelled`) ends the request.

        Raises:
            MissingServer, MissingModel: it is not there any more.
            HopTimeout: it did not finish in `timeout_s`.
            CutReply: the reply has no finish reason.
            BadReply: it is empty, or calls a tool that it was not given.
            InputRefused: the messages do not fit its context, or hold pictures that it does not take.
            BackendFailed: anything else; each carries the exchange.
        """
        request = Request(
            messages=tuple(messages),
            purpose=purpose,
            repair=repair,
            most_tokens=most_tokens,
            seed=seed,
            on_text=on_text,
        )
        answered = self.ask(request)
        if answered.calls:
            name = answered.calls[0].name
            raise _bad(answered.exchange, f"the chat model called {name!r}, though it was given no tool.")
        if not answered.text.strip():
            raise _bad(answered.exchange, "the chat model gave an empty answer.")
        return answered

    def ask(self, request: Request) -> Reply:
        """Send a request and read the whole reply; empty ones and calls are the caller's to judge.

        Raises:
            HoplineError: see `reply`. A call whose arguments do not read is a BadReply.
        """
        most_tokens = request.most_tokens or self.settings.most_tokens
        request = replace(request, most_tokens=most_tokens)
        self._check_room(request)
        asked = self._asked(request)
        began = time.perf_counter()
        text = ""

        def on_text(so_far: str) -> None:
            nonlocal text
            text = so_far
            request.on_text(so_far)

        try:
            client, options = self._client(request), self._options(request)
            turns = for_langchain(request.messages)
            streamed = collect(
                lambda: client.stream(turns, **options),
                timeout_s=self.settings.timeout_s,
                on_text=on_text,
            )
        except HoplineError as error:
            error.exchanges = (_ended(asked, began, reply=text or None, error=str(error)),)
            raise
        except Exception as foreign:
            failure = self._translated(foreign, request)
            failure.exchanges = (_ended(asked, began, reply=text or None, error=str(failure)),)
            raise failure from foreign
        message = streamed.message
        calls = tuple(
            ToolCall(name=call["name"], arguments=call["args"], id=call["id"] or "") for call in message.tool_calls
        )
        usage = message.usage_metadata
        exchange = replace(
            _ended(asked, began, reply=_written(message, calls)),
            input_tokens=usage["input_tokens"] if usage else None,
            output_tokens=usage["output_tokens"] if usage else None,
            finish_reason=streamed.finish_reason,
        )
        if not streamed.finish_reason:
            raise _with(CutReply("the chat model's reply broke off: it came without a finish reason."), exchange)
        if message.invalid_tool_calls:
            wrong = message.invalid_tool_calls[0]
            why = wrong.get("error") or "its arguments are not JSON"
            raise _bad(exchange, f"the chat model made a call that does not read: {wrong.get('name')!r}, {why}.")
        return Reply(text=message.text, calls=calls, exchange=exchange, warnings=self._warnings(request, exchange))

    def _check_room(self, request: Request) -> None:
        if not self.takes_pictures and any(message.images for message in request.messages):
            raise InputRefused(f"{self.name} takes no pictures.", hint="Name a vision model, such as llama3.2-vision.")
        if not self.takes_sounds and any(message.sounds for message in request.messages):
            raise InputRefused(f"{self.name} hears nothing.", hint="Name one such as openai:gpt-4o-audio-preview.")
        context = self.context_tokens
        if context is None:
            return
        wanted = most_tokens_of(request.messages, *request.beside)
        room = context - request.most_tokens
        if wanted > room:
            raise InputRefused(
                f"about {wanted} tokens do not fit the context of {self.name}: of {context}, "
                f"{request.most_tokens} are kept for the reply.",
                hint=f"Shorten it, or raise {setting('chat_num_ctx')} where the model takes more.",
            )

    def _warnings(self, request: Request, exchange: Exchange) -> tuple[str, ...]:
        """A server that counted too few tokens has dropped the front of the prompt, or had it in its cache."""
        counted = exchange.input_tokens
        if self.context_tokens is None or counted is None:
            return ()
        return ("prompt_maybe_cut",) if counted < least_tokens_of(request.messages) else ()

    def _asked(self, request: Request) -> Exchange:
        rows = [message.record(with_images=self.settings.record_images) for message in request.messages]
        for name, sent in (("tools", request.tools), ("format", request.schema)):
            if sent:
                rows.append({"role": name, "content": json.dumps(sent, ensure_ascii=False)})
        settings = {"most_tokens": str(request.most_tokens)}
        if request.seed is not None:
            settings["seed"] = str(request.seed)
        return Exchange(
            purpose=request.purpose,
            identity={**self.identity, **settings},
            messages=tuple(rows),
            started_at=datetime.now(UTC).isoformat(),
            repair=request.repair,
        )


def _written(message: AIMessageChunk, calls: Sequence[ToolCall]) -> str:
    """The reply as text; calls as JSON after it."""
    lines = [json.dumps({"name": c.name, "arguments": dict(c.arguments)}, ensure_ascii=False) for c in calls]
    lines += [
        json.dumps({"name": c.get("name"), "invalid_arguments": c.get("args")}) for c in message.invalid_tool_calls
    ]
    return "\n".join(filter(None, [message.text, *lines]))


def _ended(asked: Exchange, began: float, *, reply: str | None, error: str = "") -> Exchange:
    return replace(asked, reply=reply, error=error, duration_ms=round((time.perf_counter() - began) * 1000, 3))


def _with(error: HoplineError, exchange: Exchange) -> HoplineError:
    error.exchanges = (replace(exchange, error=str(error)),)
    return error


def _bad(exchange: Exchange, why: str) -> BadReply:
    return BadReply(why, exchanges=[replace(exchange, error=why)])
