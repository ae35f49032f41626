"""`text_to_speech:openai:MODEL[#VOICE][@ADDRESS]`: an OpenAI-compatible server; see `hopline.tools.speech_server`."""

from __future__ import annotations

from hopline.tools.artifact import AUDIO, Artifact
from hopline.tools.backend import Call, Result
from hopline.tools.errors import BadInput, CutReply
from hopline.tools.media import decode_audio, encode_wav
from hopline.tools.speech_server import SpeechServer
from hopline.tools.text_to_speech.piper import speakable


class TextToSpeechServer(SpeechServer):
    """Any voice of an OpenAI-compatible server; `tts-1#alloy` by default.

    Outputs a 16-bit mono WAV at the server's rate. Details: `declared` = the text spoken, `voice`, `duration_s`,
    `sample_rate_hz`.
    """

    tool = "text_to_speech"
    default_model = "tts-1"

    def call(self, call: Call) -> Result:
        text, losses = speakable(call.one("text").text)
        voice = self.voice or "alloy"
        call.progress(0.05, f"{len(text)} characters sent to {self.served}")
        with self.asking() as client:
            data = client.audio.speech.create(
                model=self.served,
                voice=voice,
                input=text,
                response_format="wav",
                speed=float(call.parameters.get("speed", 1.0)),
            ).read()
        try:
            samples, rate_hz, decoding = decode_audio(Artifact(data=data, modality=AUDIO, media_type="audio/wav"))
        except BadInput as error:
            raise CutReply(f"the speech server at {self.address} gave no sound ({error}).") from None
        call.progress(1.0, "spoken")
        details = {
            "declared": {"text": text},
            "voice": voice,
            "duration_s": round(samples.size / rate_hz, 3),
            "sample_rate_hz": rate_hz,
        }
        sound = encode_wav(samples, rate_hz)
        return Result(outputs={"audio": (sound,)}, details=details, mechanical_losses=(*losses, *decoding))
