"""`text_to_audio:transformers[:model]`: MusicGen, by hub id or folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hopline.tools.backend import Call, Result, ignored
from hopline.tools.errors import BadPlan, InputRefused
from hopline.tools.media import encode_wav
from hopline.tools.pretrained import Pretrained, cut_words, device, load_model
from hopline.tools.text_to_audio.made import finished

LONGEST_S = 30.0
"""What MusicGen was trained on; its positions would reach somewhat further, its music does not."""

_GUIDANCE = 3.0
_DEFAULT_S = 5.0
_NO_LIMIT = 1_000_000


class Transformers(Pretrained):
    """Makes music with MusicGen.

    The same seed gives the same music. Details: `duration_s`, `sample_rate_hz`, `guidance`. Losses: `truncated` for
    words that the text encoder did not read and for seconds that the model does not reach; `downmixed`; `ignored`
    for parameters that it has no use for.
    """

    tool = "text_to_audio"
    name = "transformers"
    seeded = True
    packages = ("torch", "transformers", "accelerate", "safetensors")
    default_model = "facebook/musicgen-small"

    def open(self, folder: Path) -> None:
        from transformers import AutoConfig, AutoTokenizer, MusicgenForConditionalGeneration

        local = {"local_files_only": True, "trust_remote_code": False}
        config = AutoConfig.from_pretrained(folder, **local)
        if config.model_type != "musicgen":
            raise BadPlan(f"{self.model_name} is {config.model_type}; text_to_audio:transformers plays MusicGen.")
        self._tokenizer = AutoTokenizer.from_pretrained(folder, **local)
        self._model, self._untrained = load_model(MusicgenForConditionalGeneration, folder, self.dtype)

    def work(self, calls: Sequence[Call]) -> list[Result]:
        return [self._play(call) for call in calls]

    def _play(self, call: Call) -> Result:
        text = call.one("text").text
        if not any(character.isalnum() for character in text):
            raise InputRefused("there is no word in the text to make a sound of.")
        losses = ignored(call, "steps", "negative_prompt")
        window = int(self._tokenizer.model_max_length)
        read, cut = cut_words(text, self._tokenizer, window) if window < _NO_LIMIT else (text, None)
        losses += [cut] if cut else []
        wanted_s = float(call.parameters.get("duration_s", _DEFAULT_S))
        decoder, codec = self._model.config.decoder, self._model.config.audio_encoder
        rate_hz, frame_rate = int(codec.sampling_rate), float(codec.frame_rate)
        # Each codebook lags a frame behind the one before it.
        lag = int(decoder.num_codebooks)
        reach_s = min(wanted_s, LONGEST_S, (decoder.max_position_embeddings - lag) / frame_rate)
        guidance = float(call.parameters.get("guidance", _GUIDANCE))
        sound = self._generate(call, read, math.ceil(reach_s * frame_rate) + lag, guidance)
        samples, changed = finished(sound[:, : round(reach_s * rate_hz)], rate_hz, wanted_s)
        details = {"duration_s": samples.size / rate_hz, "sample_rate_hz": rate_hz, "guidance": guidance}
        if self._untrained:
            details |= {"flags": ["untrained_weights"], "untrained_weights": self._untrained}
        return Result(
            outputs={"audio": (encode_wav(samples, rate_hz),)},
            details=details,
            mechanical_losses=(*losses, *changed),
        )

    def _generate(self, call: Call, text: str, frames: int, guidance: float) -> Any:
        """Samples, shape (channels, n)."""
        import torch

        played = 0

        def watching(ids: Any, scores: Any, **_: Any) -> Any:
            nonlocal played
            played += 1
            call.progress(min(0.95, 0.95 * played / frames), f"{played} of {frames} frames")
            return torch.zeros(ids.shape[0], dtype=torch.bool, device=ids.device)

        call.progress(0.0, "reading the text")
        inputs = self._tokenizer([text], return_tensors="pt").to(device())
        with torch.random.fork_rng(), torch.inference_mode():
            torch.manual_seed(call.seed)
            made = self._model.generate(
                **inputs,
                do_sample=True,
                guidance_scale=guidance if guidance > 1 else None,
                max_new_tokens=frames,
                stopping_criteria=[watching],
            )
        return made[0].float().cpu().numpy()
