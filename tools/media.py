"""Media at the gate and decoded: what a file really is, whether it is safe to decode, and its samples.

`open_file` is the only way a person's file comes in. It goes by content, looks at the header
before it decodes, and keeps the limits of `hopline.tools.home`. Decoded views have stated
invariants: audio mono float32 in [-1, 1], shape (n,); image RGB uint8, shape (h, w, 3).
Libraries get bytes or our own file object, never a person's string.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hopline.tools.artifact import AUDIO, IMAGE, TEXT, VIDEO, Artifact
from hopline.tools.backend import MechanicalLoss
from hopline.tools.errors import BadInput, InputRefused, MissingExtra
from hopline.tools.home import MEBIBYTE, limits, setting

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image as PillowImage

    Samples = NDArray[np.float32]
    Pixels = NDArray[np.uint8]

IMAGE_FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
"""Pillow's names of the formats we open, and their media types."""

_HEIC_BRANDS = {b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"}

# Names FFmpeg gives its demuxers, and what we call the content with and without moving pictures.
_CONTAINERS = {
    "wav": ("audio/wav", None),
    "flac": ("audio/flac", None),
    "mp3": ("audio/mpeg", None),
    "ogg": ("audio/ogg", "video/ogg"),
    "mov,mp4,m4a,3gp,3g2,mj2": ("audio/mp4", "video/mp4"),
    "matroska,webm": ("audio/webm", "video/webm"),
    "avi": (None, "video/x-msvideo"),
    "aac": ("audio/aac", None),
    "aiff": ("audio/aiff", None),
}

_CLAIMS = {
    **dict.fromkeys((".wav", ".flac", ".mp3", ".m4a", ".ogg", ".oga", ".opus", ".aac", ".aiff", ".weba"), AUDIO),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".webp", ".gif", ".heic", ".heif", ".bmp"), IMAGE),
    **dict.fromkeys((".mp4", ".mov", ".mkv", ".avi"), VIDEO),
    **dict.fromkeys((".txt", ".md"), TEXT),
}
"""What a file's name claims; `.webm` may be either and claims nothing."""

_NOUN = {TEXT: "text", IMAGE: "a picture", AUDIO: "audio", VIDEO: "video"}


def open_file(path: Path) -> Artifact:
    """The artifact of a person's file, checked by its content.

    Args:
        path: an ordinary file. Its name decides nothing, but a name that claims another
            modality than the content is refused.

    Returns:
        The file's bytes, unchanged, with the modality and media type of its content.

    Raises:
        BadInput: missing, a directory, empty, too large, of no known kind, broken, or over a limit;
            the message names the file, and the setting of a limit.
        MissingExtra: it needs a package that is not installed.
    """
    shown = _one_line(path.name or str(path))
    data = _read(path, shown)
    artifact = sniff(data, shown)
    claimed = _CLAIMS.get(path.suffix.lower())
    # Sound alone in a container that usually holds video is a recording, and the other way round.
    related = {claimed, artifact.modality} <= {AUDIO, VIDEO}
    if claimed is not None and claimed != artifact.modality and not related:
        raise BadInput(
            f"{shown} is {_NOUN[artifact.modality]} ({artifact.media_type}), not {_NOUN[claimed]} as its name says."
        )
    return artifact


def _one_line(name: str) -> str:
    """A file name as it can stand in a message: no line break, escape sequence or bidi control."""
    return "".join(c if c.isprintable() else "�" for c in name)


def _read(path: Path, shown: str) -> bytes:
    try:
        if path.is_dir():
            raise BadInput(f"{shown} is a directory, not a file.")
        if not path.exists():
            raise BadInput(f"{_one_line(str(path))}: there is no such file.")
        if not path.is_file():  # a pipe or device could block or never end
            raise BadInput(f"{shown} is not an ordinary file.")
        size = path.stat().st_size
        if size == 0:
            raise BadInput(f"{shown} is empty.")
        if size > limits().max_file_mib * MEBIBYTE:
            raise BadInput(
                f"{shown} has {size / MEBIBYTE:.0f} MiB; the limit is {limits().max_file_mib:g} MiB.",
                hint=f"Raise {setting('max_file_mib')}.",
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise BadInput(f"{shown} cannot be read: {error}.") from None


def sniff(data: bytes, name: str) -> Artifact:
    """The artifact of some bytes, by their content.

    Args:
        data: a whole file.
        name: for messages.

    Raises:
        BadInput: of no known kind, broken, or over a limit.
    """
    if _looks_like_image(data):
        return _sniff_image(data, name)
    text = _as_text(data)
    if text is not None:
        return _sniff_text(data, text, name)
    return _sniff_container(data, name)


# -- text --------------------------------------------------------------------------------------


def _as_text(data: bytes) -> str | None:
    if b"\0" in data[:4096]:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _sniff_text(data: bytes, text: str, name: str) -> Artifact:
    suffix = Path(name).suffix.lower()
    if text.lstrip().startswith(("#EXTM3U", "ffconcat", "<svg", "<?xml", "<!DOCTYPE", "<html")) or suffix == ".svg":
        raise BadInput(f"{name} is markup or a playlist, not text, a picture, audio or video.")
    if not text.strip():
        raise BadInput(f"{name} holds no words.")
    if len(text) > limits().max_text_characters:
        raise BadInput(
            f"{name} has {len(text)} characters; the limit is {limits().max_text_characters}.",
            hint=f"Raise {setting('max_text_characters')}.",
        )
    return Artifact(data=data, modality=TEXT, media_type="text/markdown" if suffix == ".md" else "text/plain")


# -- images ------------------------------------------------------------------------------------


def _looks_like_image(data: bytes) -> bool:
    return (
        data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a"))
        or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")
        or _is_heic(data)
    )


def _is_heic(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS


def _sniff_image(data: bytes, name: str) -> Artifact:
    with _pillow(data, name) as image:
        width, height = image.size
        megapixels = width * height / 1e6
        if megapixels > limits().max_image_megapixels:
            raise BadInput(
                f"{name} has {megapixels:.0f} megapixels; the limit is {limits().max_image_megapixels:g}.",
                hint=f"Raise {setting('max_image_megapixels')}.",
            )
        media_type = "image/heic" if _is_heic(data) else IMAGE_FORMATS[image.format or ""]
        if media_type in ("image/gif", "image/webp", "image/png") and getattr(image, "is_animated", False):
            frames = _count_frames(image)
            if frames > limits().max_image_frames:
                raise BadInput(
                    f"{name} has more than {limits().max_image_frames} frames.",
                    hint=f"Raise {setting('max_image_frames')}.",
                )
            image.seek(0)
        image.load()
    return Artifact(data=data, modality=IMAGE, media_type=media_type)


def _count_frames(image: PillowImage.Image) -> int:
    """Frames, counted no further than the limit: asking for all of them decodes them all."""
    count = 0
    with suppress(EOFError):
        while count <= limits().max_image_frames:
            image.seek(count)
            count += 1
    return count


@contextmanager
def _pillow(data: bytes, name: str) -> Iterator[PillowImage.Image]:
    """Open a picture by its header; whatever Pillow raises inside becomes BadInput."""
    from PIL import Image, UnidentifiedImageError

    formats = list(IMAGE_FORMATS)
    if _is_heic(data):
        try:
            import pillow_heif
        except ImportError:
            raise MissingExtra(f"{name} is a HEIC picture.", hint="pip install 'hopline[heic]'") from None
        pillow_heif.register_heif_opener()
        formats = ["HEIF"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # Our own limit is tested on the header, before anything is decoded.
            Image.MAX_IMAGE_PIXELS = None
            with Image.open(io.BytesIO(data), formats=formats) as image:
                yield image
    except BadInput:
        raise
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, MemoryError, RuntimeError) as error:
        raise BadInput(f"{name} is a broken picture ({str(error) or type(error).__name__}).") from None
    except Exception as error:  # decoders of pictures raise whatever they like on broken bytes
        raise BadInput(f"{name} is a broken picture ({type(error).__name__}: {error}).") from None


def decode_image(artifact: Artifact) -> tuple[Pixels, list[MechanicalLoss]]:
    """The pixels of a picture.

    Args:
        artifact: an image.

    Returns:
        RGB uint8 of shape (h, w, 3), turned as its EXIF says, and what was cut: `alpha_dropped`
        (laid on white), `frames_dropped` (all but the first), `depth_reduced`.

    Raises:
        BadInput: the bytes are broken or over a limit.
    """
    import numpy as np
    from PIL import Image, ImageOps

    losses = []
    with _pillow(artifact.data, artifact.modality) as image:
        if image.size[0] * image.size[1] / 1e6 > limits().max_image_megapixels:
            raise BadInput(
                f"the picture has {image.size[0] * image.size[1] / 1e6:.0f} megapixels; "
                f"the limit is {limits().max_image_megapixels:g}.",
                hint=f"Raise {setting('max_image_megapixels')}.",
            )
        if getattr(image, "is_animated", False):
            losses.append(MechanicalLoss(kind="frames_dropped", message="only the first frame was used", after=1))
        if image.mode.startswith(("I", "F")):
            losses.append(MechanicalLoss(kind="depth_reduced", message="reduced to 8 bits a channel"))
        turned = ImageOps.exif_transpose(image)
        if turned.mode.startswith("I"):
            # Pillow clips 16 bits at 255, which turns nearly everything white.
            turned = Image.fromarray((np.asarray(turned).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
        if turned.has_transparency_data:
            rgba = turned.convert("RGBA")
            if rgba.getchannel("A").getextrema() != (255, 255):
                losses.append(MechanicalLoss(kind="alpha_dropped", message="transparency was laid on white"))
            white = Image.new("RGBA", rgba.size, "white")
            turned = Image.alpha_composite(white, rgba)
        pixels = np.asarray(turned.convert("RGB"), dtype=np.uint8)
    return pixels, losses


def encode_png(pixels: Pixels, *, description: str = "") -> Artifact:
    """A PNG of RGB uint8 pixels, shape (h, w, 3); a description goes into its metadata."""
    from PIL import Image, PngImagePlugin

    information = PngImagePlugin.PngInfo()
    if description:
        information.add_text("Description", description)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", pnginfo=information)
    return Artifact(data=buffer.getvalue(), modality=IMAGE, media_type="image/png")


# -- sound and video ---------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioInfo:
    """A recording's header.

    Attributes:
        duration_s: seconds; 0 when the header does not say.
        sample_rate_hz: of its first soundtrack.
        channels: of its first soundtrack.
    """

    duration_s: float
    sample_rate_hz: int
    channels: int


@contextmanager
def open_container(data: bytes, name: str) -> Iterator[Any]:
    """An open PyAV container over bytes; whatever FFmpeg raises inside becomes BadInput.

    Raises:
        BadInput: not media that we take, or broken.
        MissingExtra: PyAV is not installed.
    """
    try:
        import av
    except ImportError:
        raise MissingExtra("reading audio and video needs PyAV.", hint="pip install 'hopline[media]'") from None
    av.logging.set_level(None)
    try:
        # A file object, and demuxers that never follow a path or address written inside a file.
        with av.open(io.BytesIO(data), mode="r", options={"protocol_whitelist": "pipe"}) as container:
            if container.format.name.endswith("_pipe"):  # how FFmpeg names single pictures
                raise BadInput(f"{name} is a picture, but none of {', '.join(IMAGE_FORMATS)} and HEIC.")
            if container.format.name not in _CONTAINERS:
                raise BadInput(f"{name} is {container.format.long_name}, which is not audio or video that we take.")
            for stream in (*container.streams.video, *container.streams.audio):
                if stream.codec_context is None:
                    raise BadInput(f"{name} holds {stream.type} in a coding that nothing here decodes.")
            yield container
    except BadInput:
        raise
    except (av.FFmpegError, OSError, ValueError, IndexError, EOFError, MemoryError, RuntimeError) as error:
        raise BadInput(f"{name} is not audio or video that can be read ({_short(error)}).") from None


def _short(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _sniff_container(data: bytes, name: str) -> Artifact:
    with open_container(data, name) as container:
        moving = [s for s in container.streams.video if "attached_pic" not in (s.disposition.name or "")]
        modality = VIDEO if moving else AUDIO
        if not moving and not container.streams.audio:
            raise BadInput(f"{name} holds neither sound nor moving pictures.")
        audio_type, video_type = _CONTAINERS[container.format.name]
        media_type = (video_type if moving else audio_type) or f"{modality}/x-{container.format.name}"
        if moving and data[4:12] == b"ftypqt  ":
            media_type = "video/quicktime"
        elif moving and media_type == "video/webm" and b"webm" not in data[:64]:
            media_type = "video/x-matroska"
        _check_header(container, modality, name)
        stream = moving[0] if moving else container.streams.audio[0]
        if next(iter(container.decode(stream)), None) is None:
            raise BadInput(f"{name} holds no {'pictures' if moving else 'sound'}.")
    return Artifact(data=data, modality=modality, media_type=media_type)


def _check_header(container: Any, modality: str, name: str) -> None:
    duration_s = (container.duration or 0) / 1e6
    limit_name = "max_video_s" if modality == VIDEO else "max_audio_s"
    limit_s = getattr(limits(), limit_name)
    if duration_s > limit_s:
        raise BadInput(
            f"{name} says it is {duration_s:.0f} s long; the limit is {limit_s:g} s.",
            hint=f"Raise {setting(limit_name)}.",
        )
    for stream in container.streams.audio:
        if not stream.rate or stream.rate > 768_000 or not 1 <= stream.channels <= 16:
            raise BadInput(f"{name} says it has {stream.channels} channels at {stream.rate} Hz, which we do not take.")
    for stream in container.streams.video:
        if stream.width * stream.height / 1e6 > limits().max_image_megapixels:
            raise BadInput(
                f"{name} has frames of {stream.width * stream.height / 1e6:.0f} megapixels.",
                hint=f"Raise {setting('max_image_megapixels')}.",
            )


def audio_info(artifact: Artifact) -> AudioInfo:
    """The header of a recording or a video's soundtrack.

    Raises:
        BadInput: broken, or there is no sound.
    """
    with open_container(artifact.data, artifact.modality) as container:
        if not container.streams.audio:
            raise BadInput(f"the {artifact.modality} has no sound.")
        stream = container.streams.audio[0]
        return AudioInfo(
            duration_s=(container.duration or 0) / 1e6, sample_rate_hz=stream.rate, channels=stream.channels
        )


def decode_audio(artifact: Artifact, sample_rate_hz: int | None = None) -> tuple[Samples, int, list[MechanicalLoss]]:
    """The samples of a recording or of a video's soundtrack.

    Args:
        artifact: audio or video.
        sample_rate_hz: wanted; its own by default.

    Returns:
        Mono float32 in [-1, 1] of shape (n,), their rate in Hz, and what was cut: `downmixed`,
        `resampled`, `truncated` (the file ends before its header says), `not_finite`, `clipped`.

    Raises:
        BadInput: broken, no sound, or longer than the limit.
    """
    import av
    import numpy as np

    with open_container(artifact.data, artifact.modality) as container:
        if not container.streams.audio:
            raise InputRefused(f"the {artifact.modality} has no sound.")
        stream = container.streams.audio[0]
        rate = sample_rate_hz or stream.rate
        said_s = (container.duration or 0) / 1e6
        losses = _conversion_losses(stream, rate)
        resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
        chunks: list[Any] = []
        count = 0
        broken = ""
        try:
            for frame in container.decode(stream):
                for piece in resampler.resample(frame):
                    chunks.append(piece.to_ndarray().reshape(-1))
                    count += chunks[-1].size
                if count > limits().max_audio_s * rate:
                    raise BadInput(
                        f"the recording is longer than {limits().max_audio_s:g} s.",
                        hint=f"Raise {setting('max_audio_s')}.",
                    )
        except av.FFmpegError as error:
            broken = _short(error)
        chunks += [piece.to_ndarray().reshape(-1) for piece in (resampler.resample(None) if chunks else [])]
    samples = np.concatenate(chunks).astype(np.float32) if chunks else np.zeros(0, np.float32)
    if not samples.size:
        raise BadInput(f"the {artifact.modality} holds no sound ({broken or 'nothing could be decoded'}).")
    got_s = samples.size / rate
    wav_s = _wav_says_s(artifact.data)
    said_s = max(said_s, wav_s)
    # Encoders pad, and headers of packed formats round; a wav is exact.
    if broken or got_s < wav_s - 0.002 or (said_s and got_s < 0.98 * said_s - 0.1):
        message = f"the file ends after {got_s:.1f} s; its header says {said_s:.1f} s"
        losses.append(MechanicalLoss(kind="truncated", message=message, before=said_s or None, after=got_s, unit="s"))
    elif _ogg_is_cut(artifact.data):
        message = f"the file ends after {got_s:.1f} s without the page that closes it"
        losses.append(MechanicalLoss(kind="truncated", message=message, after=got_s, unit="s"))
    invalid = int(samples.size - np.isfinite(samples).sum())
    if invalid:
        message = f"{invalid} samples are no numbers and were silenced"
        losses.append(
            MechanicalLoss(
                kind="not_finite", message=message, before=samples.size, after=samples.size - invalid, unit="samples"
            )
        )
        samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
    peak = float(np.abs(samples).max())
    if peak > 1.0:
        message = f"samples over full scale were clipped (peak {peak:.2f})"
        losses.append(MechanicalLoss(kind="clipped", message=message, before=peak, after=1.0))
        samples = np.clip(samples, -1.0, 1.0)
    return samples, rate, losses


_WAV_UNKNOWN_SIZES = (0, 0x7FFFFFFF, 0xFFFFFFFF)
"""What recorders that stream write for a size they do not know yet."""


def _wav_says_s(data: bytes) -> float:
    """Seconds of sound that a WAV header promises; 0 for anything else. FFmpeg trusts the file's size instead."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return 0.0
    at, byte_rate = 12, 0
    while at + 8 <= len(data):
        chunk, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if chunk == b"fmt ":
            byte_rate = int.from_bytes(data[at + 16 : at + 20], "little")
        if chunk == b"data":
            return size / byte_rate if byte_rate and size not in _WAV_UNKNOWN_SIZES else 0.0
        at += 8 + size + size % 2
    return 0.0


def _ogg_is_cut(data: bytes) -> bool:
    """An Ogg file that does not end with a page marked as its stream's last (RFC 3533, section 6)."""
    if not data.startswith(b"OggS"):
        return False
    last = data.rfind(b"OggS")
    return last + 6 > len(data) or not data[last + 5] & 4


def _conversion_losses(stream: Any, rate: int) -> list[MechanicalLoss]:
    losses = []
    if stream.channels > 1:
        message = f"{stream.channels} channels were mixed into one"
        losses.append(
            MechanicalLoss(kind="downmixed", message=message, before=stream.channels, after=1, unit="channels")
        )
    if stream.rate > rate:
        message = f"resampled from {stream.rate} to {rate} Hz: sound above {rate // 2} Hz is gone"
        losses.append(MechanicalLoss(kind="resampled", message=message, before=stream.rate, after=rate, unit="Hz"))
    return losses


def encode_wav(samples: Samples, sample_rate_hz: int) -> Artifact:
    """A 16-bit mono WAV of float32 samples in [-1, 1], shape (n,)."""
    import wave

    import numpy as np

    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate_hz)
        file.writeframes((np.clip(samples, -1, 1) * 32767).round().astype("<i2").tobytes())
    return Artifact(data=buffer.getvalue(), modality=AUDIO, media_type="audio/wav")
