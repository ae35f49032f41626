"""Which earlier things the words of a request mean: "it", "the second one", "the transcript", "the boat".

By type, by place, by the words with which the tool that made a thing describes itself, and by the words of the
request that asked for it; the latest wins. Nothing here knows a tool by its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hopline.agent.planning.clauses import NOUNS, ORDINALS
from hopline.agent.planning.history import History, Thing
from hopline.agent.planning.words import NOUN_WORDS, SMALL
from hopline.tools.artifact import AUDIO, IMAGE, TEXT, VIDEO
from hopline.tools.registry import Registry

SINGULAR = frozenset(("it", "this", "that"))
PLURAL = frozenset(("them", "these", "those", "they", "both", "all"))
_DEFINITE = frozenset("the this that these those both your my our all".split())
_PLAINLY = {
    TEXT: ("it", "them"),
    IMAGE: ("the picture", "the pictures"),
    AUDIO: ("the recording", "the recordings"),
    VIDEO: ("the video", "the videos"),
}
_ASKING = frozenset("what whatever which".split())
_SHORTEST, _ALIKE = 4, 0.7
"""Letters of a word that is compared by its beginning, and the share that must be alike."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mention:
    """Words of a request that mean earlier things.

    Attributes:
        words: as they stand there, in lower case.
        clause: index of the clause.
        things: what they mean; several only where they are in the plural, or a place among things of unknown type.
        sure: the words say which it is; otherwise ("it") things of any type may be meant, the likeliest first.
        telling: the words are those of a tool, and would ask for it ("the summary").
    """

    words: str
    clause: int
    things: tuple[Thing, ...]
    sure: bool = True
    telling: bool = False

    def plainly(self, request: str) -> tuple[str, str, str]:
        """A request that says "it" or "the pictures" in place of words that would ask for a tool.

        Returns:
            The request, what stands in it now, and what stood there as it was typed.
        """
        noun = _PLAINLY.get(self.things[0].type)
        found = re.search(r"\W+".join(map(re.escape, self.words.split())), request, re.IGNORECASE)
        if not self.telling or noun is None or found is None:
            return request, "", ""
        one, several = noun
        plain = several if len(self.things) > 1 else one
        return f"{request[: found.start()]}{plain}{request[found.end() :]}", plain, found[0]


class Mentions:
    """Finds what requests of a conversation mean.

    Args:
        history: of the conversation.
        registry: whose declarations say how tools describe themselves.
        own: type by handle, of the attachments of the request itself.
    """

    def __init__(self, history: History, registry: Registry, own: Mapping[str, str]) -> None:
        self._history = history
        self._own = frozenset(own.values())
        self._things = [thing for turn in history for thing in turn.things]
        self._asked = {turn.position: _telling(turn.request) for turn in history}
        self._said = {
            tool.name: _telling(f"{tool.name.replace('_', ' ')} {tool.description}") - NOUN_WORDS for tool in registry
        }

    def find(self, clauses: Sequence[Sequence[str]]) -> list[Mention]:
        """The mentions of a request, those that are sure before the others.

        Args:
            clauses: words of each, lower case.
        """
        found = [mention for index, words in enumerate(clauses) for mention in self._in_clause(index, words, clauses)]
        return sorted(found, key=lambda mention: not mention.sure)

    def latest(self) -> tuple[Thing, ...]:
        """The latest thing of each type, likeliest first: what a person got before what was made on the way."""
        newest_first = list(reversed(self._things))
        ranked = sorted(newest_first, key=lambda t: (-t.turn, not (t.output and t.step is not None)))
        return tuple(next(t for t in ranked if t.type == kind) for kind in _types(ranked))

    def group(self, kind: str, most: int = 0) -> tuple[Thing, ...]:
        """The things of a type that belong together: those of the latest run that made several, else of all runs."""
        for turn in reversed(self._history):
            several = [t for t in turn.outputs if t.type == kind] or [t for t in turn.things if t.type == kind]
            if len(several) > 1:
                return tuple(several[-most:])
            if several and not most:
                break
        every = [t for t in self._things if t.type == kind and t.output]
        made = [t for t in every if t.step is not None]
        return tuple((made if len(made) > 1 else every)[-most:])

    # -- one clause --------------------------------------------------------------------------

    def _in_clause(self, index: int, words: Sequence[str], clauses: Sequence[Sequence[str]]) -> Iterator[Mention]:
        taken: set[int] = set()
        for place, word in enumerate(words):
            if place in taken:
                continue
            after = words[place + 1] if place + 1 < len(words) else ""
            before = words[place - 1] if place else ""
            if word in ORDINALS and (before in _DEFINITE or after in ("one", "ones") or _noun(after)):
                things = self._by_place(ORDINALS[word], after)
                taken |= {place, place + 1}
                if things:
                    yield Mention(words=f"{word} {after}".strip(), clause=index, things=things, sure=len(things) == 1)
                continue
            begin = self._definite(words, place)
            if begin is None:
                continue
            things, telling = self._named(word, words, place, index, clauses)
            if things:
                yield Mention(words=" ".join(words[begin : place + 1]), clause=index, things=things, telling=telling)
                taken.add(place)
        if taken or self._own:
            return
        yield from self._pronouns(index, words)

    def _pronouns(self, index: int, words: Sequence[str]) -> Iterator[Mention]:
        for place, word in enumerate(words):
            after = words[place + 1] if place + 1 < len(words) else ""
            if _noun(after) and word not in ("it", "them", "they"):
                continue
            if word in PLURAL:
                things = [t for kind in _types(reversed(self._things)) for t in self.group(kind, 2 * (word == "both"))]
                yield Mention(words=word, clause=index, things=tuple(things), sure=False)
                return
            if word in SINGULAR:
                yield Mention(words=word, clause=index, things=self.latest(), sure=False)
                return

    def _definite(self, words: Sequence[str], place: int) -> int | None:
        """Where the article of a word stands, at most two words before it, or the "what" of "what you drew"."""
        if words[place] in SMALL | _DEFINITE:
            return None
        first = max(0, place - 3)
        near = words[first:place]
        asking = [i for i, word in enumerate(near) if word in _ASKING]
        if asking and {"you", "we", "i"} & set(near):
            return first + asking[-1]
        articles = [i for i, word in enumerate(near) if word in _DEFINITE]
        if not articles:
            return None
        between = near[articles[-1] + 1 :]
        wrong = any(_noun(word) or word in SMALL or word in ORDINALS for word in between)
        return None if wrong else first + articles[-1]

    def _named(
        self, word: str, words: Sequence[str], place: int, index: int, clauses: Sequence[Sequence[str]]
    ) -> tuple[tuple[Thing, ...], bool]:
        """The latest thing that a word names, and whether it names it by what a tool does."""
        kinds = {kind for kind, nouns in NOUNS.items() if word in nouns}
        makers = {name for name, said in self._said.items() if any(_alike(word, other) for other in said)}
        made = [t for t in self._things if t.step is not None and t.step.tool in makers]
        fitting = [t for t in made if not kinds or t.type in kinds]
        earlier = [other for clause in (*clauses[:index], words[:place]) for other in clause]
        if fitting and any(_alike(word, other) for other in earlier if other not in _DEFINITE):
            return (), False  # "transcribe this and read the transcript": this very request makes it
        telling = bool(fitting)
        if not fitting and kinds:
            if tuple(words[place + 1 : place + 2]) == ("of",) or kinds & self._own:
                return (), False
            fitting = [t for t in self._things if t.type in kinds]
            asked = [t for t in fitting if t.step is None and any(_alike(word, o) for o in self._asked[t.turn])]
            fitting = asked or [t for t in fitting if t.output] or fitting
        elif not fitting:
            turns = [turn for turn in self._history if word in self._asked[turn.position]]
            fitting = [t for turn in turns[-1:] for t in turn.outputs if t.type != TEXT][-1:]
        if word != word.removesuffix("s") and len(fitting) > 1 and word != "words":
            return self._several(fitting), telling
        return tuple(fitting[-1:]), telling

    def _several(self, fitting: Sequence[Thing]) -> tuple[Thing, ...]:
        last = [t for t in fitting if t.turn == fitting[-1].turn]
        return tuple(last if len(last) > 1 else fitting)

    def _by_place(self, place: int, noun: str) -> tuple[Thing, ...]:
        """The thing at a place among those of a type; of each type where no word says which."""
        kinds = [kind for kind, nouns in NOUNS.items() if noun in nouns] or _types(reversed(self._things))
        found = []
        for kind in kinds:
            group = self.group(kind)
            if place < 0 and len(group) < -place:
                continue
            if -len(group) <= place < len(group) and (len(group) > 1 or place in (0, -1)):
                found.append(group[place])
        return tuple(found)


def _types(things: Iterator[Thing] | Sequence[Thing]) -> list[str]:
    return list(dict.fromkeys(thing.type for thing in things))


def _noun(word: str) -> bool:
    return word in NOUN_WORDS


def _telling(text: str) -> frozenset[str]:
    """Words that say something, lower case."""
    return frozenset(re.findall(r"[^\W\d_]+", text.lower())) - SMALL


def _alike(word: str, other: str) -> bool:
    """Two words begin alike: transcript and transcribes, summary and summarises."""
    if word == other:
        return True
    least = max(_SHORTEST, round(_ALIKE * min(len(word), len(other))))
    return min(len(word), len(other)) >= _SHORTEST and word[:least] == other[:least]
