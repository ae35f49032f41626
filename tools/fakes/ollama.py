"""A real HTTP server on loopback that speaks Ollama's API as far as our use of it goes, and misbehaves as told.

with OllamaServer(script=lambda request: words("A red", " ball.")) as server:
    os.environ["OLLAMA_HOST"] = server.host
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Line = Mapping[str, Any] | str | float | None
"""A line of the stream; raw text; a pause in seconds; None ends the connection there and then."""

Script = Callable[[Mapping[str, Any]], Sequence[Line]]
"""From the request of `/api/chat` to its lines."""


def digest(seed: str) -> str:
    """A digest for a model, by any word."""
    return hashlib.sha256(seed.encode()).hexdigest()


def words(*pieces: str, done_reason: str | None = "stop", prompt: int = 500, **more: Any) -> list[Line]:
    """A reply in pieces, then the end that Ollama sends."""
    lines: list[Line] = [{"message": {"role": "assistant", "content": piece}, "done": False} for piece in pieces]
    if done_reason is not None:
        lines.append(
            {
                "message": {"role": "assistant", "content": ""},
                "done": True,
                "done_reason": done_reason,
                "prompt_eval_count": prompt,
                "eval_count": len(pieces),
                "total_duration": 1_000_000,
                **more,
            }
        )
    return lines


def call(name: str, arguments: Any, *, prompt: int = 500) -> list[Line]:
    """A native tool call."""
    made = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": name, "arguments": arguments}}]}
    return [{"message": made, "done": False}, *words(prompt=prompt)]


@dataclass
class Model:
    """A pulled model."""

    digest: str = digest("one")
    quantization: str = "Q4_K_M"
    capabilities: Sequence[str] | None = ("completion", "tools", "vision")
    context_length: int = 131072
    remote_host: str = ""


@dataclass
class OllamaServer:
    """Runs in a thread; use it in a `with`. `asked` holds the bodies of `/api/chat`."""

    script: Script = lambda request: words("Hello.")
    models: dict[str, Model] = field(default_factory=lambda: {"llama3.2-vision:latest": Model()})
    pulls: Sequence[Line] = ({"status": "success"},)
    chunked: bool = True
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    looked: list[str] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)
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
    def host(self) -> str:
        return f"127.0.0.1:{self.http.server_address[1]}"

    def answer_once(self, *replies: Sequence[Line]) -> None:
        """Replies in order, the last for good."""
        left = list(replies)
        self.script = lambda request: left.pop(0) if len(left) > 1 else left[0]


def _handler(server: OllamaServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1" if server.chunked else "HTTP/1.0"

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            server.looked.append(self.path)
            if self.path == "/api/tags":
                self.say({"models": [tag(name, model) for name, model in server.models.items()]})
            elif self.path == "/api/version":
                self.say({"version": "0.40.1"})
            else:
                self.say({"error": "not found"}, 404)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.headers.append({name.title(): value for name, value in self.headers.items()})
            model = server.models.get(body.get("model", ""))
            if self.path == "/api/pull":
                self.stream(server.pulls)
            elif model is None:
                self.say({"error": f"model '{body.get('model')}' not found"}, 404)
            elif self.path == "/api/show":
                server.looked.append(self.path)
                self.say(shown(model))
            else:
                server.asked.append(body)
                lines = list(server.script(body))
                if lines and isinstance(lines[0], Mapping) and "status" in lines[0]:
                    self.say({"error": lines[0]["error"]}, lines[0]["status"])
                else:
                    self.stream(lines)

        def say(self, answer: Mapping[str, Any], status: int = 200) -> None:
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def stream(self, lines: Sequence[Line]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/x-ndjson")
            if server.chunked:
                self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                for line in lines:
                    if line is None:
                        self.close_connection = True
                        return
                    if isinstance(line, float):
                        server.ended.wait(line)
                        continue
                    text = line if isinstance(line, str) else json.dumps(line)
                    data = f"{text}\n".encode()
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data) if server.chunked else data)
                    self.wfile.flush()
                if server.chunked:
                    self.wfile.write(b"0\r\n\r\n")
            except OSError:
                server.hung_up.set()
                self.close_connection = True

    return Handler


def tag(name: str, model: Model) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": name,
        "model": name,
        "digest": model.digest,
        "size": 7_900_000_000,
        "details": {"family": "mllama", "parameter_size": "10.7B", "quantization_level": model.quantization},
    }
    if model.remote_host:
        row["remote_host"] = model.remote_host
    return row


def shown(model: Model) -> dict[str, Any]:
    row: dict[str, Any] = {"model_info": {"mllama.context_length": model.context_length}, "details": {}}
    if model.capabilities is not None:
        row["capabilities"] = list(model.capabilities)
    return row
