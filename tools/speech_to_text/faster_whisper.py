"""`speech_to_text:faster-whisper[:model]`: Whisper through CTranslate2.

Without a model part it is tiny.en, which knows English only. Silence gives no words: a voice
detector looks first, and what the recogniser itself takes for no speech is flagged.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hopline.tools.artifact import Artifact
from hopline.tools.backend import Backend, Call, MechanicalLoss, Result
from hopline.tools.errors import InputRefused, MissingExtra, MissingModel
from hopline.tools.home import limits
from hopline.tools.media import decode_audio
from hopline.tools.models import find, manifest, path_of

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

TINY_EN = "Systran/faster-whisper-tiny.en"
SAMPLE_RATE_HZ = 16_000
BEAM_SIZE = 5

# Over a small trial (5 English recordings; 5 synthetic German, French and Spanish ones) English had a
# mean log-probability above -0.45, a probability of no speech under 0.07 and a compression ratio
# under 1.2; the others fell below -0.78 with a probability of no speech above 0.2, or repeated
# themselves (ratio 12).
UNCLEAR_LOGPROB = -0.8
UNLIKE_SPEECH = (-0.6, 0.2)
"""Both together are unclear: a log-probability below the first, a probability of no speech above the second."""
REPEATING_RATIO = 2.4
NO_SPEECH = 0.8

NOTES = {
    "no_speech": "no speech was heard in the recording",
    "maybe_not_english": "this does not sound like English, and the model knows English only for now: "
    "the words may be wrong",
    "unclear_speech": "the recogniser is not sure of these words",
}


class FasterWhisper(Backend):
    """Whisper models of every size, int8 on the processor.

    Outputs text, one line. Details: `language`, `duration_s`, `speech_s` (what the voice detector
    let through), `segments` (start and end in seconds, text, mean log-probability, probability of
    no speech, compression ratio), `words` (`[word, start_s, end_s, probability]`), `flags`:
    `no_speech`, `maybe_not_english`, `unclear_speech`, and `notes`, a sentence for each flag.
    """

    tool = "speech_to_text"
    name = "faster-whisper"
    code_version = "2"
    extra = "stt"
    packages = ("faster_whisper", "ctranslate2", "av")
    models: tuple[str, ...] = (TINY_EN,)

    def __init__(self, model: str = "") -> None:
        super().__init__(model)
        self._whisper: WhisperModel | None = None
        if model:
            self.models = (model,) if model in manifest() else ()

    @property
    def english_only(self) -> bool:
        """The model knows no other language."""
        return not self.model or self.model.endswith(".en")

    def identity(self) -> dict[str, str]:
        return super().identity() | {"device": "cpu", "compute_type": "int8", "beam_size": str(BEAM_SIZE)}

    def load(self) -> None:
        try:
            from faster_whisper import WhisperModel
        except ImportError:
            raise MissingExtra("speech recognition needs faster-whisper.", hint="pip install 'hopline[stt]'") from None
        self._whisper = WhisperModel(
            self._place(),
            device="cpu",
            compute_type="int8",
            cpu_threads=limits().threads,
            local_files_only=True,
        )

    def _place(self) -> str:
        if self.models:
            return str(path_of(find(self.models[0]).name))
        if Path(self.model).is_dir():
            return self.model
        from faster_whisper.utils import download_model

        try:
            return str(download_model(self.model, local_files_only=True))
        except Exception as error:  # the hub's client raises many kinds for "not here"
            raise MissingModel(
                f"the Whisper model {self.model!r} is not on this machine ({type(error).__name__}).",
                hint="Give a folder, or fetch it into the hub's cache with: hf download Systran/faster-whisper-"
                f"{self.model}",
            ) from None

    def call(self, call: Call) -> Result:
        assert self._whisper is not None, "load() comes first"
        language = str(call.parameters.get("language", "en"))
        if self.english_only and language not in ("en", "auto"):
            raise InputRefused(f"this model knows English only for now, not {language!r}.")
        samples, _, losses = decode_audio(call.one("audio"), SAMPLE_RATE_HZ)
        duration_s = samples.size / SAMPLE_RATE_HZ
        spoken = language if language != "auto" else "en" if self.english_only else None
        found, info = self._whisper.transcribe(
            samples,
            language=spoken,
            beam_size=BEAM_SIZE,
            temperature=0.0,
            condition_on_previous_text=False,
            vad_filter=True,
            word_timestamps=True,
        )
        segments = []
        for segment in found:  # the work happens while iterating
            segments.append(segment)
            call.progress(min(1.0, segment.end / duration_s), f"{segment.end:.0f} of {duration_s:.0f} s heard")
        heard = [s for s in segments if s.no_speech_prob < NO_SPEECH]
        text = " ".join(segment.text.strip() for segment in heard)
        if len(heard) < len(segments):
            message = f"{len(segments) - len(heard)} of {len(segments)} passages were taken for no speech"
            losses.append(
                MechanicalLoss(kind="skipped", message=message, before=len(segments), after=len(heard), unit="passages")
            )
        flags = _flags(text, heard, self.english_only)
        details = {
            "language": info.language,
            "duration_s": round(duration_s, 3),
            "speech_s": round(float(info.duration_after_vad), 3),
            "segments": [_segment(segment) for segment in segments],
            "words": [_word(word) for segment in heard for word in segment.words or ()],
            "flags": flags,
            "notes": [NOTES[flag] for flag in flags],
        }
        return Result(outputs={"text": (Artifact.from_text(text),)}, details=details, mechanical_losses=tuple(losses))


def _segment(segment: Any) -> dict[str, Any]:
    return {
        "start_s": round(float(segment.start), 2),
        "end_s": round(float(segment.end), 2),
        "text": segment.text.strip(),
        "avg_logprob": round(float(segment.avg_logprob), 3),
        "no_speech_prob": round(float(segment.no_speech_prob), 3),
        "compression_ratio": round(float(segment.compression_ratio), 2),
    }


def _word(word: Any) -> list[Any]:
    times = round(float(word.start), 2), round(float(word.end), 2)
    return [word.word.strip(), *times, round(float(word.probability), 3)]


def _flags(text: str, segments: Sequence[Any], english_only: bool) -> list[str]:
    if not text:
        return ["no_speech"]
    weights = [max(0.1, s.end - s.start) for s in segments]
    logprob = sum(w * s.avg_logprob for w, s in zip(weights, segments, strict=True)) / sum(weights)
    no_speech = sum(w * s.no_speech_prob for w, s in zip(weights, segments, strict=True)) / sum(weights)
    repeating = any(s.compression_ratio > REPEATING_RATIO for s in segments)
    unlike_speech = logprob < UNLIKE_SPEECH[0] and no_speech > UNLIKE_SPEECH[1]
    if logprob < UNCLEAR_LOGPROB or unlike_speech or repeating:
        return ["maybe_not_english" if english_only else "unclear_speech"]
    return []
