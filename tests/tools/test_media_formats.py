"""What phones and recorders make, written here by real encoders, is read right."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from hopline.tools import Artifact, Call
from hopline.tools.media import audio_info, decode_audio, decode_image, encode_png, encode_wav, open_file, sniff
from hopline.tools.video_to_audio.pyav import VideoToAudio
from hopline.tools.video_to_image.pyav import VideoToImage
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

RATE_HZ = 48_000
SECONDS = 2
PITCH_HZ = 440.0


def tone() -> Any:
    """Two seconds of a tone, float32 of shape (n,)."""
    return (0.3 * np.sin(np.arange(SECONDS * RATE_HZ) / RATE_HZ * 2 * np.pi * PITCH_HZ)).astype(np.float32)


def container(
    kind: str, sound: str = "", picture: str = "", channels: int = 1, size: tuple[int, int] = (64, 48)
) -> bytes:
    """A file with a tone, and with one grey level more in each of its 10 frames a second."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as out:
        streams: list[Any] = []
        if picture:
            video: Any = out.add_stream(picture, rate=10)
            video.width, video.height, video.pix_fmt = *size, "yuv420p"
            streams.append(video)
        if sound:
            layout = "mono" if channels == 1 else "stereo"
            audio: Any = out.add_stream(sound, rate=RATE_HZ, layout=layout)
            streams.append(audio)
        if picture:
            for number in range(10 * SECONDS):
                frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 10 * number, np.uint8))
                frame.pts = number
                out.mux(video.encode(frame))
        if sound:
            both = np.repeat(tone()[None], channels, axis=0)
            whole = av.AudioFrame.from_ndarray(both, format="fltp", layout=layout)
            whole.sample_rate, whole.pts = RATE_HZ, 0
            feed(out, audio, whole)
        for stream in streams:
            out.mux(stream.encode())
    return file.getvalue()


def feed(out: Any, audio: Any, whole: Any) -> None:
    """Hand the sound to the encoder in frames of its size and sample format."""
    resampler = av.AudioResampler(format=audio.format, layout=audio.layout, rate=RATE_HZ, frame_size=960)
    for frame in [*resampler.resample(whole), *resampler.resample(None)]:
        out.mux(audio.encode(frame))


def pitch_hz(samples: Any, rate_hz: int) -> float:
    """The strongest frequency, to 1 Hz or so."""
    middle = samples[rate_hz // 2 : rate_hz // 2 + rate_hz]
    return float(np.argmax(np.abs(np.fft.rfft(middle))) * rate_hz / middle.size)


@pytest.mark.parametrize(
    ("name", "kind", "codec", "media_type"),
    [
        ("memo.m4a", "ipod", "aac", "audio/mp4"),
        ("memo.mp3", "mp3", "libmp3lame", "audio/mpeg"),
        ("memo.opus", "ogg", "libopus", "audio/ogg"),
        ("memo.ogg", "ogg", "flac", "audio/ogg"),
        ("memo.webm", "webm", "libopus", "audio/webm"),
        ("memo.aac", "adts", "aac", "audio/aac"),
        ("memo.mp4", "mp4", "aac", "audio/mp4"),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_recordings(tmp_path: Path, name: str, kind: str, codec: str, media_type: str, channels: int) -> None:
    (tmp_path / name).write_bytes(container(kind, codec, channels=channels))
    artifact = open_file(tmp_path / name)
    assert (artifact.modality, artifact.media_type) == ("audio", media_type)
    samples, rate_hz, losses = decode_audio(artifact, 16_000)
    assert (str(samples.dtype), samples.ndim, rate_hz) == ("float32", 1, 16_000)
    assert samples.size / rate_hz == pytest.approx(SECONDS, abs=0.1)
    assert pitch_hz(samples, rate_hz) == pytest.approx(PITCH_HZ, abs=2)
    assert {loss.kind for loss in losses} - {"clipped"} == {"resampled"} | ({"downmixed"} if channels == 2 else set())


@pytest.mark.parametrize(("kind", "media_type"), [("WAV", "audio/wav"), ("FLAC", "audio/flac"), ("AIFF", "audio/aiff")])
def test_studio_files_lose_nothing_at_their_own_rate(kind: str, media_type: str) -> None:
    file = io.BytesIO()
    soundfile.write(file, tone(), RATE_HZ, format=kind, subtype="PCM_24")
    artifact = sniff(file.getvalue(), "take")
    samples, rate_hz, losses = decode_audio(artifact)
    assert (artifact.media_type, rate_hz, losses) == (media_type, RATE_HZ, [])
    assert np.abs(samples - tone()).max() < 1e-6


def test_the_header_is_read_without_decoding() -> None:
    info = audio_info(sniff(container("ipod", "aac", channels=2), "memo.m4a"))
    assert (info.sample_rate_hz, info.channels) == (RATE_HZ, 2)
    assert info.duration_s == pytest.approx(SECONDS, abs=0.1)


@given(arrays(np.float32, st.integers(1, 400), elements=st.floats(-1, 1, width=32)))
def test_a_wav_gives_back_its_samples(samples: Any) -> None:
    back, rate_hz, losses = decode_audio(encode_wav(samples, 16_000))
    assert (rate_hz, losses) == (16_000, [])
    assert back.shape == samples.shape
    assert np.abs(back - samples).max() <= 2 / 32_768  # one step of 16 bits for rounding, one for writing with 32,767


def test_what_is_over_full_scale_or_no_number_is_reported() -> None:
    loud = tone() * 10
    loud[7], loud[8] = np.nan, np.inf
    file = io.BytesIO()
    soundfile.write(file, loud, RATE_HZ, format="WAV", subtype="FLOAT")
    samples, _, losses = decode_audio(sniff(file.getvalue(), "loud.wav"))
    assert {loss.kind for loss in losses} == {"clipped", "not_finite"}
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() == 1.0


@pytest.mark.parametrize(
    ("kind", "sound", "picture", "media_type"),
    [
        ("mov", "aac", "mpeg4", "video/quicktime"),
        ("mp4", "aac", "mpeg4", "video/mp4"),
        ("webm", "libopus", "libvpx", "video/webm"),
        ("matroska", "aac", "mpeg4", "video/x-matroska"),
    ],
)
def test_films(kind: str, sound: str, picture: str, media_type: str) -> None:
    film = sniff(container(kind, sound, picture, channels=2), "film")
    assert (film.modality, film.media_type) == ("video", media_type)

    heard = VideoToAudio().call(Call(inputs={"video": (film,)}))
    samples, rate_hz, _ = decode_audio(heard.outputs["audio"][0])
    assert rate_hz == RATE_HZ
    assert pitch_hz(samples, rate_hz) == pytest.approx(PITCH_HZ, abs=2)
    assert [loss.kind for loss in heard.mechanical_losses] == ["downmixed"]

    seen = VideoToImage().call(Call(inputs={"video": (film,)}, parameters={"every_s": 0.5, "most": 3}))
    assert seen.details["times_s"] == [0.0, 0.5, 1.0]
    greys = [decode_image(picture)[0].mean() for picture in seen.outputs["image"]]
    assert greys == pytest.approx([0, 50, 100], abs=6)
    (loss,) = seen.mechanical_losses
    assert (loss.kind, loss.before, loss.after, loss.unit) == ("skipped", 20, 3, "frames")


def test_the_first_frame_of_each_scene() -> None:
    import av

    rng = np.random.default_rng(3)
    scenes = [rng.integers(0, 236, (8, 12, 3)).repeat(8, 0).repeat(8, 1) for _ in range(4)]
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as film:
        stream = film.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(80):
            pixels = (scenes[number // 20] + number % 20).astype(np.uint8)  # within a scene it brightens
            film.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        film.mux(stream.encode())
    video = sniff(file.getvalue(), "film.mp4")
    seen = VideoToImage().call(Call(inputs={"video": (video,)}, parameters={"at": "scenes"}))
    assert seen.details["times_s"] == [0.0, 2.0, 4.0, 6.0]
    for picture, scene in zip(seen.outputs["image"], scenes, strict=True):
        assert np.abs(decode_image(picture)[0].mean((0, 1)) - scene.mean((0, 1))).max() < 8
    few = VideoToImage().call(Call(inputs={"video": (video,)}, parameters={"at": "scenes", "most": 2}))
    assert few.mechanical_losses[0].message == "2 of 80 frames were taken, one a scene; nothing after 2 s"


def test_a_silent_film_says_that_it_has_no_sound() -> None:
    from hopline.tools.errors import InputRefused

    film = sniff(container("mp4", picture="mpeg4"), "film.mp4")
    with pytest.raises(InputRefused, match="has no sound"):
        VideoToAudio().call(Call(inputs={"video": (film,)}))


def halves() -> Image.Image:
    """60 by 40 pixels, red on the left and blue on the right."""
    image = Image.new("RGB", (60, 40), "blue")
    image.paste("red", (0, 0, 30, 40))
    return image


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_turned_as_its_exif_says(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn a quarter clockwise
    pixels, losses = decode_image(sniff(saved(halves(), kind, exif=exif.tobytes()), "photo"))
    assert (pixels.shape, str(pixels.dtype), losses) == ((60, 40, 3), "uint8", [])
    assert pixels[:25].mean(axis=(0, 1)) == pytest.approx([255, 0, 0], abs=12)
    assert pixels[35:].mean(axis=(0, 1)) == pytest.approx([0, 0, 255], abs=12)


@pytest.mark.parametrize("turned", [1, 6])
def test_heic_as_phones_write_it(tmp_path: Path, turned: int) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = turned
    (tmp_path / "IMG_1.HEIC").write_bytes(saved(halves(), "HEIF", exif=exif.tobytes()))
    artifact = open_file(tmp_path / "IMG_1.HEIC")
    assert artifact.media_type == "image/heic"
    pixels, _ = decode_image(artifact)
    assert pixels.shape == ((60, 40, 3) if turned == 6 else (40, 60, 3))
    assert pixels[3, 3] == pytest.approx([255, 0, 0], abs=20)
    assert pixels[-3, -3] == pytest.approx([0, 0, 255], abs=20)


def test_heic_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from hopline.tools.errors import MissingExtra

    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(MissingExtra, match=r"pip install 'hopline\[heic\]'"):
        sniff(b"\0\0\0\x18ftypheic" + b"\0" * 40, "IMG_1.HEIC")


def test_transparency_is_laid_on_white_and_reported() -> None:
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    image.putpixel((0, 0), (255, 0, 0, 255))
    pixels, losses = decode_image(sniff(saved(image, "PNG"), "logo.png"))
    assert pixels[0, 0].tolist() == [255, 0, 0]
    assert pixels[3, 3].tolist() == [255, 255, 255]
    assert [loss.kind for loss in losses] == ["alpha_dropped"]
    opaque = Image.new("RGBA", (4, 4), (255, 0, 0, 255))
    assert decode_image(sniff(saved(opaque, "PNG"), "logo.png"))[1] == []


def test_an_animation_gives_its_first_frame_and_says_so() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    pixels, losses = decode_image(sniff(data, "wave.gif"))
    assert pixels[4, 4].tolist() == [255, 0, 0]
    assert [loss.kind for loss in losses] == ["frames_dropped"]


def test_sixteen_bits_keep_their_greys() -> None:
    ramp = np.linspace(0, 65_535, 256).astype(np.uint16)[None].repeat(4, axis=0)
    pixels, losses = decode_image(sniff(saved(Image.fromarray(ramp), "PNG"), "scan.png"))
    assert np.abs(pixels[0, :, 0].astype(int) - np.arange(256)).max() <= 1
    assert [loss.kind for loss in losses] == ["depth_reduced"]


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_a_png_gives_back_its_pixels(pixels: Any) -> None:
    back, losses = decode_image(encode_png(pixels))
    assert losses == []
    assert np.array_equal(back, pixels)


def test_text_keeps_its_bytes(tmp_path: Path) -> None:
    written = "\ufeffe\u0301 naïve\r\nline two \n".encode()
    (tmp_path / "note.md").write_bytes(written)
    artifact = open_file(tmp_path / "note.md")
    assert (artifact.data, artifact.modality, artifact.media_type) == (written, "text", "text/markdown")


def test_the_real_photos_are_read(shared: Path) -> None:
    for path in sorted((shared / "media").glob("*.jpg")):
        artifact = open_file(path)
        assert isinstance(artifact, Artifact)
        assert decode_image(artifact)[0].shape[2] == 3


def test_a_film_taken_sideways_gives_upright_pictures() -> None:
    """A phone held upright writes lying frames and a matrix: turn a quarter clockwise."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        video: Any = out.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(np.asarray(halves().resize((64, 48))))
            frame.pts = number
            out.mux(video.encode(frame))
        out.mux(video.encode())
    one, none = (1 << 16).to_bytes(4, "big"), bytes(4)
    upright = one + none * 3 + one + none * 3 + (1 << 30).to_bytes(4, "big")
    quarter = none + one + none + (-(1 << 16)).to_bytes(4, "big", signed=True) + none * 4 + upright[-4:]
    header = file.getvalue().index(b"tkhd")
    at = file.getvalue().index(upright, header)
    data = file.getvalue()[:at] + quarter + file.getvalue()[at + len(quarter) :]
    seen = VideoToImage().call(Call(inputs={"video": (sniff(data, "film.mp4"),)}, parameters={"most": 1}))
    pixels, _ = decode_image(seen.outputs["image"][0])
    assert pixels.shape == (64, 48, 3)
    assert pixels[:24].mean(axis=(0, 1)) == pytest.approx([255, 0, 0], abs=30)
    assert pixels[40:].mean(axis=(0, 1)) == pytest.approx([0, 0, 255], abs=30)
