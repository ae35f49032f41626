"""Music by a tiny MusicGen, sounds by a tiny Stable Audio and a tiny AudioLDM 2."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hopline.agent import Agent
from hopline.agent.hops.journal import Journal
from hopline.agent.running.profile import Profile
from hopline.tools import Artifact, Call
from hopline.tools.errors import BackendFailed, BadPlan, HopCancelled, InputRefused
from hopline.tools.media import decode_audio
from hopline.tools.registry import installed
from hopline.tools.text_to_audio.diffusers import Diffusers
from hopline.tools.text_to_audio.made import finished
from hopline.tools.text_to_audio.transformers import Transformers

# Stable Audio and AudioLDM 2 are built on what torch and transformers call old.
pytestmark = pytest.mark.filterwarnings("ignore:.*(weight_norm|past_key_values):FutureWarning")

LONG = "how many dogs sits on the red boat in the house of two cats and three dogs one yes"


def asked(text: str = "two red cats", seed: int = 1, **parameters: Any) -> Call:
    return Call(inputs={"text": (Artifact.from_text(text),)}, parameters={"duration_s": 0.3} | parameters, seed=seed)


@pytest.fixture(scope="module")
def musicgen(tiny_musicgen: Path) -> Transformers:
    backend = Transformers(str(tiny_musicgen))
    backend.load()
    return backend


@pytest.fixture(scope="module")
def stable_audio(tiny_stable_audio: Path) -> Diffusers:
    backend = Diffusers(str(tiny_stable_audio))
    with pytest.warns(FutureWarning, match="weight_norm"):
        backend.load()
    return backend


@pytest.fixture(scope="module")
def audioldm2(tiny_audioldm2: Path) -> Diffusers:
    backend = Diffusers(str(tiny_audioldm2))
    backend.load()
    return backend


def test_the_seed_decides_the_music(musicgen: Transformers) -> None:
    first = musicgen.call(asked()).outputs
    assert musicgen.call(asked()).outputs == first
    assert musicgen.call(asked(seed=2)).outputs != first


@pytest.mark.parametrize("kind", ["stable_audio", "audioldm2"])
def test_seed_words_and_steps_decide_the_sound(kind: str, request: pytest.FixtureRequest) -> None:
    backend = request.getfixturevalue(kind)
    first = backend.call(asked(steps=2)).outputs
    assert backend.call(asked(steps=2, seed=2)).outputs != first
    assert backend.call(asked("blue dog", steps=2)).outputs != first
    assert backend.call(asked(steps=3)).outputs != first


def test_audioldm_writes_on_with_the_weights_it_was_published_with(audioldm2: Diffusers, tiny_audioldm2: Path) -> None:
    from safetensors.torch import load_file

    model = audioldm2._pipeline.language_model
    published = load_file(tiny_audioldm2 / "language_model" / "model.safetensors")
    assert published
    assert all(model.transformer.get_parameter(name).equal(weight) for name, weight in published.items())
    assert audioldm2._pipeline.generate_language_model(model.transformer.wte.weight[None, :5]).shape == (1, 8, 16)


def test_audioldm_of_half_precision_alone(audioldm2: Diffusers, tiny_audioldm2: Path, tmp_path: Path) -> None:
    """As `models pull` takes it."""
    folder = shutil.copytree(tiny_audioldm2, tmp_path / "halves")
    for path in list(folder.rglob("*.safetensors")):
        path.rename(path.with_suffix(".fp16.safetensors"))
    halves = Diffusers(str(folder))
    halves.load()
    assert halves.call(asked(steps=1)).outputs == audioldm2.call(asked(steps=1)).outputs


def test_each_encoder_of_audioldm_has_its_window(audioldm2: Diffusers) -> None:
    result = audioldm2.call(asked(LONG, steps=1, negative_prompt=f"no {LONG}"))
    told = [loss.message for loss in result.mechanical_losses]
    assert told == [
        "by the text encoder ClapModel read are 60 of 84 tokens; cut: cats and three dogs one yes",
        "by the text encoder T5EncoderModel read are 12 of 20 tokens; cut: of two cats and three dogs one yes",
        "of the negative prompt by the text encoder ClapModel read are 60 of 87 tokens; "
        "cut: cats and three dogs one yes",
        "of the negative prompt by the text encoder T5EncoderModel read are 12 of 21 tokens; "
        "cut: house of two cats and three dogs one yes",
    ]


def test_a_negative_prompt_is_cut_to_the_length_of_the_prompt(audioldm2: Diffusers) -> None:
    """So AudioLDM 2 has it, for its T5 alone."""
    (loss,) = audioldm2.call(asked("red cats", steps=1, negative_prompt="blue dogs two cats")).mechanical_losses
    assert loss.message.endswith("T5EncoderModel read are 3 of 5 tokens; cut: two cats")


def test_music_of_the_length_that_is_asked(musicgen: Transformers) -> None:
    result = musicgen.call(asked(duration_s=0.37, steps=9))
    samples, rate_hz, _ = decode_audio(result.outputs["audio"][0])
    assert (samples.size, rate_hz) == (2960, 8000)
    assert result.details == {"duration_s": 0.37, "sample_rate_hz": 8000, "guidance": 3.0}
    (loss,) = result.mechanical_losses
    assert (loss.kind, loss.message) == ("ignored", "had no effect, this backend does not take them: steps")


@pytest.mark.parametrize(("kind", "reach_s"), [("musicgen", 1.2), ("stable_audio", 1.024)])
def test_what_a_model_does_not_reach_is_told(kind: str, reach_s: float, request: pytest.FixtureRequest) -> None:
    steps = {} if kind == "musicgen" else {"steps": 2}
    result = request.getfixturevalue(kind).call(asked(LONG, duration_s=2.0, **steps))
    losses = {(loss.kind, loss.unit): loss for loss in result.mechanical_losses}
    words, seconds = losses["truncated", "words"], losses["truncated", "s"]
    assert words.message.endswith("read are 12 of 20 tokens; cut: of two cats and three dogs one yes")
    assert (words.before, words.after) == (19, 11)
    assert (seconds.before, seconds.after) == (2.0, reach_s)
    assert result.details["duration_s"] == pytest.approx(reach_s)
    assert (("downmixed", "channels") in losses) == (kind == "stable_audio")


@pytest.mark.parametrize(("kind", "step"), [("musicgen", "3 of"), ("stable_audio", "step 3 of 8")])
def test_it_stops_where_it_is(kind: str, step: str, request: pytest.FixtureRequest) -> None:
    told: list[str] = []

    def stop(fraction: float, words: str) -> None:
        told.append(words)
        if words.startswith(step):
            raise HopCancelled("enough")

    call = asked(steps=8)
    with pytest.raises(HopCancelled):
        request.getfixturevalue(kind).call(Call(inputs=call.inputs, parameters=call.parameters, progress=stop))
    assert len(told) == 4


@pytest.mark.parametrize("kind", [Transformers, Diffusers])
def test_no_words(kind: type[Transformers] | type[Diffusers]) -> None:
    with pytest.raises(InputRefused, match="no word"):
        kind()._play(asked("...!"))


def test_models_of_another_kind(tiny_blip: Path, tiny_diffusion: Path) -> None:
    with pytest.raises(BadPlan, match="is blip; text_to_audio:transformers plays MusicGen"):
        Transformers(str(tiny_blip)).load()
    with pytest.raises(BadPlan, match="StableDiffusionPipeline, which makes no sound"):
        Diffusers(str(tiny_diffusion)).load()


def test_what_was_made_is_finished() -> None:
    rate_hz = 100
    tone = np.sin(np.arange(200) / 5)
    samples, losses = finished(np.stack([tone, tone]), rate_hz, 1.0)
    assert (samples.shape, samples.dtype, [loss.kind for loss in losses]) == ((100,), np.float32, ["downmixed"])
    samples, losses = finished(3 * tone, rate_hz, 4.0)
    assert [loss.kind for loss in losses] == ["clipped", "truncated"]
    assert np.abs(samples).max() == 1
    assert losses[1].after == 2.0
    for broken in (np.full(9, np.nan), np.zeros(9), np.zeros(0)):
        with pytest.raises(BackendFailed):
            finished(broken, rate_hz, 1.0)


@pytest.mark.crash
def test_music_in_its_worker(tiny_musicgen: Path, home: Path) -> None:
    profile = Profile(name="tiny", backends={"text_to_audio": f"transformers:{tiny_musicgen}"})
    with Agent(registry=installed(), profile=profile, journal=Journal(home)) as agent:
        run = agent.run("two red cats", chain="text_to_audio(duration_s=0.2)", seed=3)
        assert run.status == "ok", run.record.error
        again = agent.run("two red cats", chain="text_to_audio(duration_s=0.2)", seed=3, use_cache=False)
        assert again.hops[0].outputs == run.hops[0].outputs
