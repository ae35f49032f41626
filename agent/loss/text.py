"""The field's usual numbers between two texts: WER, MER, CER, chrF, encoder cosine.

They are diagnostics beside the facts, not the loss: a mean of them has no unit and no floor.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from importlib import metadata
from typing import Any, Protocol

from hopline.agent.loss.english.numerals import numerals
from hopline.agent.loss.english.tokens import tokenize
from hopline.agent.loss.english.words import singular
from hopline.agent.loss.score import Score, Signature, Unscored
from hopline.tools.errors import Unavailable

NORMALISER = "hopline-1"
"""NFKC, lower case, numbers in words to digits, all marks but apostrophes inside words to spaces,
hyphens too, `mr` and `mrs` and `dr` spelled out, white space to one space."""

_ABBREVIATIONS = {"mr": "mister", "mrs": "missus", "dr": "doctor", "okay": "ok"}
_EXTRA = "install hopline[loss]"
NO_ENCODER = "the sentence encoder is not here (hopline models pull offline)"
LONGEST_WORDS = 20_000
"""Texts beyond this many words are not aligned: the edit distance grows with the product of the lengths."""


class Encoder(Protocol):
    """Sentences to vectors; `hopline.tools.encoder.Encoder` is one. Its `id`, if it has one, enters signatures."""

    def encode(self, texts: Sequence[str]) -> Iterable[Iterable[Any]]:
        """One vector a text, shape (len(texts), d).

        Raises:
            Unavailable: its packages or weights are not here.
        """


class TextMetric(Protocol):
    """A number between a reference and an output.

    An entry point of group `hopline.metrics` names a function from an encoder (or None) to one.
    """

    @property
    def name(self) -> str:
        """Short name, `wer`."""

    def __call__(self, reference: str, output: str) -> Score | Unscored:
        """Score one pair. Never raises on text."""


@lru_cache(maxsize=20_000)
def normalise(text: str) -> str:
    """The form in which words are compared; see `NORMALISER`."""
    text = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    tokens = tokenize(text)
    parts: list[str] = []
    at = {n.start: n for n in numerals(tokens) if not n.ordinal and n.value != "1"}
    i = 0
    while i < len(tokens):
        if i in at:
            parts.append(at[i].value)
            i = at[i].end
            continue
        token = tokens[i]
        if token.kind == "possessive" and parts:
            parts[-1] += "'s"
        elif token.kind in ("word", "number"):
            word = re.sub(r"[^\w']", " ", token.lower if token.kind == "number" else token.text)
            parts.append(_ABBREVIATIONS.get(word, word) + ("" if not token.ordinal else "th"))
        i += 1
    return " ".join(" ".join(parts).split())


def answers(answer: str, output: str) -> bool:
    """Whether a short answer is among what was said: every word of it, numbers in words or digits, nouns in any number.

    Args:
        answer: the words that matter, `two` or `red boat`; at least one.
        output: a word, a sentence or several.
    """
    return bool(_said(answer)) and _said(answer) <= _said(output)


def _said(text: str) -> set[str]:
    return {"1" if word == "one" else singular(word) for word in normalise(text).split()}


def signature(metric: str, library: str, **settings: str) -> Signature:
    """A signature with the version of the library that did the work."""
    return Signature(metric=metric, settings={"normaliser": NORMALISER, **settings}, version=library_version(library))


@cache
def library_version(library: str) -> str:
    """`jiwer 4.0.0`, for signatures."""
    try:
        return f"{library} {metadata.version(library)}"
    except metadata.PackageNotFoundError:
        return f"{library} not installed"


class WordErrors:
    """WER and MER: substitutions, deletions and insertions of words.

    WER divides by the words of the reference and can pass 1; MER divides by all aligned words and
    cannot, so it stands beside it. With an empty reference WER is undefined; MER is 0 for an
    empty output and 1 for any other.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, reference: str, output: str) -> Score | Unscored:
        """Score one pair, in [0, 1] for `mer`, at least 0 for `wer`."""
        made = signature(self.name, "jiwer")
        try:
            import jiwer
        except ImportError:
            return Unscored(reason=f"jiwer is not installed; {_EXTRA}", signature=made)
        said, heard = normalise(reference), normalise(output)
        if not said:
            if not heard:
                return Score(value=0.0, signature=made)
            if self.name == "mer":
                return Score(value=1.0, signature=made)
            return Unscored(reason="the reference has no words", signature=made)
        if max(said.count(" "), heard.count(" ")) >= LONGEST_WORDS:
            return Unscored(reason=f"more than {LONGEST_WORDS} words", signature=made)
        counts = jiwer.process_words(said, heard)
        return Score(value=float(counts.wer if self.name == "wer" else counts.mer), signature=made)


class CharacterErrors:
    """CER: edits of characters by the characters of the reference, after the same normaliser."""

    name = "cer"

    def __call__(self, reference: str, output: str) -> Score | Unscored:
        """Score one pair, at least 0."""
        made = signature(self.name, "jiwer")
        try:
            import jiwer
        except ImportError:
            return Unscored(reason=f"jiwer is not installed; {_EXTRA}", signature=made)
        said, heard = normalise(reference), normalise(output)
        if not said:
            return (
                Score(value=0.0, signature=made)
                if not heard
                else Unscored(reason="the reference has no words", signature=made)
            )
        if max(len(said), len(heard)) > 5 * LONGEST_WORDS:
            return Unscored(reason=f"more than {5 * LONGEST_WORDS} characters", signature=made)
        return Score(value=float(jiwer.process_characters(said, heard).cer), signature=made)


class ChrF:
    """chrF2 of sacrebleu in [0, 100], on the texts as they are but for case and white space."""

    name = "chrf"

    def __call__(self, reference: str, output: str) -> Score | Unscored:
        """Score one pair, 0 to 100."""
        made = signature(self.name, "sacrebleu", normaliser="lower", order="6", beta="2", eff="yes")
        try:
            from sacrebleu.metrics.chrf import CHRF
        except ImportError:
            return Unscored(reason=f"sacrebleu is not installed; {_EXTRA}", signature=made)
        said, heard = " ".join(reference.lower().split()), " ".join(output.lower().split())
        if not said:
            return Unscored(reason="the reference is empty", signature=made)
        return Score(value=float(CHRF().sentence_score(heard, [said]).score), signature=made)


class Cosine:
    """Cosine between the encoder's vectors of two texts, in [-1, 1]."""

    name = "cosine"

    def __init__(self, encoder: Encoder | None, reason: str = NO_ENCODER) -> None:
        self.encoder = encoder
        self.reason = reason

    def __call__(self, reference: str, output: str) -> Score | Unscored:
        """Score one pair."""
        if self.encoder is None:
            return Unscored(reason=self.reason, signature=Signature(metric=self.name))
        who = str(getattr(self.encoder, "id", "") or type(self.encoder).__qualname__)
        made = Signature(metric=self.name, settings={"encoder": who})
        if not reference.strip() or not output.strip():
            return Unscored(reason="a text is empty", signature=made)
        try:
            one, two = (tuple(map(float, v)) for v in self.encoder.encode([reference, output]))
        except Unavailable as error:
            return Unscored(reason=str(error), signature=made)
        norm = (sum(a * a for a in one) * sum(b * b for b in two)) ** 0.5
        if norm == 0:
            return Unscored(reason="a vector is zero", signature=made)
        return Score(value=sum(a * b for a, b in zip(one, two, strict=True)) / norm, signature=made)


def wer(encoder: Encoder | None = None) -> TextMetric:
    """Word error rate."""
    return WordErrors("wer")


def mer(encoder: Encoder | None = None) -> TextMetric:
    """Match error rate."""
    return WordErrors("mer")


def cer(encoder: Encoder | None = None) -> TextMetric:
    """Character error rate."""
    return CharacterErrors()


def chrf(encoder: Encoder | None = None) -> TextMetric:
    """chrF2."""
    return ChrF()


def cosine(encoder: Encoder | None = None) -> TextMetric:
    """Cosine of the encoder's vectors; without an encoder it is Unscored."""
    return Cosine(encoder)


BUILT_IN = {"wer": wer, "mer": mer, "cer": cer, "chrf": chrf, "cosine": cosine}
"""Ours, in the order in which they are shown."""
