"""Models of the hub: found where they lie; pulled from a server that speaks its API, cut, gone on with, checked."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hopline.tools import hub_files
from hopline.tools.errors import MissingModel, StoreCorrupt
from hopline.tools.home import home, models_folder
from hopline.tools.hub_files import HubModel, digest_of, pull

WEIGHTS = bytes(range(256)) * 40_000
"""10 MB, so that the steps of a download are told."""


@dataclass
class Hub:
    """Files of one repository, and how their downloads go wrong."""

    files: dict[str, bytes]
    cut_after: int = 0
    lies: dict[str, bytes] = field(default_factory=dict)
    status: int = 200
    a_page: int = 1000
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    def listed(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for path, data in self.files.items():
            row = {"type": "file", "path": path, "size": len(data), "oid": git(data)}
            rows.append(row | {"lfs": {"oid": sha(data), "size": len(data)}} if len(data) > 1000 else row)
        return rows


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def git(data: bytes) -> str:
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub on loopback with one repository, and an empty models folder and cache."""
    made = Hub(
        files={
            "config.json": b"{}",
            "model.bin": WEIGHTS,
            "vocabulary.txt": b"a\nb",
            "modeling_x.py": b"raise SystemExit",
            "pytorch_model.bin": b"pickle" * 300,
            "../up.json": b"{}",
        }
    )

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            made.asked.append((self.path, self.headers.get("Range") or ""))
            if made.status != 200:
                self.send_error(made.status)
            elif self.path.startswith("/api/models/some/voice/tree/main"):
                page = int(self.path.partition("page=")[2] or 0)
                rows = made.listed()[page * made.a_page : (page + 1) * made.a_page]
                more = (page + 1) * made.a_page < len(made.files)
                following = f'<{made.url}/api/models/some/voice/tree/main?page={page + 1}>; rel="next"'
                self.say(json.dumps(rows).encode(), 200, **({"Link": following} if more else {}))
            else:
                name = unquote(self.path.removeprefix("/some/voice/resolve/main/"))
                data = made.lies.get(name, made.files[name])
                begin = int((self.headers.get("Range") or "bytes=0-")[6:-1])
                self.say(data[begin:], 206 if begin else 200)

        def say(self, data: bytes, status: int = 200, **headers: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if made.cut_after and len(data) > made.cut_after:
                self.wfile.write(data[: made.cut_after])
                self.close_connection = True
                return
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("HF_ENDPOINT", made.url)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOPLINE_MODELS", str(tmp_path / "models"))
    yield made
    server.shutdown()
    server.server_close()


VOICE = HubModel(repository="some/voice", files=("*.json", "vocabulary.*", "*.bin", "*.py"), main="model.bin")


def left() -> list[str]:
    folder = models_folder() / "hub" / "some--voice"
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_data_alone_is_brought_and_its_progress_told(there: Hub) -> None:
    lines: list[str] = []
    assert VOICE.folder is None
    folder = pull(VOICE, lines.append)
    assert left() == ["config.json", "model.bin", "vocabulary.txt"], "no script, no pickle, nothing outside"
    assert (folder / "model.bin").read_bytes() == WEIGHTS
    assert VOICE.digest == sha(WEIGHTS)
    assert [VOICE.folder] == [folder]
    assert lines[0] == "some/voice: 3 files, 10 MiB"
    assert "model.bin: 50% of 10 MiB" in lines
    assert lines[-1] == f"some/voice: ready, {sha(WEIGHTS)[:12]}"
    pull(VOICE, lines.append)
    assert lines[-1] == "some/voice: already here"
    assert not (models_folder() / "up.json").exists()


def test_a_pull_that_broke_off_goes_on_where_it_stopped(there: Hub) -> None:
    there.cut_after = 1_500_000
    with pytest.raises(MissingModel, match="Pull again: it goes on there"):
        pull(VOICE)
    assert VOICE.folder is None, "half of it is not it"
    (part,) = (models_folder() / "hub" / "some--voice").glob(".model.bin.*.part")
    came = part.stat().st_size
    assert came >= there.cut_after
    there.cut_after = 0
    there.asked.clear()
    lines: list[str] = []
    pull(VOICE, lines.append)
    assert ("/some/voice/resolve/main/model.bin", f"bytes={came}-") in there.asked
    assert not any("config.json" in path for path, _ in there.asked), "what is here is not asked for again"
    assert any(line.startswith("model.bin: goes on at") for line in lines)
    assert VOICE.digest == sha(WEIGHTS)
    assert left() == ["config.json", "model.bin", "vocabulary.txt"]


def test_a_connection_that_breaks_is_taken_up_again_at_once(there: Hub) -> None:
    there.cut_after = 3_000_000
    assert (pull(VOICE) / "model.bin").read_bytes() == WEIGHTS
    ranges = [asked for path, asked in there.asked if path.endswith("model.bin")]
    assert ranges == ["", "bytes=3000000-", "bytes=6000000-", "bytes=9000000-"]


@pytest.mark.parametrize("name", ["model.bin", "config.json"])
def test_a_file_that_is_not_what_is_listed_is_refused(there: Hub, name: str) -> None:
    there.lies[name] = bytes(len(there.files[name]))
    with pytest.raises(StoreCorrupt, match=f"{name} of some/voice is not the file that the hub lists"):
        pull(VOICE)
    assert VOICE.folder is None
    assert name not in left()
    assert not list(VOICE.own_folder.glob(f".{name}.*"))


@pytest.mark.parametrize(
    ("status", "why"), [(401, "HF_TOKEN"), (403, "licence"), (404, "not there"), (500, "Internal")]
)
def test_what_the_hub_refuses_is_said(there: Hub, status: int, why: str) -> None:
    there.status = status
    with pytest.raises(MissingModel, match=why) as caught:
        pull(VOICE)
    assert caught.value.exit_code == 3


def test_a_long_list_is_read_to_its_end(there: Hub) -> None:
    there.a_page = 1
    pull(VOICE)
    assert left() == ["config.json", "model.bin", "vocabulary.txt"]


def test_a_repository_without_the_main_file(there: Hub) -> None:
    other = HubModel(repository="some/voice", files=("*.json",), main="model.onnx")
    with pytest.raises(MissingModel, match=r"has no file model\.onnx"):
        pull(other)


def test_offline_means_offline(there: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MissingModel, match="HF_HUB_OFFLINE forbids"):
        pull(VOICE)
    assert there.asked == []


def test_a_hub_that_is_not_reached(there: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(MissingModel, match=r"not reached at http://127\.0\.0\.1:9"):
        pull(VOICE)


def test_a_key_goes_to_the_hub_alone(there: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    request = hub_files._request("http://127.0.0.1/x")
    assert request.unredirected_hdrs["Authorization"] == "Bearer secret"
    assert "Authorization" not in request.headers


def test_the_cache_of_the_hub_is_used(there: Hub, tmp_path: Path) -> None:
    place = tmp_path / "cache" / "hub" / "models--some--voice"
    (place / "blobs").mkdir(parents=True)
    (place / "blobs" / sha(WEIGHTS)).write_bytes(b"never hashed: its name is its digest")
    (place / "snapshots" / "abc").mkdir(parents=True)
    (place / "snapshots" / "abc" / "model.bin").symlink_to(place / "blobs" / sha(WEIGHTS))
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("abc")
    assert VOICE.folder == place / "snapshots" / "abc"
    assert VOICE.digest == sha(WEIGHTS)
    pull(VOICE)
    assert there.asked == []


def test_a_digest_is_remembered_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    assert digest_of(file) == sha(b"one")
    real = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("it was hashed again"))
    assert digest_of(file) == sha(b"one")
    monkeypatch.setattr(hashlib, "file_digest", real)
    file.write_bytes(b"other")
    assert digest_of(file) == sha(b"other")
    (home() / "digests.json").write_text("not JSON")
    assert digest_of(file) == sha(b"other")
