"""The fakes carry text through real file formats and lose what they say they lose."""

from __future__ import annotations

import io
import math
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import pytest
from hopline.tools import Artifact, Call
from hopline.tools.errors import BadPlan, InputRefused
from hopline.tools.fakes import (
    Append,
    Dice,
    FakeImageCaptioning,
    FakeSpeechToText,
    FakeTextToImage,
    FakeTextToSpeech,
    FakeVideoToImage,
    NoOp,
    Split,
    drawn,
    filmed,
    spoken,
    text_in,
)
from hopline.tools.fakes.lossy import SLOTS, lose
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

UNICODE = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@given(UNICODE)
def test_text_comes_back_from_each_carrier(text: str) -> None:
    assert text_in(spoken(text)) == text
    assert text_in(drawn(text)) == text
    assert text_in(filmed([text, "end"])) == f"{text}\nend"


def test_the_carriers_are_real_files_that_others_read() -> None:
    import av

    with wave.open(io.BytesIO(spoken("hello").data)) as sound:
        assert (sound.getnchannels(), sound.getframerate(), sound.getnframes()) == (1, 16_000, 13)
    with Image.open(io.BytesIO(drawn("hello").data)) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (16, 1))
        assert picture.tobytes()[8:13] == b"hello"
    with av.open(io.BytesIO(filmed(["hello", "long " * 30]).data), "r") as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert [frame.shape for frame in frames] == [(4, 16, 3), (4, 16, 3)]
    assert bytes(frames[0])[8:13] == b"hello"


@pytest.mark.parametrize("make", [spoken, drawn, lambda text: filmed([text])])
def test_a_cut_or_foreign_file_is_refused(make: Callable[[str], Artifact]) -> None:
    whole = make("some words that are long enough to be cut somewhere in the middle of them")
    for data in (whole.data[: len(whole.data) // 2], b"", b"something else"):
        spoiled = Artifact(data=data, modality=whole.modality, media_type=whole.media_type)
        with pytest.raises(InputRefused):
            text_in(spoiled)


@given(UNICODE)
def test_nothing_is_lost_at_rate_zero_and_every_word_at_one(text: str) -> None:
    assert lose(text, drop=0, swap=0, key="a").text == text
    assert lose(text, drop=1, swap=0, key="a").text.split() == []


@given(st.lists(st.sampled_from(SLOTS[1]), min_size=1, max_size=20))
def test_a_swap_stays_in_its_kind_and_changes_every_word_at_rate_one(words: list[str]) -> None:
    out = lose(" ".join(words), drop=0, swap=1, key="a").text.split()
    assert len(out) == len(words)
    assert all(new in SLOTS[1] and new != old for new, old in zip(out, words, strict=True))


def test_the_rates_are_what_they_say() -> None:
    words, drop, swap = 20_000, 0.2, 0.1
    passage = lose("red " * words, drop=drop, swap=swap, key="rates")
    # A swap is only possible for a word that was not dropped; bounds are 4 standard errors.
    for count, rate in ((len(passage.dropped), drop), (len(passage.swapped), (1 - drop) * swap)):
        assert abs(count / words - rate) < 4 * math.sqrt(rate * (1 - rate) / words)


def test_what_was_lost_is_told_and_reported() -> None:
    text = "Two red cats sit left of a blue house, and nobody minds."
    result = FakeTextToSpeech("drop=0.3,swap=0.3").call(Call(inputs={"text": (Artifact.from_text(text),)}, seed=4))
    (lost,) = result.details["lost"]
    out = text_in(result.outputs["audio"][0])
    expected = text.split()
    for position, word, other in lost["swapped"]:
        assert expected[position] == word
        expected[position] = other
    gone = {position for position, _ in lost["dropped"]}
    assert out.split() == [word for position, word in enumerate(expected) if position not in gone]
    assert result.details["declared"] == {"text": out}
    assert {loss.kind: loss.before - loss.after for loss in result.mechanical_losses if loss.before and loss.after} == {
        "skipped": len(lost["dropped"]),
        "substituted": len(lost["swapped"]),
    }


def test_the_seed_decides_and_so_does_the_backend() -> None:
    def out(backend: FakeTextToSpeech, seed: int) -> str:
        call = Call(inputs={"text": (Artifact.from_text("red blue green black " * 10),)}, seed=seed)
        return text_in(backend.call(call).outputs["audio"][0])

    noisy = FakeTextToSpeech("drop=0.5")
    assert out(noisy, 1) == out(FakeTextToSpeech("drop=0.5"), 1)
    assert out(noisy, 1) != out(noisy, 2)
    assert out(noisy, 1) != out(FakeTextToSpeech("drop=0.51"), 1)


def test_a_chain_of_fakes_without_loss_is_the_identity() -> None:
    text = Artifact.from_text("Three  dogs\nand a boat.\n")
    audio = FakeTextToSpeech().call(Call(inputs={"text": (text,)})).outputs["audio"]
    heard = FakeSpeechToText().call(Call(inputs={"audio": audio})).outputs["text"]
    image = FakeTextToImage().call(Call(inputs={"text": heard})).outputs["image"]
    assert FakeImageCaptioning().call(Call(inputs={"image": image})).outputs["text"] == (text,)


def test_one_gives_many() -> None:
    film = filmed(["one", "two", "three"])
    frames = FakeVideoToImage().call(Call(inputs={"video": (film,)}, parameters={"most": 2})).outputs["image"]
    assert [text_in(frame) for frame in frames] == ["one", "two"]
    lines = Split().call(Call(inputs={"text": (Artifact.from_text("a\nb"),)})).outputs["text"]
    assert [line.text for line in lines] == ["a", "b"]


@pytest.mark.parametrize("model", ["drop", "drop=x", "drop=1.5", "loss=0.1", "drop=nan"])
def test_a_wrong_rate_is_refused(model: str) -> None:
    with pytest.raises(BadPlan, match="probabilities in"):
        FakeSpeechToText(model)


def test_no_op_makes_as_many_bytes_as_asked() -> None:
    call = Call(inputs={"text": (Artifact.from_text("a"),)}, parameters={"size_bytes": 1024})
    made = NoOp().call(call).outputs["text"][0]
    other = NoOp().call(Call(inputs={"text": (made,)}, parameters={"size_bytes": 1024})).outputs["text"][0]
    assert len(made.data) == len(other.data) == 1024
    assert made.id != other.id


def test_a_side_effect_is_counted_in_its_file(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    for word in ("one", "two"):
        Append().call(Call(inputs={"text": (Artifact.from_text(word),)}, parameters={"path": str(file)}))
    assert file.read_text().splitlines() == ["one", "two"]


def test_dice_differ() -> None:
    call = Call(inputs={"text": (Artifact.from_text("a"),)})
    assert Dice().call(call).outputs != Dice().call(call).outputs


@pytest.mark.parametrize("how", ["abort", "exit", "segfault"])
def test_crash_ends_its_process(how: str) -> None:
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_CORE, (0, 0));"
        "from hopline.tools import Artifact, Call; from hopline.tools.fakes import Crash;"
        "Crash().call(Call(inputs={'text': (Artifact.from_text('a'),)}, parameters={'how': sys.argv[1]}))"
    )
    done = subprocess.run([sys.executable, "-c", program, how], capture_output=True, check=False)
    assert done.returncode == {"abort": -6, "exit": 3, "segfault": -11}[how]
