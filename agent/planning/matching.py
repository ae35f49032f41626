"""Which tools a request asks for, clause by clause, from their declarations alone.

Every run of one to four words of a clause is compared with the phrases of every tool's name and
description, by the sentence encoder; without it, by shared word stems.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from hopline.agent.planning.clauses import Clause
from hopline.agent.planning.ranking import Ranker
from hopline.agent.planning.vectors import Vectors
from hopline.agent.planning.words import NOUN_WORDS, SMALL, phrases, stems
from hopline.tools.encoder import Encoder
from hopline.tools.errors import Unavailable
from hopline.tools.spec import Tool

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST_WINDOW = 4
LONGEST_SMALL_TALK = 7
SHORT = 4
"""Words of a request that, matching nothing without the encoder, is taken for small talk."""

SMALL_TALK = (
    "hello",
    "hi there",
    "good morning",
    "good bye",
    "thanks",
    "thank you very much",
    "how are you?",
    "what can you do?",
    "who are you?",
    "that was great",
    "ok",
)
BLEND, CENTRE, SLOPE = 0.5, 0.52, 0.06
"""Share of the best stretch's cosine in a score; what log odds of zero and one more add to the rest."""
CONTENT_STOP = SMALL | NOUN_WORDS
"""Words that say nothing about what to draw, speak or look for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """A tool that a stretch of words seems to ask for.

    Attributes:
        tool: its name.
        clause: index of the clause.
        start: index of the first word within the clause.
        words: the words.
        score: blend of the cosine of the words and the log odds of the clause, mostly in [0, 1.5];
            share of stems without the encoder.
        nearness: cosine of the words alone with the nearest phrase of the tool, whatever the others say.
    """

    tool: str
    clause: int
    start: int
    words: str
    score: float
    nearness: float = 0.0

    @property
    def span(self) -> set[int]:
        """Positions of its words in the clause."""
        return set(range(self.start, self.start + len(self.words.split())))


class Matcher:
    """Scores stretches of words against a fixed list of tools.

    Args:
        tools: declarations.
        encoder: shared; None compares stems only.
    """

    def __init__(self, tools: Sequence[Tool], encoder: Encoder | None) -> None:
        self.tools = tuple(tools)
        self.uses_encoder = encoder is not None
        self._encoder = Vectors(encoder) if encoder is not None else None
        self._phrases = [(tool.name, phrase) for tool in tools for phrase in phrases(tool)]
        self._owners = [name for name, _ in self._phrases]
        self._vectors: NDArray[np.float32] | None = None
        self._ranker = Ranker(self.tools, self._encoder) if self._encoder is not None and self.tools else None

    def matches(self, clauses: Sequence[Clause], request: str = "") -> list[Match]:
        """The best stretch of each clause for each tool, best first."""
        windows = [(index, *window) for index, clause in enumerate(clauses) for window in _windows(clause)]
        if not windows or not self.tools:
            return []
        table = self._scores([words for _, _, words in windows])
        best: dict[tuple[int, str], Match] = {}
        for (clause, start, words), row in zip(windows, table, strict=True):
            for tool, score in row.items():
                known = best.get((clause, tool))
                if known is None or score > known.score:
                    best[clause, tool] = Match(
                        tool=tool, clause=clause, start=start, words=words, score=score, nearness=score
                    )
        if self._ranker is not None:
            texts = [clause.text for clause in clauses]
            logits = self._ranker.logits(request, texts, [[w for _, w in _windows(c)] for c in clauses])
            column = {tool.name: index for index, tool in enumerate(self.tools)}
            best = {
                key: replace(m, score=BLEND * m.score + (1 - BLEND) * (CENTRE + SLOPE * float(odds)))
                for key, m in best.items()
                for odds in [logits[m.clause, column[m.tool]]]
            }
        return sorted(best.values(), key=lambda m: (-m.score, m.clause, m.start, m.tool))

    def small_talk(self, request: str) -> bool:
        """Whether a request is nearer to a greeting or thanks than to anything a tool does."""
        if len(request.split()) > LONGEST_SMALL_TALK:
            return False
        if self._encoder is None or not self.tools:
            return len(request.split()) <= SHORT
        vectors = self._encoder.encode([request, *SMALL_TALK, *(phrase for _, phrase in self._phrases)])
        near = vectors[1:] @ vectors[0]
        return bool(near[: len(SMALL_TALK)].max() > near[len(SMALL_TALK) :].max())

    def _scores(self, texts: Sequence[str]) -> list[dict[str, float]]:
        if self._encoder is None:
            return [self._shared_stems(text) for text in texts]
        import numpy as np

        if self._vectors is None:
            self._vectors = self._encoder.encode([phrase for _, phrase in self._phrases])
        bare = [" ".join(w for w in text.split() if w not in NOUN_WORDS) for text in texts]
        unique = list(dict.fromkeys([*texts, *bare]))
        row_of = {text: row for row, text in enumerate(unique)}
        vectors = self._encoder.encode(unique) @ self._vectors.T
        # The name of a thing alone speaks for every tool that has to do with such things.
        cosines = 0.5 * (vectors[[row_of[t] for t in texts]] + vectors[[row_of[t] for t in bare]])
        owners = np.array(self._owners)
        columns = {tool.name: cosines[:, owners == tool.name].max(axis=1) for tool in self.tools}
        return [{name: float(column[row]) for name, column in columns.items()} for row in range(len(texts))]

    def _shared_stems(self, text: str) -> dict[str, float]:
        wanted = stems(text)
        found: dict[str, float] = {}
        for name, phrase in self._phrases:
            shared = len(wanted & stems(phrase)) / max(1, len(wanted))
            found[name] = max(found.get(name, 0.0), shared)
        return found


@lru_cache(maxsize=1)
def shared_encoder() -> Encoder | None:
    """The encoder of this process, loaded; None where its packages or weights are missing."""
    encoder = Encoder()
    try:
        encoder.load()
    except Unavailable:
        return None
    return encoder


@lru_cache(maxsize=8)
def matcher(tools: tuple[tuple[str, str], ...]) -> Matcher:
    """A matcher kept between requests over the same tools, given as (name, description)."""
    return Matcher([Tool(name=n, description=d, inputs=(), outputs=()) for n, d in tools], shared_encoder())


def _windows(clause: Clause) -> list[tuple[int, str]]:
    """Stretches that hold a word which is neither small nor the mere name of a thing."""
    words = clause.words
    found = []
    for length in range(1, min(LONGEST_WINDOW, len(words)) + 1):
        for start in range(len(words) - length + 1):
            stretch = words[start : start + length]
            if any(word not in SMALL and word not in NOUN_WORDS and len(word) > 1 for word in stretch):
                found.append((start, " ".join(stretch)))
    return found or [(0, clause.text)]
