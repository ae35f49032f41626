"""`audio_classification:transformers[:model]`: AST, wav2vec 2.0 and other classifiers of sound, by hub id or folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hopline.tools.artifact import Artifact
from hopline.tools.backend import Call, Result
from hopline.tools.media import decode_audio
from hopline.tools.pretrained import Pretrained, device, load_model

_FRAME_S = 0.01
"""Between two spectra of the models that see spectrograms."""

_WINDOW_S = 30.0
"""Heard at once by models that set no limit of their own."""

_SHORTEST_S = 0.5
"""A last window shorter than that is heard with the one before; a recording that is, with silence after it."""

_WORTH_NAMING = 0.25
"""Share of the best score that another label needs to be named in the text."""

_DEFAULT_MOST = 5
_SHOWN_A_WINDOW = 3


class Transformers(Pretrained):
    """Names the sounds in a recording.

    The whole recording is heard, window by window; a label's score is its highest. The text holds the best label and
    those that come near it. Details: `labels`, the best with their scores in [0, 1]; `windows`, start and end in
    seconds and the best labels of each; `duration_s`. Losses: those of decoding (`resampled`, `downmixed`, …). Flag
    `untrained_weights` as in `Looking`.
    """

    tool = "audio_classification"
    name = "transformers"
    packages = ("torch", "transformers", "accelerate", "safetensors", "av")
    default_model = "MIT/ast-finetuned-audioset-10-10-0.4593"

    def open(self, folder: Path) -> None:
        from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

        self._hears: Any = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        self._model, self._untrained = load_model(AutoModelForAudioClassification, folder, self.dtype)

    def work(self, calls: Sequence[Call]) -> list[Result]:
        return [self._name(call) for call in calls]

    def _name(self, call: Call) -> Result:
        rate_hz = int(self._hears.sampling_rate)
        samples, _, losses = decode_audio(call.one("audio"), rate_hz)
        duration_s = samples.size / rate_hz
        most = int(call.parameters.get("most", _DEFAULT_MOST))
        names = self._model.config.id2label
        best: dict[str, float] = {}
        windows: list[list[Any]] = []
        for start, end in _windows(samples.size, round(self._window_s * rate_hz), round(_SHORTEST_S * rate_hz)):
            scores = self._scores(samples[start:end], rate_hz)
            ranked = sorted(((names[place], score) for place, score in enumerate(scores)), key=lambda pair: -pair[1])
            for label, score in ranked:
                best[label] = max(score, best.get(label, 0.0))
            shown = [[label, round(score, 4)] for label, score in ranked[:_SHOWN_A_WINDOW]]
            windows.append([round(start / rate_hz, 2), round(end / rate_hz, 2), shown])
            call.progress(end / samples.size, f"{end / rate_hz:.0f} of {duration_s:.0f} s heard")
        labels = sorted(best.items(), key=lambda pair: -pair[1])[:most]
        named = [label for label, score in labels if score >= _WORTH_NAMING * labels[0][1]]
        details: dict[str, Any] = {
            "labels": [[label, round(score, 4)] for label, score in labels],
            "windows": windows,
            "duration_s": round(duration_s, 3),
        }
        if self._untrained:
            details |= {"flags": ["untrained_weights"], "untrained_weights": self._untrained}
        return Result(
            outputs={"text": (Artifact.from_text(", ".join(named)),)},
            details=details,
            mechanical_losses=tuple(losses),
        )

    @property
    def _window_s(self) -> float:
        """What the model hears at once; its feature extractor would cut the rest off and not say so."""
        frames = getattr(self._hears, "max_length", None)
        return float(getattr(self._hears, "chunk_length", None) or (frames * _FRAME_S if frames else _WINDOW_S))

    def _scores(self, samples: Any, rate_hz: int) -> list[float]:
        import numpy as np
        import torch

        shortest = round(_SHORTEST_S * rate_hz)
        heard = np.pad(samples, (0, max(0, shortest - samples.size)))
        inputs = self._hears(heard, sampling_rate=rate_hz, return_tensors="pt").to(device(), self._model.dtype)
        with torch.inference_mode():
            logits = self._model(**inputs).logits[0].float()
        several = self._model.config.problem_type == "multi_label_classification"
        return [float(score) for score in (logits.sigmoid() if several else logits.softmax(-1)).cpu()]


def _windows(size: int, window: int, shortest: int) -> list[tuple[int, int]]:
    """Beginnings and ends that cover a recording; all but the last of the same length."""
    starts = list(range(0, max(1, size), window))
    if len(starts) > 1 and size - starts[-1] < shortest:
        starts[-1] = size - window  # heard again in part rather than alone
    return [(start, min(size, start + window)) for start in starts]
