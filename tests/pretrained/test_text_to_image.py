"""`text_to_image:diffusers` with a tiny pipeline of the real classes, alone and in its worker."""

from __future__ import annotations

import inspect
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
from hopline.agent import Agent
from hopline.agent.hops.journal import Journal
from hopline.agent.running.events import Event
from hopline.agent.running.profile import Profile
from hopline.tools import Artifact, Call, Result
from hopline.tools.diffusion import cut_at_windows
from hopline.tools.errors import BackendFailed, HopCancelled, InputRefused
from hopline.tools.media import decode_image
from hopline.tools.registry import installed
from hopline.tools.text_to_image.diffusers import GOOD, Diffusers

FAST: dict[str, Any] = {"size": 64, "steps": 2}
LONG = "a red cat sits on a blue boat and looks at the green house behind the trees and two dogs and the green cats"
"""More letters than CLIP reads; the tokenizer of the tiny model gives each a token."""


def drawing(text: str = "a red cat", seed: int = 1, **parameters: Any) -> Call:
    return Call(inputs={"text": (Artifact.from_text(text),)}, parameters=FAST | parameters, seed=seed)


@pytest.fixture(scope="module")
def backend(tiny_diffusion: Path) -> Diffusers:
    made = Diffusers(str(tiny_diffusion))
    made.load()
    return made


@pytest.fixture(scope="module")
def flux(tiny_flux: Path) -> Diffusers:
    made = Diffusers(str(tiny_flux))
    made.load()
    return made


@pytest.fixture(scope="module")
def agent(tiny_diffusion: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """One worker for all tests that want one."""
    profile = Profile(name="tiny", backends={"text_to_image": f"diffusers:{tiny_diffusion}"})
    with Agent(registry=installed(), profile=profile, journal=Journal(tmp_path_factory.mktemp("home"))) as made:
        yield made


def pixels(result: Result) -> Any:
    return decode_image(result.outputs["image"][0])[0]


# -- the backend -------------------------------------------------------------------------------


def test_seed_and_words_decide_the_picture(backend: Diffusers) -> None:
    first = backend.call(drawing()).outputs["image"][0].id
    assert backend.call(drawing()).outputs["image"][0].id == first
    assert backend.call(drawing(seed=2)).outputs["image"][0].id != first
    assert backend.call(drawing("two blue dogs")).outputs["image"][0].id != first
    assert backend.call(drawing(steps=3)).outputs["image"][0].id != first
    assert backend.call(drawing(guidance=1.5)).outputs["image"][0].id != first


def test_what_is_asked_is_drawn(backend: Diffusers) -> None:
    result = backend.call(drawing(size=64, height=96, steps=3, guidance=2.0, negative_prompt="trees"))
    assert pixels(result).shape == (96, 64, 3)
    assert result.details == {
        "width": 64,
        "height": 96,
        "steps": 3,
        "guidance": 2.0,
        "pipeline": "StableDiffusionPipeline",
    }
    assert result.mechanical_losses == ()
    assert not np.array_equal(pixels(result), pixels(backend.call(drawing(height=96, steps=3, guidance=2.0))))


def test_its_own_size_where_none_is_asked(backend: Diffusers) -> None:
    call = Call(inputs={"text": (Artifact.from_text("a cat"),)}, parameters={"steps": 1})
    assert pixels(backend.call(call)).shape == (64, 64, 3)


def test_a_size_that_cannot_be_drawn_is_told(backend: Diffusers) -> None:
    result = backend.call(drawing(width=70, height=100))
    assert pixels(result).shape == (104, 72, 3)
    (loss,) = result.mechanical_losses
    assert (loss.kind, loss.before, loss.after, loss.unit) == ("resized", 7000, 72 * 104, "pixels")
    assert "asked for 70 x 100 pixels, drawn 72 x 104" in loss.message


def test_words_beyond_the_window_are_told_and_have_no_effect(backend: Diffusers) -> None:
    result = backend.call(drawing(LONG))
    (loss,) = result.mechanical_losses
    kept = int(loss.after or 0)
    words = LONG.split()
    assert (loss.kind, loss.before, loss.unit) == ("truncated", len(words), "words")
    assert loss.message.startswith("by the text encoder CLIPTextModel read are 77 of")
    assert loss.message.endswith(f"cut: {' '.join(words[kept:])}")
    # The first cut word is read in part at most: what follows it changes nothing.
    assert result.outputs == backend.call(drawing(" ".join(words[: kept + 2]))).outputs
    assert result.outputs != backend.call(drawing(" ".join(words[: kept - 1]))).outputs


def test_each_of_two_encoders_has_its_window(tiny_sdxl: Path) -> None:
    backend = Diffusers(str(tiny_sdxl))
    backend.load()
    result = backend.call(drawing(LONG))
    first, second = result.mechanical_losses
    assert first.message.startswith("by the text encoder CLIPTextModel read are 77 of")
    assert second.message == first.message.replace("CLIPTextModel", "CLIPTextModelWithProjection")
    kept = int(first.after or 0)
    assert result.outputs == backend.call(drawing(" ".join(LONG.split()[: kept + 2]))).outputs
    assert result.outputs != backend.call(drawing(" ".join(LONG.split()[: kept - 1]))).outputs


def test_flux_reads_as_far_as_t5_does(flux: Diffusers) -> None:
    (gist,) = flux.call(drawing(LONG)).mechanical_losses
    assert gist.message.startswith("by the text encoder CLIPTextModel read are 77 of")
    words = ["red", "blue"] * 130
    result = flux.call(drawing(" ".join(words)))
    _, cut = result.mechanical_losses
    assert cut.message == "by the text encoder T5EncoderModel read are 256 of 261 tokens; cut: blue red blue red blue"
    assert (cut.before, cut.after) == (260, 255)
    assert result.outputs == flux.call(drawing(" ".join(words[:255]))).outputs
    assert result.outputs != flux.call(drawing(" ".join(words[:250]))).outputs
    ignored = flux.call(drawing(guidance=2.0, negative_prompt="trees")).mechanical_losses
    assert [loss.message for loss in ignored] == ["had no effect, with guidance of 1 it is not read: negative_prompt"]


@pytest.mark.parametrize(
    ("kind", "part", "window"),
    [
        ("IFPipeline", "tokenizer", 77),
        ("HunyuanDiTPipeline", "tokenizer_2", 256),
        ("Kandinsky3Pipeline", "tokenizer", 128),
        ("KandinskyV22CombinedPipeline", "prior_tokenizer", 77),
    ],
)
def test_windows_of_other_pipelines(flux: Diffusers, kind: str, part: str, window: int) -> None:
    """What the pipeline alone knows, or a tokenizer of another name."""
    import diffusers

    real: Any = getattr(diffusers, kind)
    assert part in inspect.signature(real.__init__).parameters
    tokenizer = flux._pipeline.tokenizer if part == "prior_tokenizer" else flux._pipeline.tokenizer_2
    pipeline = type(kind, (SimpleNamespace,), {"__call__": real.__call__})(components={part: tokenizer})
    (loss,) = cut_at_windows(pipeline, {"prompt": "red blue " * 200})
    assert f"read are {window} of" in loss.message


def test_a_negative_prompt_has_its_window_too(backend: Diffusers) -> None:
    (loss,) = backend.call(drawing(guidance=2.0, negative_prompt=LONG)).mechanical_losses
    assert loss.message.startswith("of the negative prompt by the text encoder")


def test_a_negative_prompt_without_guidance_is_told(backend: Diffusers) -> None:
    result = backend.call(drawing(guidance=0.0, negative_prompt="trees"))
    (loss,) = result.mechanical_losses
    assert (loss.kind, loss.message) == (
        "ignored",
        "had no effect, with guidance of 0 it is not read: negative_prompt",
    )
    assert result.outputs == backend.call(drawing(guidance=0.0)).outputs


def test_every_step_is_told_and_can_be_the_last(backend: Diffusers) -> None:
    told: list[str] = []

    def stop_at_two(fraction: float, words: str) -> None:
        told.append(words)
        if words.startswith("step 2"):
            raise HopCancelled("enough")

    call = drawing(steps=5)
    with pytest.raises(HopCancelled):
        backend.call(Call(inputs=call.inputs, parameters=call.parameters, progress=stop_at_two))
    assert told == ["reading the prompt", "step 1 of 5", "step 2 of 5"]
    assert pixels(backend.call(drawing())).any(), "it draws again after that"


@pytest.mark.parametrize(("value", "said"), [(float("nan"), "no numbers"), (-50.0, "all black")])
def test_a_picture_that_failed_is_an_error(tiny_diffusion: Path, value: float, said: str) -> None:
    """As half precision does it: the decoder's last layer gives no numbers, or less than black."""
    import torch

    broken = Diffusers(str(tiny_diffusion))
    broken.load()
    with torch.no_grad():
        broken._pipeline.vae.decoder.conv_out.bias.fill_(value)
    with pytest.raises(BackendFailed, match=said):
        broken.call(drawing())


@pytest.mark.parametrize("text", ["", "  \n", "...!!!"])
def test_nothing_to_draw_is_refused(backend: Diffusers, text: str) -> None:
    with pytest.raises(InputRefused, match="no word"):
        backend.call(drawing(text))


def test_changed_weights_are_loaded_again_and_known_by_another_digest(tiny_diffusion: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    folder = tmp_path / "model"
    shutil.copytree(tiny_diffusion, folder)
    backend = Diffusers(str(folder))
    backend.load()
    before, first = backend.identity(), backend.call(drawing())
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({name: tensor * 1.5 for name, tensor in load_file(weights).items()}, weights, metadata={"format": "pt"})
    after, second = backend.identity(), backend.call(drawing())
    assert before["weights"] != after["weights"]
    assert first.outputs != second.outputs
    assert (before["device"], before["dtype"]) == ("cpu", "float32")


def test_the_table_of_distilled_models() -> None:
    for model in ("", "stabilityai/sdxl-turbo", "black-forest-labs/FLUX.1-schnell", "/models/sd-turbo"):
        assert Diffusers(model)._good["guidance_scale"] == 0.0
    assert Diffusers("someone/else")._good == {}
    assert set(GOOD) == {"sd-turbo", "sdxl-turbo", "flux.1-schnell"}


# -- in its worker -----------------------------------------------------------------------------


def run(agent: Agent, request: str = "a red cat", steps: int = 2, **options: Any) -> Any:
    return agent.run(request, chain=f"text_to_image(size=64, steps={steps})", **options)


def test_a_run_is_written_down(agent: Agent, tiny_diffusion: Path) -> None:
    made = run(agent, LONG, seed=4)
    assert made.record.error is None, made.record.error
    (hop,) = made.hops
    assert (made.status, hop.backend) == ("ok", f"text_to_image:diffusers:{tiny_diffusion}")
    assert hop.parameters == FAST
    assert [loss.kind for loss in hop.mechanical_losses] == ["truncated"]
    assert hop.identity == Diffusers(str(tiny_diffusion)).identity()
    again = run(agent, LONG, seed=4, use_cache=False)
    assert again.hops[0].outputs == hop.outputs
    assert again.hops[0].cached_from is None


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files, ours alone, that workers use too."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield folder
    tempfile.tempdir = None


@pytest.mark.crash
def test_a_diffusion_stops_within_two_seconds(scratch: Path, home: Path, tiny_diffusion: Path) -> None:
    steps_reached = threading.Event()

    def watch(event: Event) -> None:
        if event.kind == "hop_progress" and event.words.startswith("step"):
            steps_reached.set()

    profile = Profile(name="tiny", backends={"text_to_image": f"diffusers:{tiny_diffusion}"})
    with Agent(registry=installed(), profile=profile, journal=Journal(home)) as agent:
        chain = "text_to_image(size=256, steps=500)"
        started = agent.start("a red cat", chain=chain, on_event=watch)
        assert steps_reached.wait(120)
        (worker,) = agent.runner.workers.pids()
        began = time.monotonic()
        started.run.cancel()
        made = started.wait(30)
        took_s = time.monotonic() - began
        assert took_s < 2
        (hop,) = made.hops
        assert (made.status, hop.status, hop.error and hop.error.reason) == ("cancelled", "cancelled", "cancelled")
        assert agent.runner.workers.pids() in ([], [worker]), "gone, or idle: it stopped between two steps"
    assert not psutil.pid_exists(worker)
    assert list(scratch.iterdir()) == []
    assert not any(path.suffix == ".png" for path in (home / "artifacts").rglob("*"))


@pytest.mark.crash
def test_its_time_limit(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    from hopline.tools.home import limits

    run(agent, "it is warm now")
    monkeypatch.setenv("HOPLINE_HOP_TIMEOUT_S", "1")
    limits.cache_clear()
    made = agent.run("a red cat", chain="text_to_image(size=256, steps=500)")
    limits.cache_clear()
    (hop,) = made.hops
    assert (made.status, hop.error and hop.error.reason) == ("failed", "timeout")


def test_twenty_diffusions_take_no_more_memory_than_ten(agent: Agent) -> None:
    resident: list[int] = []
    for seed in range(20):
        assert run(agent, seed=seed, use_cache=False).status == "ok"
        (worker,) = agent.runner.workers.pids()
        resident.append(psutil.Process(worker).memory_info().rss)
    assert resident[-1] <= 1.05 * resident[9], [round(rss / 2**20) for rss in resident]


def test_a_model_that_is_not_here_names_the_command(home: Path) -> None:
    with Agent(registry=installed(), profile=Profile(name="none"), journal=Journal(home)) as agent:
        (hop,) = agent.run("a cat", chain="text_to_image:diffusers").hops
    assert hop.error is not None
    assert hop.error.reason == "missing_model"
    assert "hopline models pull stabilityai/sd-turbo" in hop.error.message
