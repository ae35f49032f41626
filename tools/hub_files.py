"""Models of the Hugging Face hub: where they lie on this machine, under which digest, and how they get here.

They are found in `HOPLINE_HOME/models/hub`, where `pull` puts them, and in the hub's own cache. The hub's client
starts a download that broke off from the beginning again; `pull` goes on where it stopped, and checks every file
against the digest that the hub lists. It takes data only: no scripts, no pickles.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import http.client
import json
import os
import re
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hopline.tools.errors import MissingModel, StoreCorrupt
from hopline.tools.home import MEBIBYTE, home, models_folder

Report = Callable[[str], None]
"""Takes one line of progress for people."""

REFUSED = (".py", ".pyc", ".sh", ".so", ".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".h5", ".msgpack")
"""Endings of what may run when it is loaded."""

_PICKLES = ("pytorch_model*.bin", "diffusion_pytorch_model*.bin", "adapter_model*.bin", "training_args.bin")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NEXT_PAGE = re.compile(r'<([^>]+)>; *rel="next"')
_CHUNK_BYTES = 1 << 20
_STEP_PERCENT = 5
_TIMEOUT_S = 60.0
_TRIES = 4
"""Times that a download is taken up again before it counts as failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HubModel:
    """What a backend reads of one repository of the hub.

    Attributes:
        repository: `Systran/faster-whisper-small`.
        files: patterns of the files that are read (`*.json`); a star matches folders too.
        main: the file whose digest stands for the model. It is brought last: where it is, the others are.
        size_bytes: about how much is downloaded; 0 where nobody knows.
    """

    repository: str
    files: tuple[str, ...]
    main: str
    size_bytes: int = 0

    @property
    def folder(self) -> Path | None:
        """Where its files lie; None where they are not on this machine."""
        for folder in (self.own_folder, *self._cached()):
            if (folder / self.main).is_file():
                return folder
        return None

    @property
    def own_folder(self) -> Path:
        """Where `pull` puts its files."""
        return models_folder() / "hub" / self.repository.replace("/", "--")

    @property
    def digest(self) -> str:
        """sha256 of its main file; empty where it is not here."""
        folder = self.folder
        return digest_of(folder / self.main) if folder else ""

    def _cached(self) -> list[Path]:
        """Snapshots in the hub's cache, that of `main` first (its layout: huggingface.co/docs, "manage-cache")."""
        place = hub_cache() / f"models--{self.repository.replace('/', '--')}"
        with contextlib.suppress(OSError):
            commit = (place / "refs" / "main").read_text("utf-8").strip()
            return [place / "snapshots" / commit]
        return sorted((place / "snapshots").glob("*"))


def hub_cache() -> Path:
    """Where the hub's own client keeps what it fetched."""
    own = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    base = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(own).expanduser() if own else Path(base).expanduser() / "hub"


# -- digests -----------------------------------------------------------------------------------


def digest_of(path: Path) -> str:
    """sha256 of a file of weights; hashed once for each size and time, and remembered between processes.

    Raises:
        OSError: it cannot be read.
    """
    real = path.resolve()
    if real.parent.name == "blobs" and _SHA256.fullmatch(real.name):
        return real.name  # the hub's cache names large files by their sha256
    status = real.stat()
    name, stamp = str(real), [status.st_size, status.st_mtime_ns]
    known = _remembered()
    if known.get(name, [])[:2] == stamp:
        return str(known[name][2])
    with real.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    _remember({**known, name: [*stamp, digest]})
    return digest


def _remembered() -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((home() / "digests.json").read_text("utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def _remember(everything: Mapping[str, Any]) -> None:
    with contextlib.suppress(OSError):  # a home that cannot be written costs time, nothing else
        home().mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=home(), suffix=".part", delete=False, encoding="utf-8") as file:
            json.dump(everything, file)
        os.replace(file.name, home() / "digests.json")


# -- pulling -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Listed:
    """A file as the hub lists it; `sha256` where it is large, else `blob`, git's own digest."""

    path: str
    size: int
    sha256: str
    blob: str


def pull(model: HubModel, report: Report = lambda line: None) -> Path:
    """Bring the files of a model here, or what is still missing of them.

    Args:
        model: what is wanted.
        report: gets a line for each file, and for each twentieth of a large one.

    Returns:
        Its folder.

    Raises:
        MissingModel: the hub is not reached, or has no such file; what came so far stays, and the next pull
            goes on there.
        StoreCorrupt: a file is not what the hub lists; it is deleted.
    """
    if model.folder is not None:
        report(f"{model.repository}: already here")
        return model.folder
    listed = [file for file in _listed(model.repository) if _wanted(file.path, model)]
    if model.main not in (file.path for file in listed):
        raise MissingModel(f"the repository {model.repository} of the hub has no file {model.main}.")
    listed.sort(key=lambda file: (file.path == model.main, file.size))
    total = sum(file.size for file in listed)
    report(f"{model.repository}: {len(listed)} files, {total / MEBIBYTE:.0f} MiB")
    for file in listed:
        _bring(model, file, report)
    report(f"{model.repository}: ready, {model.digest[:12]}")
    return model.own_folder


def _wanted(path: str, model: HubModel) -> bool:
    name = path.rpartition("/")[2]
    if ".." in path.split("/") or path.startswith("/") or name.startswith("."):
        return False
    if name.endswith(REFUSED) or any(fnmatch.fnmatch(name, pickle) for pickle in _PICKLES):
        return False
    return path == model.main or any(fnmatch.fnmatch(path, pattern) for pattern in model.files)


def _listed(repository: str) -> list[_Listed]:
    if os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0"):
        raise MissingModel(f"{repository} is not here, and HF_HUB_OFFLINE forbids asking the hub.")
    rows: list[Mapping[str, Any]] = []
    address = f"{_endpoint()}/api/models/{repository}/tree/main?recursive=true"
    try:
        while address:
            with urllib.request.urlopen(_request(address), timeout=_TIMEOUT_S) as answer:
                rows += json.load(answer)
                following = _NEXT_PAGE.search(answer.headers.get("Link") or "")
                address = following[1] if following else ""
    except urllib.error.HTTPError as error:
        why = {401: "it asks for a key (HF_TOKEN)", 403: "it asks you to agree to its licence", 404: "it is not there"}
        error.close()
        raise MissingModel(f"the hub does not give {repository}: {why.get(error.code, error.reason)}.") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise MissingModel(
            f"the hub is not reached at {_endpoint()} ({error}).", hint="Put the files in place by hand."
        ) from None
    return [
        _Listed(
            path=row["path"],
            size=int((row.get("lfs") or row)["size"]),
            sha256=str((row.get("lfs") or {}).get("oid", "")).removeprefix("sha256:"),
            blob=str(row["oid"]),
        )
        for row in rows
        if row.get("type") == "file"
    ]


def _bring(model: HubModel, file: _Listed, report: Report) -> None:
    place = model.own_folder / file.path
    if place.is_file() and place.stat().st_size == file.size:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    # Named by its digest, so that half of an older version is never taken for the beginning of a newer one.
    part = place.with_name(f".{place.name}.{(file.sha256 or file.blob)[:12]}.part")
    address = f"{_endpoint()}/{model.repository}/resolve/main/{quote(file.path)}"
    why: BaseException | None = None
    for _ in range(_TRIES):
        if part.exists() and part.stat().st_size >= file.size:
            break
        before = part.stat().st_size if part.exists() else 0
        try:
            _download(address, part, file, report)
        except (OSError, http.client.HTTPException) as error:
            why = error
            grown = part.exists() and part.stat().st_size > before
            if isinstance(error, urllib.error.HTTPError):
                error.close()
                break
            if not grown:
                break
    if not part.exists() or part.stat().st_size < file.size:
        reason = f" ({why})" if why else ""
        raise MissingModel(
            f"{file.path} of {model.repository} broke off{reason}.", hint="Pull again: it goes on there."
        )
    if not _right(part, file):
        part.unlink()
        raise StoreCorrupt(
            f"{file.path} of {model.repository} is not the file that the hub lists (its digest differs)."
        )
    part.chmod(0o644)
    part.rename(place)


def _download(address: str, part: Path, file: _Listed, report: Report) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = _request(address)
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
        going_on = have > 0 and answer.status == 206
        if going_on:
            report(f"{file.path}: goes on at {have / MEBIBYTE:.0f} of {file.size / MEBIBYTE:.0f} MiB")
        done = have if going_on else 0
        told = -1
        with part.open("ab" if going_on else "wb") as out:
            while chunk := answer.read(_CHUNK_BYTES):
                out.write(chunk)
                done += len(chunk)
                step = 100 * done // max(1, file.size) // _STEP_PERCENT * _STEP_PERCENT
                if step != told and file.size > 8 * _CHUNK_BYTES:
                    told = step
                    report(f"{file.path}: {step}% of {file.size / MEBIBYTE:.0f} MiB")
    if done < file.size:
        raise ConnectionError(f"{done} of {file.size} bytes came")


def _right(part: Path, file: _Listed) -> bool:
    if part.stat().st_size != file.size:
        return False
    with part.open("rb") as stream:
        if file.sha256:
            return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256
        git = hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)
        git.update(stream.read())
        return git.hexdigest() == file.blob


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _request(address: str) -> urllib.request.Request:
    request = urllib.request.Request(address, headers={"User-Agent": "hopline"})
    if token := os.environ.get("HF_TOKEN"):
        # Unredirected: where the hub sends on to another host, the key does not go along.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    return request
