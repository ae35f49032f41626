"""The gate: what must not come in is refused with one line, and nothing else than our error."""

from __future__ import annotations

import contextlib
import http.server
import io
import os
import struct
import threading
import time
import tracemalloc
import wave
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hopline.tools.errors import BadInput, HoplineError
from hopline.tools.home import limits
from hopline.tools.media import decode_audio, decode_image, encode_png, encode_wav, open_file, sniff
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

WAV = encode_wav((0.3 * np.sin(np.arange(8_000) / 6)).astype(np.float32), 16_000).data
PNG = encode_png(np.arange(12 * 16 * 3, dtype=np.uint8).reshape(12, 16, 3)).data


def refusal(folder: Path, name: str, data: bytes) -> str:
    """The line with which a file is refused."""
    (folder / name).write_bytes(data)
    with pytest.raises(BadInput) as caught:
        open_file(folder / name)
    assert caught.value.exit_code == 2
    line = str(caught.value)
    assert "\n" not in line
    assert name in line
    return line


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_bomb(side: int) -> bytes:
    """A grey picture of side by side pixels, all black, in a few KB."""
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = bytes(1 + (side + 7) // 8)
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")


def bmp() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(file, "BMP")
    return file.getvalue()


def wav_with(at: int, fmt: str, value: int) -> bytes:
    """The good wav with one field of its header changed."""
    return WAV[:at] + struct.pack(fmt, value) + WAV[at + struct.calcsize(fmt) :]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("memo.wav", b"", "is empty"),
        ("memo.wav", PNG, "is a picture (image/png), not audio as its name says"),
        ("photo.jpg", WAV, "is audio (audio/wav), not a picture as its name says"),
        ("memo.wav", b"hello there", "is text (text/plain), not audio"),
        ("note.txt", PNG, "is a picture (image/png), not text"),
        ("film.mp4", PNG, "is a picture (image/png), not video"),
        ("note.txt", b" \n\t ", "holds no words"),
        ("blob.bin", bytes(range(256)) * 20, "not audio or video"),
        ("zeros.wav", bytes(5_000), "not audio or video"),
        ("memo.wav", WAV[:44], "holds no sound"),
        ("memo.wav", WAV[:20], "not audio or video"),
        ("memo.wav", wav_with(24, "<I", 0), "memo.wav"),
        ("memo.wav", wav_with(22, "<H", 64), "64 channels"),
        ("memo.wav", wav_with(24, "<I", 2_000_000_000), "memo.wav"),
        ("photo.png", PNG[: len(PNG) // 2], "broken picture"),
        ("photo.png", b"\x89PNG\r\n\x1a\n" + b"\xff" * 64, "broken picture"),
        ("photo.jpg", b"\xff\xd8\xff\xe0" + b"\0" * 40, "broken picture"),
        ("scan.bmp", bmp(), "is a picture, but none of PNG, JPEG, WEBP, GIF and HEIC"),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:1,\nx.ts\n", "playlist"),
        ("list.txt", b"ffconcat version 1.0\nfile /etc/passwd\n", "playlist"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "markup"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    assert words in refusal(tmp_path, name, data)


def test_missing_and_not_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path, words in (
        (tmp_path / "no.wav", "no such file"),
        (tmp_path, "is a directory"),
        (tmp_path / "pipe.wav", "not an ordinary file"),
        (tmp_path / "loop", "loop"),
        (Path("/dev/zero"), "not an ordinary file"),
        (Path("a\0b.wav"), "no such file"),
        (Path("http://127.0.0.1/x.wav"), "no such file"),
        (tmp_path / ("n" * 300), "nnn"),
    ):
        with pytest.raises(BadInput, match=words) as caught:
            open_file(path)
        assert str(caught.value).isprintable()


def test_a_name_cannot_draw_on_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "a\n\x1b[2J\u202etxt.wav"
    path.write_bytes(PNG)
    with pytest.raises(BadInput, match="is a picture") as caught:
        open_file(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("setting", "value", "name", "data"),
    [
        ("HOPLINE_MAX_FILE_MIB", "0.001", "memo.wav", WAV),
        ("HOPLINE_MAX_AUDIO_S", "0.2", "memo.wav", WAV),
        ("HOPLINE_MAX_IMAGE_MEGAPIXELS", "0.0001", "photo.png", PNG),
        ("HOPLINE_MAX_TEXT_CHARACTERS", "5", "note.txt", b"six...and more"),
    ],
)
def test_every_limit_names_its_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, name: str, data: bytes
) -> None:
    (tmp_path / name).write_bytes(data)
    open_file(tmp_path / name)
    monkeypatch.setenv(setting, value)
    limits.cache_clear()
    assert f"Raise {setting}." in refusal(tmp_path, name, data)


def test_a_picture_of_144_megapixels_is_refused_by_its_header(tmp_path: Path) -> None:
    bomb = png_bomb(12_000)
    assert len(bomb) < 100_000
    (tmp_path / "bomb.png").write_bytes(bomb)
    tracemalloc.start()
    started = time.perf_counter()
    line = refusal(tmp_path, "bomb.png", bomb)
    seconds = time.perf_counter() - started
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert line == "bomb.png has 144 megapixels; the limit is 64. Raise HOPLINE_MAX_IMAGE_MEGAPIXELS."
    assert seconds < 0.5
    assert peak < 20_000_000


def test_twenty_megapixels_are_taken() -> None:
    pixels, losses = decode_image(sniff(png_bomb(4_480), "photo.png"))
    assert (pixels.shape, losses) == ((4_480, 4_480, 3), [])


def test_a_long_animation_is_not_counted_to_its_end(tmp_path: Path) -> None:
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    started = time.perf_counter()
    line = refusal(tmp_path, "wave.gif", head + frame * 100_000 + b"\x3b")
    assert line == "wave.gif has more than 500 frames. Raise HOPLINE_MAX_IMAGE_FRAMES."
    assert time.perf_counter() - started < 2


def test_a_compressed_comment_cannot_fill_the_memory(tmp_path: Path) -> None:
    comments = PngImagePlugin.PngInfo()
    comments.add_text("Comment", "a" * 50_000_000, zip=True)
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG", pnginfo=comments)
    assert "broken picture" in refusal(tmp_path, "bomb.png", file.getvalue())


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_cut_recording_is_taken_and_says_what_is_missing(kept: float) -> None:
    cut = sniff(WAV[: 44 + int((len(WAV) - 44) * kept) // 2 * 2], "memo.wav")
    samples, rate_hz, losses = decode_audio(cut)
    (loss,) = losses
    assert (loss.kind, loss.unit) == ("truncated", "s")
    assert loss.before == pytest.approx(0.5)
    assert loss.after == pytest.approx(0.5 * kept, abs=0.01)
    assert samples.size / rate_hz == loss.after


def test_a_header_of_ten_hours_does_not_make_ten_hours() -> None:
    samples, _, losses = decode_audio(sniff(wav_with(40, "<I", 10 * 3600 * 32_000), "memo.wav"))
    assert samples.size == 8_000
    assert [(loss.kind, loss.before) for loss in losses] == [("truncated", 36_000)]


def test_a_recorder_that_streams_need_not_know_its_length() -> None:
    samples, _, losses = decode_audio(sniff(wav_with(40, "<I", 0xFFFFFFFF), "memo.wav"))
    assert (samples.size, losses) == (8_000, [])


def test_a_cut_ogg_says_so() -> None:
    import soundfile

    file = io.BytesIO()
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, 160_000)
    soundfile.write(file, noise, 16_000, format="OGG")
    whole = file.getvalue()
    assert decode_audio(sniff(whole, "memo.ogg"))[2] == []
    kinds = [loss.kind for loss in decode_audio(sniff(whole[: len(whole) * 2 // 3], "memo.ogg"))[2]]
    assert kinds == ["truncated"]


def read(data: bytes) -> None:
    """Take bytes all the way through gate and decoder: they keep the invariants or raise our error."""
    with contextlib.suppress(HoplineError):
        artifact = sniff(data, "file")
        if artifact.modality in ("audio", "video"):
            samples, _, _ = decode_audio(artifact, 16_000)
            assert np.isfinite(samples).all()
            assert np.abs(samples).max(initial=0) <= 1
        elif artifact.modality == "image":
            pixels, _ = decode_image(artifact)
            assert (str(pixels.dtype), pixels.ndim, pixels.shape[2]) == ("uint8", 3, 3)


# The header is where the trouble is.
FLIPS = st.lists(
    st.tuples(st.integers(0, 63) | st.integers(0, len(PNG) - 1), st.integers(0, 7)), min_size=1, max_size=8
)


@pytest.mark.parametrize("kind", ["wav", "png"])
@settings(max_examples=150, deadline=None)
@given(flips=FLIPS)
def test_flipped_bits_raise_only_our_error(kind: str, flips: list[tuple[int, int]]) -> None:
    spoilt = bytearray(WAV if kind == "wav" else PNG)
    for at, bit in flips:
        spoilt[at] ^= 1 << bit
    read(bytes(spoilt))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(
        [
            b"",
            b"RIFF\x24\0\0\0WAVEfmt ",
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a",
            b"OggS",
            b"fLaC",
            b"ID3\3",
            b"\0\0\0\x18ftypisom",
            b"\0\0\0\x18ftypheic",
            b"\x1aE\xdf\xa3",
            b"\xff\xd8\xff\xe0",
        ]
    ),
    st.binary(max_size=300),
)
def test_any_bytes_raise_only_our_error(start: bytes, rest: bytes) -> None:
    read(start + rest)


@pytest.fixture
def hits() -> Iterator[tuple[int, list[str]]]:
    """A server on loopback: its port, and the paths it was asked for."""
    asked: list[str] = []

    class Count(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Count) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port, asked
        server.shutdown()
        thread.join()


def test_nothing_in_a_file_or_name_reaches_a_server(tmp_path: Path, hits: tuple[int, list[str]]) -> None:
    port, asked = hits
    url = f"http://127.0.0.1:{port}/secret.ts"
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n".encode()
    dash = f'<?xml version="1.0"?><MPD><BaseURL>{url}</BaseURL></MPD>'.encode()
    for name, data in {
        "list.m3u8": playlist,
        "list.wav": playlist + b"\xff\0",  # no longer UTF-8, so it gets as far as FFmpeg
        "list.mpd": dash,
        "list.mp4": dash + b"\xff\0",
        "concat.txt": f"ffconcat version 1.0\nfile {url}\n".encode(),
        "concat.wav": f"ffconcat version 1.0\nfile {url}\n".encode() + b"\xff\0",
        "drawing.svg": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}"/></svg>'.encode(),
        "session.sdp": f"v=0\nc=IN IP4 127.0.0.1\nm=audio {port} RTP/AVP 0\n".encode() + b"\xff\0",
    }.items():
        refusal(tmp_path, name, data)
    for address in (url, f"file:{url}", f"concat:{url}", f"hls+{url}"):
        with pytest.raises(BadInput):
            open_file(Path(address))
    assert asked == []


def test_what_a_wav_writer_gives_is_taken(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "memo.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)  # 8 bits, unsigned
        file.setframerate(8_000)
        file.writeframes(bytes([128] * 4_000))
    samples, rate_hz, losses = decode_audio(open_file(tmp_path / "memo.wav"))
    assert (samples.size, rate_hz, losses) == (4_000, 8_000, [])
    assert np.abs(samples).max() == 0
