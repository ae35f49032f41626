"""Sounds named by a tiny spectrogram transformer, and speech written down by a tiny wav2vec 2.0."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hopline.agent import Agent
from hopline.agent.hops.journal import Journal
from hopline.agent.running.profile import Profile
from hopline.tools import Artifact, Call
from hopline.tools.audio_classification.transformers import Transformers as Naming
from hopline.tools.audio_classification.transformers import _windows as cut_in_windows
from hopline.tools.errors import BadPlan, InputRefused
from hopline.tools.media import encode_wav
from hopline.tools.registry import installed
from hopline.tools.speech_to_text.transformers import Transformers as Writing
from hopline.tools.speech_to_text.transformers import _windows as overlapping
from hypothesis import given
from hypothesis import strategies as st

LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAOINSHR"]
"""Of the tiny model."""


def noise(seconds: float, rate_hz: int = 16_000, seed: int = 0) -> Artifact:
    samples = np.random.default_rng(seed).standard_normal(int(seconds * rate_hz)) * 0.2
    return encode_wav(samples.clip(-1, 1).astype(np.float32), rate_hz)


def heard(audio: Artifact, **parameters: Any) -> Call:
    return Call(inputs={"audio": (audio,)}, parameters=parameters)


@pytest.fixture(scope="module")
def naming(tiny_ast: Path) -> Naming:
    backend = Naming(str(tiny_ast))
    backend.load()
    return backend


@pytest.fixture(scope="module")
def writing(tiny_ctc: Path) -> Writing:
    backend = Writing(str(tiny_ctc))
    backend.load()
    return backend


# -- sounds ------------------------------------------------------------------------------------


def test_the_whole_recording_is_heard(naming: Naming) -> None:
    """The model hears 1.28 s at once; its own feature extractor would drop the rest in silence."""
    result = naming.call(heard(noise(3.0), most=3))
    windows = result.details["windows"]
    assert [window[:2] for window in windows] == [[0.0, 1.28], [1.28, 2.56], [1.72, 3.0]]
    assert result.details["duration_s"] == 3.0
    labels = dict(result.details["labels"])
    assert len(labels) == 3
    for _, _, best in windows:
        assert all(score <= labels.get(label, 1.0) for label, score in best)
    assert result.outputs["text"][0].text.split(", ")[0] == result.details["labels"][0][0]
    alone = naming.call(heard(noise(1.28))).details["windows"][0]
    assert alone == windows[0], "a window is heard as if it were alone"


def test_resampling_is_told(naming: Naming) -> None:
    (loss,) = naming.call(heard(noise(0.3, 22_050))).mechanical_losses
    assert (loss.kind, loss.before, loss.after) == ("resampled", 22_050, 16_000)


@given(st.integers(1, 400), st.integers(10, 60))
def test_windows_leave_nothing_out(size: int, window: int) -> None:
    found = cut_in_windows(size, window, 5)
    assert found[0][0] == 0
    assert found[-1][1] == size
    assert all(later[0] <= earlier[1] for earlier, later in pairwise(found))
    assert all(end - start <= window for start, end in found)
    assert len(found) == 1 or all(end - start >= 5 for start, end in found)


# -- speech ------------------------------------------------------------------------------------


def test_words_have_their_times(writing: Writing) -> None:
    result = writing.call(heard(noise(3.0)))
    text, words = result.outputs["text"][0].text, result.details["words"]
    assert " ".join(word for word, _, _ in words) == text
    assert all(0 <= start <= end <= 3.0 for _, start, end in words)
    assert not set("<>|_") & set(text), "marks of the tokenizer are no letters"


class Local:
    """Stands in for a model whose letters depend on nothing but their own 20 ms."""

    config = SimpleNamespace(inputs_to_logits_ratio=320)
    dtype = None

    def __call__(self, heard: Any) -> Any:
        import torch

        frames = torch.nn.functional.pad(heard, (0, -heard.shape[1] % 320)).reshape(-1, 320)
        letters = 5 + (frames.abs().mean(1) * 1e6).long() % (len(LETTERS) - 5)
        return SimpleNamespace(logits=torch.nn.functional.one_hot(letters, len(LETTERS))[None].float())


def test_a_long_recording_is_heard_in_pieces_as_it_is_in_one(
    tiny_ctc: Path, writing: Writing, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []
    audio = noise(50.0)
    monkeypatch.setattr(writing, "_model", Local())
    pieces = writing.call(Call(inputs={"audio": (audio,)}, progress=lambda fraction, words: told.append(fraction)))
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) == 3
    monkeypatch.setattr("hopline.tools.speech_to_text.transformers.WINDOW_S", 60.0)
    whole = writing.call(heard(audio))
    assert pieces.outputs == whole.outputs
    assert pieces.details == whole.details
    assert len(pieces.outputs["text"][0].text) > 2000


@given(st.integers(1, 4_000_000))
def test_every_letter_is_kept_once(size: int) -> None:
    """At 16 kHz with a letter each 320 samples, as far as letters go."""
    kept = []
    for start, end, first, last in overlapping(size, 16_000, 320):
        begin = start // 320 + first
        stop = start // 320 + last if last else -(-end // 320)
        kept.append((begin, stop))
        assert end <= size
    assert kept[0][0] == 0
    assert kept[-1][1] == -(-size // 320)
    assert all(earlier[1] == later[0] for earlier, later in pairwise(kept))


def test_what_it_cannot_hear(writing: Writing) -> None:
    with pytest.raises(InputRefused, match="too short"):
        writing.call(heard(noise(0.05)))
    with pytest.raises(InputRefused, match="English only"):
        Writing()._write_down(heard(noise(1.0), language="de"))
    (loss,) = writing.call(heard(noise(1.0), language="de")).mechanical_losses
    assert loss.kind == "ignored"


def test_a_model_of_another_kind(tiny_ast: Path) -> None:
    with pytest.raises(BadPlan, match="not a CTC model"):
        Writing(str(tiny_ast)).load()


@pytest.mark.crash
def test_in_their_workers(tiny_ast: Path, tiny_ctc: Path, home: Path) -> None:
    backends = {"audio_classification": f"transformers:{tiny_ast}", "speech_to_text": f"transformers:{tiny_ctc}"}
    with Agent(registry=installed(), profile=Profile(name="tiny", backends=backends), journal=Journal(home)) as agent:
        for chain in backends:
            run = agent.run("", [noise(1.0)], chain=chain)
            assert run.status == "ok", run.record.error
            assert run.hops[0].identity["device"] == "cpu"
