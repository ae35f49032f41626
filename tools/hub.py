"""Models of diffusers and transformers fetched from the hub: at one commit, only what is safe, each digest checked."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hopline.tools.errors import BadInput, MissingExtra, MissingModel, StoreCorrupt
from hopline.tools.weights import READ, check, is_hub_id, pulled_folder, revision_of

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

STAMP = ".pulled.json"
"""Beside the files of a pulled model: its id, its commit, and each file's sha256."""

_STEP_PERCENT = 10
_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class HubFile:
    """One file of a repository: its name, size in bytes, and sha256 where the hub keeps it as a large file."""

    name: str
    size: int
    sha256: str = ""


def pull_from_hub(name: str, report: Callable[[str], None] = lambda line: None) -> Path:
    """Bring a model of the hub here, unless it is.

    Args:
        name: `owner/name`, with `@revision` for another commit than the one hopline knows (or `main`).
        report: gets a line for each thing that happens, and for each tenth of a large file.

    Returns:
        Its folder, checked and moved in place whole. A pull that broke off goes on where it stopped.

    Raises:
        BadInput: that is no id of the hub.
        MissingExtra: huggingface_hub is not installed.
        MissingModel: the hub cannot be reached or does not give it, or it has no safetensors.
        StoreCorrupt: a file is not what the hub says it is.
        UnsafeModel: a configuration in it asks for code.
    """
    if not is_hub_id(name):
        raise BadInput(f"{name!r} is no id of a model on the hub.", hint="Write owner/name.")
    place = pulled_folder(name)
    if place.is_dir():
        report(f"{name}: already here")
        return place
    if importlib.util.find_spec("huggingface_hub") is None:
        raise MissingExtra("the hub needs huggingface_hub.", hint="pip install 'hopline[image]'")
    model, revision = revision_of(name)
    with _hub(model):
        commit, files = _listing(model, revision)
        wanted = choose(files)
        if not any(file.name.endswith(".safetensors") for file in wanted):
            other = ", ".join(sorted(f.name for f in files if f.size > _CHUNK_BYTES)[:3])
            raise MissingModel(
                f"{model} has no safetensors at {commit[:12]}{f' (only {other})' if other else ''}.",
                hint="hopline loads nothing else: take another model, or another revision of it (ID@REVISION).",
            )
        total = sum(file.size for file in wanted)
        report(f"{model} at {commit[:12]}: {len(wanted)} of {len(files)} files, {total / 1e6:.0f} MB")
        aside = place.with_name(f".{place.name}.part")
        aside.mkdir(parents=True, exist_ok=True)
        for file in wanted:
            _download(model, commit, file, aside, report)
    digests = {file.name: _checked(aside / file.name, file) for file in wanted}
    check(aside)
    shutil.rmtree(aside / ".cache", ignore_errors=True)  # the hub's notes for going on
    stamp = {"model": model, "revision": revision, "commit": commit, "files": digests}
    (aside / STAMP).write_text(json.dumps(stamp, indent=1), "utf-8")
    aside.rename(place)
    report(f"{name}: ready, {total / 1e6:.0f} MB")
    return place


def choose(files: Sequence[HubFile]) -> list[HubFile]:
    """What a pull takes: safetensors, configurations and vocabularies, each weight once.

    Of a pipeline the parts are taken, not the same weights in one file at the top; where every weight is there in
    half precision too (`fp16`), that is taken: it is half the download, and is computed in whole precision anyway.
    """
    safe = [file for file in files if Path(file.name).suffix in READ and not Path(file.name).name.startswith(".")]
    pipeline = any(file.name == "model_index.json" for file in safe)
    weights = [f for f in safe if ".safetensors" in f.name and not (pipeline and "/" not in f.name)]
    others = [f for f in safe if ".safetensors" not in f.name]
    half = [f for f in weights if ".fp16" in f.name]
    plain = [f for f in weights if not re.search(r"\.(fp16|bf16|fp32|non_ema|ema)\b", f.name)]
    complete = {_part(f) for f in half} == {_part(f) for f in plain}
    return others + (half if half and (complete or not plain) else plain)


def _part(file: HubFile) -> str:
    return str(Path(file.name).parent)


def _listing(model: str, revision: str) -> tuple[str, list[HubFile]]:
    from huggingface_hub import HfApi

    found: ModelInfo = HfApi().model_info(model, revision=revision, files_metadata=True)
    files = [
        HubFile(name=one.rfilename, size=one.size or 0, sha256=one.lfs.sha256 if one.lfs else "")
        for one in found.siblings or ()
    ]
    if not found.sha:
        raise MissingModel(f"the hub names no commit of {model}.")
    outside = next((f.name for f in files if Path(f.name).is_absolute() or ".." in Path(f.name).parts), None)
    if outside is not None:
        raise StoreCorrupt(f"{model} names a file outside its folder: {outside}.")
    return found.sha, files


def _download(model: str, commit: str, file: HubFile, folder: Path, report: Callable[[str], None]) -> None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils.tqdm import tqdm

    told = -1

    class Reporting(tqdm):
        """Tells each tenth of a large file in place of drawing a bar."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **(options | {"disable": True}))  # type: ignore[no-untyped-call]  # of the hub
            self.so_far = int(options.get("initial") or 0)

        def update(self, n: float | None = 1) -> None:
            nonlocal told
            self.so_far += int(n or 0)
            step = 100 * self.so_far // max(1, file.size) // _STEP_PERCENT * _STEP_PERCENT
            if file.size > 20 * _CHUNK_BYTES and step > told:
                told = step
                report(f"{file.name}: {min(step, 100)}% of {file.size / 1e6:.0f} MB")

    hf_hub_download(model, file.name, revision=commit, local_dir=folder, tqdm_class=Reporting)


def _checked(path: Path, file: HubFile) -> str:
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if (file.size and path.stat().st_size != file.size) or (file.sha256 and found != file.sha256):
        path.unlink()
        raise StoreCorrupt(f"{file.name} is not the file that the hub names.", hint="Pull it again.")
    return found


@contextmanager
def _hub(model: str) -> Iterator[None]:
    """What the hub's client raises, as ours."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import constants, errors

    if constants.HF_HUB_OFFLINE:
        raise MissingModel(f"{model} is on the hub, and HF_HUB_OFFLINE forbids to ask it.", hint="Unset it, then pull.")
    endpoint = os.environ.get("HF_ENDPOINT", constants.ENDPOINT)
    try:
        yield
    except (MissingModel, StoreCorrupt):
        raise
    except errors.GatedRepoError:
        raise MissingModel(
            f"{model} asks that its licence be accepted.", hint=f"Accept it at {endpoint}/{model}, then: hf auth login"
        ) from None
    except errors.RepositoryNotFoundError:
        raise MissingModel(f"the hub has no model {model}, or it is private.") from None
    except errors.RevisionNotFoundError:
        raise MissingModel(f"{model} has no such revision.") from None
    except Exception as error:  # the client passes on whatever its transport raises
        text = str(error).strip().splitlines() or [""]
        raise MissingModel(
            f"the hub at {endpoint} did not give {model} ({type(error).__name__}: {text[0][:200]}).",
            hint="Pull again: it goes on where it stopped.",
        ) from None
