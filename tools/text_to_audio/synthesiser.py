"""`text_to_audio:synthesiser`: tones, rhythms and noises that a text describes in words.

No generative model: a small grammar reads which sounds are meant, and they are computed. It makes
no music to speak of and no voices; words it could do nothing with are said, one by one.
"""

from __future__ import annotations

from hopline.tools.backend import Backend, Call, MechanicalLoss, Result, ignored
from hopline.tools.errors import InputRefused
from hopline.tools.media import encode_wav
from hopline.tools.text_to_audio.score import Score, known_sounds, parse
from hopline.tools.text_to_audio.sounds import SAMPLE_RATE_HZ, render

MAX_TEXT_CHARACTERS = 2_000
MAX_PARTS = 20
MAX_LAYERS = 12
MAX_DURATION_S = 60.0
_DEFAULT_DURATION_S = 5.0


class Synthesiser(Backend):
    """Computes simple sounds.

    A length written in the text ("for 10 seconds") counts while `duration_s` has its default;
    otherwise the parameter does. Details: `declared`, the score it knows it played (`parts`,
    `left_out`); `duration_s`, `sample_rate_hz`. Losses: `not_played` for words that are not in the
    sound, `truncated` for texts, parts and lengths beyond the limits.
    """

    tool = "text_to_audio"
    name = "synthesiser"
    code_version = "1"
    seeded = True
    heavy = False
    packages = ("numpy",)

    def call(self, call: Call) -> Result:
        text = call.one("text").text
        losses = ignored(call, "steps", "guidance", "negative_prompt")
        if len(text) > MAX_TEXT_CHARACTERS:
            losses.append(_cut("characters of the text", len(text), MAX_TEXT_CHARACTERS, "characters"))
            text = text[:MAX_TEXT_CHARACTERS]
        score = parse(text)
        if not score.parts:
            raise InputRefused(
                "no word of the text names a sound that can be made here.",
                hint=f"It makes: {', '.join(known_sounds())}; notes such as C4; pitches such as 440 Hz.",
            )
        if score.unused:
            shown = ", ".join(score.unused[:40])
            message = f"not in the sound: {shown}"
            losses.append(
                MechanicalLoss(kind="not_played", message=message, before=len(score.unused), after=0, unit="words")
            )
        score, cut = _within_limits(score)
        losses += cut
        duration_s, cut = _duration(score, float(call.parameters.get("duration_s", _DEFAULT_DURATION_S)))
        losses += cut
        call.progress(0.1, "score read")
        samples = render(score, duration_s, call.seed)
        call.progress(0.9, "sound made")
        details = {
            "declared": score.to_json(),
            "duration_s": samples.size / SAMPLE_RATE_HZ,
            "sample_rate_hz": SAMPLE_RATE_HZ,
        }
        return Result(
            outputs={"audio": (encode_wav(samples, SAMPLE_RATE_HZ),)},
            details=details,
            mechanical_losses=tuple(losses),
        )


def _within_limits(score: Score) -> tuple[Score, list[MechanicalLoss]]:
    losses = []
    parts = score.parts
    if len(parts) > MAX_PARTS:
        losses.append(_cut("parts", len(parts), MAX_PARTS, "parts"))
        parts = parts[:MAX_PARTS]
    most = max(map(len, parts))
    if most > MAX_LAYERS:
        losses.append(_cut("sounds at once", most, MAX_LAYERS, "sounds"))
        parts = tuple(part[:MAX_LAYERS] for part in parts)
    return Score(parts=parts, unused=score.unused, left_out=score.left_out, duration_s=score.duration_s), losses


def _duration(score: Score, parameter_s: float) -> tuple[float, list[MechanicalLoss]]:
    """Length of the sound, and a loss where the words asked for another."""
    written = score.duration_s
    wanted = written if written is not None and parameter_s == _DEFAULT_DURATION_S else parameter_s
    duration_s = min(max(wanted, 0.1), MAX_DURATION_S)
    if written is None or written == duration_s:
        return duration_s, []
    return duration_s, [
        MechanicalLoss(
            kind="truncated",
            message=f"the text asks for {written:g} s, the sound has {duration_s:g} s",
            before=written,
            after=duration_s,
            unit="s",
        )
    ]


def _cut(what: str, before: int, after: int, unit: str) -> MechanicalLoss:
    return MechanicalLoss(
        kind="truncated", message=f"only the first {after} {what} were used", before=before, after=after, unit=unit
    )
