"""`speech_to_text:faster-whisper[:model]`: Whisper of any size through CTranslate2.

The model part is a size (`base`, `small.en`, `large-v3`, …), a repository of the hub that holds a model for
CTranslate2, or a folder. Without one it is tiny.en, which knows English only. Silence gives no words: a voice
detector looks first, and what the recogniser itself takes for no speech is flagged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hopline.tools.artifact import Artifact
from hopline.tools.backend import Backend, Call, MechanicalLoss, Result
from hopline.tools.errors import InputRefused, MissingExtra, MissingModel
from hopline.tools.home import limits
from hopline.tools.hub import HubFiles
from hopline.tools.media import decode_audio
from hopline.tools.models import manifest, path_of
from hopline.tools.weights import digest_of

if TYPE_CHECKING:
    import numpy as np
    from faster_whisper import WhisperModel
    from numpy.typing import NDArray

    _Samples = NDArray[np.float32]

TINY_EN = "Systran/faster-whisper-tiny.en"
SAMPLE_RATE_HZ = 16_000
BEAM_SIZE = 5
WINDOW_S = 30.0
"""What Whisper hears at once."""
BATCH = 8
"""Windows heard side by side in `call_many`, as many as faster-whisper itself takes."""

SIZES = {
    "tiny.en": (TINY_EN, 78),
    "tiny": ("Systran/faster-whisper-tiny", 78),
    "base.en": ("Systran/faster-whisper-base.en", 148),
    "base": ("Systran/faster-whisper-base", 148),
    "small.en": ("Systran/faster-whisper-small.en", 486),
    "small": ("Systran/faster-whisper-small", 486),
    "medium.en": ("Systran/faster-whisper-medium.en", 1531),
    "medium": ("Systran/faster-whisper-medium", 1531),
    "large-v1": ("Systran/faster-whisper-large-v1", 3090),
    "large-v2": ("Systran/faster-whisper-large-v2", 3090),
    "large-v3": ("Systran/faster-whisper-large-v3", 3091),
    "large": ("Systran/faster-whisper-large-v3", 3091),
    "large-v3-turbo": ("mobiuslabsgmbh/faster-whisper-large-v3-turbo", 1622),
    "turbo": ("mobiuslabsgmbh/faster-whisper-large-v3-turbo", 1622),
    "distil-small.en": ("Systran/faster-distil-whisper-small.en", 336),
    "distil-medium.en": ("Systran/faster-distil-whisper-medium.en", 793),
    "distil-large-v2": ("Systran/faster-distil-whisper-large-v2", 1516),
    "distil-large-v3": ("Systran/faster-distil-whisper-large-v3", 1516),
    "distil-large-v3.5": ("distil-whisper/distil-large-v3.5-ct2", 1516),
}
"""faster-whisper's own names of models: the repository, and about how many MB are downloaded."""

UNHEARD_S = 1.5
"""Of speech after the last word: then a window was not heard to its end."""
SURE_LANGUAGE = 0.5

_COMPUTE = {"cpu": "int8", "cuda": "float16"}
_FILES = ("config.json", "preprocessor_config.json", "tokenizer.json", "vocabulary.*")

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
    "other_language": "this sounds like another language than the one that was asked for: the words may be wrong",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sound:
    """What is heard of one call: samples at 16 kHz, what decoding cut, and the language that was asked for."""

    samples: _Samples
    losses: list[MechanicalLoss]
    language: str | None

    @property
    def duration_s(self) -> float:
        return self.samples.size / SAMPLE_RATE_HZ


class FasterWhisper(Backend):
    """Whisper models of every size; int8 on the processor, float16 where `HOPLINE_DEVICE` is cuda.

    Outputs text, one line. Details: `language`, `language_probability` (1 where it was asked for), `duration_s`,
    `speech_s` (what the voice detector let through), `segments` (start and end in seconds, text, mean
    log-probability, probability of no speech, compression ratio), `words` (`[word, start_s, end_s, probability]`),
    `flags`: `no_speech`, `maybe_not_english`, `unclear_speech`, `other_language` with `sounds_like`, and `notes`, a
    sentence for each flag.
    """

    tool = "speech_to_text"
    name = "faster-whisper"
    code_version = "3"
    extra = "stt"
    packages = ("faster_whisper", "ctranslate2", "av")
    models: tuple[str, ...] = (TINY_EN,)
    batch = BATCH
    batch_threads = 2

    def __init__(self, model: str = "") -> None:
        super().__init__(model)
        self._whisper: WhisperModel | None = None
        if not model:
            return
        self.models = ()
        repository, megabytes = SIZES.get(model, (model, 0))
        if repository in manifest():
            self.models = (repository,)
        elif not Path(model).is_dir():
            self.hub = (
                HubFiles(repository=repository, files=_FILES, main="model.bin", size_bytes=megabytes * 1_000_000),
            )

    @property
    def english_only(self) -> bool:
        """The model knows no other language."""
        if self._whisper is not None:
            return not self._whisper.model.is_multilingual
        return not self.model or SIZES.get(self.model, (self.model,))[0].endswith(".en")

    def identity(self) -> dict[str, str]:
        found = super().identity()
        weights = Path(self.model) / "model.bin"
        if self.model and not self.models and not self.hub:
            found["model"] = digest_of(weights) if weights.is_file() else "unknown"
        device = _device()
        return found | {"device": device, "compute_type": _COMPUTE[device], "beam_size": str(BEAM_SIZE)}

    def load(self) -> None:
        try:
            from faster_whisper import WhisperModel
        except ImportError:
            raise MissingExtra("speech recognition needs faster-whisper.", hint="pip install 'hopline[stt]'") from None
        device = _device()
        self._whisper = WhisperModel(
            str(self._place()),
            device=device,
            compute_type=_COMPUTE[device],
            cpu_threads=limits().threads,
            local_files_only=True,
        )

    def _place(self) -> Path:
        if self.models:
            return path_of(self.models[0])
        if self.hub:
            if self.model not in SIZES and "/" not in self.model:
                raise MissingModel(
                    f"there is no Whisper model {self.model!r}.",
                    hint=f"Give a folder, a repository of the hub, or one of: {', '.join(SIZES)}.",
                )
            return self.hub_folder()
        if not (Path(self.model) / "model.bin").is_file():
            raise MissingModel(f"the folder {self.model} holds no model of CTranslate2 (model.bin).")
        return Path(self.model)

    def call(self, call: Call) -> Result:
        assert self._whisper is not None, "load() comes first"
        sound = self._sound(call)
        found, info = self._whisper.transcribe(
            sound.samples,
            language=sound.language,
            beam_size=BEAM_SIZE,
            temperature=0.0,
            condition_on_previous_text=False,
            vad_filter=True,
            word_timestamps=True,
        )
        segments = []
        for segment in found:  # the work happens while iterating
            segments.append(segment)
            done = f"{segment.end:.0f} of {sound.duration_s:.0f} s heard"
            call.progress(min(1.0, segment.end / sound.duration_s), done)
        return self._result(sound, segments, info.language, info.language_probability, float(info.duration_after_vad))

    def call_many(self, calls: Sequence[Call]) -> list[Result]:
        """Several recordings side by side, `BATCH` at a time: the words of `call`, sooner on two threads or more.

        A recording with more speech than one window holds, or in a language that has to be found out, is heard
        alone.
        """
        assert self._whisper is not None, "load() comes first"
        sounds = [self._sound(call) for call in calls]
        speech = [_speech(sound) for sound in sounds]
        together = [
            number
            for number, (sound, spans) in enumerate(zip(sounds, speech, strict=True))
            if spans and sound.language and sum(s["end"] - s["start"] for s in spans) <= WINDOW_S * SAMPLE_RATE_HZ
        ]
        results: dict[int, Result] = {}
        for language in dict.fromkeys(sounds[number].language for number in together):
            of_it = [number for number in together if sounds[number].language == language]
            for begin in range(0, len(of_it), BATCH):
                numbers = of_it[begin : begin + BATCH]
                heard = self._side_by_side([(sounds[n].samples, speech[n]) for n in numbers], str(language))
                for number, segments in zip(numbers, heard, strict=True):
                    spoken_s = sum(s["end"] - s["start"] for s in speech[number]) / SAMPLE_RATE_HZ
                    if not segments or speech[number][-1]["end"] / SAMPLE_RATE_HZ - segments[-1].end > UNHEARD_S:
                        continue  # it may have said more than the one look at its window gave
                    results[number] = self._result(sounds[number], segments, str(language), 1.0, spoken_s)
                    calls[number].progress(1.0, f"{len(results)} of {len(calls)} recordings heard")
        return [results.get(number) or self.call(call) for number, call in enumerate(calls)]

    def _side_by_side(self, windows: Sequence[tuple[_Samples, list[dict[str, int]]]], language: str) -> list[list[Any]]:
        """Segments of recordings that each fit one window, in the recordings' own time.

        faster-whisper batches the clips of one recording: here each clip is another recording, in a slot of its own.
        """
        import numpy as np
        from faster_whisper import BatchedInferencePipeline
        from faster_whisper.transcribe import restore_speech_timestamps

        slot = int(WINDOW_S * SAMPLE_RATE_HZ)
        row = np.zeros(slot * len(windows), np.float32)
        clips = []
        for place, (samples, spans) in enumerate(windows):
            spoken = np.concatenate([samples[span["start"] : span["end"]] for span in spans])
            row[place * slot : place * slot + spoken.size] = spoken
            clips.append({"start": place * WINDOW_S, "end": place * WINDOW_S + spoken.size / SAMPLE_RATE_HZ})
        found, _ = BatchedInferencePipeline(self._whisper).transcribe(
            row,
            language=language,
            beam_size=BEAM_SIZE,
            temperature=0.0,
            # With them each window gives the very words that it gives alone.
            without_timestamps=False,
            word_timestamps=True,
            vad_filter=False,
            clip_timestamps=clips,
            batch_size=BATCH,
        )
        heard: list[list[Any]] = [[] for _ in windows]
        frames = int(WINDOW_S * self._whisper.frames_per_second)  # type: ignore[union-attr]  # load() came first
        for segment in found:
            place = segment.seek // frames
            offset_s = place * WINDOW_S
            segment.start, segment.end = segment.start - offset_s, segment.end - offset_s
            for word in segment.words or ():
                word.start, word.end = word.start - offset_s, word.end - offset_s
            heard[place].extend(restore_speech_timestamps([segment], windows[place][1], SAMPLE_RATE_HZ))
        return heard

    def _sound(self, call: Call) -> _Sound:
        language = str(call.parameters.get("language", "auto"))
        if self.english_only and language not in ("en", "auto"):
            raise InputRefused(f"this model knows English only for now, not {language!r}.")
        if not self.english_only and language not in (*self._whisper.supported_languages, "auto"):  # type: ignore[union-attr]
            raise InputRefused(f"Whisper knows no language {language!r}; give a code such as de, or auto.")
        samples, _, losses = decode_audio(call.one("audio"), SAMPLE_RATE_HZ)
        asked = language if language != "auto" else "en" if self.english_only else None
        return _Sound(samples=samples, losses=losses, language=asked)

    def _result(
        self, sound: _Sound, segments: Sequence[Any], language: str, probability: float, speech_s: float
    ) -> Result:
        heard = [s for s in segments if s.no_speech_prob < NO_SPEECH]
        text = " ".join(segment.text.strip() for segment in heard)
        losses = list(sound.losses)
        if len(heard) < len(segments):
            message = f"{len(segments) - len(heard)} of {len(segments)} passages were taken for no speech"
            losses.append(
                MechanicalLoss(kind="skipped", message=message, before=len(segments), after=len(heard), unit="passages")
            )
        flags = _flags(text, heard, self.english_only)
        details: dict[str, Any] = {
            "language": language,
            "language_probability": round(float(probability), 3),
            "duration_s": round(sound.duration_s, 3),
            "speech_s": round(speech_s, 3),
            "segments": [_segment(segment) for segment in segments],
            "words": [_word(word) for segment in heard for word in segment.words or ()],
        }
        if "unclear_speech" in flags and sound.language is not None:
            # Looked at only now: it costs a second of work, and clear words in a wrong language there are none.
            like, sure, _ = self._whisper.detect_language(sound.samples, vad_filter=True)  # type: ignore[union-attr]
            if like != language and sure > SURE_LANGUAGE:
                flags.append("other_language")
                details["sounds_like"] = like
        details |= {"flags": flags, "notes": [NOTES[flag] for flag in flags]}
        return Result(outputs={"text": (Artifact.from_text(text),)}, details=details, mechanical_losses=tuple(losses))


def _device() -> str:
    """A graphics card only where it was asked for: not every card has the libraries that CTranslate2 wants."""
    return "cuda" if limits().device == "cuda" else "cpu"


def _speech(sound: _Sound) -> list[dict[str, int]]:
    """Where the voice detector hears speech, in samples."""
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    return list(get_speech_timestamps(sound.samples, VadOptions()))


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
