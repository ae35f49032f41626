"""Which tools a request asks for, clause by clause, from their declarations alone.

Clauses are rated by the sentence encoder and the types they name (see `ranking`); without the encoder by
shared word stems. Of a clause's runs of one to four words the one nearest to a tool is what asks for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from hopline.agent.planning.clauses import Clause, Parsed
from hopline.agent.planning.ranking import LONGEST_READ, Ranker
from hopline.agent.planning.taught import asides
from hopline.agent.planning.vectors import Vectors
from hopline.agent.planning.words import NOUN_WORDS, SMALL, phrases, stems
from hopline.tools.encoder import Encoder
from hopline.tools.errors import Unavailable
from hopline.tools.spec import Port, Tool

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST_WINDOW = 4
LONGEST_SMALL_TALK = 7
AS_PLAIN = 0.9
"""Share of the greatest nearness that is as good as that."""
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
HALF_SHARED, SHARED_SLOPE = 0.4, 8.0
"""Without the encoder: the share of stems at which a clause asks for a tool as likely as not, and its slope."""
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
        score: log odds that the clause asks for it; of the clause that does so most, that any clause does.
        nearness: of the words alone, whatever the rest says: the chance by the tool's examples; for a tool that has
            none the cosine with its nearest phrase; without the encoder the share of stems.
        alone, competing: chances that the clause asks for it, by its rating and against the other tools.
        share: of the first in the chance that they are mixed to.
    """

    tool: str
    clause: int
    start: int
    words: str
    score: float
    nearness: float = 0.0
    alone: float = 0.0
    competing: float = 0.0
    share: float = 1.0

    @property
    def chance(self) -> float:
        """That it is asked for, in (0, 1)."""
        return 1 / (1 + math.exp(-self.score))

    def beside(self, other: Match) -> float:
        """Log odds that the clause asks for it too, given that it asks for another."""
        left = min(1.0, self.competing / max(1e-9, 1 - other.competing))
        return float(_log_odds(self.share * self.alone + (1 - self.share) * left))

    @property
    def plainness(self) -> float:
        """Log odds of its nearness."""
        return float(_log_odds(self.nearness))

    @property
    def span(self) -> set[int]:
        """Positions of its words in the clause."""
        return set(range(self.start, self.start + len(self.words.split())))


class Matcher:
    """Scores stretches of words against a fixed list of tools.

    Args:
        tools: declarations.
        encoder: shared; None compares stems only.

    Attributes:
        vectors: of the encoder; None without one.
        ranker: None without an encoder, or without tools.
    """

    def __init__(self, tools: Sequence[Tool], encoder: Encoder | None) -> None:
        self.tools = tuple(tools)
        self.uses_encoder = encoder is not None
        self.vectors = Vectors(encoder) if encoder is not None else None
        self._phrases = [(tool.name, phrase) for tool in tools for phrase in phrases(tool)]
        self._owners = [name for name, _ in self._phrases]
        self._said: NDArray[np.float32] | None = None
        self.ranker = Ranker(self.tools, self.vectors) if self.vectors is not None and self.tools else None

    def matches(self, parsed: Parsed, given: Iterable[str] = ()) -> list[Match]:
        """The best stretch of each clause for each tool, best first.

        Args:
            parsed: a request.
            given: types of attachments, and of what is written in the request.
        """
        import numpy as np

        windows = [_windows(clause) for clause in parsed.clauses]
        if not windows or not self.tools:
            return []
        texts = [words for some in windows for _, words in some]
        table = self._scores(texts)
        if self.ranker is not None:
            table = self.ranker.nearness(texts, table)
        ends = np.cumsum([len(some) for some in windows])
        nearness = [table[end - len(some) : end] for some, end in zip(windows, ends, strict=True)]
        if self.ranker is None:
            shared = np.stack([near.max(axis=0) for near in nearness])
            alone = competing = 1 / (1 + np.exp(-SHARED_SLOPE * (shared - HALF_SHARED)))
        else:
            stretches = [[words for _, words in some] for some in windows]
            alone, competing = self.ranker.chances(parsed, stretches, given)
        share = self.ranker.share if self.ranker is not None else np.ones(len(self.tools))
        odds = _log_odds(_settled(share * alone + (1 - share) * competing))
        found = []
        for clause, (some, near) in enumerate(zip(windows, nearness, strict=True)):
            for column, tool in enumerate(self.tools):
                # The shortest stretch that says it about as plainly: other words may ask for something else.
                start, words = some[int((near[:, column] >= AS_PLAIN * near[:, column].max()).argmax())]
                found.append(
                    Match(
                        tool=tool.name,
                        clause=clause,
                        start=start,
                        words=words,
                        score=float(odds[clause, column]),
                        nearness=float(near[:, column].max()),
                        alone=float(alone[clause, column]),
                        competing=float(competing[clause, column]),
                        share=float(share[column]),
                    )
                )
        return sorted(found, key=lambda m: (-m.score, m.clause, m.start, m.tool))

    def features(self, parsed: Parsed, given: Iterable[str]) -> NDArray[np.float64]:
        """What `Ranker.features` says of a request, for fitting its weights.

        Raises:
            AssertionError: there is no encoder, or no tool.
        """
        assert self.ranker is not None
        return self.ranker.features(parsed, [[words for _, words in _windows(c)] for c in parsed.clauses], given)

    def small_talk(self, parsed: Parsed) -> bool:
        """Whether a request is nearer to a greeting, thanks or an aside than to anything a tool does."""
        import numpy as np

        request = parsed.request
        if self.vectors is None or self.ranker is None:
            return len(request.split()) <= SHORT
        taught = self.ranker.taught
        if len(taught.tools) == len(self.tools):
            odds = taught.log_odds([request, *(clause.text for clause in parsed.clauses)])
            if np.all(odds.argmax(axis=1) == len(taught.tools)):
                return True
        if len(request.split()) > LONGEST_SMALL_TALK:
            return False
        vector = self.vectors.encode([request])[0]
        said = self.vectors.encode([phrase for _, phrase in self._phrases])
        return bool((self.vectors.encode_fixed(asides()) @ vector).max() > (said @ vector).max())

    def _scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """How near each text is to the nearest phrase of each tool, (texts, tools)."""
        import numpy as np

        if self.vectors is None:
            return np.array([[self._shared_stems(text, tool.name) for tool in self.tools] for text in texts])
        if self._said is None:
            self._said = self.vectors.encode([phrase for _, phrase in self._phrases])
        bare = [" ".join(w for w in text.split() if w not in NOUN_WORDS) for text in texts]
        unique = list(dict.fromkeys([*texts, *bare]))
        row_of = {text: row for row, text in enumerate(unique)}
        vectors = self.vectors.encode(unique) @ self._said.T
        # The name of a thing alone speaks for every tool that has to do with such things.
        cosines = 0.5 * (vectors[[row_of[t] for t in texts]] + vectors[[row_of[t] for t in bare]])
        owners = np.array(self._owners)
        return np.stack([cosines[:, owners == tool.name].max(axis=1) for tool in self.tools], axis=1)

    def _shared_stems(self, text: str, tool: str) -> float:
        wanted = stems(text)
        own = [stems(phrase) for name, phrase in self._phrases if name == tool]
        return max(len(wanted & phrase) / max(1, len(wanted)) for phrase in own)


def _settled(chances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Chances by clause and tool: where a tool's is greatest, that any clause asks for it."""
    import numpy as np

    settled = chances.copy()
    settled[chances.argmax(axis=0), np.arange(chances.shape[1])] = 1 - np.prod(1 - chances, axis=0)
    return settled


def _log_odds(chances: float | NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    within = np.clip(chances, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(within / (1 - within)))


@lru_cache(maxsize=1)
def shared_encoder() -> Encoder | None:
    """The encoder of this process, loaded; None where its packages or weights are missing."""
    encoder = Encoder()
    try:
        encoder.load()
    except Unavailable:
        return None
    return encoder


def matcher(tools: Sequence[Tool]) -> Matcher:
    """A matcher kept between requests over the same tools."""
    return _matcher(tuple((t.name, t.description, t.inputs, t.outputs, t.examples) for t in tools))


@lru_cache(maxsize=8)
def _matcher(tools: tuple[tuple[str, str, tuple[Port, ...], tuple[Port, ...], tuple[str, ...]], ...]) -> Matcher:
    return Matcher(
        [Tool(name=n, description=d, inputs=i, outputs=o, examples=e) for n, d, i, o, e in tools], shared_encoder()
    )


def _windows(clause: Clause) -> list[tuple[int, str]]:
    """Stretches that hold a word which is neither small nor the mere name of a thing."""
    words = clause.words[:LONGEST_READ]
    found = []
    for length in range(1, min(LONGEST_WINDOW, len(words)) + 1):
        for start in range(len(words) - length + 1):
            stretch = words[start : start + length]
            if any(word not in SMALL and word not in NOUN_WORDS and len(word) > 1 for word in stretch):
                found.append((start, " ".join(stretch)))
    return found or [(0, clause.text)]
