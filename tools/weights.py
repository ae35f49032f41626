"""Folders of weights for diffusers and transformers, checked before anything reads them, and the digests of models.

Weights are safetensors. A folder that holds code or pickles is refused as a whole: the libraries would run either on
a word in one of its configurations.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hopline.tools.errors import MissingModel, UnsafeModel
from hopline.tools.home import home

CODE = frozenset(".py .pyc .pyd .so .dll .dylib .sh".split())
PICKLES = frozenset(".bin .pt .pth .ckpt .pkl .pickle .joblib .npy .npz .h5 .keras .msgpack".split())
READ = frozenset(".safetensors .json .txt .model .jinja".split())
"""What decides a model's output: weights, configurations, vocabularies, chat templates."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_LIBRARIES = ("diffusers", "transformers")
_LOADED_BY_NAME = frozenset(("auto_map", "custom_pipeline", "custom_pipelines", "custom_generate"))
"""Keys of configurations that name code to load."""
_VOCABULARIES = frozenset(("tokenizer.json", "vocab.json", "added_tokens.json"))
"""Their keys are words of a language."""
_KERNEL_KEYS = frozenset(("attn_implementation", "_attn_implementation", "experts_implementation"))
"""Keys whose value may name a repository of compiled kernels."""


def check(folder: Path) -> None:
    """Look for whatever could make a library run something, and for weights; imports nothing that the folder names.

    Raises:
        UnsafeModel: a file or a configuration that must not be loaded; names it.
        MissingModel: there are no weights in it.
    """
    files = list(_files(folder))
    for path in files:
        shown = path.relative_to(folder)
        if path.suffix.lower() in CODE:
            raise UnsafeModel(f"{folder.name} holds code ({shown}); hopline runs no code that comes with a model.")
        if path.suffix.lower() in PICKLES:
            raise UnsafeModel(f"{folder.name} holds {shown}, which can hide code; hopline loads safetensors only.")
    for path in files:
        if path.suffix.lower() == ".json":
            _check_json(path, folder)
    if not any(path.suffix == ".safetensors" for path in files):
        raise MissingModel(f"{folder} holds no safetensors.", hint="Save it with save_pretrained(), or name another.")


def _check_json(path: Path, folder: Path) -> None:
    if path.name in _VOCABULARIES:
        return
    shown = path.relative_to(folder)
    try:
        data = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UnsafeModel(f"{folder.name}: {shown} does not read ({type(error).__name__}).") from None
    for key, value in _pairs(data):
        if key in _LOADED_BY_NAME and value:
            raise UnsafeModel(f"{folder.name}: {shown} asks for code of its own ({key}).")
        if key in _KERNEL_KEYS and isinstance(value, str) and "/" in value:
            raise UnsafeModel(f"{folder.name}: {shown} asks for compiled code ({key}: {value}).")
    if path.name == "model_index.json" and path.parent == folder:
        _check_pipeline(data, folder)
    if path.name.endswith(".index.json"):
        names = data.get("weight_map", {}).values() if isinstance(data, dict) else ()
        odd = next((n for n in names if not str(n).endswith(".safetensors") or Path(str(n)).name != n), None)
        if odd is not None:
            raise UnsafeModel(f"{folder.name}: {shown} points to {odd}; hopline loads safetensors beside it only.")


def _pairs(data: object) -> Iterator[tuple[str, object]]:
    stack = [data]
    while stack:
        one = stack.pop()
        if isinstance(one, dict):
            yield from one.items()
            stack.extend(one.values())
        elif isinstance(one, list):
            stack.extend(one)


def _check_pipeline(data: Any, folder: Path) -> None:
    """A pipeline and its parts are classes of diffusers or transformers, named as such."""
    kind = data.get("_class_name") if isinstance(data, dict) else None
    if not isinstance(kind, str) or not kind.isidentifier():
        raise UnsafeModel(f"{folder.name}: model_index.json names a pipeline that is not of diffusers ({kind!r}).")
    for part, value in data.items():
        if part.startswith("_") or not isinstance(value, list) or len(value) != 2 or value == [None, None]:
            continue
        library, name = value
        if not isinstance(library, str) or not isinstance(name, str):
            continue  # a pair of settings; what is loaded is named by two words
        if not name.isidentifier() or not (library in _LIBRARIES or _is_pipeline_module(library)):
            raise UnsafeModel(
                f"{folder.name}: its part {part} is {library}.{name}, a class from outside diffusers and transformers."
            )


def _is_pipeline_module(name: str) -> bool:
    """A folder of diffusers' own pipelines, which may bring parts (`stable_diffusion` its safety checker)."""
    found = importlib.util.find_spec("diffusers") if name.isidentifier() else None
    if found is None or not found.origin:
        return False
    pipelines = Path(found.origin).parent / "pipelines"
    return (pipelines / name).is_dir() or (pipelines / "deprecated" / name).is_dir()


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


def digest(folder: Path) -> str:
    """sha256 over the names and digests of all files that decide the output of a model.

    A file is hashed once, and known again by its size and time.
    """
    lines = [f"{path.relative_to(folder).as_posix()} {digest_of(path)}\n" for path in _files(folder)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def fingerprint(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of those files: whether they are still what was loaded."""
    found = []
    for path in _files(folder):
        status = path.stat()
        found.append((str(path), status.st_size, status.st_mtime_ns))
    return tuple(found)


def _files(folder: Path) -> Iterator[Path]:
    """All files that decide or could do something, in order; hidden ones are the hub's and our own notes."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        suffix = path.suffix.lower()
        if path.is_file() and (suffix in CODE | PICKLES or (suffix in READ and not hidden)):
            yield path
