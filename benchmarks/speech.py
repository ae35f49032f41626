"""Speech both ways: words wrong on real recordings, and time beside the bare libraries in one run.

    python benchmarks/speech.py [FOLDER]

FOLDER holds the recordings of `WORDS` (LibriSpeech, CC BY 4.0); by default `media` in the folder
named by HOPLINE_SHARED, or in `shared` beside the project. Times are medians of three rounds in
which both sides take turns; the ratios are what to quote.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hopline.tools import Artifact, Call
from hopline.tools.home import limits
from hopline.tools.media import decode_audio, open_file
from hopline.tools.models import path_of
from hopline.tools.speech_to_text.faster_whisper import BEAM_SIZE, TINY_EN, FasterWhisper
from hopline.tools.text_to_speech.piper import JOE, Piper

WORDS = {
    "1284-1180-0003.flac": "for a long time he had wished to explore the beautiful land of oz in which they lived",
    "4446-2271-0000.flac": "mainhall liked alexander because he was an engineer",
    "61-70968-0000.flac": "he began a confused complaint against the wizard "
    "who had vanished behind the curtain on the left",
    "8455-210777-0002.flac": "on arriving at home at my own residence i found that our salon "
    "was filled with a brilliant company",
}
NORMALISER = "lower case; apostrophes removed; everything else that is no letter or digit becomes a space"
SPOKEN = "He began a confused complaint against the wizard. The wizard had vanished behind the curtain on the left."
ROUNDS = 3


def normalise(text: str) -> str:
    """As `NORMALISER` says."""
    return " ".join(re.sub(r"[^a-z0-9]+", " ", re.sub(r"['’]", "", text.lower())).split())


def word_errors(folder: Path, backend: FasterWhisper) -> dict[str, Any]:
    """Word error rate over all recordings: errors divided by words of the references."""
    import jiwer

    spoken, heard = [], []
    for name, words in WORDS.items():
        text = backend.call(Call(inputs={"audio": (open_file(folder / name),)})).outputs["text"][0].text
        spoken.append(normalise(words))
        heard.append(normalise(text))
        print(f"  {jiwer.wer(spoken[-1], heard[-1]):.3f}  {name}  {text}")
    return {
        "wer": round(jiwer.wer(spoken, heard), 4),
        "words": sum(len(line.split()) for line in spoken),
        "normaliser": NORMALISER,
        "signature": backend.identity() | {"jiwer": _version("jiwer")},
    }


def side_by_side(ours: Callable[[], object], bare: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of both, taken in turns after one round that does not count."""
    ours(), bare()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for function, seconds in zip((ours, bare), times, strict=True):
            started = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - started)
    return statistics.median(times[0]), statistics.median(times[1])


def hearing(folder: Path, backend: FasterWhisper) -> dict[str, Any]:
    """Ours with every check against bare faster-whisper with the same settings."""
    from faster_whisper import WhisperModel

    model = WhisperModel(
        str(path_of(TINY_EN)), device="cpu", compute_type="int8", cpu_threads=limits().threads, local_files_only=True
    )
    files = [folder / name for name in WORDS]
    calls = [Call(inputs={"audio": (open_file(file),)}) for file in files]
    seconds = sum(decode_audio(call.one("audio"), 16_000)[0].size / 16_000 for call in calls)

    def bare() -> list[str]:
        texts = []
        for file in files:
            found, _ = model.transcribe(
                str(file),
                language="en",
                beam_size=BEAM_SIZE,
                temperature=0.0,
                condition_on_previous_text=False,
                vad_filter=True,
                word_timestamps=True,
            )
            texts.append("".join(segment.text for segment in found))
        return texts

    ours_s, bare_s = side_by_side(lambda: [backend.call(call) for call in calls], bare)
    return _figures("speech_to_text", ours_s, bare_s, seconds)


def speaking() -> dict[str, Any]:
    """Ours against bare Piper with the same settings."""
    from piper import PiperVoice, SynthesisConfig

    backend = Piper()
    backend.load()
    voice = PiperVoice.load(path_of(JOE) / "en_US-joe-medium.onnx")
    config = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0)
    call = Call(inputs={"text": (Artifact.from_text(SPOKEN),)})

    def bare() -> object:
        return np.concatenate([chunk.audio_float_array for chunk in voice.synthesize(SPOKEN, config)])

    seconds = float(backend.call(call).details["duration_s"])
    ours_s, bare_s = side_by_side(lambda: backend.call(call), bare)
    return _figures("text_to_speech", ours_s, bare_s, seconds)


def _figures(name: str, ours_s: float, bare_s: float, sound_s: float) -> dict[str, Any]:
    return {
        "tool": name,
        "sound_s": round(sound_s, 2),
        "ours_s": round(ours_s, 3),
        "bare_s": round(bare_s, 3),
        "ratio": round(ours_s / bare_s, 3),
        "real_time_factor": round(ours_s / sound_s, 4),
    }


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


def main() -> None:
    """Print the figures, for people and then as one line of JSON."""
    shared = Path(os.environ.get("HOPLINE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=shared / "media", help="where the recordings lie")
    folder = parser.parse_args().folder
    backend = FasterWhisper()
    backend.load()
    print("words wrong, of all words:")
    errors = word_errors(folder, backend)
    print(f"  {errors['wer']:.3f}  all {errors['words']} words; normaliser: {NORMALISER}")
    figures = [hearing(folder, backend), speaking()]
    for figure in figures:
        print(
            f"{figure['tool']}: {figure['sound_s']} s of sound in {figure['ours_s']} s, bare library {figure['bare_s']}"
            f" s: ratio {figure['ratio']}, real-time factor {figure['real_time_factor']}"
        )
    print(json.dumps({"format": "hopline.benchmark/1", "word_errors": errors, "speed": figures}))


if __name__ == "__main__":
    main()
