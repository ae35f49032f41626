"""Models of the hub: found where they lie; pulled from a server that speaks its API, cut, gone on with, checked."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hopline.tools import models
from hopline.tools.errors import BadInput, MissingExtra, MissingModel, StoreCorrupt, UnsafeModel
from hopline.tools.fakes.hub import COMMIT, HubServer
from hopline.tools.home import MEBIBYTE, models_folder
from hopline.tools.hub import STAMP, HubFiles, Listed, choose_safe, find_folder, pull_files, pull_repository

WEIGHTS = bytes(range(256)) * 40 * 1024
"""10 MiB, so that the steps of a download are told."""

VOICE = HubFiles(repository="some/voice", files=("*.json", "vocabulary.*", "*.bin", "*.py"), main="model.bin")
MODEL = "some/model"
PULLS: dict[str, Callable[[Callable[[str], None]], Path]] = {
    "files": lambda report: pull_files(VOICE, report),
    "repository": lambda report: pull_repository(MODEL, report),
}
MAIN = {"files": "model.bin", "repository": "unet/model.safetensors"}
SILENT: Callable[[str], None] = lambda line: None  # noqa: E731  # one word for all tests
both = pytest.mark.parametrize("kind", PULLS)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub on loopback with a voice and a pipeline, and an empty models folder and cache."""
    from huggingface_hub import close_session, constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", MEBIBYTE)
    monkeypatch.setattr("huggingface_hub.file_download.time", SimpleNamespace(sleep=lambda seconds: None))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOPLINE_MODELS", str(tmp_path / "models"))
    unwanted = {"modeling_x.py": b"raise SystemExit", "pytorch_model.bin": b"pickle" * 300, ".gitattributes": b"*"}
    voice = write(
        tmp_path / "served" / "voice",
        unwanted | {"config.json": b"{}", "model.bin": WEIGHTS, "vocabulary.txt": b"a\nb", "README.md": b"A voice."},
    )
    index = {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}
    pipeline = write(
        tmp_path / "served" / "model",
        unwanted
        | {
            "model_index.json": json.dumps(index).encode(),
            "unet/config.json": b"{}",
            "unet/model.safetensors": WEIGHTS,
            "unet/model.bin": WEIGHTS,
            "all_in_one.safetensors": WEIGHTS,
        },
    )
    pickled = write(tmp_path / "served" / "pickled", {"config.json": b"{}", "pytorch_model.bin": WEIGHTS})
    served = {"some/voice": voice, MODEL: pipeline, "some/pickled": pickled, "some/gated": voice}
    with HubServer(served, gated=("some/gated",)) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
    close_session()


def left() -> list[str]:
    """What lies below the folder of pulled models."""
    folder = models_folder() / "hub"
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def fetched(hub: HubServer) -> list[tuple[str, str]]:
    """Names of the files that were asked for, and the ranges."""
    return [(path.split(f"/resolve/{COMMIT}/")[1], span) for path, span in hub.asked if "/resolve/" in path]


# -- pulling -----------------------------------------------------------------------------------


def test_files_data_alone_and_the_main_one_last(hub: HubServer) -> None:
    lines: list[str] = []
    folder = pull_files(VOICE, lines.append)
    assert [name for name, _ in fetched(hub)] == ["config.json", "vocabulary.txt", "model.bin"], "of one commit"
    assert left() == [f"some--voice/{name}" for name in ("config.json", "model.bin", "vocabulary.txt")]
    assert (folder / "model.bin").read_bytes() == WEIGHTS
    assert (VOICE.folder, VOICE.digest) == (folder, hashlib.sha256(WEIGHTS).hexdigest())
    assert lines[0] == f"some/voice at {COMMIT[:12]}: 3 of 7 files, 10 MiB"
    assert "model.bin: 50% of 10 MiB" in lines
    assert lines[-1] == f"some/voice: ready, {VOICE.digest[:12]}"
    hub.asked.clear()
    pull_files(VOICE, lines.append)
    assert lines[-1] == "some/voice: already here"
    assert hub.asked == []


def test_a_repository_what_is_safe_and_each_weight_once(hub: HubServer) -> None:
    lines: list[str] = []
    place = pull_repository(MODEL, lines.append)
    assert place == find_folder(MODEL) == models_folder() / "hub" / "some--model@main"
    names = ["model_index.json", "unet/config.json", "unet/model.safetensors"]
    assert left() == [f"some--model@main/{name}" for name in (STAMP, *names)]
    assert sorted(name for name, _ in fetched(hub)) == names
    stamp = json.loads((place / STAMP).read_text("utf-8"))
    assert (stamp["model"], stamp["revision"], stamp["commit"]) == (MODEL, "main", COMMIT)
    assert stamp["files"] == {name: hashlib.sha256((place / name).read_bytes()).hexdigest() for name in names}
    assert lines[0] == f"{MODEL} at {COMMIT[:12]}: 3 of 8 files, 10 MiB"
    assert "unet/model.safetensors: 50% of 10 MiB" in lines
    assert lines[-1] == f"{MODEL}: ready, 10 MiB"
    hub.asked.clear()
    pull_repository(MODEL, lines.append)
    assert lines[-1] == f"{MODEL}: already here"
    assert hub.asked == []


@both
def test_a_pull_that_was_ended_goes_on_where_it_stopped(hub: HubServer, kind: str) -> None:
    def interrupt(line: str) -> None:
        if ": 50%" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PULLS[kind](interrupt)
    assert VOICE.folder is None, "half of it is not it"
    assert find_folder(MODEL) is None
    (part,) = (models_folder() / "hub").rglob(".model.*.part")
    came = part.stat().st_size
    assert came >= 4 * MEBIBYTE
    hub.asked.clear()
    lines: list[str] = []
    folder = PULLS[kind](lines.append)
    assert fetched(hub) == [(MAIN[kind], f"bytes={came}-")], "what is here is not asked for again"
    assert f"{MAIN[kind]}: goes on at {came // MEBIBYTE} of 10 MiB" in lines
    assert (folder / MAIN[kind]).read_bytes() == WEIGHTS
    assert not [name for name in left() if ".part" in name]


@both
def test_a_connection_that_breaks_is_taken_up_again_at_once(hub: HubServer, kind: str) -> None:
    hub.cut_after[MAIN[kind]] = [3 * MEBIBYTE, 3 * MEBIBYTE]
    assert (PULLS[kind](SILENT) / MAIN[kind]).read_bytes() == WEIGHTS
    spans = [span for name, span in fetched(hub) if name == MAIN[kind]]
    assert spans == ["", f"bytes={3 * MEBIBYTE}-", f"bytes={6 * MEBIBYTE}-"]


@both
def test_a_hub_that_goes_away_is_an_error_and_what_came_stays(hub: HubServer, kind: str) -> None:
    hub.cut_after[MAIN[kind]] = [3 * MEBIBYTE, *[0] * 100]
    with pytest.raises(MissingModel, match="Pull again: it goes on where it stopped"):
        PULLS[kind](SILENT)
    hub.cut_after.clear()
    hub.asked.clear()
    PULLS[kind](SILENT)
    assert fetched(hub) == [(MAIN[kind], f"bytes={3 * MEBIBYTE}-")]


@both
@pytest.mark.parametrize("main", [True, False], ids=["large", "small"])
def test_a_file_that_is_not_what_is_listed_is_refused(hub: HubServer, kind: str, main: bool) -> None:
    name = MAIN[kind] if main else {"files": "config.json", "repository": "unet/config.json"}[kind]
    hub.spoiled = (name,)
    with pytest.raises(StoreCorrupt, match=f"{name} is not the file that the hub lists"):
        PULLS[kind](SILENT)
    assert VOICE.folder is None
    assert find_folder(MODEL) is None
    assert not [path for path in left() if Path(name).name in path]
    hub.spoiled = ()
    hub.asked.clear()
    PULLS[kind](SILENT)
    assert name in [asked for asked, _ in fetched(hub)]


@both
def test_nothing_of_an_older_version_is_taken_for_the_new_one(hub: HubServer, kind: str) -> None:
    """One file whole and half of another; then the branch moves on, to files as long as those."""
    repository = hub.models[{"files": "some/voice", "repository": MODEL}[kind]]
    small = {"files": "config.json", "repository": "unet/config.json"}[kind]

    def interrupt(line: str) -> None:
        if ": 50%" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PULLS[kind](interrupt)
    write(repository, {small: b"[]", MAIN[kind]: WEIGHTS[::-1]})
    folder = PULLS[kind](SILENT)
    assert not [name for name in left() if ".part" in name], "nor kept beside it"
    assert (folder / small).read_bytes() == b"[]"
    assert (folder / MAIN[kind]).read_bytes() == WEIGHTS[::-1]


# -- what cannot be had ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("some/pickled", r"some/pickled has no safetensors \(only pytorch_model.bin\)"),
        ("some/gated", "some/gated asks that its licence be accepted"),
        ("some/nothing", "no model some/nothing, or it is private. For a private one set HF_TOKEN"),
    ],
)
def test_what_the_hub_does_not_give(hub: HubServer, name: str, said: str) -> None:
    with pytest.raises(MissingModel, match=said) as caught:
        pull_repository(name)
    assert caught.value.exit_code == 3
    assert left() == []


@both
def test_a_hub_that_fails_or_is_not_there(hub: HubServer, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.status = 503
    with pytest.raises(MissingModel, match=rf"{hub.url} did not give some/\w+ \(.*503"):
        PULLS[kind](SILENT)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(MissingModel, match=r"the hub at http://127\.0\.0\.1:9 did not give"):
        PULLS[kind](SILENT)


@both
def test_offline_means_offline(hub: HubServer, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MissingModel, match="HF_HUB_OFFLINE forbids"):
        PULLS[kind](SILENT)
    assert hub.asked == []


@both
def test_without_the_hubs_client(hub: HubServer, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "huggingface_hub" else real(name, *rest)
    )
    with pytest.raises(MissingExtra, match="pip install huggingface_hub"):
        PULLS[kind](SILENT)


@both
def test_a_name_that_leads_outside_is_refused(hub: HubServer, kind: str) -> None:
    hub.outside = ("../up.json",)
    with pytest.raises(StoreCorrupt, match=r"names a file outside its folder: \.\./up\.json"):
        PULLS[kind](SILENT)
    assert left() == []


def test_a_repository_without_the_main_file(hub: HubServer) -> None:
    with pytest.raises(MissingModel, match=r"some/voice of the hub has no file model\.onnx"):
        pull_files(HubFiles(repository="some/voice", files=("*.json",), main="model.onnx"))


def test_a_configuration_that_asks_for_code(hub: HubServer) -> None:
    write(hub.models[MODEL], {"unet/config.json": b'{"auto_map": {"AutoModel": "modeling_x.X"}}'})
    with pytest.raises(UnsafeModel, match="asks for code of its own"):
        pull_repository(MODEL)
    assert find_folder(MODEL) is None


def test_what_is_no_id() -> None:
    with pytest.raises(BadInput, match="is no id of a model on the hub"):
        pull_repository("https://elsewhere/x")


@both
def test_a_key_goes_to_the_hub_alone(hub: HubServer, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    hub.sends_on = True
    assert (PULLS[kind](SILENT) / MAIN[kind]).read_bytes() == WEIGHTS
    assert {key for _, key in hub.keys} == {"Bearer secret"}
    assert any("/elsewhere/" in path for path, _ in hub.asked)
    assert not [path for path, _ in hub.keys if "/elsewhere/" in path]


# -- where they lie ----------------------------------------------------------------------------


def test_the_cache_of_the_hub_is_used(hub: HubServer, tmp_path: Path) -> None:
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    place = tmp_path / "cache" / "hub" / "models--some--voice"
    write(place, {f"blobs/{digest}": b"never hashed: its name is its digest"})
    (place / "snapshots" / "abc").mkdir(parents=True)
    (place / "snapshots" / "abc" / "model.bin").symlink_to(place / "blobs" / digest)
    assert VOICE.folder == place / "snapshots" / "abc", "the only one there is"
    write(place, {"refs/main": b"def", "snapshots/def/model.bin": b""})
    assert VOICE.folder == place / "snapshots" / "def"
    write(place, {"refs/main": b"abc"})
    assert (VOICE.folder, VOICE.digest) == (place / "snapshots" / "abc", digest)
    pull_files(VOICE)
    assert hub.asked == []


def test_a_model_of_the_manifest_comes_from_the_hub_and_leaves_others_alone(hub: HubServer) -> None:
    """Where its wheel is gone. Voices share one repository, hence one folder."""
    other = write(models_folder() / "hub" / "some--voice", {"de/other.onnx": b"a voice pulled before"})
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    source: dict[str, Any] = {"kind": "hub", "repository": "some/voice", "revision": "v1"}
    model = models.Model(
        name="some/voice/joe",
        title="Joe",
        licence="MIT",
        folder="joe",
        files=(models.ModelFile(name="joe.onnx", size=len(WEIGHTS), sha256=digest),),
        sources=(source | {"members": {"joe.onnx": "model.bin"}},),
    )
    hub.cut_after["model.bin"] = [3 * MEBIBYTE, *[0] * 100]
    with pytest.raises(MissingModel, match="it goes on where it stopped"):
        models.pull(model)
    hub.cut_after.clear()
    hub.asked.clear()
    assert (models.pull(model) / "joe.onnx").read_bytes() == WEIGHTS
    assert hub.asked[0][0] == "/api/models/some/voice/revision/v1"
    assert fetched(hub) == [("model.bin", f"bytes={3 * MEBIBYTE}-")]
    assert (other / "de" / "other.onnx").is_file()
    assert sorted(path.name for path in models_folder().iterdir()) == ["hub", "joe"]


def names(*files: str) -> list[str]:
    return [file.name for file in choose_safe([Listed(name=name, size=1) for name in files])]


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
