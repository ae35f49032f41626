"""Speech both ways: words wrong on real recordings, and time beside the bare libraries in one run.

    python benchmarks/speech.py [FOLDER]

FOLDER holds the recordings of `WORDS` (LibriSpeech, CC BY 4.0); by default `media` in the folder
named by HOPLINE_SHARED, or in `shared` beside the project. Times are those of whole runs, warm, medians of three
rounds in which both sides take turns; the ratios are what to quote.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hopline.agent import Agent, Run
from hopline.tools import Artifact, Call
from hopline.tools.home import limits
from hopline.tools.media import decode_audio, encode_wav, open_file
from hopline.tools.models import path_of
from hopline.tools.speech_to_text.faster_whisper import BATCH, BEAM_SIZE, TINY_EN, FasterWhisper
from hopline.tools.text_to_speech.piper import JOE

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
SOUND_S, FILES = 60, 20
SAMPLE_RATE_HZ = 16_000
SETTINGS: dict[str, Any] = {
    "language": "en",
    "beam_size": BEAM_SIZE,
    "temperature": 0.0,
    "condition_on_previous_text": False,
    "vad_filter": True,
    "word_timestamps": True,
}
"""Of the bare library: ours."""


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


def hearing(agent: Agent, model: Any, recordings: Sequence[Path], folder: Path) -> dict[str, Any]:
    """A run on a minute of speech, all its checks and its journal, against bare faster-whisper on the same file."""
    minute = folder / "minute.wav"
    sound = np.concatenate([decode_audio(open_file(file), SAMPLE_RATE_HZ)[0] for file in recordings])
    sound = np.resize(sound, SOUND_S * SAMPLE_RATE_HZ)  # said again until the minute is over
    minute.write_bytes(encode_wav(sound, SAMPLE_RATE_HZ).data)

    def bare() -> str:
        return _text(model.transcribe(str(minute), **SETTINGS))

    ours_s, bare_s = side_by_side(lambda: _run(agent, [minute], chain="speech_to_text"), bare)
    return _figures("speech_to_text", ours_s, bare_s, SOUND_S)


def hearing_many(agent: Agent, model: Any, recordings: Sequence[Path], folder: Path) -> dict[str, Any]:
    """One run over 20 files against bare faster-whisper's own batched pipeline, file after file."""
    from faster_whisper import BatchedInferencePipeline

    sounds = [decode_audio(open_file(file), SAMPLE_RATE_HZ)[0] for file in recordings]
    files, seconds = [], 0.0
    for number in range(FILES):
        # No two the same: each begins a little later than the one before.
        sound = sounds[number % len(sounds)][number * SAMPLE_RATE_HZ // 100 :]
        files.append(folder / f"{number:02}.wav")
        files[-1].write_bytes(encode_wav(sound, SAMPLE_RATE_HZ).data)
        seconds += sound.size / SAMPLE_RATE_HZ
    pipeline = BatchedInferencePipeline(model)

    def bare() -> list[str]:
        return [_text(pipeline.transcribe(str(file), batch_size=BATCH, **SETTINGS)) for file in files]

    recordings_in = [{"attachment": f"audio{number}"} for number in range(1, FILES + 1)]
    mapped = {"steps": [{"id": "step1", "tool": "speech_to_text", "inputs": {"audio": recordings_in}}]}

    def ours() -> None:
        assert len(_run(agent, files, plan=mapped).hops) == FILES

    ours_s, bare_s = side_by_side(ours, bare)
    return _figures(f"speech_to_text, {FILES} files", ours_s, bare_s, seconds)


def speaking(agent: Agent, folder: Path) -> dict[str, Any]:
    """A run that speaks for a minute against bare Piper with the same settings."""
    from piper import PiperVoice, SynthesisConfig

    voice = PiperVoice.load(path_of(JOE) / "en_US-joe-medium.onnx")
    config = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0)
    once = _run(agent, [Artifact.from_text(SPOKEN)], chain="text_to_speech").hops[0].details["duration_s"]
    text = " ".join([SPOKEN] * round(SOUND_S / once))

    def bare() -> object:
        return np.concatenate([chunk.audio_float_array for chunk in voice.synthesize(text, config)])

    seconds = bare().size / voice.config.sample_rate  # type: ignore[attr-defined]  # samples
    ours_s, bare_s = side_by_side(lambda: _run(agent, [Artifact.from_text(text)], chain="text_to_speech"), bare)
    return _figures("text_to_speech", ours_s, bare_s, seconds)


def _run(agent: Agent, attachments: Sequence[Path | Artifact], chain: str = "", plan: Any = None) -> Run:
    run = agent.run("", attachments, chain=chain, plan=plan, use_cache=False)
    assert run.status == "ok", run.record.error
    return run


def _text(transcribed: tuple[Iterable[Any], Any]) -> str:
    return "".join(segment.text for segment in transcribed[0])


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
    from faster_whisper import WhisperModel

    backend = FasterWhisper()
    backend.load()
    print("words wrong, of all words:")
    errors = word_errors(folder, backend)
    print(f"  {errors['wer']:.3f}  all {errors['words']} words; normaliser: {NORMALISER}")
    recordings = [folder / name for name in WORDS]
    model = WhisperModel(
        str(path_of(TINY_EN)), device="cpu", compute_type="int8", cpu_threads=limits().threads, local_files_only=True
    )
    with tempfile.TemporaryDirectory() as scratch, Agent.from_profile(home=Path(scratch) / "home") as agent:
        figures = [
            hearing(agent, model, recordings, Path(scratch)),
            hearing_many(agent, model, recordings, Path(scratch)),
            speaking(agent, Path(scratch)),
        ]
    for figure in figures:
        print(
            f"{figure['tool']}: {figure['sound_s']} s of sound in {figure['ours_s']} s, bare library {figure['bare_s']}"
            f" s: ratio {figure['ratio']}, real-time factor {figure['real_time_factor']}"
        )
    print(json.dumps({"format": "hopline.benchmark/1", "word_errors": errors, "speed": figures}))


if __name__ == "__main__":
    main()
