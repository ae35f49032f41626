"""How likely a clause asks for a tool: features that name no tool, and a model that lets tools compete.

Of a clause each tool has a rating, linear in the features. Its chance is a mixture of two views: the
ratings by themselves (a clause may ask for several things), and against each other and against none (it
mostly asks for one). That a request asks for a tool at all is that some clause does.

The weights were fitted to requests whose tools are known, without knowing the clauses that ask for them,
by `benchmarks/fit_ranking.py`, which also prints how they do on requests and on tool lists left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hopline.agent.planning.clauses import (
    DEFINITE,
    INDEFINITE,
    INTO,
    LANGUAGES,
    URL,
    Clause,
    Parsed,
    file_type,
    mentioned,
    named_after,
    named_in,
    only_says_what_there_is,
)
from hopline.agent.planning.taught import Taught
from hopline.agent.planning.vectors import Vectors
from hopline.agent.planning.words import NOUN_WORDS, SMALL, phrases, stems
from hopline.tools.artifact import TEXT
from hopline.tools.spec import Tool

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WEIGHTS: Mapping[str, float] = {
    "name": -2.62,
    "said": 0.85,
    "phrase": 4.72,
    "stretch": 4.32,
    "stretch_name": -2.63,
    "stretch_lead": -3.42,
    "bare": 1.69,
    "signature": -2.41,
    "lead": 10.41,
    "request_lead": 4.18,
    "said_stems": 0.88,
    "verb": 2.17,
    "object": 1.00,
    "length": 3.09,
    "opening": 1.29,
    "declares": -3.33,
    "question": 2.40,
    "language": 2.46,
    "address": 8.89,
    "takes_named": 1.92,
    "takes_given": 1.41,
    "makes_named": 0.09,
    "makes_new": 1.07,
    "makes_given": -1.90,
    "into": 1.39,
    "from": 0.49,
    "absent": -0.93,
    "leaves_given": 1.01,
    "several": -0.42,
    "taught": 0.00,
    "taught_stretch": 0.00,
    "taught_request": 0.00,
    "taught_lead": 0.00,
}
"""Cosines: name, said, phrase: of the clause with the tool's name, with name and description, with the
nearest of its phrases; stretch, stretch_name: of its nearest stretch of words with a phrase, with the
name; bare: of the clause without names of things; signature: with what it takes and makes, in words.
Leads over the best other tool: lead, of the mean cosine; stretch_lead; request_lead: of the whole request
with name and description. Stems: said_stems: shared, weighted by inverse document frequency over the
tools, as a share of the clause's; verb, object: the first and the next words that say something are among
the tool's. Of the clause: length: log of the stems; opening: it is the first; declares: it only says what
there is. Of both: question, language: it asks, or names a language, and the tool takes a question, or
speaks of languages; address: one whose ending says that the tool makes it (or does not: -1). Types:
takes_named, makes_named, makes_new: one that it names as known, names at all, names as new; into, from:
what it names after such a word is made, or taken; takes_given, absent: the tool takes something that is
given, or that is not; leaves_given: takes nothing of what is given; makes_given: makes what the clause
names as known and is given; several: has more than one input. Log odds by the tools' examples (see `taught`), 0
for a tool without: taught: of the clause; taught_stretch: of its best stretch; taught_request; taught_lead: of the
clause, over the best other tool or nothing."""

BIAS, NONE, SHARE = -10.13, -2.20, 0.16
"""Rating of a tool without features; of no tool; share of the ratings by themselves in a chance."""

TAUGHT_WEIGHTS: Mapping[str, float] = {
    "name": -4.78,
    "said": 2.96,
    "phrase": 5.22,
    "stretch": 1.34,
    "stretch_name": 0.16,
    "stretch_lead": -0.70,
    "bare": 2.06,
    "signature": -3.19,
    "lead": 2.29,
    "request_lead": 2.88,
    "said_stems": 2.17,
    "verb": 0.76,
    "object": 0.46,
    "length": 0.95,
    "opening": 1.50,
    "declares": -0.41,
    "question": 0.75,
    "language": 1.22,
    "address": 0.00,
    "takes_named": 0.23,
    "takes_given": 3.05,
    "makes_named": 0.74,
    "makes_new": -0.45,
    "makes_given": -3.41,
    "into": -0.11,
    "from": 0.83,
    "absent": -0.32,
    "leaves_given": 1.53,
    "several": -0.64,
    "taught": 0.29,
    "taught_stretch": 0.42,
    "taught_request": 0.23,
    "taught_lead": 0.03,
}
"""Of a tool that declares examples."""

TAUGHT_BIAS, TAUGHT_NONE, TAUGHT_SHARE = -8.41, -2.05, 0.75
"""As BIAS, NONE and SHARE, of such a tool."""

_SHORTEST, _LONGEST = 2, 7
"""Words of a stretch that examples are asked about."""
LONGEST_READ = 80
"""Words of one clause in which words that ask for something are looked for; a longer one is a text, and rated whole."""
_LIKELY = 0.0
"""Log odds by the examples from which an earlier clause is taken to ask for a tool, so that what it makes is there."""


_FROM = frozenset("from of in the this".split())
_ABOUT_LANGUAGES = stems(" ".join(["language", *LANGUAGES]))


class Ranker:
    """Rates clauses against a fixed list of tools.

    Args:
        tools: declarations, at least one.
        encoder: of a loaded network.

    Attributes:
        taught: what the tools' examples say.
        share: by tool, of the rating by itself in a chance; float64 of shape (tools,).
    """

    def __init__(self, tools: Sequence[Tool], encoder: Vectors) -> None:
        import numpy as np

        self._encoder = encoder
        self._tools = tuple(tools)
        names = [re.sub(r"[_-]+", " ", tool.name).lower() for tool in tools]
        said = [f"{name}: {tool.description}" for name, tool in zip(names, tools, strict=True)]
        parts = [(index, phrase) for index, tool in enumerate(tools) for phrase in phrases(tool)]
        self._owners = np.array([index for index, _ in parts])
        self._names, self._said = encoder.encode(names), encoder.encode(said)
        for tool in tools:
            if tool.examples:
                encoder.encode_fixed(tool.examples)
        self._phrases = encoder.encode([phrase for _, phrase in parts])
        self._signatures = encoder.encode([_signature(tool) for tool in tools])
        self._said_stems = [stems(text) for text in said]
        self._all_stems = [stems(" ".join(phrases(tool))) for tool in tools]
        self._takes = [{port.type for port in tool.inputs} for tool in tools]
        self._makes = [{port.type for port in tool.outputs} for tool in tools]
        self.taught = Taught(tools, encoder)
        columns = {name: column for column, name in enumerate(self.taught.tools)}
        self._columns = np.array([columns.get(tool.name, -1) for tool in tools])
        known = self._columns >= 0
        self._weights = np.where(known[:, None], list(TAUGHT_WEIGHTS.values()), list(WEIGHTS.values()))
        self._bias = np.where(known, TAUGHT_BIAS, BIAS)
        self._none = np.where(known, TAUGHT_NONE, NONE)
        self.share = np.where(known, TAUGHT_SHARE, SHARE)

    def weigh(self, weights: Sequence[float] | NDArray[np.float64], bias: float, none: float, share: float) -> None:
        """Rate every tool with these weights, in the order of WEIGHTS: for trials of a fit."""
        self._weights[:], self._bias[:], self._none[:], self.share[:] = weights, bias, none, share

    def chances(
        self, parsed: Parsed, windows: Sequence[Sequence[str]], given: Iterable[str]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of every clause the chance that it asks for a tool: by the rating itself, and against the others.

        Args:
            parsed: a request of at least one clause.
            windows: of each clause, its short stretches of words.
            given: types of attachments, and of what is written in the request.

        Returns:
            Two of float64, of shape (clauses, tools), in (0, 1); to be mixed by `share`.
        """
        import numpy as np

        features = self.features(parsed, windows, given)
        ratings = (features * self._weights).sum(axis=-1) + self._bias
        over = ratings - self._none
        top = np.maximum(over.max(axis=1, keepdims=True), 0)
        among = np.exp(over - top)
        competing = among / (among.sum(axis=1, keepdims=True) + np.exp(-top))
        return 1 / (1 + np.exp(-ratings)), competing

    def nearness(self, texts: Sequence[str], cosines: NDArray[np.float64]) -> NDArray[np.float64]:
        """How plainly texts ask for tools by themselves: the chance by their examples, or else a cosine.

        Args:
            texts: stretches of words.
            cosines: of shape (texts, tools), for the tools that declare no examples.
        """
        import numpy as np

        if not self.taught.tools:
            return cosines
        chances = 1 / (1 + np.exp(-self.taught.log_odds(texts)))
        return np.where(self._columns >= 0, chances[:, self._columns], cosines)

    def features(self, parsed: Parsed, windows: Sequence[Sequence[str]], given: Iterable[str]) -> NDArray[np.float64]:
        """float64 of shape (clauses, tools, features), the last in the order of WEIGHTS; see there."""
        import numpy as np

        shape = (len(parsed.clauses), len(self._tools))
        taught = self._by_examples(parsed)
        there = self._there(parsed, taught["taught"], set(given))
        found = (
            self._by_cosine(parsed, windows) | self._by_words(parsed.clauses) | self._by_type(parsed, there) | taught
        )
        return np.stack([np.broadcast_to(np.asarray(found[key], float), shape) for key in WEIGHTS], axis=-1)

    def _by_examples(self, parsed: Parsed) -> dict[str, NDArray[Any]]:
        import numpy as np

        none = np.zeros((len(parsed.clauses), len(self._tools)))
        if not self.taught.tools:
            return dict.fromkeys(("taught", "taught_stretch", "taught_request", "taught_lead"), none)
        stretches = [_stretches(clause) for clause in parsed.clauses]
        clauses = self.taught.log_odds([clause.text for clause in parsed.clauses])
        within = self.taught.log_odds([text for some in stretches for text in some])
        ends = np.cumsum([len(some) for some in stretches])
        best = [within[end - len(some) : end].max(axis=0) for some, end in zip(stretches, ends, strict=True)]
        found = {
            "taught": clauses[:, :-1],
            "taught_stretch": np.stack(best)[:, :-1],
            "taught_request": self.taught.log_odds([parsed.request])[:, :-1],
            "taught_lead": clauses[:, :-1] - clauses.max(axis=1, keepdims=True),
        }
        return {name: np.where(self._columns >= 0, values[:, self._columns], 0.0) for name, values in found.items()}

    def _there(self, parsed: Parsed, taught: NDArray[Any], given: set[str]) -> list[set[str]]:
        """By clause the types that are there for it: given, or made by what earlier clauses ask for."""
        there = [given]
        for clause in range(len(parsed.clauses) - 1):
            made = [makes for makes, odds in zip(self._makes, taught[clause], strict=True) if odds > _LIKELY]
            there.append(there[-1].union(*made))
        return there

    def _by_cosine(self, parsed: Parsed, windows: Sequence[Sequence[str]]) -> dict[str, NDArray[Any]]:
        import numpy as np

        clauses = [clause.text for clause in parsed.clauses]
        bare = [" ".join(w for w in c.words if w not in NOUN_WORDS) or c.text for c in parsed.clauses]
        texts = list(dict.fromkeys([*clauses, *bare, parsed.request, *(w for some in windows for w in some)]))
        row = {text: index for index, text in enumerate(texts)}
        vectors = self._encoder.encode(texts)
        name, said = vectors @ self._names.T, vectors @ self._said.T
        by_phrase = vectors @ self._phrases.T
        phrase = np.stack([by_phrase[:, self._owners == i].max(axis=1) for i in range(len(self._tools))], axis=1)
        within = [[row[text] for text in some] or [row[clause]] for clause, some in zip(clauses, windows, strict=True)]
        stretch = np.stack([phrase[rows].max(axis=0) for rows in within])
        stretch_name = np.stack([name[rows].max(axis=0) for rows in within])
        at, without = [row[text] for text in clauses], [row[text] for text in bare]
        lead = _lead((name[at] + said[at] + phrase[at] + stretch + stretch_name) / 5)
        request = said[[row[parsed.request]]]
        return {
            "name": name[at],
            "said": said[at],
            "phrase": phrase[at],
            "stretch": stretch,
            "stretch_name": stretch_name,
            "stretch_lead": _lead(stretch),
            "bare": (name[without] + said[without]) / 2,
            "signature": vectors[at] @ self._signatures.T,
            "lead": lead,
            "request_lead": _lead(request),
        }

    def _by_words(self, clauses: Sequence[Clause]) -> dict[str, NDArray[Any]]:
        import numpy as np

        found = [stems(clause.text) for clause in clauses]
        telling = [[w for w in c.words if w not in SMALL and w not in NOUN_WORDS] for c in clauses]
        verbs, objects = ([stems(" ".join(t[part])) for t in telling] for part in (slice(0, 1), slice(1, 3)))
        said = [[self._weight(c & s) / (self._weight(c) or 1) for s in self._said_stems] for c in found]
        return {
            "said_stems": np.array(said),
            "verb": np.array([[bool(verb & s) for s in self._all_stems] for verb in verbs]),
            "object": np.array([[bool(thing & s) for s in self._all_stems] for thing in objects]),
            "length": np.array([[math.log1p(len(c))] for c in found]),
            "opening": np.arange(len(clauses))[:, None] == 0,
            "declares": np.array([[only_says_what_there_is(clause)] for clause in clauses]),
        }

    def _by_type(self, parsed: Parsed, there: Sequence[set[str]]) -> dict[str, NDArray[Any]]:
        import numpy as np

        rows: list[list[dict[str, float]]] = []
        for index, (clause, given) in enumerate(zip(parsed.clauses, there, strict=True)):
            things = given - {TEXT}
            known, new = mentioned(clause, DEFINITE) - {TEXT}, mentioned(clause, INDEFINITE) - {TEXT}
            named = named_in(clause.words) - {TEXT}
            into, origin = named_after(clause.words, INTO), named_after(clause.words, _FROM)
            literals = [literal for literal in parsed.literals if literal.clause == index]
            behind = {file_type(literal.text) for literal in literals if literal.type == URL} - {None}
            language = any(word in LANGUAGES for word in clause.words)
            rows.append(
                [
                    {
                        "question": clause.question and any("question" in port.name for port in tool.inputs),
                        "language": language and bool(_ABOUT_LANGUAGES & every),
                        "address": (URL in takes) * (bool(behind & makes) - bool(behind and not behind & makes)),
                        "takes_named": bool(known & takes),
                        "takes_given": bool(takes & given),
                        "makes_named": bool(named & makes),
                        "makes_new": bool(new & makes),
                        "makes_given": bool(known & (makes - takes) & given),
                        "into": bool(into & (makes - takes)),
                        "from": bool(origin & (takes - makes)),
                        "absent": bool(takes - given - {TEXT}),
                        "leaves_given": bool(things) and not takes & given,
                        "several": len(tool.inputs) > 1,
                    }
                    for tool, takes, makes, every in zip(
                        self._tools, self._takes, self._makes, self._all_stems, strict=True
                    )
                ]
            )
        return {key: np.array([[cell[key] for cell in row] for row in rows], float) for key in rows[0][0]}

    def _weight(self, words: frozenset[str]) -> float:
        """Sum of inverse document frequencies over the tools' descriptions."""
        count = len(self._said_stems)
        return sum(math.log((count + 1) / (sum(w in s for s in self._said_stems) + 0.5)) for w in sorted(words))


def _stretches(clause: Clause) -> list[str]:
    words = clause.words[:LONGEST_READ]
    lengths = range(_SHORTEST, _LONGEST + 1)
    return [" ".join(words[at : at + n]) for n in lengths for at in range(len(words) - n + 1)] or [clause.text]


def _signature(tool: Tool) -> str:
    """What a tool takes and makes, in words."""
    takes = " and ".join(port.type for port in tool.inputs) or "nothing"
    makes = " and ".join(port.type for port in tool.outputs) or "nothing"
    return f"change {takes}" if takes == makes else f"convert {takes} to {makes}"


def _lead(values: NDArray[Any]) -> NDArray[Any]:
    """How far each column is ahead of the best other one, by row; the value itself where there is no other."""
    import numpy as np

    if values.shape[1] == 1:
        return values
    ordered = np.sort(values, axis=1)
    best, second = ordered[:, -1:], ordered[:, -2:-1]
    return np.asarray(np.where(values == best, values - second, values - best))
