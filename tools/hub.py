"""Models of the Hugging Face hub: what they are called, where they lie on this machine, and how they get here.

A backend reads a whole repository at one revision (diffusers, transformers), by its id, or some files of one
(`HubFiles`: a size of Whisper, a voice of Piper). Both come by `fetch`: data only, at one commit, each file checked
against the digest that the hub lists. huggingface_hub asks and downloads; but a file that broke off it begins again,
so what came of it is kept here, and its `http_get` goes on there.
"""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import hashlib
import importlib.util
import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hopline.tools.errors import BadInput, HoplineError, MissingExtra, MissingModel, StoreCorrupt, UnsafeModel
from hopline.tools.home import MEBIBYTE, models_folder
from hopline.tools.weights import CODE, PICKLES, READ, check, digest_of

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Report = Callable[[str], None]
"""Takes one line of progress for people."""

STAMP = ".pulled.json"
"""Beside the files of a pulled repository: its id, its commit, and each file's sha256."""

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_STEP_PERCENT = 5
_TOLD_BYTES = 8 * MEBIBYTE
"""Of a smaller file no steps are told."""


# -- what they are called ----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownModel:
    """A whole repository of the hub that hopline knows by name; `models.toml` lists them.

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
def known() -> Mapping[str, KnownModel]:
    """The repositories of the hub that hopline knows by name."""
    data = tomllib.loads(resources.files("hopline.tools").joinpath("models.toml").read_text("utf-8"))
    return {
        name: KnownModel(name=name, title=entry["title"], licence=entry["licence"], **entry["snapshot"])
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


def size_of(name: str) -> int:
    """About how many bytes a pull of a repository downloads; 0 where nobody knows."""
    model = name.partition("@")[0]
    return known()[model].size if model in known() else 0


def pull_command(name: str) -> str:
    """What brings a repository of the hub, with its size where that is known."""
    size = size_of(name)
    return f"hopline models pull {name}" + (f"  ({size / MEBIBYTE:.0f} MiB)" if size else "")


# -- where they lie ----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class HubFiles:
    """Some files of one repository of the hub, which a backend reads.

    Attributes:
        repository: `Systran/faster-whisper-small`.
        files: patterns of the files that are read (`*.json`); a star matches folders too.
        main: the file whose digest stands for them all. It is brought last: where it is, the others are.
        size_bytes: about how much is downloaded; 0 where nobody knows.
    """

    repository: str
    files: tuple[str, ...]
    main: str
    size_bytes: int = 0

    @property
    def folder(self) -> Path | None:
        """Where they lie; None where they are not on this machine."""
        places = (self.own_folder, *_snapshots(self.repository))
        return next((folder for folder in places if (folder / self.main).is_file()), None)

    @property
    def own_folder(self) -> Path:
        """Where `pull_files` puts them, beside others of the same repository."""
        return models_folder() / "hub" / self.repository.replace("/", "--")

    @property
    def digest(self) -> str:
        """sha256 of the main file; empty where it is not here."""
        folder = self.folder
        return digest_of(folder / self.main) if folder else ""

    def choose(self, listed: Sequence[Listed]) -> list[Listed]:
        """Which files of a repository these are, the main one last; no scripts, no pickles.

        Raises:
            MissingModel: the main one is not among them.
        """
        wanted = [
            file
            for file in listed
            if file.name == self.main
            or (not _hidden_or(CODE | PICKLES, file) and any(fnmatch.fnmatch(file.name, one) for one in self.files))
        ]
        if self.main not in (file.name for file in wanted):
            raise MissingModel(f"the repository {self.repository} of the hub has no file {self.main}.")
        return sorted(wanted, key=lambda file: (file.name == self.main, file.size))


def pulled_folder(name: str) -> Path:
    """Where `pull_repository` puts a repository, there or not."""
    model, revision = revision_of(name)
    return models_folder() / "hub" / f"{model.replace('/', '--')}@{revision.replace('/', '--')}"


def find_folder(name: str) -> Path | None:
    """The folder of a model: itself, pulled, or in the hub's own cache; None where it is nowhere."""
    given = Path(name).expanduser()
    if given.is_dir():
        return given
    if not is_hub_id(name):
        return None
    pulled = pulled_folder(name)
    if pulled.is_dir():
        return pulled
    return next((folder for folder in _snapshots(*revision_of(name)) if any(folder.rglob("*.safetensors"))), None)


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


def _snapshots(repository: str, revision: str = "") -> list[Path]:
    """Folders of a repository in the hub's cache (its layout: huggingface.co/docs, "manage-cache").

    Of the revision; where none is given that of `main`, or all of them where the cache does not know which that is.
    """
    place = _hub_cache() / f"models--{repository.replace('/', '--')}"
    commit = revision or "*"
    with contextlib.suppress(OSError):
        commit = (place / "refs" / (revision or "main")).read_text("utf-8").strip()
    return sorted((place / "snapshots").glob(commit))


def _hub_cache() -> Path:
    """Where the hub's own client keeps what it fetched; asking it would import it."""
    own = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    base = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(own).expanduser() if own else Path(base).expanduser() / "hub"


# -- how they get here -------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A file as the hub lists it.

    Attributes:
        name: with its folders.
        size: bytes.
        sha256: where the hub keeps it as a large file, else empty.
        blob: git's own digest of it.
    """

    name: str
    size: int
    sha256: str = ""
    blob: str = ""


def pull_files(wanted: HubFiles, report: Report = lambda line: None) -> Path:
    """Bring some files of a repository here, or what is still missing of them.

    Args:
        wanted: which.
        report: gets a line for each thing that happens, and for each twentieth of a large file.

    Returns:
        Their folder.

    Raises:
        HoplineError: see `fetch`.
    """
    if wanted.folder is not None:
        report(f"{wanted.repository}: already here")
        return wanted.folder
    fetch(wanted.repository, "main", wanted.choose, wanted.own_folder, report)
    report(f"{wanted.repository}: ready, {wanted.digest[:12]}")
    return wanted.own_folder


def pull_repository(name: str, report: Report = lambda line: None) -> Path:
    """Bring the weights and configurations of a repository here, unless they are.

    Args:
        name: `owner/name`, with `@revision` for another commit than the one hopline knows (or `main`).
        report: gets a line for each thing that happens, and for each twentieth of a large file.

    Returns:
        Their folder, checked and moved in place whole.

    Raises:
        BadInput: that is no id of the hub.
        MissingModel: it has no safetensors.
        UnsafeModel: a configuration in it asks for code.
        HoplineError: see `fetch`.
    """
    if not is_hub_id(name):
        raise BadInput(f"{name!r} is no id of a model on the hub.", hint="Write owner/name.")
    place = pulled_folder(name)
    if place.is_dir():
        report(f"{name}: already here")
        return place
    model, revision = revision_of(name)

    def choose(listed: Sequence[Listed]) -> list[Listed]:
        chosen = choose_safe(listed)
        if not any(file.name.endswith(".safetensors") for file in chosen):
            other = ", ".join(sorted(f.name for f in listed if f.size > MEBIBYTE)[:3])
            raise MissingModel(
                f"{model} has no safetensors{f' (only {other})' if other else ''}.",
                hint="hopline loads nothing else: take another model, or another revision of it (ID@REVISION).",
            )
        return chosen

    aside = place.with_name(f".{place.name}.part")
    commit, files = fetch(model, revision, choose, aside, report)
    names = {file.name for file in files}
    for path in aside.rglob("*"):  # of a pull of another commit that broke off
        if path.is_file() and path.relative_to(aside).as_posix() not in names:
            path.unlink()
    check(aside)
    digests = {file.name: file.sha256 or _sha256(aside / file.name) for file in files}
    stamp = {"model": model, "revision": revision, "commit": commit, "files": digests}
    (aside / STAMP).write_text(json.dumps(stamp, indent=1), "utf-8")
    aside.rename(place)
    report(f"{name}: ready, {sum(file.size for file in files) / MEBIBYTE:.0f} MiB")
    return place


def choose_safe(listed: Sequence[Listed]) -> list[Listed]:
    """What a pull of a repository takes: safetensors, configurations and vocabularies, each weight once.

    Of a pipeline the parts are taken, not the same weights in one file at the top; where every weight is there in
    half precision too (`fp16`), that is taken: it is half the download, and is computed in whole precision anyway.
    """
    safe = [file for file in listed if Path(file.name).suffix in READ and not _hidden_or(CODE | PICKLES, file)]
    pipeline = any(file.name == "model_index.json" for file in safe)
    weights = [f for f in safe if ".safetensors" in f.name and not (pipeline and "/" not in f.name)]
    others = [f for f in safe if ".safetensors" not in f.name]
    half = [f for f in weights if ".fp16" in f.name]
    plain = [f for f in weights if not re.search(r"\.(fp16|bf16|fp32|non_ema|ema)\b", f.name)]
    complete = {_part(f) for f in half} == {_part(f) for f in plain}
    return others + (half if half and (complete or not plain) else plain)


def _part(file: Listed) -> str:
    return str(Path(file.name).parent)


def _hidden_or(endings: frozenset[str], file: Listed) -> bool:
    return Path(file.name).name.startswith(".") or Path(file.name).suffix.lower() in endings


def fetch(
    repository: str,
    revision: str,
    choose: Callable[[Sequence[Listed]], list[Listed]],
    folder: Path,
    report: Report = lambda line: None,
) -> tuple[str, list[Listed]]:
    """Bring files of a repository into a folder, all of one commit.

    Args:
        repository: `owner/name`.
        revision: a branch, tag or commit.
        choose: which of the files listed, in the order in which they are brought.
        folder: files that lie in it already are checked, not brought again.
        report: gets a line for each thing that happens, and for each twentieth of a large file.

    Returns:
        The commit and the files.

    Raises:
        MissingExtra: huggingface_hub is not installed.
        MissingModel: the hub cannot be reached or does not give it; what came so far stays, and the next time goes on
            there.
        StoreCorrupt: a file is not what the hub lists, and is deleted; or a name leads outside the folder.
    """
    with _hub(repository) as api:
        from huggingface_hub import hf_hub_url

        commit, listed = _listing(api, repository, revision)
        files = choose(listed)
        total = sum(file.size for file in files) / MEBIBYTE
        report(f"{repository} at {commit[:12]}: {len(files)} of {len(listed)} files, {total:.0f} MiB")
        for file in files:
            address = hf_hub_url(repository, file.name, revision=commit, endpoint=api.endpoint)
            _bring(address, file, folder / file.name, report)
    return commit, files


def _listing(api: HfApi, repository: str, revision: str) -> tuple[str, list[Listed]]:
    found = api.model_info(repository, revision=revision, files_metadata=True)
    listed = [
        Listed(
            name=one.rfilename,
            size=one.size or 0,
            sha256=one.lfs.sha256 if one.lfs else "",
            blob=one.blob_id or "",
        )
        for one in found.siblings or ()
    ]
    if not found.sha:
        raise MissingModel(f"the hub names no commit of {repository}.")
    outside = next((f.name for f in listed if Path(f.name).is_absolute() or ".." in Path(f.name).parts), None)
    if outside is not None:
        raise StoreCorrupt(f"{repository} names a file outside its folder: {outside}.")
    return found.sha, listed


def _bring(address: str, file: Listed, place: Path, report: Report) -> None:
    if place.is_file() and _is_right(place, file):
        return
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # its own export, by name

    place.parent.mkdir(parents=True, exist_ok=True)
    # Named by its digest, so that half of an older version is never taken for the beginning of a newer one.
    part = place.with_name(f".{place.name}.{(file.sha256 or file.blob)[:12]}.part")
    for older in place.parent.glob(f".{glob.escape(place.name)}.*.part"):
        if older != part:
            older.unlink()
    with part.open("ab") as stream:
        have = stream.tell()
        if 0 < have < file.size:
            report(f"{file.name}: goes on at {have / MEBIBYTE:.0f} of {file.size / MEBIBYTE:.0f} MiB")
        if have < file.size:
            http_get(
                address,
                stream,
                resume_size=have,
                # Where the hub sends on to another host, its client leaves the key behind.
                headers=build_hf_headers(library_name="hopline", headers={"Accept-Encoding": "identity"}),
                expected_size=file.size,
                tqdm_class=_told(file, report),
            )
    if not _is_right(part, file):
        part.unlink()
        raise StoreCorrupt(f"{file.name} is not the file that the hub lists (its digest differs).", hint="Pull again.")
    part.replace(place)


def _told(file: Listed, report: Report) -> Any:
    """A progress bar that draws nothing, and tells each twentieth of a large file."""
    from huggingface_hub.utils.tqdm import tqdm

    class Told(tqdm):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **(options | {"disable": True}))  # type: ignore[no-untyped-call]  # of the hub
            self.so_far, self.step = int(options.get("initial") or 0), -1

        def update(self, n: float | None = 1) -> None:
            self.so_far += int(n or 0)
            step = 100 * self.so_far // max(1, file.size) // _STEP_PERCENT * _STEP_PERCENT
            if file.size > _TOLD_BYTES and step > self.step:
                self.step = step
                report(f"{file.name}: {step}% of {file.size / MEBIBYTE:.0f} MiB")

    return Told


def _is_right(path: Path, file: Listed) -> bool:
    if path.stat().st_size != file.size:
        return False
    if file.sha256:
        return _sha256(path) == file.sha256
    git = hashlib.sha1(b"blob %d\0" % file.size + path.read_bytes(), usedforsecurity=False)
    return not file.blob or git.hexdigest() == file.blob


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _hub(repository: str) -> Iterator[HfApi]:
    """The hub's client; what it raises, as ours."""
    if importlib.util.find_spec("huggingface_hub") is None:
        raise MissingExtra("the hub needs huggingface_hub.", hint="pip install huggingface_hub")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import HfApi, constants, errors

    if constants.HF_HUB_OFFLINE:
        raise MissingModel(
            f"{repository} is on the hub, and HF_HUB_OFFLINE forbids to ask it.", hint="Unset it, then pull."
        )
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT", constants.ENDPOINT).rstrip("/"))
    try:
        yield api
    except HoplineError:
        raise
    except errors.GatedRepoError:
        raise MissingModel(
            f"{repository} asks that its licence be accepted.",
            hint=f"Accept it at {api.endpoint}/{repository}, then: hf auth login",
        ) from None
    except errors.RepositoryNotFoundError:
        raise MissingModel(
            f"the hub has no model {repository}, or it is private.", hint="For a private one set HF_TOKEN."
        ) from None
    except errors.RevisionNotFoundError:
        raise MissingModel(f"{repository} has no such revision.") from None
    except Exception as error:  # the client passes on whatever its transport raises
        text = str(error).strip().splitlines() or [""]
        raise MissingModel(
            f"the hub at {api.endpoint} did not give {repository} ({type(error).__name__}: {text[0][:200]}).",
            hint="Pull again: it goes on where it stopped.",
        ) from None
