"""Music by a tiny MusicGen, sounds by a tiny Stable Audio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hopline.agent import Agent
from hopline.agent.hops.journal import Journal
from hopline.agent.running.profile import Profile
from hopline.tools import Artifact, Call
from hopline.tools.conformance import check_backend
from hopline.tools.declarations import STANDARD_TOOLS
from hopline.tools.errors import BackendFailed, BadPlan, HopCancelled, InputRefused
from hopline.tools.media import decode_audio
from hopline.tools.registry import installed
from hopline.tools.text_to_audio.diffusers import Diffusers
from hopline.tools.text_to_audio.made import finished
from hopline.tools.text_to_audio.transformers import Transformers

# The layers of Stable Audio are built on what torch calls old.
pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")

TOOL = next(tool for tool in STANDARD_TOOLS if tool.name == "text_to_audio")
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


def test_musicgen_conforms(tiny_musicgen: Path) -> None:
    assert check_backend(Transformers(str(tiny_musicgen)), TOOL, [asked(duration_s=0.2)]) == []


def test_stable_audio_conforms(tiny_stable_audio: Path) -> None:
    assert check_backend(Diffusers(str(tiny_stable_audio)), TOOL, [asked(steps=2)]) == []


def test_the_seed_decides_the_music(musicgen: Transformers) -> None:
    first = musicgen.call(asked()).outputs
    assert musicgen.call(asked()).outputs == first
    assert musicgen.call(asked(seed=2)).outputs != first


def test_seed_words_and_steps_decide_the_sound(stable_audio: Diffusers) -> None:
    first = stable_audio.call(asked(steps=2)).outputs
    assert stable_audio.call(asked(steps=2, seed=2)).outputs != first
    assert stable_audio.call(asked("blue dog", steps=2)).outputs != first
    assert stable_audio.call(asked(steps=3)).outputs != first


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
