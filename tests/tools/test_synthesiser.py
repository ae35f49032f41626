"""Sounds from words: what is meant, what is heard in the samples, and what is said to be missing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hopline.tools import Artifact, Call, Result
from hopline.tools.errors import InputRefused
from hopline.tools.media import decode_audio
from hopline.tools.text_to_audio.score import SOUNDS, note_hz, parse
from hopline.tools.text_to_audio.sounds import SAMPLE_RATE_HZ
from hopline.tools.text_to_audio.synthesiser import Synthesiser
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray


def made(text: str, *, seed: int = 0, duration_s: float = 5.0) -> Result:
    parameters = {"duration_s": duration_s}
    return Synthesiser().call(Call(inputs={"text": (Artifact.from_text(text),)}, parameters=parameters, seed=seed))


def heard(text: str, *, seed: int = 0, duration_s: float = 5.0) -> NDArray[np.float32]:
    samples, rate, _ = decode_audio(made(text, seed=seed, duration_s=duration_s).outputs["audio"][0])
    assert rate == SAMPLE_RATE_HZ
    return samples


def loudest_hz(samples: NDArray[np.float32]) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    return float(np.argmax(spectrum)) * SAMPLE_RATE_HZ / samples.size


def onsets(samples: NDArray[np.float32], threshold: float = 0.05) -> list[float]:
    """Seconds at which sound begins after at least 40 ms of quiet."""
    step = SAMPLE_RATE_HZ // 100
    loud = np.abs(samples[: samples.size // step * step]).reshape(-1, step).max(axis=1) > threshold
    return [i / 100 for i in range(len(loud)) if loud[i] and not loud[max(0, i - 4) : i].any()]


@pytest.mark.parametrize(
    ("note", "hz"),
    [(("a", "", 4), 440.0), (("c", "", 4), 261.6256), (("f", "#", 3), 184.9972), (("b", "b", 5), 932.3275)],
)
def test_notes_are_in_equal_temperament(note: tuple[str, str, int], hz: float) -> None:
    assert note_hz(*note) == pytest.approx(hz, abs=1e-3)


@pytest.mark.parametrize(("text", "hz"), [("a 523 Hz tone", 523), ("A4", 440), ("a high A4 tone", 880), ("E2", 82.4)])
def test_a_tone_has_the_pitch_that_was_asked_for(text: str, hz: float) -> None:
    assert loudest_hz(heard(text)) == pytest.approx(hz, abs=1)


def test_a_chord_holds_its_three_notes() -> None:
    samples = heard("a C minor chord")
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    hz = np.fft.rfftfreq(samples.size, 1 / SAMPLE_RATE_HZ)
    peaks = [float(spectrum[np.abs(hz - note) < 2].max()) for note in (261.63, 311.13, 392.0)]
    assert min(peaks) > 50 * float(np.median(spectrum[(hz > 200) & (hz < 420)]))
    assert float(spectrum[np.abs(hz - 329.63) < 2].max()) < min(peaks) / 50, "the third is minor"


def test_a_beat_keeps_its_tempo() -> None:
    times = onsets(heard("a low drum beat at 120 bpm", duration_s=6))
    assert len(times) == 12
    assert np.diff(times) == pytest.approx(0.5, abs=0.02)


def test_a_beep_rises_and_comes_three_times() -> None:
    samples = heard("a rising beep three times")
    times = onsets(samples)
    assert len(times) == 3
    first = samples[: int(0.25 * SAMPLE_RATE_HZ)]
    fifth = first.size // 5
    assert loudest_hz(first[-fifth:]) > 1.4 * loudest_hz(first[:fifth])


def test_things_follow_each_other_or_sound_together() -> None:
    samples = heard("a 300 Hz tone then a 900 Hz tone", duration_s=4)
    half = samples.size // 2
    assert loudest_hz(samples[:half]) == pytest.approx(300, abs=1)
    assert loudest_hz(samples[half:]) == pytest.approx(900, abs=1)
    both = np.abs(np.fft.rfft(heard("a 300 Hz tone and a 900 Hz tone", duration_s=4)))
    assert sorted(np.argsort(both)[-2:] / 4) == pytest.approx([300, 900], abs=1)


def test_wind_is_lower_than_rain_and_brown_noise_falls_by_six_decibels_an_octave() -> None:
    assert centroid_hz(heard("wind")) < 500 < 3000 < centroid_hz(heard("rain"))
    power = np.abs(np.fft.rfft(heard("brown noise", duration_s=20))) ** 2
    hz = np.fft.rfftfreq(20 * SAMPLE_RATE_HZ, 1 / SAMPLE_RATE_HZ)
    octaves = [float(power[(hz >= low) & (hz < 2 * low)].mean()) for low in (100, 200, 400)]
    steps = [10 * np.log10(a / b) for a, b in itertools.pairwise(octaves)]
    assert steps == pytest.approx([6.02, 6.02], abs=0.7)


def centroid_hz(samples: NDArray[np.float32]) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    return float((power * np.fft.rfftfreq(samples.size, 1 / SAMPLE_RATE_HZ)).sum() / power.sum())


@pytest.mark.parametrize(
    ("text", "sounds", "unused"),
    [
        ("Make the sound of gentle rain with distant thunder", [["rain", "thunder"]], ()),
        ("three beeps, followed by a church bell", [["beep"], ["bell"]], ()),
        ("C4 E4 G4 at 90 bpm", [["melody"]], ()),
        ("A dog barks, then birds", [["chirp"]], ("dog", "barks")),
        ("low rain", [["rain"]], ("low",)),
        ("a fast short hum", [["buzz"]], ("fast", "short")),
        ("a tone at 40000 Hz", [["tone"]], ("40000 Hz",)),
        ("waves but no wind", [["waves"]], ()),
        ("a slow waltz", [["beat"]], ()),
        ("sad piano music with a ticking clock", [["tick"]], ("sad", "piano")),
        ("some relaxing music", [["melody"]], ("relaxing",)),
        ("jazz", [], ("jazz",)),
    ],
)
def test_what_is_meant(text: str, sounds: list[list[str]], unused: tuple[str, ...]) -> None:
    score = parse(text)
    assert [[layer.sound for layer in part] for part in score.parts] == sounds
    assert score.unused == unused


def test_a_level_is_heard() -> None:
    loud, quiet = heard("loud white noise"), heard("quiet white noise")
    assert float(quiet.std()) < 0.5 * float(loud.std())


def test_words_that_are_not_in_the_sound_are_losses() -> None:
    (loss,) = made("A sad violin plays over the rain").mechanical_losses
    assert (loss.kind, loss.before, loss.after) == ("not_played", 3, 0)
    assert loss.message == "not in the sound: sad, violin, plays"
    assert made("rain").mechanical_losses == ()


def test_what_was_played_and_what_was_left_out_is_declared() -> None:
    declared = made("rain without thunder").details["declared"]
    assert declared == {"parts": [[{"sound": "rain"}]], "left_out": ["thunder"]}


def test_a_text_without_a_sound_is_refused_with_what_there_is() -> None:
    with pytest.raises(InputRefused, match=r"names a sound.*rain.*440 Hz"):
        made("Two red cats sit on a blue boat.")


@pytest.mark.parametrize(
    ("text", "parameter", "length", "kinds"),
    [
        ("rain for 8 seconds", 5.0, 8.0, []),
        ("rain for 8 seconds", 3.0, 3.0, ["truncated"]),
        ("two minutes of rain", 5.0, 60.0, ["truncated"]),
        ("rain", 2.5, 2.5, []),
    ],
)
def test_length(text: str, parameter: float, length: float, kinds: list[str]) -> None:
    result = made(text, duration_s=parameter)
    assert result.details["duration_s"] == length
    assert decode_audio(result.outputs["audio"][0])[0].size == length * SAMPLE_RATE_HZ
    assert [loss.kind for loss in result.mechanical_losses] == kinds


def test_the_seed_is_that_of_the_noise() -> None:
    assert made("rain", seed=1).outputs == made("rain", seed=1).outputs
    assert made("rain", seed=1).outputs != made("rain", seed=2).outputs
    assert made("a beep", seed=1).outputs == made("a beep", seed=2).outputs


@pytest.mark.parametrize("name", [names[0] for names in SOUNDS.values()])
def test_every_sound_can_be_heard(name: str) -> None:
    result = made(f"a {name}", duration_s=1)
    assert result.mechanical_losses == ()
    assert float(np.abs(decode_audio(result.outputs["audio"][0])[0]).max()) > 0.1


WORDS = [name for names in SOUNDS.values() for name in names]
WORDS += "and then with without low rising twice 3 times 120 bpm 440 Hz A4 C minor , . very fast 9 s loud".split()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=6), min_size=1, max_size=14), st.floats(0.1, 2))
def test_any_text_is_a_sound_of_its_length_or_refused(words: list[str], duration_s: float) -> None:
    try:
        result = made(" ".join(words), duration_s=duration_s)
    except InputRefused:
        return
    samples = decode_audio(result.outputs["audio"][0])[0]
    assert samples.size == max(1, round(result.details["duration_s"] * SAMPLE_RATE_HZ))
    assert np.isfinite(samples).all()
