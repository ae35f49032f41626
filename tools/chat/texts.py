"""`summarization:chat`, `translation:chat`, `question_answering:chat`: by any chat model, `…:chat:ollama:qwen2.5`."""

from __future__ import annotations

from typing import ClassVar

from hopline.tools.backend import Call, Result
from hopline.tools.chat.backend import ChatBackend, flagged
from hopline.tools.chat.message import Message
from hopline.tools.chat.model import ChatModel, Reply
from hopline.tools.exchange import Exchange
from hopline.tools.texts import MATERIAL, answer, prompt, summarise, translate, work_on_texts

_SYSTEM = f"{MATERIAL} Answer with the result alone, with no remark about it."
_MOST_CHARACTERS = 60_000
"""Of a model that does not say how large its context is."""
_INSTRUCTION_TOKENS = 200


class ChatText(ChatBackend):
    """A text tool served by a chat model.

    What the texts say is data: the model has no tools, and its answer is text.

    Losses: `truncated` where the texts do not fit its context, or its answer reached its limit.
    """

    name = "chat"
    packages: ClassVar[tuple[str, ...]] = ("langchain_core",)

    def instruction(self, call: Call) -> str:
        """What to do with the texts."""
        raise NotImplementedError

    def call(self, call: Call) -> Result:
        instruction = self.instruction(call)
        chat, details = self.current()
        warnings: list[str] = []

        def ask(text: str) -> Exchange:
            messages = [Message(role="system", text=_SYSTEM), Message(role="user", text=prompt(instruction, text))]
            reply: Reply = self.ask(chat, messages, call)
            warnings.extend(reply.warnings)
            return reply.exchange

        result = work_on_texts(call, ask, most_characters=self._most(chat), most_tokens=self.room(chat))
        return Result(
            outputs=result.outputs,
            details=flagged(details, *warnings),
            mechanical_losses=result.mechanical_losses,
            exchanges=result.exchanges,
        )

    def _most(self, chat: ChatModel) -> int:
        """Characters of the texts: what the context holds beside instruction and answer, at three bytes a token."""
        context = chat.context_tokens
        if not context:
            return _MOST_CHARACTERS
        return max(1000, 3 * (context - self.room(chat) - _INSTRUCTION_TOKENS))


class Summarization(ChatText):
    """Summarises one text, or several together."""

    tool = "summarization"

    def instruction(self, call: Call) -> str:
        return summarise(call)


class Translation(ChatText):
    """Translates a text; into English unless a language is said."""

    tool = "translation"
    most_tokens = 1500

    def instruction(self, call: Call) -> str:
        return translate(call)


class QuestionAnswering(ChatText):
    """Answers a question from texts, and says so where they do not answer it."""

    tool = "question_answering"

    def instruction(self, call: Call) -> str:
        return answer(call)
