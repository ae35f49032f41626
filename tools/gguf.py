"""A small language model on this machine: chat completions from a GGUF file, through llama.cpp (xllamacpp).

For worker processes: the engine has no way to stop, and llama.cpp keeps its memory until its process ends.
It insists on a port: loopback, a random one, behind a random key.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

from hopline.tools.artifact import Artifact
from hopline.tools.backend import Backend, Call, Result
from hopline.tools.errors import BackendFailed, BadPlan, MissingExtra
from hopline.tools.exchange import Exchange
from hopline.tools.home import home, limits
from hopline.tools.models import find, path_of
from hopline.tools.texts import MATERIAL, prompt, work_on_texts

MODEL = "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF"
CONTEXT_TOKENS = 8192
"""Prompt and reply together."""
MOST_CHARACTERS = 20_000
"""Of English text, what the context holds beside the instruction and the answer."""
MOST_BEGINNINGS = 8
"""Beginnings of conversations whose state is kept on disk, about 28 kB a token."""


class LanguageModel:
    """The model of this process. Cheap to make; `load` brings the weights."""

    def __init__(self, model: str = MODEL) -> None:
        self.model = model
        self._server: Any = None
        self._key = ""

    def load(self) -> None:
        """Bring the weights into memory, in some seconds.

        Raises:
            MissingExtra: xllamacpp is not installed.
            MissingModel: the weights are not on this machine.
        """
        try:
            import xllamacpp
        except ImportError:
            raise MissingExtra(
                "the local language model needs xllamacpp.", hint="pip install 'hopline[local-llm]'"
            ) from None
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path_of(self.model) / find(self.model).files[0].name)
        parameters.n_ctx = CONTEXT_TOKENS
        parameters.n_parallel = 1
        parameters.cache_ram_mib = 0
        parameters.slot_save_path = f"{_beginnings()}/"
        parameters.cpuparams.n_threads = limits().threads
        parameters.cpuparams_batch.n_threads = limits().threads
        parameters.verbosity = 0
        parameters.warmup = False
        # Nobody but this process may talk to it, no page of a browser either.
        parameters.hostnames = ["127.0.0.1"]
        parameters.port = 0
        self._key = secrets.token_hex(32)
        parameters.api_keys = [self._key]
        parameters.cors_origins = "http://127.0.0.1"
        parameters.ui = parameters.endpoint_slots = parameters.endpoint_props = False
        self._server = xllamacpp.Server(parameters)

    def complete(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        most_tokens: int,
        schema: Mapping[str, Any] | None = None,
        purpose: str = "",
        same_beginning: bool = False,
    ) -> Exchange:
        """Answer a conversation; the same one gives the same answer (temperature 0).

        Args:
            messages: `role` (`system`, `user`, `assistant`) and `content` each.
            most_tokens: of the answer; one that reaches it ends with the finish reason `length`.
            schema: JSON schema that the answer is made to follow.
            purpose: written down with it.
            same_beginning: all messages but the last one will come again, so the engine's state after them
                is kept on disk. A beginning of 2,000 tokens takes 20 s to read, and 30 ms to restore.

        Raises:
            BackendFailed: the engine refused, for instance a conversation beyond its context.
        """
        if self._server is None:
            self.load()
        request: dict[str, Any] = {
            "messages": [dict(message) for message in messages],
            "max_tokens": most_tokens,
            "temperature": 0.0,
            "cache_prompt": True,
        }
        if same_beginning:
            self._begin(messages[:-1])
        if schema is not None:
            request["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        asked = Exchange(
            purpose=purpose,
            identity={"model": self.model, "digest": find(self.model).digest},
            messages=tuple(dict(message) for message in messages),
            started_at=datetime.now(UTC).isoformat(),
        )
        began = time.perf_counter()
        said: list[dict[str, Any]] = []
        self._server.handle_chat_completions(request, said.append)
        asked = replace(asked, duration_ms=round((time.perf_counter() - began) * 1000, 3))
        if not said or "choices" not in said[-1]:
            why = said[-1].get("error", {}).get("message", said[-1]) if said else "no reply"
            raise _failed(asked, f"the language model did not answer: {why}")
        (choice,) = said[-1]["choices"]
        usage = said[-1].get("usage", {})
        answered = replace(
            asked,
            reply=choice["message"].get("content") or "",
            input_tokens=usage.get("prompt_tokens"),
            output_tokens=usage.get("completion_tokens"),
            finish_reason=choice.get("finish_reason") or "",
        )
        if answered.finish_reason not in ("stop", "length"):
            raise _failed(answered, f"the language model's answer broke off ({answered.finish_reason or 'no reason'}).")
        return answered

    def _begin(self, messages: Sequence[Mapping[str, str]]) -> None:
        """Bring the engine into the state after these messages: from disk, or by reading them and keeping it."""
        said = [find(self.model).digest, metadata.version("xllamacpp"), CONTEXT_TOKENS, *map(dict, messages)]
        kept = _beginnings() / f"{hashlib.sha256(json.dumps(said).encode()).hexdigest()}.bin"
        if kept.exists() and self._slot("restore", kept):
            kept.touch()
            return
        # Nothing of what a user asked comes into the file.
        asked = [*map(dict, messages), {"role": "user", "content": ""}]
        self._server.handle_chat_completions(
            {"messages": asked, "max_tokens": 1, "temperature": 0.0, "cache_prompt": True}, lambda reply: None
        )
        self._slot("save", kept)
        for old in sorted(_beginnings().glob("*.bin"), key=lambda file: -file.stat().st_mtime)[MOST_BEGINNINGS:]:
            old.unlink(missing_ok=True)

    def _slot(self, action: str, file: Path) -> bool:
        """Save or restore the engine's state; whether it could. A file that cannot be read costs only time."""
        question = urllib.request.Request(
            f"{self._server.listening_address}/slots/0?action={action}",
            data=json.dumps({"filename": file.name}).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"},
        )
        try:
            with urllib.request.urlopen(question, timeout=60) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, TimeoutError):
            return False


def _beginnings() -> Path:
    folder = home() / "beginnings"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _failed(exchange: Exchange, why: str) -> BackendFailed:
    return BackendFailed(why, exchanges=[replace(exchange, error=why)])


class Completion(Backend):
    """`completion:local`: one exchange with the model, for planners; no tool that a plan can name.

    The text is a JSON list of messages. Parameters: `most_tokens`, `schema`, `purpose`, as in
    `LanguageModel.complete`.
    """

    tool = "completion"
    name = "local"
    extra = "local-llm"
    packages = ("xllamacpp",)
    models = (MODEL,)

    def __init__(self, model: str = "") -> None:
        super().__init__(model)
        self._language_model = LanguageModel()

    def load(self) -> None:
        self._language_model.load()

    def call(self, call: Call) -> Result:
        exchange = self._language_model.complete(json.loads(call.one("messages").text), **call.parameters)
        return Result(outputs={"text": (Artifact.from_text(exchange.reply or ""),)}, exchanges=(exchange,))


class TextBackend(Backend):
    """A text tool served by the model of this process.

    Subclasses say what to ask in `instruction`. What the texts say is data: the model has no tools, and its
    answer is text.

    Losses: `truncated` where the texts were longer than it reads, or its answer
    reached its limit.
    """

    name = "local"
    extra = "local-llm"
    packages = ("xllamacpp",)
    models = (MODEL,)
    most_tokens: ClassVar[int] = 400

    def __init__(self, model: str = "") -> None:
        super().__init__(model)
        if model:
            raise BadPlan(f"{self.tool}:{self.name} has one model; leave out {model!r}.")
        self._language_model = LanguageModel()

    def load(self) -> None:
        self._language_model.load()

    def instruction(self, call: Call) -> str:
        """What to do with the texts, in one or two sentences.

        Raises:
            InputRefused: a parameter is missing or cannot be served.
        """
        raise NotImplementedError

    def call(self, call: Call) -> Result:
        instruction = self.instruction(call)
        call.progress(0.1, "reading")

        def ask(text: str) -> Exchange:
            messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": prompt(instruction, text)}]
            return self._language_model.complete(
                messages, most_tokens=self.most_tokens, schema=_RESULT, purpose=self.tool
            )

        return work_on_texts(call, ask, most_characters=MOST_CHARACTERS, most_tokens=self.most_tokens, read=_result_in)


# In a field of its own the result comes without remarks ("Here is the translation:").
_SYSTEM = f"{MATERIAL} Answer with a JSON object whose field result holds the result alone, with no remark about it."
_RESULT = {
    "type": "object",
    "properties": {"result": {"type": "string"}},
    "required": ["result"],
    "additionalProperties": False,
}


def _result_in(written: str) -> str:
    """The result in an answer, of which the end may be missing.

    Raises:
        BackendFailed: it is not of the form that was asked.
    """
    for ending in ("", '"}', '\\"}', "}"):
        try:
            return str(json.loads(written + ending)["result"])
        except (ValueError, KeyError, TypeError):
            continue
    raise BackendFailed(f"the language model's answer is not of the form that was asked: {written[:80]!r}")
