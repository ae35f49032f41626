"""Models of diffusers and transformers on disk: found by hub id or folder, and checked before anything reads them.

Weights are safetensors. A folder that holds code or pickles is refused as a whole: the libraries would run either on
a word in one of its configurations.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from hopline.tools.errors import MissingModel, UnsafeModel
from hopline.tools.home import MEBIBYTE, models_folder
from hopline.tools.hub_files import digest_of, hub_cache

CODE = frozenset(".py .pyc .pyd .so .dll .dylib .sh".split())
PICKLES = frozenset(".bin .pt .pth .ckpt .pkl .pickle .joblib .npy .npz .h5 .keras .msgpack".split())
READ = frozenset(".safetensors .json .txt .model .jinja".split())
"""What decides a model's output: weights, configurations, vocabularies, chat templates."""

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_LIBRARIES = ("diffusers", "transformers")
_LOADED_BY_NAME = frozenset(("auto_map", "custom_pipeline", "custom_pipelines", "custom_generate"))
"""Keys of configurations that name code to load."""
_VOCABULARIES = frozenset(("tokenizer.json", "vocab.json", "added_tokens.json"))
"""Their keys are words of a language."""
_KERNEL_KEYS = frozenset(("attn_implementation", "_attn_implementation", "experts_implementation"))
"""Keys whose value may name a repository of compiled kernels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HubModel:
    """A model of the hub that hopline knows by name; `models.toml` lists them.

    Attributes:
        name: its id, `stabilityai/sd-turbo`.
        title: what it is, for people.
        licence: as its publisher calls it.
        revision: the commit that is pulled.
        size: bytes to download, about.
    """

    name: str
    title: str
    licence: str
    revision: str
    size: int


@lru_cache(maxsize=1)
def known() -> Mapping[str, HubModel]:
    """The models of the hub that hopline knows by name."""
    data = tomllib.loads(resources.files("hopline.tools").joinpath("models.toml").read_text("utf-8"))
    return {
        name: HubModel(
            name=name,
            title=entry["title"],
            licence=entry["licence"],
            revision=entry["snapshot"]["revision"],
            size=entry["snapshot"]["size"],
        )
        for name, entry in data.items()
        if "snapshot" in entry
    }


def is_hub_id(name: str) -> bool:
    """`owner/name` or `owner/name@revision`, and no folder of that name."""
    return bool(_HUB_ID.fullmatch(name.partition("@")[0])) and not Path(name).expanduser().is_dir()


def revision_of(name: str) -> tuple[str, str]:
    """The id, and the revision that is meant: written after `@`, the one hopline knows, or `main`."""
    model, _, revision = name.partition("@")
    pinned = known()[model].revision if model in known() else "main"
    return model, revision or pinned


def pulled_folder(name: str) -> Path:
    """Where `hopline models pull` puts a model of the hub, there or not."""
    model, revision = revision_of(name)
    return models_folder() / "hub" / f"{model.replace('/', '--')}@{revision.replace('/', '--')}"


def pull_command(name: str) -> str:
    """What brings a model of the hub, with its size where that is known."""
    model = name.partition("@")[0]
    size = f"  ({known()[model].size / MEBIBYTE:.0f} MiB)" if model in known() else ""
    return f"hopline models pull {name}{size}"


def find_folder(name: str) -> Path | None:
    """The folder of a model: itself, pulled, or in the hub's own cache; None where it is nowhere."""
    given = Path(name).expanduser()
    if given.is_dir():
        return given
    if not is_hub_id(name):
        return None
    pulled = pulled_folder(name)
    return pulled if pulled.is_dir() else _in_hub_cache(name)


def folder_of(name: str) -> Path:
    """The folder of a model that is here and safe to load.

    Args:
        name: id on the hub, with `@revision` where another than the known one is meant, or a folder.

    Raises:
        MissingModel: it is not here; the hint is the command that brings it.
        UnsafeModel: it holds code, pickles, or a configuration that names code.
    """
    folder = find_folder(name)
    if folder is None:
        if is_hub_id(name):
            hint = f"Get it with: {pull_command(name)}"
            raise MissingModel(f"the model {name} is not on this machine.", hint=hint)
        raise MissingModel(f"there is no folder {name}.", hint="Give a folder, or an id on the hub: owner/name.")
    try:
        check(folder)
    except UnsafeModel as error:
        # The hub's cache may hold all files of a repository; a pull takes only those that are safe.
        if is_hub_id(name):
            error.hint = f"Get its safe files with: {pull_command(name)}"
        raise
    return folder


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


# -- the hub's own cache -----------------------------------------------------------------------


def _in_hub_cache(name: str) -> Path | None:
    model, revision = revision_of(name)
    place = hub_cache() / f"models--{model.replace('/', '--')}"
    try:
        commit = (place / "refs" / revision).read_text("utf-8").strip()
    except OSError:
        commit = revision
    snapshot = place / "snapshots" / commit
    return snapshot if snapshot.is_dir() and any(snapshot.rglob("*.safetensors")) else None
