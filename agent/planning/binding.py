"""A plan on its way: which values there are, and what feeds each input of the next step."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hopline.agent.planning.clauses import (
    DEFINITE,
    INDEFINITE,
    INTO,
    LANGUAGES,
    ORDINALS,
    READER,
    SEVERAL,
    Clause,
    Parsed,
    mentioned,
    named_after,
    named_in,
)
from hopline.agent.planning.matching import CONTENT_STOP, Match
from hopline.agent.planning.plan import FromStep, FromText, Source, Step
from hopline.agent.planning.words import SMALL
from hopline.tools.artifact import AUDIO, TEXT
from hopline.tools.spec import Port, Tool

BRIDGE_COST = 0.3
MISSING_COST = 8.0
REUSE_COST = 1.7
UNSAID_COST = 2.0
OWN_COST = 1.7
"""Costs in log odds: of a step that no words ask for, of an input that nothing makes, of a value read again,
and of a text that the request does not hold."""

_FRESH, _NAMED_THERE, _LONGER_COST = 2.0, 1.5, 2.0
"""For a bridge: from what no step has read, from a type that the clause names; against each step of it."""


_REFERENCES = {"it", "this", "that", "them", "these", "those", "the", "its", "their", "what", "result", "back", "again"}
"""Words that mean something known: with one of them a step reads what was made before."""

_ARTICLES = frozenset(["a", "an", "some"])

_NAMING = re.compile(
    r"^(?:me |us )?(?:(?:an? |the )?(?:picture|image|drawing|photo|illustration|painting|sketch|sound|music)s? )?"
    r"(?:of|showing) ",
    re.IGNORECASE,
)
"""What only names the thing to be made, before what it is to show."""
_COUNT = re.compile(r",? (?:once|twice|(?:two|three|four|five) times)$", re.IGNORECASE)
"""How often it is to be made, after it."""
_MANNER = re.compile(r"^an? (?:\w+ )+saying |,? (?:aloud|out loud)$", re.IGNORECASE)
"""How it is to be said, before or after it: "a voice message saying good night"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """Something a step may read.

    Attributes:
        type: of it.
        sources: one, or several that a plural means together.
        used: some step reads it.
        clause: index of the clause it came from; -1 for an attachment.
    """

    type: str
    sources: tuple[Source, ...]
    used: bool = False
    clause: int = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A plan on its way, with what it scored so far and why.

    Attributes:
        steps: in order.
        values: oldest first.
        score: higher is better.
        bridging: ids of steps that no words asked for.
        taken: literals used, by index.
        missing: conversions that nothing offers, (from types, to type).
    """

    steps: tuple[Step, ...] = ()
    values: tuple[Value, ...] = ()
    score: float = 0.0
    bridging: tuple[str, ...] = ()
    taken: frozenset[int] = frozenset()
    missing: tuple[str, ...] = ()


class Binder:
    """Feeds steps of one request.

    Args:
        tools: all there are, by name.
        parsed: the request.
        matches: of its clauses and tools.
        asked: log odds from which a match asks for something.
    """

    def __init__(self, tools: Mapping[str, Tool], parsed: Parsed, matches: Sequence[Match], asked: float) -> None:
        self.tools = tools
        self.parsed = parsed
        self.asked = asked
        self.matches = {(m.clause, m.tool): m for m in matches}
        self.surest: dict[str, float] = {}
        for m in matches:
            self.surest[m.tool] = max(m.score, self.surest.get(m.tool, m.score))

    def append(self, draft: Draft, tool: Tool, clause_index: int, window: str) -> Draft:
        """The draft with a step of a tool, its inputs fed, bridges put in where needed.

        Args:
            draft: so far.
            tool: wanted next.
            clause_index: of the clause that asks for it.
            window: the words that matched.
        """
        clause = self.parsed.clauses[clause_index]
        inputs: dict[str, tuple[Source, ...]] = {}
        spent: set[tuple[Source, ...]] = set()
        for place, port in enumerate(tool.inputs):
            draft, sources = self._feed(draft, tool, port, place, clause, clause_index, window, spent)
            if sources:
                inputs[port.name] = sources
                spent.add(sources)
        step = Step(
            id=f"step{len(draft.steps) + 1}",
            tool=tool.name,
            inputs=inputs,
            parameters=self._parameters(tool, clause),
        )
        made = tuple(
            Value(type=kind, sources=(FromStep(step=step.id),), clause=clause_index)
            for kind in dict.fromkeys(port.type for port in tool.outputs)
        )
        return replace(draft, steps=(*draft.steps, step), values=(*draft.values, *made))

    def unmade(self, draft: Draft, clause_index: int) -> int:
        """How many of the types that a clause names as new are not there, and of its languages not spoken."""
        clause = self.parsed.clauses[clause_index]
        new = (mentioned(clause, INDEFINITE) | named_after(clause.words, INTO)) - {TEXT}
        spoken = {str(value) for step in draft.steps for value in step.parameters.values()}
        languages = {language} if (language := clause.language) else set()
        if not any(_speaks(tool) for tool in self.tools.values()):
            languages = set()
        return len(new - {value.type for value in draft.values}) + len(languages - spoken)

    # -- one input ---------------------------------------------------------------------------

    def _feed(
        self,
        draft: Draft,
        tool: Tool,
        port: Port,
        place: int,
        clause: Clause,
        clause_index: int,
        window: str,
        spent: set[tuple[Source, ...]],
    ) -> tuple[Draft, tuple[Source, ...]]:
        literal = self._literal(draft, port.type, clause_index)
        # Of two texts the first is what was made, the second what is written: an answer from a text, a likeness to one.
        later = place == 0 and any(other.type == port.type for other in tool.inputs[1:])
        made = any(v.type == port.type and v.clause != -1 and not v.used for v in draft.values)
        if literal is not None and not (later and made):
            index, source = literal
            return replace(draft, taken=draft.taken | {index}), (source,)
        side = place > 0 and port.type == TEXT and any(p.type != TEXT for p in tool.inputs[:place])
        side = side or (port.type == TEXT and port.name != TEXT and place > 0)
        if side:
            return self._side_text(draft, tool, clause, clause_index, spent)
        wanted = self._of_type(draft, port, clause, spent)
        own_words = self._own_words(clause, window)
        if any(made.type == AUDIO for made in tool.outputs):
            own_words = _MANNER.sub("", own_words)
        generates = port.type == TEXT and all(p.type != TEXT for p in tool.outputs) and bool(tool.outputs)
        refers = bool(set(clause.words) & _REFERENCES) or bool(mentioned(clause, DEFINITE) - {TEXT})
        unread = any(v.clause == -1 and not v.used and v.sources not in spent for v in draft.values)
        named = any(li.clause == clause_index and li.type not in (TEXT, "url") for li in self.parsed.literals)
        known = (refers and bool(wanted)) or (unread and (named or bool(set(clause.words) & DEFINITE)))
        if generates and own_words and not known and not self._bridgeable_mention(draft, clause):
            return replace(draft, score=draft.score - OWN_COST * unread), (FromText(text=own_words),)
        if wanted:
            return self._use(draft, wanted), tuple(s for value in wanted for s in value.sources)
        bridged = self._bridge(draft, port.type, clause, clause_index, spent)
        if bridged is not None:
            return bridged
        if port.type == TEXT:
            text = own_words or self.parsed.request
            return replace(draft, score=draft.score - (0.0 if generates else UNSAID_COST)), (FromText(text=text),)
        missing = self._missing(draft, tool, port.type)
        return replace(draft, score=draft.score - MISSING_COST, missing=(*draft.missing, missing)), ()

    def _missing(self, draft: Draft, tool: Tool, kind: str) -> str:
        """The conversion that is missing, and the tools that would make the type of something else."""
        have = ", ".join(dict.fromkeys(v.type for v in draft.values))
        makers = [
            f"{maker.name} makes it from {' and '.join(port.type for port in maker.inputs)}"
            for maker in self.tools.values()
            if maker.inputs and maker is not tool and any(port.type == kind for port in maker.outputs)
        ]
        told = f" ({', '.join(makers[:3])})" if makers else ""
        return f"{tool.name} needs {kind}, and nothing here makes {kind}{f' from {have}' if have else ''}{told}"

    def _literal(self, draft: Draft, kind: str, clause_index: int) -> tuple[int, Source] | None:
        """A literal of this clause, or of one that holds nothing else, if it is text or an address."""
        for index, literal in enumerate(self.parsed.literals):
            near = literal.clause == clause_index or (
                literal.clause > clause_index and len(self.parsed.clauses[literal.clause].words) <= 2
            )
            if index not in draft.taken and literal.type == kind and near and kind in (TEXT, "url"):
                return index, FromText(text=literal.text)
        return None

    def _side_text(
        self, draft: Draft, tool: Tool, clause: Clause, clause_index: int, spent: set[tuple[Source, ...]]
    ) -> tuple[Draft, tuple[Source, ...]]:
        """A question or instruction beside the main input: what was said or heard, or the clause itself."""
        unused = [v for v in draft.values if not v.used and v.sources not in spent]
        if any(v.type == TEXT for v in unused) and clause_index > 0 and not clause.question:
            value = [v for v in unused if v.type == TEXT][-1]
            return self._use(draft, [value]), value.sources
        own = {port.type for port in tool.inputs}
        # What is attached and cannot be what the question is about may be the question.
        if not clause.question and any(v.clause == -1 and v.type not in own for v in unused):
            bridged = self._bridge(draft, TEXT, clause, clause_index, spent)
            if bridged is not None:
                return bridged
        return draft, (FromText(text=self._sentence(clause)),)

    def _of_type(self, draft: Draft, port: Port, clause: Clause, spent: set[tuple[Source, ...]]) -> list[Value]:
        """The values an input of this type most likely means; several where a list is meant."""
        fitting = [v for v in draft.values if v.type == port.type and v.sources not in spent]
        if not fitting:
            return []
        unused_given = [v for v in fitting if v.clause == -1 and not v.used]
        made = [v for v in fitting if v.clause != -1]
        if port.many and len(made) > 1:
            unread = [v for v in made if not v.used]
            return unread or made[-1:]
        if not made and len(one := self._one_of(draft, port.type, clause)) == 1 and one[0].sources not in spent:
            return one
        if unused_given and not made:
            return unused_given if spent == set() or port.many else unused_given[:1]
        if made:
            unread = [v for v in made if not v.used]
            return [(unread or made)[-1]]
        return fitting[-1:] if not port.many else fitting

    def _one_of(self, draft: Draft, kind: str, clause: Clause) -> list[Value]:
        """Of several attachments of a type the one that a clause means: "the second photo", or each clause its own."""
        given = [v for v in draft.values if v.clause == -1 and v.type == kind]
        words = clause.words
        for before, word, after in zip(("", *words), words, (*words[1:], ""), strict=False):
            if word in ORDINALS and (before in DEFINITE or kind in named_in([after])) and len(given) > 1:
                return given[ORDINALS[word] :][:1]
        askers = {c for (c, tool), m in self.matches.items() if m.score >= self.asked and self._reads(tool, kind)}
        unread = [v for v in given if not v.used]
        return unread[:1] if len(askers) == len(given) > 1 and not set(words) & SEVERAL else unread

    def _reads(self, tool: str, kind: str) -> bool:
        return any(port.type == kind for port in self.tools[tool].inputs)

    def _use(self, draft: Draft, wanted: Sequence[Value]) -> Draft:
        cost = REUSE_COST * sum(v.used for v in wanted)
        values = tuple(replace(v, used=True) if v in wanted else v for v in draft.values)
        return replace(draft, values=values, score=draft.score - cost)

    # -- bridges -----------------------------------------------------------------------------

    def _bridge(
        self, draft: Draft, kind: str, clause: Clause, clause_index: int, spent: set[tuple[Source, ...]]
    ) -> tuple[Draft, tuple[Source, ...]] | None:
        """Convert what is there into a type: the cheapest path of tools with one input."""
        named = mentioned(clause, DEFINITE | INDEFINITE)
        best: tuple[float, tuple[Tool, ...], str] | None = None
        for start in dict.fromkeys(v.type for v in draft.values if v.sources not in spent and v.type != TEXT):
            given = [v for v in draft.values if v.type == start and v.sources not in spent]
            fresh = _FRESH if any(not v.used for v in given) else 0.0
            for path in self._paths(start, kind):
                gain = fresh + (_NAMED_THERE if start in named else 0.0)
                gain += sum(self.surest.get(t.name, -math.inf) - _LONGER_COST for t in path)
                if best is None or gain > best[0]:
                    best = (gain, path, start)
        if best is None:
            return None
        _, path, start = best
        given = [v for v in draft.values if v.type == start and v.sources not in spent]
        one = [v for v in self._one_of(draft, start, clause) if v in given]
        chosen = (one if len(one) == 1 else []) or [v for v in given if not v.used] or given[-1:]
        draft = self._use(draft, chosen)
        sources: tuple[Source, ...] = tuple(s for v in chosen for s in v.sources)
        for tool in path:
            step = Step(
                id=f"step{len(draft.steps) + 1}",
                tool=tool.name,
                inputs={tool.inputs[0].name: sources},
                parameters=self._parameters(tool, clause),
            )
            sources = (FromStep(step=step.id),)
            made = Value(type=tool.outputs[0].type, sources=sources, used=True, clause=clause_index)
            draft = replace(
                draft,
                steps=(*draft.steps, step),
                values=(*draft.values, made),
                bridging=(*draft.bridging, step.id),
                score=draft.score - BRIDGE_COST,
            )
        return draft, sources

    def also_asked(self, before: Draft, after: Draft, match: Match) -> float:
        """What bridges gain where the clause asks for them too, once."""
        known = {step.tool for step in before.steps}
        gain = 0.0
        for step in after.steps[len(before.steps) :]:
            other = self.matches.get((match.clause, step.tool))
            if step.id in after.bridging and step.tool not in known and other:
                gain += max(0.0, other.score - self.asked + BRIDGE_COST)
        return gain

    def _paths(self, start: str, goal: str) -> Iterator[tuple[Tool, ...]]:
        """Shortest paths of tools with one input from a type to another, at most three tools."""
        queue: deque[tuple[str, tuple[Tool, ...]]] = deque([(start, ())])
        shortest: int | None = None
        while queue:
            kind, path = queue.popleft()
            if shortest is not None and len(path) >= shortest:
                continue
            for tool in self.tools.values():
                if len(tool.inputs) != 1 or len(tool.outputs) != 1 or tool.inputs[0].type != kind:
                    continue
                made = tool.outputs[0].type
                if made == goal:
                    shortest = len(path) + 1
                    yield (*path, tool)
                elif len(path) < 2 and made != kind and all(made != t.inputs[0].type for t in path) and made != TEXT:
                    queue.append((made, (*path, tool)))

    def _bridgeable_mention(self, draft: Draft, clause: Clause) -> bool:
        known = mentioned(clause, DEFINITE) - {TEXT}
        return any(v.type in known for v in draft.values)

    # -- words -------------------------------------------------------------------------------

    def _own_words(self, clause: Clause, window: str) -> str:
        """What a clause says beside the words that matched: the prompt written in it; empty if nothing."""
        first = window.split()[0] if window else ""
        words = list(clause.words)
        start = words.index(first) + 1 if first in words else 0
        rest = words[start:]
        if (
            start > 1
            and words[start - 2] in _ARTICLES
            and not _says_something(words[start - 1 + len(window.split()) :])
        ):
            rest = words[start - 2 :]  # "make some relaxing music": what asks for it is also what is to be made
        if not _says_something(rest):
            # "Say good evening aloud": what asks for it stands behind, and the verb before.
            verb = next((place for place, word in enumerate(words) if word not in SMALL), 0)
            rest = words[verb + 1 : max(0, start - 1)]
        if not _says_something(rest):
            return ""
        return _COUNT.sub("", _NAMING.sub("", self._cased(rest)))

    def _sentence(self, clause: Clause) -> str:
        """A clause as typed; the whole sentence where it stands alone in one, or holds something quoted."""
        own = self._cased(clause.words)
        for sentence in re.findall(r"[^.?!]+[.?!]*", self.parsed.request):
            if own in sentence:
                alone = len(own) >= len(sentence.strip(" .?!"))
                return str(sentence).strip() if alone else own + "?" * clause.question
        return self.parsed.request.strip()

    def _cased(self, words: Sequence[str]) -> str:
        """Words as they were typed, found again in the request."""
        pattern = r"\W+".join(re.escape(word) for word in words if re.search(r"\w", word))
        found = re.search(pattern, self.parsed.request, re.IGNORECASE)
        return found[0] if found else " ".join(words)

    def _parameters(self, tool: Tool, clause: Clause) -> dict[str, Any]:
        """Settings the words name: a language, where the tool has one to choose."""
        if not _speaks(tool):
            return {}
        clauses = [clause, *self.parsed.clauses]
        named = next((c.language for c in clauses if c.language), "")
        if not named and any(word in LANGUAGES and word != READER for c in clauses for word in c.words):
            named = LANGUAGES[READER]
        return {"language": named} if named else {}


def _says_something(words: Sequence[str]) -> bool:
    return any(word not in CONTENT_STOP and word not in _REFERENCES for word in words)


def _speaks(tool: Tool) -> bool:
    """Whether it has a language to choose."""
    return "language" in tool.parameters and "default" not in tool.parameters["language"]
