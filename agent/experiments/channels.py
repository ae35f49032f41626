"""Channels that spoil a recording or a picture by a stated amount: plain functions as tools."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

from hopline.tools.artifact import IMAGE, Artifact
from hopline.tools.function import Audio, Image, tool
from hopline.tools.media import decode_audio, decode_image, encode_png, encode_wav

if TYPE_CHECKING:
    from numpy.random import Generator


@tool(recodes=True)
def noise(audio: Audio, snr_db: float = 10.0, seed: int = 0) -> Audio:
    """Adds white noise to a recording, at a stated ratio of signal to noise in dB."""
    import numpy as np

    samples, rate, _ = decode_audio(audio)
    power = float(np.mean(np.square(samples, dtype=np.float64))) / 10 ** (snr_db / 10)
    hiss = _chance(seed, audio).normal(scale=power**0.5, size=samples.shape)
    return encode_wav(np.clip(samples + hiss, -1, 1).astype(np.float32), rate)


@tool(recodes=True)
def jpeg(image: Image, quality: int = 30) -> Image:
    """Compresses a picture as JPEG of a stated quality, 1 to 95."""
    from PIL import Image as Picture

    buffer = io.BytesIO()
    Picture.fromarray(decode_image(image)[0]).save(buffer, "JPEG", quality=quality)
    return Artifact(data=buffer.getvalue(), modality=IMAGE, media_type="image/jpeg")


@tool(recodes=True)
def shrink(image: Image, side: int = 128) -> Image:
    """Makes a picture small, its longer side of a stated number of pixels."""
    import numpy as np
    from PIL import Image as Picture

    picture = Picture.fromarray(decode_image(image)[0])
    picture.thumbnail((side, side), Picture.Resampling.BICUBIC)
    return encode_png(np.asarray(picture, np.uint8))


def _chance(seed: int, content: Artifact) -> Generator:
    """Random numbers of a seed and what is spoiled: generations get different noise, repeats of one get the same."""
    import numpy as np

    digest = hashlib.sha256(f"{seed} {content.id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


CHANNELS = (noise, jpeg, shrink)
"""What an experiment's chains may use beside the registered tools."""
