"""Samples of the sounds of a score: sums of sines, shaped noise and envelopes, numpy alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hopline.tools.text_to_audio.score import STEADY, STRUCK, Layer, Score

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float64]

SAMPLE_RATE_HZ = 22_050
"""Enough for every sound made here; nothing above 10 kHz is asked for."""

PEAK = 0.8
"""Full scale of the loudest part."""

_FADE_S = 0.005
_OWN_HZ = {"beep": 880.0, "alarm": 1000.0, "buzz": 110.0, "bell": 660.0, "kick": 60.0}
_INTERVAL_S = {"tick": 0.5, "click": 0.5, "footstep": 0.55, "heartbeat": 0.9, "ring": 3.0, "alarm": 0.5, "bell": 1.2,
               "chirp": 0.7, "thunder": 4.0, "beep": 0.5}  # fmt: skip
_LENGTH_S = {"kick": 0.25, "snare": 0.2, "hat": 0.08, "clap": 0.15, "click": 0.02, "tick": 0.03, "knock": 0.12,
             "footstep": 0.15, "heartbeat": 0.5, "beep": 0.25, "ring": 1.5, "alarm": 0.25, "bell": 1.5, "chirp": 0.25,
             "thunder": 3.0}  # fmt: skip


def render(score: Score, duration_s: float, seed: int) -> NDArray[np.float32]:
    """A score as samples.

    Args:
        score: at least one part.
        duration_s: length of the whole; parts share it equally.
        seed: for noise.

    Returns:
        float32 in [-PEAK, PEAK], shape (round(duration_s * SAMPLE_RATE_HZ),).
    """
    import numpy as np

    count = max(1, round(duration_s * SAMPLE_RATE_HZ))
    edges = [round(count * i / len(score.parts)) for i in range(len(score.parts) + 1)]
    whole = np.zeros(count)
    random = np.random.default_rng(seed)
    for part, start, end in zip(score.parts, edges[:-1], edges[1:], strict=True):
        for layer in part:
            whole[start:end] += layer.level * _layer(layer, end - start, random)
    peak = float(np.abs(whole).max())
    return (whole * (PEAK / peak) if peak > PEAK else whole).astype(np.float32)


def _layer(layer: Layer, count: int, random: np.random.Generator) -> Samples:
    """One layer of `count` samples, in [-1, 1]."""
    import numpy as np

    if layer.sound in STRUCK:
        made = _struck(layer, count, random)
    elif layer.sound == "beat":
        made = _beat(layer, count, random)
    elif layer.sound in ("scale", "arpeggio", "melody"):
        made = _melody(layer, count)
    elif layer.sound in ("tone", "buzz", "chord", "siren"):
        made = _repeated(layer, count, lambda n: _sustained(layer, n))
    else:
        made = _repeated(layer, count, lambda n: _texture(layer, n, random))
    peak = float(np.abs(made).max(initial=0.0))
    return made / peak if peak > 0 else made


def _repeated(layer: Layer, count: int, make: Callable[[int], Samples]) -> Samples:
    """What lasts, played as often as was asked, with silence of a fifth between."""
    import numpy as np

    times = layer.times or 1
    if times == 1:
        return _faded(make(count))
    whole = np.zeros(count)
    each = count // times
    for i in range(times):
        length = max(1, round(each * 0.8))
        whole[i * each : i * each + length] = _faded(make(length))[: count - i * each]
    return whole


def _struck(layer: Layer, count: int, random: np.random.Generator) -> Samples:
    """Hits at a steady interval, cut at the end of the part."""
    import numpy as np

    length_s = _LENGTH_S[layer.sound] * layer.length
    if layer.bpm:
        interval_s = 60 / layer.bpm
    else:
        interval_s = max(_INTERVAL_S.get(layer.sound, 0.5), length_s * 1.2) / layer.pace
    fills = layer.times == 0 or (layer.times is None and (layer.sound in STEADY or layer.bpm is not None))
    room = max(1, int(count / SAMPLE_RATE_HZ / interval_s + 0.999))
    times = room if fills else (layer.times or 1)
    if times > room:  # so many that they must come faster to be heard
        interval_s = count / SAMPLE_RATE_HZ / times
    length = max(1, round(min(length_s, interval_s * 0.9 if times > 1 else length_s) * SAMPLE_RATE_HZ))
    whole = np.zeros(count)
    for i in range(times):
        start = round(i * interval_s * SAMPLE_RATE_HZ)
        hit = _faded(_hit(layer, length, random))[: count - start]
        whole[start : start + hit.size] += hit
    return whole


def _beat(layer: Layer, count: int, random: np.random.Generator) -> Samples:
    """A bar of kick on one, snare on the back beats and hats between; a low beat is kicks alone."""
    import numpy as np

    beat_s = 60 / (layer.bpm or 100 * layer.pace)
    whole = np.zeros(count)

    def put(sound: str, at_s: float, level: float) -> None:
        start = round(at_s * SAMPLE_RATE_HZ)
        if start < count:
            length = round(_LENGTH_S[sound] * SAMPLE_RATE_HZ)
            low = Layer(sound=sound, octave=layer.octave if sound == "kick" else 0)
            hit = _faded(_hit(low, length, random))[: count - start]
            whole[start : start + hit.size] += level * hit

    beats = layer.times if layer.times else int(count / SAMPLE_RATE_HZ / beat_s) + 1
    for i in range(beats):
        place = i % layer.metre
        if layer.octave < 0:
            put("kick", i * beat_s, 1.0 if place == 0 else 0.75)
            continue
        put("kick" if (place in (0, 2) and layer.metre == 4) or place == 0 else "snare", i * beat_s, 1.0)
        put("hat", (i + 0.5) * beat_s, 0.3)
    return whole


def _melody(layer: Layer, count: int) -> Samples:
    """Notes one after the other, as often as the part has room for; falling plays them backwards."""
    import numpy as np

    notes = tuple(reversed(layer.hz)) if layer.glide < 0 else layer.hz
    rounds = max(1, layer.times or 1)
    each_s = 60 / layer.bpm if layer.bpm else count / SAMPLE_RATE_HZ / (len(notes) * rounds)
    each = max(1, round(each_s * SAMPLE_RATE_HZ))
    whole = np.zeros(count)
    for i in range(len(notes) * rounds):
        start = i * each
        if start >= count:
            break
        length = min(each, count - start)
        tone = _partials(_line(notes[i % len(notes)] * 2.0**layer.octave, 0, length), (1, 0.4, 0.2, 0.1))
        whole[start : start + length] = _faded(tone * _decay(length, 1.5))
    return whole


def _sustained(layer: Layer, count: int) -> Samples:
    import numpy as np

    if layer.sound == "siren":
        t = np.arange(count) / SAMPLE_RATE_HZ
        return _partials(700 + 300 * np.sin(2 * np.pi * 0.4 * layer.pace * t), (1, 0.3))
    strengths: tuple[float, ...] = (1.0, 0.7, 0.5, 0.35, 0.25, 0.2) if layer.sound == "buzz" else (1.0,)
    if layer.sound == "chord":
        strengths = (1.0, 0.3, 0.15)
    pitches = layer.hz or (_OWN_HZ.get(layer.sound, 440.0),)
    voices = [_partials(_line(hz * 2.0**layer.octave, layer.glide, count), strengths) for hz in pitches]
    together: Samples = np.sum(voices, axis=0)
    return together


def _hit(layer: Layer, count: int, random: np.random.Generator) -> Samples:
    """One struck sound of `count` samples."""
    import numpy as np

    t = np.arange(count) / SAMPLE_RATE_HZ
    share = np.linspace(0, 1, count)
    hz = (layer.hz[0] if layer.hz else _OWN_HZ.get(layer.sound, 440.0)) * 2.0**layer.octave
    match layer.sound:
        case "beep" | "alarm":
            return _partials(_line(hz, layer.glide, count), (1, 0.2))
        case "ring":
            return _partials(np.full(count, 440.0), (1,)) + _partials(np.full(count, 480.0), (1,))
        case "bell":
            ratios = ((0.5, 0.5), (1.0, 1.0), (1.2, 0.6), (1.5, 0.4), (2.0, 0.5), (2.7, 0.25))
            tones = [a * _partials(_line(hz * r, layer.glide, count), (1,)) * _decay(count, 3 * r) for r, a in ratios]
            bell: Samples = np.sum(tones, axis=0)
            return bell
        case "kick":
            return _partials(hz * (1 + 2 * np.exp(-t * 40)), (1,)) * _decay(count, 5)
        case "heartbeat":
            first = np.exp(-(((share - 0.15) / 0.07) ** 2)) + 0.7 * np.exp(-(((share - 0.75) / 0.07) ** 2))
            return _partials(np.full(count, 55.0), (1, 0.3)) * first
        case "chirp":
            return _partials((2500 + 900 * np.sin(2 * np.pi * 18 * t)) * 2.0 ** (layer.octave / 2), (1,)) * np.sin(
                np.pi * share
            )
        case "thunder":
            return (
                _noise(random, count, exponent=1, low_hz=20, high_hz=250) * _decay(count, 4) * np.minimum(share * 20, 1)
            )
        case "footstep" | "knock":
            high = 400 if layer.sound == "footstep" else 900
            return _noise(random, count, low_hz=80, high_hz=high * 2.0**layer.octave) * _decay(count, 8)
        case "tick" | "click":
            return _partials(np.full(count, 2000.0 if layer.sound == "tick" else 1200.0), (1, 0.5)) * _decay(count, 6)
        case "clap":
            return _noise(random, count, low_hz=800, high_hz=4000) * _decay(count, 6)
        case "snare":
            rattle = _noise(random, count, low_hz=1000, high_hz=8000) * _decay(count, 6)
            return rattle + 0.5 * _partials(np.full(count, 185.0 * 2.0**layer.octave), (1,)) * _decay(count, 8)
        case _:  # a hat or cymbal
            return _noise(random, count, low_hz=5000 * 2.0 ** (layer.octave / 2), high_hz=10_500) * _decay(count, 7)


def _texture(layer: Layer, count: int, random: np.random.Generator) -> Samples:
    """Noise that goes on."""
    import numpy as np

    t = np.arange(count) / SAMPLE_RATE_HZ
    phase = random.uniform(0, 2 * np.pi)
    match layer.sound:
        case "rain":
            drops = np.where(random.random(count) < 60 / SAMPLE_RATE_HZ, random.normal(size=count), 0.0)
            ring = np.exp(-np.arange(220) / 40) * np.sin(2 * np.pi * 3000 * np.arange(220) / SAMPLE_RATE_HZ)
            rain: Samples = _noise(random, count, low_hz=600, high_hz=10_000) + 2 * np.convolve(drops, ring)[:count]
            return rain
        case "wind":
            gusts = 0.6 + 0.4 * np.sin(2 * np.pi * 0.2 * layer.pace * t + phase)
            return _noise(random, count, exponent=1.5, low_hz=80, high_hz=1200) * gusts
        case "waves":
            swell = 0.1 + 0.9 * np.sin(np.pi * 0.13 * layer.pace * t + phase) ** 2
            return _noise(random, count, exponent=1, low_hz=60, high_hz=6000) * swell
        case "fire":
            sparks = np.where(random.random(count) < 12 / SAMPLE_RATE_HZ, random.normal(size=count) * 4, 0.0)
            crackle = np.convolve(sparks, np.exp(-np.arange(110) / 15))[:count] * random.normal(size=count)
            return _noise(random, count, exponent=2, low_hz=40, high_hz=800) + crackle
        case "pink noise":
            return _noise(random, count, exponent=1, low_hz=20)
        case "brown noise":
            return _noise(random, count, exponent=2, low_hz=20)
        case _:
            return _noise(random, count, low_hz=20)


def _noise(
    random: np.random.Generator, count: int, *, exponent: float = 0, low_hz: float = 20, high_hz: float = 11_025
) -> Samples:
    """Gaussian noise of power falling as 1 / f**exponent within a band, of unit variance.

    Frequencies are cut by a spectrum, so a band's edges are sharp.
    """
    import numpy as np

    spectrum = np.fft.rfft(random.normal(size=count))
    hz = np.fft.rfftfreq(count, 1 / SAMPLE_RATE_HZ)
    gain = np.where((hz >= low_hz) & (hz <= high_hz), np.maximum(hz, 1.0) ** (-exponent / 2), 0.0)
    made = np.fft.irfft(spectrum * gain, count) if count > 1 else np.zeros(count)
    spread = float(made.std())
    return made / spread if spread > 0 else made


def _line(hz: float, glide: int, count: int) -> Samples:
    """Hertz over time: level, or an octave up or down, even in pitch."""
    import numpy as np

    return hz * 2.0 ** (glide * np.linspace(0, 1, count))


def _partials(hz: Samples, strengths: tuple[float, ...]) -> Samples:
    """A tone of given hertz over time; strengths of its harmonics, those past hearing left out."""
    import numpy as np

    phase = 2 * np.pi * np.cumsum(hz) / SAMPLE_RATE_HZ
    top = float(hz.max(initial=0.0))
    voices = [s * np.sin(n * phase) for n, s in enumerate(strengths, 1) if n * top < SAMPLE_RATE_HZ / 2]
    tone: Samples = np.sum(voices, axis=0) if voices else np.zeros(hz.size)
    return tone


def _decay(count: int, speed: float) -> Samples:
    import numpy as np

    return np.exp(-speed * np.linspace(0, 1, count))


def _faded(samples: Samples) -> Samples:
    """Without the click of a sudden start or end."""
    import numpy as np

    length = min(round(_FADE_S * SAMPLE_RATE_HZ), samples.size // 2)
    if length:
        ramp = np.linspace(0, 1, length)
        samples = samples.copy()
        samples[:length] *= ramp
        samples[-length:] *= ramp[::-1]
    return samples
