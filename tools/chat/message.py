"""What is said to a chat model."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from hopline.tools.artifact import AUDIO, IMAGE, Artifact
from hopline.tools.errors import InputRefused

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

Role = Literal["system", "user", "assistant", "tool"]

TOKENS_A_MESSAGE = 16
"""Of the chat template, at most, by the templates of Llama 3, Qwen 2.5 and Mistral."""
PIXELS_A_TOKEN = 28 * 28
"""Of a picture, by Qwen2.5-VL, the hungriest of the common models; others take less."""
_TOKENS_A_PICTURE = 3200
"""Where its size is not seen at once."""
_BYTES_A_TOKEN = 1000
"""Of 16 kHz WAV, by Gemini, the hungriest: 32 tokens a second; GPT-4o takes 10."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCall:
    """What a model asks for; `id` joins it to the turn of role `tool` that answers it."""

    name: str
    arguments: Mapping[str, Any]
    id: str = field(default="", compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One turn.

    Attributes:
        role: who speaks; `tool` for what a call gave.
        text: what is said.
        images: pictures shown with it, PNG or JPEG.
        sounds: recordings played with it, WAV.
        calls: of tools, that the assistant made in this turn.
        answers: id of the call, in a turn of role `tool`.
    """

    role: Role
    text: str
    images: tuple[Artifact, ...] = ()
    sounds: tuple[Artifact, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    answers: str = ""

    def record(self, *, with_images: bool = False) -> dict[str, Any]:
        """Plain data for the journal; pictures by their ids, and by their bytes (base64) only when told."""
        row: dict[str, Any] = {"role": self.role, "content": self.text}
        if self.images:
            row["images"] = [_picture(image, with_images) for image in self.images]
        if self.sounds:
            row["sounds"] = [{"id": sound.id, "media_type": sound.media_type} for sound in self.sounds]
        if self.calls:
            row["calls"] = [{"id": c.id, "name": c.name, "arguments": dict(c.arguments)} for c in self.calls]
        if self.answers:
            row["answers"] = self.answers
        return row


def for_langchain(messages: Sequence[Message]) -> list[BaseMessage]:
    """The messages as LangChain wants them.

    Raises:
        InputRefused: a picture or recording is not one.
    """
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

    kinds = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
    made: list[BaseMessage] = []
    for message in messages:
        if message.role == "tool":
            made.append(ToolMessage(message.text, tool_call_id=message.answers))
            continue
        if message.calls:
            calls = [{"name": c.name, "args": dict(c.arguments), "id": c.id} for c in message.calls]
            made.append(AIMessage(message.text, tool_calls=calls))
            continue
        if not (message.images or message.sounds):
            made.append(kinds[message.role](message.text))
            continue
        blocks: list[str | dict[str, Any]] = [{"type": "text", "text": message.text}]
        for kind, shown in ((IMAGE, message.images), (AUDIO, message.sounds)):
            for one in shown:
                if one.modality != kind:
                    raise InputRefused(f"a chat model was to be given {kind}, not {one.modality}.")
                # Bytes, never an address: what is behind one is fetched by us or not at all.
                data = base64.b64encode(one.data).decode()
                blocks.append({"type": kind, "base64": data, "mime_type": one.media_type})
        made.append(kinds[message.role](blocks))
    return made


def most_tokens_of(messages: Sequence[Message], *beside: Mapping[str, Any] | None) -> int:
    """Tokens that messages may take, on the safe side: a token for three bytes of UTF-8.

    English takes about one for four, Chinese or Japanese about one for three (one character).

    Args:
        messages: with their pictures and recordings.
        *beside: schemas and tools that are sent with them.
    """
    spoken = sum(len(message.text.encode()) for message in messages) + sum(len(str(b)) for b in beside if b)
    spoken += sum(len(str(call)) for message in messages for call in message.calls)
    pictures = sum(_tokens_of(image) for message in messages for image in message.images)
    played = sum(len(sound.data) // _BYTES_A_TOKEN for message in messages for sound in message.sounds)
    return spoken // 3 + len(messages) * TOKENS_A_MESSAGE + pictures + played


def least_tokens_of(messages: Sequence[Message]) -> int:
    """Tokens that the texts take at the very least: one for ten bytes."""
    return sum(len(message.text.encode()) for message in messages) // 10


def _tokens_of(image: Artifact) -> int:
    if not image.data.startswith(b"\x89PNG") or len(image.data) < 24:
        return _TOKENS_A_PICTURE
    width, height = struct.unpack(">II", image.data[16:24])
    return int(width * height // PIXELS_A_TOKEN) + 1


def _picture(image: Artifact, with_images: bool) -> dict[str, str]:
    row = {"id": image.id, "media_type": image.media_type}
    return {**row, "base64": base64.b64encode(image.data).decode()} if with_images else row
