"""`text_to_speech:piper[:voice]`: Piper, a neural voice on the processor.

The model part is a voice by its name (`de_DE-thorsten-medium`, see https://huggingface.co/rhasspy/piper-voices) or the
path of its `.onnx`; without one it is Joe, US English.

piper-tts is GPL-3.0-or-later: it is an extra of its own and is imported in its worker process only.
With both noises 0 the same text gives the same bytes.
"""

from __future__ import annotations

import json
import logging
import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hopline.tools.backend import Backend, Call, MechanicalLoss, Result
from hopline.tools.errors import InputRefused, MissingExtra, MissingModel
from hopline.tools.home import limits, setting
from hopline.tools.hub import HubFiles
from hopline.tools.language import NAMES, script_of, scripts_of, seems
from hopline.tools.media import encode_wav
from hopline.tools.models import manifest, path_of
from hopline.tools.weights import digest_of

if TYPE_CHECKING:
    from piper import PiperVoice

JOE = "rhasspy/piper-voices/en_US-joe-medium"
PAUSE_S = 0.15
"""Silence between sentences, seconds."""

MAX_PIECE_CHARACTERS = 400
"""A longer sentence is split at a comma or space: the voice's memory grows with its length."""

VOICES = "rhasspy/piper-voices"
_NAME = re.compile(r"(?P<family>[a-z]{2,3})_[A-Z]{2}-(?P<speaker>[a-zA-Z0-9_]+)-(?P<quality>x_low|low|medium|high)")
_MEGABYTES = {"x_low": 28, "low": 63, "medium": 63, "high": 114}

_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’)]*\s+|\n+")
_SILENT = {"Cc", "Cf", "Cs", "Co", "Cn", "So", "Sk", "Mn"}


class Piper(Backend):
    """Piper voices; US English Joe by default.

    Outputs a 16-bit mono WAV at the voice's rate. Details: `declared` = the text spoken, `language` of the voice,
    `duration_s`, `sample_rate_hz`, `pieces`, `flags`: `maybe_not_english` or `other_language` where the text does not
    look like the voice's language, and `notes`, a sentence for each flag.
    """

    tool = "text_to_speech"
    name = "piper"
    code_version = "3"
    extra = "tts"
    packages = ("piper", "onnxruntime")
    models: tuple[str, ...] = (JOE,)
    licence = "GPL-3.0-or-later"

    def __init__(self, model: str = "") -> None:
        super().__init__(model)
        self._voice: PiperVoice | None = None
        self._language = ("en", "English")
        if not model or f"{VOICES}/{model}" in manifest():
            return
        self.models = ()
        if named := _NAME.fullmatch(model):
            # en/en_US/joe/medium/en_US-joe-medium.onnx
            path = f"{named['family']}/{model.partition('-')[0]}/{named['speaker']}/{named['quality']}/{model}.onnx"
            size = _MEGABYTES[named["quality"]] * 1_000_000
            self.hub = (HubFiles(repository=VOICES, files=(f"{path}.json",), main=path, size_bytes=size),)

    def identity(self) -> dict[str, str]:
        found = super().identity()
        if self.models or self.hub:
            return found
        return found | {"voice": digest_of(Path(self.model)) if Path(self.model).is_file() else "unknown"}

    def load(self) -> None:
        try:
            from onnxruntime import InferenceSession, SessionOptions
            from piper import PiperConfig, PiperVoice
        except ImportError:
            raise MissingExtra("speaking needs piper-tts.", hint="pip install 'hopline[tts]'") from None
        logging.getLogger("piper").setLevel(logging.ERROR)
        path = self._path()
        if not path.is_file() or not Path(f"{path}.json").is_file():
            raise MissingModel(
                f"the voice {path.name} or its .json is not there.",
                hint="Give the name of a voice, such as de_DE-thorsten-medium, or the path of its .onnx.",
            )
        about = json.loads(Path(f"{path}.json").read_text("utf-8"))
        # As PiperVoice.load does, but with our number of threads, not all cores.
        options = SessionOptions()
        options.intra_op_num_threads = limits().threads
        self._voice = PiperVoice(
            config=PiperConfig.from_dict(about),
            session=InferenceSession(str(path), options, providers=["CPUExecutionProvider"]),
        )
        self._language = _language_of(about)

    def _path(self) -> Path:
        if self.hub:
            return self.hub_folder() / self.hub[0].main
        if self.models:
            return path_of(self.models[0]) / f"{self.model or 'en_US-joe-medium'}.onnx"
        return Path(self.model)

    def call(self, call: Call) -> Result:
        import numpy as np
        from piper import SynthesisConfig

        assert self._voice is not None, "load() comes first"
        written = call.one("text").text
        text, losses = speakable(written)
        flags, notes = self._language_flags(text)
        config = SynthesisConfig(
            noise_scale=0.0, noise_w_scale=0.0, length_scale=1.0 / float(call.parameters.get("speed", 1.0))
        )
        pieces = list(split(text))
        rate = int(self._voice.config.sample_rate)
        pause = np.zeros(int(PAUSE_S * rate), np.float32)
        sounds: list[Any] = []
        for number, piece in enumerate(pieces):
            if sounds:
                sounds.append(pause)
            sounds.extend(chunk.audio_float_array for chunk in self._voice.synthesize(piece, config))
            call.progress((number + 1) / len(pieces), f"{number + 1} of {len(pieces)} sentences spoken")
        samples = np.concatenate(sounds) if sounds else np.zeros(0, np.float32)
        if not samples.size:
            raise InputRefused("the voice made no sound of this text.")
        details = {
            "declared": {"text": text},
            "language": self._language[0],
            "duration_s": round(samples.size / rate, 3),
            "sample_rate_hz": rate,
            "pieces": len(pieces),
            "flags": flags,
            "notes": notes,
        }
        return Result(outputs={"audio": (encode_wav(samples, rate),)}, details=details, mechanical_losses=losses)

    def _language_flags(self, text: str) -> tuple[list[str], list[str]]:
        """Flags and their sentences, where the text does not look like the voice's language.

        Raises:
            InputRefused: it is in a script that the language is not written in.
        """
        code, language = self._language
        scripts = scripts_of(code)
        script = script_of(text)
        if script and script not in scripts:
            raise InputRefused(f"the text is in {script.title()} script; this voice speaks {language} only for now.")
        foreign = any(c.isalpha() and not unicodedata.name(c, "").startswith((*scripts, "LATIN")) for c in text)
        if not foreign and seems(text) in (language, ""):
            return [], []
        flag = "maybe_not_english" if code == "en" else "other_language"
        return [flag], [f"the text does not look like {language}, and this voice speaks {language} only for now"]


def _language_of(about: Mapping[str, Any]) -> tuple[str, str]:
    """ISO 639-1 code and English name of the language a voice speaks, as its `.json` says."""
    language = about.get("language") or {}
    code = str(language.get("family") or str(about.get("espeak", {}).get("voice", "en")).partition("-")[0])
    return code, NAMES.get(code) or str(language.get("name_english") or code)


def speakable(written: str) -> tuple[str, tuple[MechanicalLoss, ...]]:
    """The text as the voice is given it, and what was left out.

    Args:
        written: any text.

    Returns:
        NFC text without control characters, emoji and other symbols; a loss where some were there.

    Raises:
        InputRefused: it holds no word or number, or is longer than the limit.
    """
    normal = unicodedata.normalize("NFC", written)
    if len(normal) > limits().max_speech_characters:
        raise InputRefused(
            f"the text has {len(normal)} characters; at most {limits().max_speech_characters} are spoken in one hop.",
            hint=f"Raise {setting('max_speech_characters')}.",
        )
    kept = []
    dropped = []
    for character in normal:
        if unicodedata.category(character) in _SILENT and not character.isspace():
            dropped.append(character)
        else:
            kept.append(character)
    text = re.sub(r"[^\S\n]+", " ", "".join(kept)).strip()
    if not any(character.isalnum() for character in text):
        raise InputRefused("there is no word or number in the text to speak.")
    if not dropped:
        return text, ()
    shown = " ".join(dict.fromkeys(c for c in dropped if c.isprintable()))[:60]
    message = f"{len(dropped)} characters cannot be spoken{': ' + shown if shown else ''}"
    return text, (
        MechanicalLoss(
            kind="not_spoken", message=message, before=len(normal), after=len(normal) - len(dropped), unit="characters"
        ),
    )


def split(text: str) -> Iterator[str]:
    """Sentences of a text, long ones in pieces; together they are the text."""
    for sentence in _SENTENCE.split(text):
        rest = sentence.strip()
        while len(rest) > MAX_PIECE_CHARACTERS:
            head = rest[:MAX_PIECE_CHARACTERS]
            at = max(head.rfind(", "), head.rfind("; "))
            at = at + 1 if at > MAX_PIECE_CHARACTERS // 2 else head.rfind(" ")
            at = at if at > 0 else MAX_PIECE_CHARACTERS
            yield rest[:at]
            rest = rest[at:].strip()
        if any(character.isalnum() for character in rest):
            yield rest
