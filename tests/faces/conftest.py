"""The web page, served for a test, and visitors of it who have no browser."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from hopline.agent import Agent

Serve = Callable[..., AbstractContextManager[str]]


@contextmanager
def served(agent: Agent, **options: Any) -> Iterator[str]:
    """The address of a server of this agent, in a thread of its own."""
    from hopline.agent.faces.serve.server import open_port, serving

    with open_port("127.0.0.1", 0) as listening, serving(agent, listening, **options) as server:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="server")
        thread.start()
        try:
            until(lambda: server.started)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=30)


@pytest.fixture(scope="session")
def serve() -> Serve:
    """`with serve(agent) as address:`"""
    return served


def until(holds: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


class Visitor:
    """Somebody with a cookie who speaks Gradio's protocol as its page does."""

    def __init__(self, address: str, **options: Any) -> None:
        self.http = httpx.Client(base_url=address, timeout=60, **options)
        self.first = self.http.get("/")
        self.session = f"session{id(self)}"

    def upload(self, name: str, data: bytes) -> httpx.Response:
        """Hand over a file; the answer holds its path on the server."""
        return self.http.post("/gradio_api/upload", files={"files": (name, data)})

    def ask(self, words: str, paths: list[Any]) -> dict[str, Any]:
        """Send a request with files of these paths; gives Gradio's last message about it."""
        files = [one if isinstance(one, dict) else {"path": one, "meta": {"_type": "gradio.FileData"}} for one in paths]
        return self.call("request", "submit", [{"text": words, "files": files}])

    def call(self, element: str, event: str, data: list[Any]) -> dict[str, Any]:
        """Do what the page does on an event of an element."""
        config = self.http.get("/config").json()
        (component,) = (c["id"] for c in config["components"] if c["props"].get("elem_id") == element)
        (function,) = (d["id"] for d in config["dependencies"] if [component, event] in d["targets"])
        body = {"data": data, "fn_index": function, "session_hash": self.session, "trigger_id": component}
        joined = self.http.post("/gradio_api/queue/join", json=body)
        joined.raise_for_status()
        with self.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    message: dict[str, Any] = json.loads(line[5:])
                    if message["msg"] == "process_completed" and message["event_id"] == joined.json()["event_id"]:
                        return message
        raise AssertionError("no answer")


@pytest.fixture
def visitor() -> Iterator[Callable[..., Visitor]]:
    """`visitor(address)`"""
    made: list[Visitor] = []

    def make(address: str, **options: Any) -> Visitor:
        made.append(Visitor(address, **options))
        return made[-1]

    yield make
    for one in made:
        one.http.close()


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., None]:
    """`wait_until(lambda: …)`"""
    return until


@pytest.fixture
def written_report(tmp_path: Path) -> Path:
    """A folder with a small report as an experiment writes it."""
    folder = tmp_path / "studies" / "loop"
    (folder / "tables").mkdir(parents=True)
    page = "<!doctype html><title>loop</title><style>h1 { color: teal }</style><h1>loop</h1><script>alert(1)</script>"
    (folder / "report.html").write_text(page, "utf-8")
    (folder / "report.md").write_text("# loop\n\n| chain | bits |\n| --- | --- |\n| clean | 19.3 |\n\n| x |\n", "utf-8")
    return folder
