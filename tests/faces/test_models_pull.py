"""`hopline models pull` of whole profiles and of single models, against a server that speaks the hub's API."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hopline.agent.faces.cli import installing
from hopline.agent.running.profile import load_profile
from hopline.agent.running.readiness import backends_of
from hopline.tools import models as manifest_models
from hopline.tools.chat.sizes import size_bytes
from hopline.tools.errors import StoreCorrupt
from hopline.tools.fakes.hub import COMMIT, HubServer
from hopline.tools.hub import STAMP, known
from hopline.tools.models import Model
from hopline.tools.registry import installed

CLIP = "tokenizer/merges.txt tokenizer/special_tokens_map.json tokenizer/tokenizer_config.json tokenizer/vocab.json"
BERT = "config.json model.safetensors preprocessor_config.json special_tokens_map.json tokenizer.json vocab.txt"
PIPELINE = "model_index.json scheduler/scheduler_config.json text_encoder/config.json unet/config.json vae/config.json"
HALF = "text_encoder/model unet/diffusion_pytorch_model vae/diffusion_pytorch_model"

TAKEN = {
    "stabilityai/sd-turbo": f"{PIPELINE} {CLIP} " + " ".join(f"{part}.fp16.safetensors" for part in HALF.split()),
    "stabilityai/sdxl-turbo": f"{PIPELINE} {CLIP} text_encoder_2/config.json text_encoder_2/model.fp16.safetensors "
    + " ".join(f"{part}.fp16.safetensors" for part in HALF.split()),
    "Salesforce/blip-image-captioning-large": BERT,
    "Salesforce/blip-vqa-base": BERT,
    "facebook/musicgen-small": "config.json generation_config.json model.safetensors spiece.model tokenizer.json",
    "mobiuslabsgmbh/faster-whisper-large-v3-turbo": "config.json model.bin preprocessor_config.json tokenizer.json "
    "vocabulary.json",
}
"""What is read of each repository, as its publisher names the files."""

LEFT = {
    "stabilityai/sd-turbo": "README.md LICENSE.md .gitattributes output_tile.jpg sd_turbo.safetensors "
    + " ".join(f"{part}.safetensors" for part in HALF.split()),
    "stabilityai/sdxl-turbo": "README.md sd_xl_turbo_1.0.safetensors sd_xl_turbo_1.0_fp16.safetensors unet/model.onnx "
    "text_encoder_2/model.safetensors " + " ".join(f"{part}.safetensors" for part in HALF.split()),
    "Salesforce/blip-image-captioning-large": "README.md pytorch_model.bin tf_model.h5",
    "Salesforce/blip-vqa-base": "README.md pytorch_model.bin tf_model.h5",
    "facebook/musicgen-small": "README.md pytorch_model.bin state_dict.bin compression_state_dict.bin",
    "mobiuslabsgmbh/faster-whisper-large-v3-turbo": "README.md .gitattributes",
}
"""What lies beside it and nothing here reads."""

SEEN = {"efficientnet-lite0", "openmoji", "sentence-transformers/all-MiniLM-L6-v2"}
JOE, TINY_EN = "rhasspy/piper-voices/en_US-joe-medium", "Systran/faster-whisper-tiny.en"
QWEN = "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF"
BLIPS = {"Salesforce/blip-image-captioning-large", "Salesforce/blip-vqa-base"}
WANTED: dict[str, tuple[set[str], set[str], list[str]]] = {
    "cpu-small": (
        {*SEEN, JOE, TINY_EN, "Systran/faster-whisper-base", QWEN},
        {"stabilityai/sd-turbo", *BLIPS},
        [],
    ),
    "gpu": (
        {*SEEN, JOE, TINY_EN, QWEN},
        {
            "stabilityai/sdxl-turbo",
            "facebook/musicgen-small",
            "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
            *BLIPS,
        },
        [],
    ),
    "local": ({*SEEN, JOE, TINY_EN}, set(), ["llama3.2-vision", "qwen2.5"]),
    "offline": ({*SEEN, JOE, TINY_EN}, set(), []),
}
"""By profile: models of the manifest, repositories of the hub, models of Ollama."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub with every repository that a profile names, of tiny files, and an empty models folder and cache."""
    from huggingface_hub import close_session, constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOPLINE_MODELS", str(tmp_path / "models"))
    for model, taken in TAKEN.items():
        for name in [*taken.split(), *LEFT[model].split()]:
            file = tmp_path / "served" / model / name
            file.parent.mkdir(parents=True, exist_ok=True)
            about = '{"_class_name": "StableDiffusionPipeline"}' if name == "model_index.json" else "{}"
            file.write_text(about if name.endswith(".json") else f"{model} {name}", "utf-8")
    with HubServer({model: tmp_path / "served" / model for model in TAKEN}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
    close_session()


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what was pulled from wheels and by Ollama; nothing is, and nothing is learnt from it."""
    names: list[str] = []

    def pull(model: Model, report: object) -> None:
        names.append(model.name)

    monkeypatch.setattr(manifest_models, "pull", pull)
    monkeypatch.setattr("hopline.tools.chat.pulling.pull_by_ollama", lambda name, report: names.append(name))
    monkeypatch.setattr("hopline.agent.planning.typed.prepare", lambda registry: None)
    return names


def fetched(hub: HubServer) -> list[str]:
    """The files that were asked for, `OWNER/NAME/FILE`."""
    return [path.replace(f"/resolve/{COMMIT}", "")[1:] for path, _ in hub.asked if "/resolve/" in path]


def files_of(*models: str) -> list[str]:
    return sorted(f"{model}/{name}" for model in models for name in TAKEN[model].split())


@pytest.mark.parametrize("name", WANTED)
def test_a_profile_brings_what_its_backends_read_and_no_more(
    name: str, hub: HubServer, others: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_manifest, of_hub, by_ollama = WANTED[name]
    sizes = [manifest_models.find(one).download_size for one in of_manifest]
    sizes += [known()[one].size if one in known() else 1_622_000_000 for one in of_hub]
    sizes += [size_bytes(one) for one in by_ollama]
    assert installing._download(f"hopline models pull {name}") == sum(sizes), "as doctor says"
    installing.pull([name])
    said = " ".join(capsys.readouterr().err.split())
    assert sorted(others) == sorted([*of_manifest, *by_ollama])
    assert sorted(fetched(hub)) == files_of(*of_hub)
    for model in of_hub:
        kept = tmp_path / "models" / "hub" / model.replace("/", "--")
        if model in known():
            kept = kept.with_name(f"{kept.name}@{known()[model].revision}")
            assert (f"/api/models/{model}/revision/{known()[model].revision}", "") in hub.asked
        there = {path.relative_to(kept).as_posix() for path in kept.rglob("*") if path.is_file()}
        assert there - {STAMP} == set(TAKEN[model].split())
        assert f"{model} at {COMMIT[:12]}: {len(TAKEN[model].split())} of " in said
    assert f"{len(sizes)} models to download, {sum(sizes) / 1e6:.0f} MB in all" in said
    profile = load_profile(name)
    for backend in backends_of(installed(), profile):
        assert set(backend.models) <= of_manifest | set(profile.large_models)
        if backend.tool in profile.backends and not backend.asks_server:
            assert backend.missing() == (), "nothing of the hub is missing now"
    hub.asked.clear()
    installing.pull([name])
    assert hub.asked == []


def test_a_profile_that_broke_off_goes_on(hub: HubServer, others: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    bad = "vae/diffusion_pytorch_model.fp16.safetensors"
    hub.spoiled = (bad,)
    with pytest.raises(StoreCorrupt, match=f"{bad} is not the file that the hub lists"):
        installing.pull(["cpu-small"])
    hub.spoiled = ()
    installing.pull(["cpu-small"])
    every = [*files_of("stabilityai/sd-turbo", *BLIPS), f"stabilityai/sd-turbo/{bad}"]
    assert sorted(fetched(hub)) == sorted(every), "each once, the bad one twice"


def test_single_names(hub: HubServer, others: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Models, backends with and without one, and the hub's own ids; each once."""
    blip = "Salesforce/blip-image-captioning-large"
    installing.pull(
        ["openmoji", "text_to_speech:piper", "image_captioning:transformers", blip, "image_ocr:ollama", "ollama:x"],
        json_=True,
    )
    assert sorted(others) == ["llama3.2-vision", "openmoji", JOE, "x"]
    assert sorted(fetched(hub)) == files_of(blip)
    assert '"models": ["openmoji", ' in capsys.readouterr().out


# -- the command itself ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code", "said", "offline"),
    [
        ("Salesforce/blip-vqa-base@v1", 0, "Salesforce/blip-vqa-base@v1: ready", "0"),
        ("some/nothing", 3, "the hub has no model some/nothing", "0"),
        ("Salesforce/blip-vqa-base", 3, "HF_HUB_OFFLINE forbids", "1"),
        ("nothing", 2, "no model is called 'nothing'", "0"),
    ],
)
def test_how_the_command_ends(hub: HubServer, name: str, code: int, said: str, offline: str) -> None:
    command = [sys.executable, "-P", "-c", "from hopline.agent.faces.cli import main; main()", "models", "pull", name]
    environment = os.environ | {"HF_HUB_OFFLINE": offline}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert done.returncode == code, done.stderr + done.stdout
    assert said in " ".join((done.stderr + done.stdout).split())
    assert bool(hub.asked) == (offline == "0" and "/" in name)
