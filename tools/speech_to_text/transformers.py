"""`speech_to_text:transformers[:model]`: wav2vec 2.0 and other CTC models, by hub id or folder.

They share nothing with Whisper: no weights, no training data to speak of, no language model that completes a
sentence. That makes them a second, independent reader of speech for measurement.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hopline.tools.artifact import Artifact
from hopline.tools.backend import Call, Result, ignored
from hopline.tools.errors import BadPlan, InputRefused
from hopline.tools.media import decode_audio
from hopline.tools.pretrained import Pretrained, device, load_model

WINDOW_S = 20.0
"""Heard at once."""

CONTEXT_S = 3.0
"""On each side of what is written down, so that no word is cut at the edge of a window."""

_SHORTEST_S = 0.1


class Transformers(Pretrained):
    """Writes down speech letter by letter.

    Outputs text as the model spells it, mostly in capitals and without punctuation. Details: `duration_s`, `words`
    (`[word, start_s, end_s]`), `flags`: `no_speech` with an empty result, `untrained_weights` as in `Looking`. Losses:
    those of decoding (`resampled`, `downmixed`, …).
    """

    tool = "speech_to_text"
    name = "transformers"
    packages = ("torch", "transformers", "accelerate", "safetensors", "av")
    default_model = "facebook/wav2vec2-base-960h"

    def open(self, folder: Path) -> None:
        from transformers import AutoConfig, AutoFeatureExtractor, AutoModelForCTC, AutoTokenizer

        local = {"local_files_only": True, "trust_remote_code": False}
        config = AutoConfig.from_pretrained(folder, **local)
        if not str((config.architectures or [""])[0]).endswith("ForCTC"):
            raise BadPlan(
                f"{self.model_name} is {config.model_type}, not a CTC model.",
                hint="For Whisper take speech_to_text:faster-whisper.",
            )
        self._hears: Any = AutoFeatureExtractor.from_pretrained(folder, **local)
        self._letters: Any = AutoTokenizer.from_pretrained(folder, **local)
        self._model, self._untrained = load_model(AutoModelForCTC, folder, self.dtype)

    def work(self, calls: Sequence[Call]) -> list[Result]:
        return [self._write_down(call) for call in calls]

    def _write_down(self, call: Call) -> Result:
        import torch

        language = str(call.parameters.get("language", "en"))
        if self.model_name == self.default_model and language not in ("en", "auto"):
            raise InputRefused(f"this model knows English only, not {language!r}.")
        losses = [] if language in ("en", "auto") else ignored(call, "language", why="the model has one language")
        rate_hz = int(self._hears.sampling_rate)
        samples, _, changed = decode_audio(call.one("audio"), rate_hz)
        duration_s = samples.size / rate_hz
        if duration_s < _SHORTEST_S:
            raise InputRefused(f"the recording of {duration_s:.2f} s is too short for words.")
        # Loudness is evened out over the whole recording, as for one that is heard in one piece.
        values = self._hears(samples, sampling_rate=rate_hz, return_tensors="pt")["input_values"]
        ratio = int(self._model.config.inputs_to_logits_ratio)
        written = []
        for start, end, first, last in _windows(samples.size, rate_hz, ratio):
            with torch.inference_mode():
                heard = values[:, start:end].to(device(), self._model.dtype)
                letters = self._model(heard).logits[0].argmax(-1).cpu()
            written.append(letters[first:last] if last else letters[first:])
            call.progress(end / samples.size, f"{end / rate_hz:.0f} of {duration_s:.0f} s heard")
        ids = torch.cat(written)
        # Marks of the tokenizer that are no letters; the blank stays, which tells double letters apart.
        marks = (self._letters.bos_token_id, self._letters.eos_token_id, self._letters.unk_token_id)
        ids[torch.isin(ids, torch.tensor([mark for mark in marks if mark is not None]))] = self._letters.pad_token_id
        read = self._letters.decode(ids, output_word_offsets=True)
        frame_s = ratio / rate_hz
        words = [
            [one["word"], round(one["start_offset"] * frame_s, 2), round(one["end_offset"] * frame_s, 2)]
            for one in read.word_offsets
        ]
        text = read.text.strip()
        flags = [] if text else ["no_speech"]
        details: dict[str, Any] = {"duration_s": round(duration_s, 3), "words": words, "flags": flags}
        if self._untrained:
            flags.append("untrained_weights")
            details["untrained_weights"] = self._untrained
        return Result(
            outputs={"text": (Artifact.from_text(text),)},
            details=details,
            mechanical_losses=(*losses, *changed),
        )


def _windows(size: int, rate_hz: int, ratio: int) -> list[tuple[int, int, int, int]]:
    """Beginnings and ends in samples, and the first and last letter kept of each (0 for all to the end)."""
    window = round(WINDOW_S * rate_hz) // ratio * ratio
    context = round(CONTEXT_S * rate_hz) // ratio * ratio
    if size <= window:
        return [(0, size, 0, 0)]
    step = window - 2 * context
    found = []
    start = 0
    while True:
        end = start + window
        # What is left would be context alone: it is heard with this window.
        if end + context >= size:
            found.append((start, size, context // ratio if start else 0, 0))
            return found
        found.append((start, end, context // ratio if start else 0, (window - context) // ratio))
        start += step
