"""`text_to_audio:diffusers[:model]`: AudioLDM 2, MusicLDM, Stable Audio and any audio pipeline of diffusers."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hopline.tools.backend import Call, Result
from hopline.tools.diffusion import asked, cut_at_windows, defaults, open_pipeline, variant_of, watched
from hopline.tools.errors import BackendFailed, BadPlan, InputRefused
from hopline.tools.media import encode_wav
from hopline.tools.pretrained import Pretrained, generator, load_model
from hopline.tools.text_to_audio.made import finished

_LENGTHS = ("audio_length_in_s", "audio_end_in_s", "audio_duration", "duration")
"""What pipelines call the seconds to make."""

_DEFAULT_S = 5.0


class Diffusers(Pretrained):
    """Makes sounds and music with a diffusion model.

    The same seed gives the same sound. Details: `duration_s`, `sample_rate_hz`, `steps`, `guidance` (null where the
    pipeline's default was left), `pipeline`, its class. Losses: `truncated` for words that a text encoder did not
    read and for seconds that were not made; `downmixed`, `clipped`; `ignored` for parameters that the pipeline does
    not take.
    """

    tool = "text_to_audio"
    name = "diffusers"
    seeded = True
    packages = ("torch", "diffusers", "transformers", "accelerate", "safetensors")
    default_model = "cvssp/audioldm2"

    def open(self, folder: Path) -> None:
        from diffusers import DiffusionPipeline

        self._pipeline = open_pipeline(DiffusionPipeline, folder, self.dtype, **_language_model(folder, self.dtype))
        self._length = next((name for name in _LENGTHS if name in defaults(self._pipeline)), "")
        if not self._length:
            kind = type(self._pipeline).__name__
            raise BadPlan(f"{self.model_name} is a {kind}, which makes no sound of a length.")

    def work(self, calls: Sequence[Call]) -> list[Result]:
        return [self._play(call) for call in calls]

    def _play(self, call: Call) -> Result:
        text = call.one("text").text
        if not any(character.isalnum() for character in text):
            raise InputRefused("there is no word in the text to make a sound of.")
        pipeline = self._pipeline
        arguments, losses = asked(call, pipeline, {})
        arguments["prompt"] = text
        losses += cut_at_windows(pipeline, arguments)
        wanted_s = float(call.parameters.get("duration_s", _DEFAULT_S))
        rate_hz = self._rate_hz()
        length = {self._length: min(wanted_s, self._reach_s(rate_hz))}
        with watched(pipeline, call):
            made = pipeline(**arguments, **length, generator=generator(call.seed), output_type="np")
        samples, changed = finished(made.audios[0], rate_hz, wanted_s)
        details = {
            "duration_s": samples.size / rate_hz,
            "sample_rate_hz": rate_hz,
            "steps": arguments.get("num_inference_steps"),
            "guidance": arguments.get("guidance_scale"),
            "pipeline": type(pipeline).__name__,
        }
        return Result(
            outputs={"audio": (encode_wav(samples, rate_hz),)},
            details=details,
            mechanical_losses=(*losses, *changed),
        )

    def _reach_s(self, rate_hz: int) -> float:
        """Seconds that a transformer's positions reach; without one there is no end."""
        transformer, vae = (getattr(self._pipeline, part, None) for part in ("transformer", "vae"))
        size = getattr(getattr(transformer, "config", None), "sample_size", None)
        hop = getattr(vae, "hop_length", None)
        return size * hop / rate_hz if isinstance(size, int) and isinstance(hop, int | float) else math.inf

    def _rate_hz(self) -> int:
        """Pipelines decode with a vocoder that knows its rate, or with the autoencoder itself."""
        for part in ("vocoder", "vae"):
            config: Any = getattr(getattr(self._pipeline, part, None), "config", None)
            rate = getattr(config, "sampling_rate", None)
            if rate:
                return int(rate)
        raise BackendFailed(f"{self.model_name} does not say the rate of its samples.")


def _language_model(folder: Path, dtype: str) -> dict[str, Any]:
    """The GPT-2 of AudioLDM 2, whose published folders name a class that cannot write (diffusers issue 12630).

    How far it writes is in its configuration, from where transformers 5 drops it.
    """
    _, kind = json.loads((folder / "model_index.json").read_text("utf-8")).get("language_model") or (None, "")
    if not str(kind).startswith("GPT2"):
        return {}
    from transformers import GPT2LMHeadModel

    place = folder / "language_model"
    model, _ = load_model(GPT2LMHeadModel, place, dtype, variant_of(folder, place.name))
    model.config.max_new_tokens = json.loads((place / "config.json").read_text("utf-8")).get("max_new_tokens", 8)
    return {"language_model": model}
