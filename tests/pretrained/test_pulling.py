"""`hopline models pull OWNER/NAME` against a server that speaks the hub's API."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hopline.tools.fakes.hub import COMMIT, HubServer
from hopline.tools.home import MEBIBYTE
from hopline.tools.hub import STAMP, HubFile, choose
from hopline.tools.weights import digest


@pytest.fixture
def hub(tiny_diffusion: Path, tmp_path: Path, models: Path) -> Iterator[HubServer]:
    """A hub with a tiny pipeline and, as hubs have them, scripts, pickles and the same weights twice."""
    folder = shutil.copytree(tiny_diffusion, tmp_path / "repository")
    (folder / "pipeline.py").write_text("raise SystemExit", "utf-8")
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"pickle" * 10)
    shutil.copy(folder / "unet" / "diffusion_pytorch_model.safetensors", folder / "all_in_one.safetensors")
    (folder / "README.md").write_text("A model.", "utf-8")
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "pytorch_model.bin").write_bytes(b"pickle" * 200_000)
    (pickled / "config.json").write_text("{}", "utf-8")
    served = {"tiny/diffusion": folder, "tiny/pickled": pickled, "tiny/gated": folder}
    with HubServer(served, gated=("tiny/gated",)) as server:
        yield server
    shutil.rmtree(models / "hub", ignore_errors=True)


def pull(hub: HubServer, *names: str, code: int = 0, offline: str = "0") -> str:
    command = [sys.executable, "-P", "-c", "from hopline.agent.faces.cli import main; main()", "models", "pull", *names]
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": offline}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert done.returncode == code, done.stderr + done.stdout
    return " ".join((done.stderr + done.stdout).split())


def test_a_pull_takes_what_is_safe_at_one_commit(hub: HubServer, models: Path, tiny_diffusion: Path) -> None:
    said = pull(hub, "tiny/diffusion")
    assert "tiny/diffusion at c0ffee000000: 10 of 14 files, 4 MB" in said
    assert "tiny/diffusion: ready" in said
    place = models / "hub" / "tiny--diffusion@main"
    kept = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
    assert kept == {p.relative_to(tiny_diffusion).as_posix() for p in tiny_diffusion.rglob("*") if p.is_file()} | {
        STAMP
    }
    stamp = json.loads((place / STAMP).read_text("utf-8"))
    assert (stamp["model"], stamp["revision"], stamp["commit"]) == ("tiny/diffusion", "main", COMMIT)
    assert digest(place) == digest(tiny_diffusion)
    files = [path for path, _ in hub.asked if "/resolve/" in path]
    assert all(f"/resolve/{COMMIT}/" in path for path in files), "never what a branch points to meanwhile"
    assert not any(path.endswith((".py", ".bin", ".md", "all_in_one.safetensors")) for path in files)
    asked = len(hub.asked)
    assert "already here" in pull(hub, "tiny/diffusion")
    assert len(hub.asked) == asked


def test_a_pull_that_broke_off_goes_on(hub: HubServer, models: Path, tmp_path: Path) -> None:
    """The hub's client keeps what it has in pieces of 10 MiB, and asks for the rest."""
    folder = tmp_path / "large"
    folder.mkdir()
    (folder / "config.json").write_text("{}", "utf-8")
    (folder / "model.safetensors").write_bytes(os.urandom(24 * MEBIBYTE))
    hub.models = {"tiny/large": folder}
    hub.cut_after = {"model.safetensors": 22 * MEBIBYTE}
    said = pull(hub, "tiny/large")
    assert [span for _, span in hub.asked if span] == [f"bytes={20 * MEBIBYTE}-"]
    assert "model.safetensors: 40% of 25 MB" in said
    place = models / "hub" / "tiny--large@main"
    assert (place / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    assert not list((models / "hub").glob(".*"))


def test_a_changed_file_is_refused_and_nothing_is_moved_in_place(hub: HubServer, models: Path) -> None:
    hub.spoiled = ("vae/diffusion_pytorch_model.safetensors",)
    said = pull(hub, "tiny/diffusion", code=1)
    assert "vae/diffusion_pytorch_model.safetensors is not the file that the hub names" in said
    assert not (models / "hub" / "tiny--diffusion@main").exists()
    hub.spoiled = ()
    pull(hub, "tiny/diffusion")
    fetched = [path for path, _ in hub.asked if path.endswith("unet/diffusion_pytorch_model.safetensors")]
    assert len(fetched) <= 3, "what was there is not fetched again"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tiny/pickled", "tiny/pickled has no safetensors at c0ffee000000 (only pytorch_model.bin)"),
        ("tiny/gated", "tiny/gated asks that its licence be accepted"),
        ("tiny/nothing", "the hub has no model tiny/nothing"),
    ],
)
def test_what_cannot_be_had(hub: HubServer, models: Path, name: str, said: str) -> None:
    assert said in pull(hub, name, code=3)
    assert not (models / "hub").exists() or list((models / "hub").iterdir()) == []


def test_nobody_is_asked_where_the_hub_is_forbidden(hub: HubServer) -> None:
    assert "HF_HUB_OFFLINE forbids" in pull(hub, "tiny/diffusion", code=3, offline="1")
    assert hub.asked == []


def test_no_hub_there(hub: HubServer) -> None:
    hub.http.shutdown()
    hub.http.server_close()
    assert "did not give tiny/diffusion" in pull(hub, "tiny/diffusion", code=3)


def names(*files: str) -> list[str]:
    return [file.name for file in choose([HubFile(name=name, size=1) for name in files])]


def test_which_files() -> None:
    assert names("model.safetensors", "pytorch_model.bin", "config.json", "a.py", ".gitattributes") == [
        "config.json",
        "model.safetensors",
    ]
    pipeline = ["model_index.json", "unet/m.safetensors", "vae/m.safetensors", "whole.safetensors"]
    assert names(*pipeline) == ["model_index.json", "unet/m.safetensors", "vae/m.safetensors"]
    halves = ["unet/m.fp16.safetensors", "vae/m.fp16.safetensors"]
    assert names(*pipeline, *halves) == ["model_index.json", *halves]
    assert names(*pipeline, halves[0]) == ["model_index.json", "unet/m.safetensors", "vae/m.safetensors"]
    assert names("model_index.json", *halves) == ["model_index.json", *halves]
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert names(*shards, "model.safetensors.index.json") == [*shards, "model.safetensors.index.json"]
