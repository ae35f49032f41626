"""Folders of models: what is refused before anything reads it, and how a digest is known."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from hopline.agent import Agent
from hopline.agent.hops.journal import Journal
from hopline.agent.running.profile import Profile
from hopline.tools.errors import MissingModel, UnsafeModel
from hopline.tools.home import home
from hopline.tools.hub import folder_of, known, pull_command, revision_of
from hopline.tools.pretrained import Pretrained
from hopline.tools.registry import installed
from hopline.tools.text_to_image.diffusers import Diffusers
from hopline.tools.weights import check, digest, digest_of


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.system, (f"touch '{self.canary}'",)


def edited(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")


UNET = "unet/diffusion_pytorch_model"
CODE = "import pathlib\npathlib.Path({canary!r}).touch()\nclass Evil: pass\n"


def poison(folder: Path, how: str, canary: Path) -> None:
    """Make a good folder one that would run something."""
    code = CODE.format(canary=str(canary))
    if how == "a pickle in place of weights":
        (folder / f"{UNET}.safetensors").unlink()
        (folder / f"{UNET}.bin").write_bytes(pickle.dumps(Touch(canary)))
    elif how == "a pickle beside the weights":
        (folder / "text_encoder" / "pytorch_model.bin").write_bytes(pickle.dumps(Touch(canary)))
    elif how == "a checkpoint":
        (folder / "model.CKPT").write_bytes(pickle.dumps(Touch(canary)))
    elif how == "an index of pickles":
        # Under a name that is no pickle's, and that only the index knows.
        (folder / "unet" / "weights.dat").write_bytes(pickle.dumps(Touch(canary)))
        index = {"metadata": {}, "weight_map": {"conv_in.weight": "weights.dat"}}
        (folder / f"{UNET}.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    elif how == "an index that leaves the folder":
        index = {"metadata": {}, "weight_map": {"conv_in.weight": "../../else.safetensors"}}
        (folder / f"{UNET}.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    elif how == "a pipeline of its own":
        (folder / "pipeline.py").write_text(code, "utf-8")
        edited(folder / "model_index.json", _class_name=["pipeline", "Evil"])
    elif how == "a script in a hidden folder":
        (folder / ".hidden").mkdir()
        (folder / ".hidden" / "modeling.py").write_text(code, "utf-8")
    elif how == "a part from elsewhere":
        edited(folder / "model_index.json", scheduler=["os", "system"])
    elif how == "a part that is no name":
        edited(folder / "model_index.json", scheduler=["diffusers", "utils.import_utils"])
    elif how == "remote code":
        edited(folder / "text_encoder" / "config.json", auto_map={"AutoModel": "owner/evil--modeling.Evil"})
    elif how == "compiled code":
        edited(folder / "text_encoder" / "config.json", _attn_implementation="owner/kernels")
    elif how == "no JSON":
        (folder / "unet" / "config.json").write_text("{", "utf-8")


HOWS = {
    "a pickle in place of weights": "diffusion_pytorch_model.bin",
    "a pickle beside the weights": "pytorch_model.bin",
    "a checkpoint": "model.CKPT",
    "an index of pickles": "weights.dat",
    "an index that leaves the folder": "else.safetensors",
    "a pipeline of its own": "pipeline.py",
    "a script in a hidden folder": "modeling.py",
    "a part from elsewhere": "os.system",
    "a part that is no name": "utils.import_utils",
    "remote code": "auto_map",
    "compiled code": "owner/kernels",
    "no JSON": "unet/config.json",
}


def test_the_poison_works(tmp_path: Path) -> None:
    """What the tests below look for would be seen."""
    canary = tmp_path / "canary"
    pickle.loads(pickle.dumps(Touch(canary)))
    assert canary.exists()
    canary.unlink()
    exec(CODE.format(canary=str(canary)))
    assert canary.exists()


@pytest.fixture
def folder(tiny_diffusion: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_diffusion, tmp_path / "model")


@pytest.mark.parametrize("how", HOWS)
def test_poison_is_refused(folder: Path, tmp_path: Path, how: str) -> None:
    check(folder)
    poison(folder, how, tmp_path / "canary")
    with pytest.raises(UnsafeModel) as refused:
        Diffusers(str(folder)).load()
    assert HOWS[how] in str(refused.value)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    "kind", [kind for entry in entry_points(group="hopline.backends") if issubclass(kind := entry.load(), Pretrained)]
)
def test_every_backend_refuses_it(folder: Path, tmp_path: Path, kind: type[Pretrained]) -> None:
    poison(folder, "remote code", tmp_path / "canary")
    poison(folder, "a script in a hidden folder", tmp_path / "canary")
    with pytest.raises(UnsafeModel):
        kind(str(folder)).load()
    assert not (tmp_path / "canary").exists()


@pytest.mark.crash
def test_poison_is_refused_in_the_worker_too(folder: Path, tmp_path: Path, home: Path) -> None:
    canary = tmp_path / "canary"
    with Agent(registry=installed(), profile=Profile(name="poisoned"), journal=Journal(home)) as agent:
        reasons = []
        for how in ("a pickle in place of weights", "a pipeline of its own", "a part from elsewhere", "remote code"):
            poisoned = shutil.copytree(folder, tmp_path / how.replace(" ", "-"))
            poison(poisoned, how, canary)
            (hop,) = agent.run("a cat", chain=f"text_to_image:diffusers:{poisoned}").hops
            reasons.append((hop.status, hop.error and hop.error.reason))
    assert reasons == [("failed", "unsafe_model")] * 4
    assert not canary.exists()


def test_parts_of_diffusers_own_pipelines_are_fine(folder: Path) -> None:
    edited(folder / "model_index.json", safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"])
    check(folder)


def test_words_of_a_vocabulary_are_not_settings(folder: Path) -> None:
    (folder / "tokenizer" / "vocab.json").write_text('{"auto_map": 1, "custom_pipeline": 2}', "utf-8")
    check(folder)


def test_a_folder_without_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", "utf-8")
    with pytest.raises(MissingModel, match="holds no safetensors"):
        folder_of(str(tmp_path))


def test_models_that_are_not_here() -> None:
    with pytest.raises(MissingModel, match=r"hopline models pull stabilityai/sd-turbo  \(\d{4} MiB\)"):
        folder_of("stabilityai/sd-turbo")
    with pytest.raises(MissingModel, match=r"hopline models pull someone/own@v2$"):
        folder_of("someone/own@v2")
    with pytest.raises(MissingModel, match="there is no folder /nowhere/at/all"):
        folder_of("/nowhere/at/all")


def test_what_is_known_is_pinned() -> None:
    for name, model in known().items():
        assert revision_of(name) == (name, model.revision)
        assert len(model.revision) == 40
        assert model.size > 10**8
        assert model.licence
    assert revision_of("stabilityai/sd-turbo@main") == ("stabilityai/sd-turbo", "main")
    assert revision_of("someone/own") == ("someone/own", "main")
    assert pull_command("someone/own") == "hopline models pull someone/own"


# -- digests -----------------------------------------------------------------------------------


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were hashed."""
    names: list[str] = []
    real = hashlib.file_digest

    def counting(stream: Any, algorithm: str) -> Any:
        names.append(Path(stream.name).name)
        return real(stream, algorithm)

    monkeypatch.setattr("hopline.tools.weights.hashlib.file_digest", counting)
    return names


def test_a_file_is_hashed_once(folder: Path, hashed: list[str]) -> None:
    first = digest(folder)
    count = len(hashed)
    assert count == sum(1 for path in folder.rglob("*") if path.is_file())
    assert digest(folder) == first
    assert len(hashed) == count
    edited(folder / "scheduler" / "scheduler_config.json", beta_start=0.001)
    assert digest(folder) != first
    assert hashed[count:] == ["scheduler_config.json"]


def test_digests_that_were_remembered_badly(tmp_path: Path) -> None:
    """A file that changes while its size stays, and a memory that does not read."""
    file = tmp_path / "weights"
    for data in (b"one", b"two"):
        file.write_bytes(data)
        os.utime(file, ns=(data[0], data[0]))
        assert digest_of(file) == hashlib.sha256(data).hexdigest()
    (home() / "digests.json").write_text("not JSON")
    assert digest_of(file) == hashlib.sha256(b"two").hexdigest()


def test_a_moved_folder_is_the_same_model(folder: Path, tmp_path: Path) -> None:
    assert digest(shutil.copytree(folder, tmp_path / "moved")) == digest(folder)


def test_the_cache_of_the_hub_is_read_and_not_hashed(folder: Path, models: Path, hashed: list[str]) -> None:
    """As the hub's client lays it out: names that point to blobs, large ones named by their sha256."""
    place = models / "cache" / "hub" / "models--someone--own"
    commit = "0" * 40
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(commit, "utf-8")
    (place / "blobs").mkdir()
    expected = digest(folder)
    try:
        for path in folder.rglob("*"):
            if path.is_file():
                blob = place / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
                shutil.copy(path, blob)
                link = place / "snapshots" / commit / path.relative_to(folder)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(blob)
        hashed.clear()
        found = folder_of("someone/own")
        assert found == place / "snapshots" / commit
        assert digest(found) == expected
        assert hashed == []
        assert folder_of(f"someone/own@{commit}") == found
        (found / "model.bin").write_bytes(b"")
        with pytest.raises(UnsafeModel, match="Get its safe files with: hopline models pull someone/own"):
            folder_of("someone/own")
    finally:
        shutil.rmtree(models / "cache")
