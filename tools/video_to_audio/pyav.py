"""`video_to_audio:pyav`: the soundtrack of a video, through PyAV."""

from __future__ import annotations

from hopline.tools.backend import Backend, Call, Result
from hopline.tools.media import decode_audio, encode_wav


class VideoToAudio(Backend):
    """The first soundtrack, mixed to mono, as a 16-bit WAV at its own rate."""

    tool = "video_to_audio"
    name = "pyav"
    extra = "media"
    packages = ("av",)

    def call(self, call: Call) -> Result:
        samples, rate, losses = decode_audio(call.one("video"))
        details = {"duration_s": round(samples.size / rate, 3), "sample_rate_hz": rate}
        return Result(outputs={"audio": (encode_wav(samples, rate),)}, details=details, mechanical_losses=tuple(losses))
