"""A model's stream, read in a thread of its own: a hang has a time limit, and a wish to stop is heard."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hopline.tools.errors import CutReply, HopTimeout
from hopline.tools.home import setting

if TYPE_CHECKING:
    from langchain_core.messages import AIMessageChunk

OnText = Callable[[str], None]
"""Told the text so far, also while nothing comes; may raise `HopCancelled`."""

_TICK_S = 0.2
_FINISH_KEYS = ("done_reason", "finish_reason", "stop_reason")
"""Of Ollama, of OpenAI and most others, of Anthropic."""


def nobody(text: str) -> None:
    """Nobody is watching."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Streamed:
    """A whole reply.

    Attributes:
        message: all its pieces together.
        finish_reason: why it ended, as the server says; empty where it does not.
    """

    message: AIMessageChunk
    finish_reason: str


def collect(stream: Callable[[], Iterator[AIMessageChunk]], *, timeout_s: float, on_text: OnText = nobody) -> Streamed:
    """Read a stream to its end.

    Args:
        stream: makes it; called in a thread.
        timeout_s: wall clock from now to the last piece.
        on_text: see `OnText`.

    Raises:
        HopTimeout: the limit passed.
        CutReply: there was nothing at all.
        Exception: whatever the stream raised, or `on_text`.
    """
    pieces: queue.SimpleQueue[AIMessageChunk | BaseException | None] = queue.SimpleQueue()
    stopped = threading.Event()
    threading.Thread(target=_read, args=(stream, pieces, stopped), daemon=True, name="chat").start()
    deadline = time.monotonic() + timeout_s
    whole: AIMessageChunk | None = None
    text = finish_reason = ""
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise HopTimeout(
                    f"the chat model was left after its time limit of {timeout_s:g} s.",
                    hint=f"Raise {setting('chat_timeout_s')}.",
                )
            try:
                piece = pieces.get(timeout=min(_TICK_S, left))
            except queue.Empty:
                on_text(text)
                continue
            if piece is None:
                break
            if isinstance(piece, BaseException):
                raise piece
            whole = piece if whole is None else whole + piece
            finish_reason = _finish(piece) or finish_reason
            text += piece.text
            on_text(text)
    finally:
        # Between two pieces the reader sees it and hangs up, and a server that works for nobody stops.
        stopped.set()
    if whole is None:
        raise CutReply("the chat model's reply broke off before its first word.")
    return Streamed(message=whole, finish_reason=finish_reason)


def _read(
    stream: Callable[[], Iterator[AIMessageChunk]],
    pieces: queue.SimpleQueue[AIMessageChunk | BaseException | None],
    stopped: threading.Event,
) -> None:
    from langsmith.run_helpers import tracing_context

    try:
        # What a person asks goes to the model and to nobody else, whatever LANGSMITH_TRACING says.
        with tracing_context(enabled=False):
            for piece in stream():
                pieces.put(piece)
                if stopped.is_set():
                    return
    except BaseException as error:
        pieces.put(error)
    else:
        pieces.put(None)


def _finish(piece: AIMessageChunk) -> str:
    return next((str(piece.response_metadata[key]) for key in _FINISH_KEYS if piece.response_metadata.get(key)), "")
