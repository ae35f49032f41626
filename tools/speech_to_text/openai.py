"""`speech_to_text:openai:MODEL[@ADDRESS]`: an OpenAI-compatible speech server; see `hopline.tools.speech_server`."""

from __future__ import annotations

from typing import Any

from hopline.tools.artifact import Artifact
from hopline.tools.backend import Call, Result
from hopline.tools.errors import BadReply
from hopline.tools.media import decode_audio, encode_wav
from hopline.tools.speech_server import SpeechServer

SAMPLE_RATE_HZ = 16_000


class SpeechToTextServer(SpeechServer):
    """Any model of an OpenAI-compatible server; `whisper-1` by default.

    The recording is sent as 16 kHz mono WAV. Details, as far as the server says: `language`, `duration_s`, `segments`
    (`start_s`, `end_s`, `text`), `words` (`[word, start_s, end_s, None]`), `flags`: `no_speech`.
    """

    tool = "speech_to_text"
    default_model = "whisper-1"

    def call(self, call: Call) -> Result:
        language = str(call.parameters.get("language", "auto"))
        samples, rate_hz, losses = decode_audio(call.one("audio"), SAMPLE_RATE_HZ)
        sound = encode_wav(samples, rate_hz).data
        call.progress(0.05, f"{samples.size / rate_hz:.0f} s sent to {self.served}")
        options: dict[str, Any] = {} if language == "auto" else {"language": language}
        with self.asking() as client:
            said = client.audio.transcriptions.create(
                model=self.served,
                file=("speech.wav", sound, "audio/wav"),
                response_format="verbose_json",
                timestamp_granularities=["word", "segment"],
                temperature=0.0,
                **options,
            )
        text = getattr(said, "text", None)
        if not isinstance(text, str):
            raise BadReply(f"the speech server at {self.address} gave no text.")
        call.progress(1.0, "heard")
        text = text.strip()
        details: dict[str, Any] = {
            "language": str(getattr(said, "language", None) or language),
            "duration_s": round(samples.size / rate_hz, 3),
            "segments": [
                {"start_s": round(float(s.start), 2), "end_s": round(float(s.end), 2), "text": s.text.strip()}
                for s in getattr(said, "segments", None) or ()
            ],
            "words": [
                [w.word.strip(), round(float(w.start), 2), round(float(w.end), 2), None]
                for w in getattr(said, "words", None) or ()
            ],
            "flags": [] if text else ["no_speech"],
        }
        return Result(outputs={"text": (Artifact.from_text(text),)}, details=details, mechanical_losses=tuple(losses))
