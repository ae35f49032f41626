"""A real HTTP server on loopback that speaks the Hugging Face hub's API as far as a pull uses it.

with HubServer({"tiny/model": folder}) as hub:
    os.environ["HF_ENDPOINT"] = hub.url
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

COMMIT = "c0ffee" + "0" * 34
"""The only commit of each repository."""

_LARGE = (".safetensors", ".bin", ".onnx")


@dataclass
class HubServer:
    """Runs in a thread; use it in a `with`.

    Attributes:
        models: folders by id.
        gated: ids that nobody may have.
        outside: names that are listed without a file.
        spoiled: names of files whose bytes are given changed.
        cut_after: by file name, the bytes after which the connection is closed, one entry for each time.
        sends_on: files are given at another host, where the hub sends on to.
        status: of every answer, where it is not 200.
        asked: the path of every request, with the range it asked for.
        keys: the path of every request that carried a key, and the key.
    """

    models: Mapping[str, Path]
    gated: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    spoiled: tuple[str, ...] = ()
    cut_after: dict[str, list[int]] = field(default_factory=dict)
    sends_on: bool = False
    status: int = 200
    asked: list[tuple[str, str]] = field(default_factory=list)
    keys: list[tuple[str, str]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self.http.server_close()

    @property
    def url(self) -> str:
        """For `HF_ENDPOINT`."""
        return f"http://127.0.0.1:{self.http.server_address[1]}"

    def listing(self, model: str) -> dict[str, Any]:
        """What `/api/models/ID/revision/REVISION?blobs=true` says."""
        folder = self.models[model]
        siblings: list[dict[str, Any]] = [{"rfilename": name, "size": 1} for name in self.outside]
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                data = path.read_bytes()
                git = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
                one = {"rfilename": path.relative_to(folder).as_posix(), "size": len(data), "blobId": git}
                if path.suffix in _LARGE:
                    one["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
                siblings.append(one)
        return {"_id": "0" * 24, "id": model, "modelId": model, "sha": COMMIT, "siblings": siblings, "private": False}


def _handler(hub: HubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def _answer(self, *, body: bool) -> None:
            path = self.path.partition("?")[0]
            hub.asked.append((path, self.headers.get("Range", "")))
            if key := self.headers.get("Authorization"):
                hub.keys.append((path, key))
            listed = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path)
            file = re.fullmatch(r"/([^/]+/[^/]+)/(?:resolve|elsewhere)/([^/]+)/(.+)", path)
            found = listed or file
            model = str(found[1]) if found else ""
            if hub.status != 200:
                self._send(hub.status, b"{}", {}, body)
            elif model not in hub.models:
                self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, body)
            elif model in hub.gated:
                self._send(403, b"{}", {"X-Error-Code": "GatedRepo"}, body)
            elif listed:
                self._send(200, json.dumps(hub.listing(model)).encode(), {"Content-Type": "application/json"}, body)
            elif file and hub.sends_on and "/resolve/" in path:
                there = hub.url.replace("127.0.0.1", "localhost") + path.replace("/resolve/", "/elsewhere/")
                self._send(302, b"", {"Location": there}, body)
            elif file:
                self._give(hub.models[model] / file[3], file[3], body)

        def _give(self, path: Path, name: str, body: bool) -> None:
            if not path.is_file():
                self._send(404, b"", {"X-Error-Code": "EntryNotFound"}, body)
                return
            data = path.read_bytes()
            etag = hashlib.sha256(data).hexdigest()
            headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            if path.suffix in _LARGE:
                headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(data))}
            if name in hub.spoiled:
                data = data[:-1] + bytes([data[-1] ^ 1])
            cut = hub.cut_after[name].pop(0) if body and hub.cut_after.get(name) else None
            begin = re.fullmatch(r"bytes=(\d+)-.*", self.headers.get("Range", ""))
            if begin and body:
                first = int(begin[1])
                headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
                self._send(206, data[first:], headers, body, cut)
            else:
                self._send(200, data, headers, body, cut)

        def _send(
            self, code: int, data: bytes, headers: Mapping[str, str], body: bool, cut_after: int | None = None
        ) -> None:
            self.send_response(code)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if body:
                with suppress(ConnectionError):  # the client went away
                    self.wfile.write(data[:cut_after])
            if cut_after is not None:
                self.close_connection = True

        def log_message(self, *_: object) -> None: ...

    return Handler
