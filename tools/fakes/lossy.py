"""Fakes of the standard tools: text through media, losing words at a stated rate."""

from __future__ import annotations

import hashlib
import random
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from hopline.tools.artifact import AUDIO, IMAGE, TEXT, Artifact
from hopline.tools.backend import Backend, Call, MechanicalLoss, Result
from hopline.tools.declarations import STANDARD_TOOLS
from hopline.tools.errors import BadPlan
from hopline.tools.fakes.carriers import drawn, spoken, texts_in

SLOTS: tuple[tuple[str, ...], ...] = (
    ("two", "three", "four", "five", "six", "seven", "eight", "nine"),
    ("red", "orange", "yellow", "green", "blue", "purple", "brown", "black"),
    ("cat", "dog", "horse", "bird", "boat", "house", "tree", "apple"),
    ("cats", "dogs", "horses", "birds", "boats", "houses", "trees", "apples"),
    ("left", "right", "above", "below"),
)
"""Words that a swap keeps in their kind, so that a fact is altered and not just broken."""

OTHERS = ("lorem", "ipsum", "dolor", "amet", "sit", "elit", "sed", "tempor")
"""What any other word is swapped for."""

_MAKE: dict[str, Callable[[str], Artifact]] = {TEXT: Artifact.from_text, AUDIO: spoken, IMAGE: drawn}


@dataclass(kw_only=True)
class Passage:
    """A text on its way through a lossy channel.

    Attributes:
        text: what came out.
        dropped: `[position, word]` of each word left out; positions count words from 0.
        swapped: `[position, word, other]` of each word replaced.
        words: how many went in.
    """

    text: str = ""
    dropped: list[list[Any]] = field(default_factory=list)
    swapped: list[list[Any]] = field(default_factory=list)
    words: int = 0


def lose(text: str, *, drop: float, swap: float, key: str) -> Passage:
    """Drop or swap each word of a text on its own, decided by `key` and the text alone.

    Args:
        text: any text; with both rates 0 it comes out unchanged, byte for byte.
        drop: probability in [0, 1] that a word is left out, with the space after it.
        swap: probability in [0, 1] that a word not left out becomes another, drawn evenly from
            the others of its row in `SLOTS`, else from `OTHERS`. Punctuation at its end stays.
        key: seeds the choice.
    """
    chance = random.Random(hashlib.sha256(f"{key}\n{text}".encode()).digest())
    passage = Passage()
    kept: list[str] = []
    for match in re.finditer(r"(\s*)(\S+)(\s*)", text):
        before, word, after = match.groups()
        if chance.random() < drop:
            passage.dropped.append([passage.words, word])
            kept.append(before)
        elif chance.random() < swap:
            other = _other(word, chance)
            passage.swapped.append([passage.words, word, other])
            kept += [before, other, after]
        else:
            kept += [before, word, after]
        passage.words += 1
    passage.text = "".join(kept) if passage.words else text
    return passage


def _other(word: str, chance: random.Random) -> str:
    bare = word.rstrip(".,;:!?")
    row = next((slot for slot in SLOTS if bare.lower() in slot), OTHERS)
    other = chance.choice([w for w in row if w != bare.lower()])
    return (other.capitalize() if bare[:1].isupper() else other) + word[len(bare) :]


class Lossy(Backend):
    """Reads the text in its first input and gives it on in the type of its output.

    The model part states the loss: `drop=0.2,swap=0.1`; without it nothing is lost. A list
    input is joined by newlines; a question is ignored. Reports every loss.
    """

    name = "fake"
    heavy = False
    seeded = True

    def __init__(self, model: str = "") -> None:
        super().__init__(model)
        rates = {"drop": 0.0, "swap": 0.0}
        for part in filter(None, model.split(",")):
            rate, _, value = part.partition("=")
            try:
                number = float(value)
            except ValueError:
                number = -1.0
            if rate not in rates or not 0 <= number <= 1:
                raise BadPlan(f"a fake takes drop=P,swap=P with probabilities in [0, 1], not {part!r}.")
            rates[rate] = number
        self.drop, self.swap = rates["drop"], rates["swap"]

    def call(self, call: Call) -> Result:
        declared = next(tool for tool in STANDARD_TOOLS if tool.name == self.tool)
        (port,) = declared.outputs
        call.progress(0.0, "reading")
        inputs = call.inputs[declared.inputs[0].name]
        items = [text for artifact in inputs for text in texts_in(artifact)]
        if not port.many:
            items = ["\n".join(items)]
        elif "most" in call.parameters:
            items = items[: call.parameters["most"]]
        key = f"{call.seed} {self.id}"
        passages = [lose(text, drop=self.drop, swap=self.swap, key=key) for text in items]
        made = tuple(_MAKE[port.type](passage.text) for passage in passages)
        call.progress(1.0, "done")
        details: dict[str, Any] = {
            "lost": [{"dropped": p.dropped, "swapped": p.swapped, "words": p.words} for p in passages]
        }
        if port.type != TEXT:
            details["declared"] = {"text": "\n".join(p.text for p in passages)}
        return Result(outputs={port.name: made}, details=details, mechanical_losses=_losses(passages))


def _losses(passages: list[Passage]) -> tuple[MechanicalLoss, ...]:
    words = sum(p.words for p in passages)
    counts = {"skipped": sum(len(p.dropped) for p in passages), "substituted": sum(len(p.swapped) for p in passages)}
    return tuple(
        MechanicalLoss(
            kind=kind, message=f"{lost} of {words} words were {kind}.", before=words, after=words - lost, unit="words"
        )
        for kind, lost in counts.items()
        if lost
    )


class FakeTextToSpeech(Lossy):
    """`text_to_speech:fake`: a WAV that carries the text."""

    tool = "text_to_speech"


class FakeSpeechToText(Lossy):
    """`speech_to_text:fake`: reads such a WAV."""

    tool = "speech_to_text"


class FakeTextToImage(Lossy):
    """`text_to_image:fake`: a PNG that carries the text."""

    tool = "text_to_image"


class FakeImageCaptioning(Lossy):
    """`image_captioning:fake`: reads such a PNG."""

    tool = "image_captioning"


class FakeImageOcr(Lossy):
    """`image_ocr:fake`: reads such a PNG."""

    tool = "image_ocr"


class FakeVisualQuestionAnswering(Lossy):
    """`visual_question_answering:fake`: answers any question with all that the PNG carries."""

    tool = "visual_question_answering"


class FakeSummarization(Lossy):
    """`summarization:fake`: the texts joined; it is as short as its drop rate makes it."""

    tool = "summarization"


class FakeTranslation(Lossy):
    """`translation:fake`: the texts joined, in the language they came in."""

    tool = "translation"


class FickleTranslation(FakeTranslation):
    """`translation:fickle`: not deterministic; each call loses other words, whatever the seed."""

    name = "fickle"
    deterministic = False

    def call(self, call: Call) -> Result:
        return super().call(replace(call, seed=secrets.randbelow(2**31)))


class FakeQuestionAnswering(Lossy):
    """`question_answering:fake`: answers any question with all texts."""

    tool = "question_answering"


class FakeAudioClassification(Lossy):
    """`audio_classification:fake`: reads a WAV that carries text."""

    tool = "audio_classification"


class FakeAudioQuestionAnswering(Lossy):
    """`audio_question_answering:fake`: answers any question with all that the WAV carries."""

    tool = "audio_question_answering"


class FakeTextToAudio(Lossy):
    """`text_to_audio:fake`: a WAV that carries the text."""

    tool = "text_to_audio"


class FakeVideoToAudio(Lossy):
    """`video_to_audio:fake`: a WAV that carries the text of all frames."""

    tool = "video_to_audio"


class FakeVideoToImage(Lossy):
    """`video_to_image:fake`: a PNG for each frame."""

    tool = "video_to_image"


LOSSY: tuple[type[Lossy], ...] = (
    FakeSpeechToText,
    FakeTextToSpeech,
    FakeTextToImage,
    FakeImageCaptioning,
    FakeImageOcr,
    FakeVisualQuestionAnswering,
    FakeSummarization,
    FakeTranslation,
    FickleTranslation,
    FakeQuestionAnswering,
    FakeAudioClassification,
    FakeAudioQuestionAnswering,
    FakeTextToAudio,
    FakeVideoToAudio,
    FakeVideoToImage,
)
