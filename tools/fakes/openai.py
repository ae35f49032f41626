"""A real HTTP server on loopback that speaks OpenAI's API as far as our use of it goes, and misbehaves as told.

with OpenAIServer(script=lambda request: said("Two red cats.")) as server:
    os.environ["OPENAI_BASE_URL"] = server.url
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Answer = tuple[int, Mapping[str, Any] | bytes]
"""Status, and what is said: JSON, or bytes as they are."""

Script = Callable[[Mapping[str, Any]], Answer]
"""From a request (its JSON, or the fields of its form, and its `path`) to the answer."""


def said(*pieces: str, finish_reason: str | None = "stop") -> Answer:
    """A reply of a chat model, streamed in pieces."""
    lines = [_chunk({"role": "assistant", "content": piece}) for piece in pieces]
    if finish_reason is not None:
        lines.append(_chunk({}, finish_reason))
        lines.append("data: [DONE]\n\n")
    return 200, "".join(lines).encode()


def refused(status: int, message: str) -> Answer:
    """An error as OpenAI words it."""
    return status, {"error": {"message": message, "type": "invalid_request_error", "code": None}}


def _chunk(delta: Mapping[str, Any], finish_reason: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    row = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "fake", "choices": [choice]}
    return f"data: {json.dumps(row)}\n\n"


@dataclass
class OpenAIServer:
    """Runs in a thread; use it in a `with`.

    Attributes:
        script: what is answered.
        pause_s: before every answer.
        cut_after: bytes of an answer after which the connection is closed; None for the whole.
        asked: every request, in order, with its `path` and `authorization`.
    """

    script: Script = lambda request: said("Hello.")
    pause_s: float = 0.0
    cut_after: int | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.http.shutdown()
        self.http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}/v1"


def _handler(server: OpenAIServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kind = self.headers["Content-Type"] or ""
            request = _form(body, kind) if kind.startswith("multipart/") else json.loads(body)
            request |= {"path": self.path, "authorization": self.headers["Authorization"]}
            server.asked.append(request)
            status, answer = server.script(request)
            if server.pause_s:
                server.ended.wait(server.pause_s)
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            streamed = data.startswith(b"data: ")
            self.send_response(status)
            kind = (
                "text/event-stream" if streamed else "application/json" if isinstance(answer, Mapping) else "audio/wav"
            )
            self.send_header("Content-Type", kind)
            if not streamed:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(data if server.cut_after is None else data[: server.cut_after])
            self.close_connection = True

    return Handler


def _form(body: bytes, kind: str) -> dict[str, Any]:
    """The fields of a form; several of one name as a list, files as bytes."""
    boundary = kind.partition("boundary=")[2].strip('"').encode()
    fields: dict[str, Any] = {}
    for part in body.split(b"--" + boundary)[1:-1]:
        head, _, data = part.strip(b"\r\n").partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]+)"', head)
        if name is None:
            continue
        value = data if b"filename=" in head else data.decode()
        key = name[1].decode().removesuffix("[]")
        fields[key] = [*fields[key], value] if key in fields and isinstance(fields[key], list) else value
        if name[1].endswith(b"[]") and not isinstance(fields[key], list):
            fields[key] = [value]
    return fields
