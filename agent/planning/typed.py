"""The typed planner: no language model; clauses are matched to tools and a search binds their types.

Nothing here knows a tool by its name: a new tool is planned from its description and types alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from typing import Any

from hopline.agent.planning.binding import MISSING_COST, Binder, Draft, Value
from hopline.agent.planning.check import check
from hopline.agent.planning.choosing import Judgement
from hopline.agent.planning.clauses import Clause, Parsed, named_after, parse
from hopline.agent.planning.matching import Match, matcher
from hopline.agent.planning.plan import FromAttachment, Plan
from hopline.agent.planning.words import beginnings
from hopline.agent.planning.worked import Worked, nearest
from hopline.tools.artifact import TEXT
from hopline.tools.errors import NoPlan
from hopline.tools.registry import Registry
from hopline.tools.spec import Tool

ASKED = -1.1
"""Log odds below which a match asks for nothing: chances of a quarter."""

SECOND = 1.55
"""A second tool in the same clause needs this much, given the first."""

PLAIN = 0.85
"""Nearness from which words say plainly what a tool says of itself; a second tool may be asked for like that."""

NAMED, UNNAMED = 0.5, 0.25
"""What a judge's word adds to a match of a tool it named, and takes from one it did not."""

INFORMED = 1.0
"""Both, of a judge that was shown requests over these very tools."""

CLOSE = 2.5
"""Plans whose score is no further behind would do as well, if they read and make the same."""

_PLAINNESS, _ODDS, _BESIDE_COST, _MOST_BESIDE = 1.5, 0.25, 2.75, 2.0
"""What plain words for a second tool in a clause count beside its odds, what it costs, and the most it can get."""
_PLAINLY = 1.0
"""Score from which a plan does plainly what was asked."""
_MAKING = frozenset("into as make create generate produce".split())
_SUBJECTS = frozenset("he she they it who being".split())
_ASKED_OF = frozenset("does did doesn't didn't".split())
_DONE_BY_SOMEBODY = frozenset("says describes reads shows tells speaks explains mentions".split())
_BEAM = 16
_CANDIDATES = 5
_MOST_IN_CLAUSE = 3
_LEAST = 1.2
"""How far below asking a match may be and still serve where types or a language call for it."""
_UNUSED_COST = 2.2
_UNMADE_COST = 0.55
"""Of a type that a clause names as new, or a language, that nothing makes or speaks after it."""
_REPEAT_COST = 9.0
_NEW_REPEAT_COST = 5.0
"""Of doing the same again, and of doing it to something else without a word for "again"."""
_DEAD_COST = 1.35
"""Of a step on the way whose result nothing reads."""
_TAKEN = -2.0
"""Score of a step whose words ask for something else."""
_TIMES = {"twice": 2, "two times": 2, "three times": 3, "four times": 4, "five times": 5}


def plan(request: str, registry: Registry, attachments: Mapping[str, str]) -> Plan:
    """The best checked plan of a request.

    Args:
        request: plain words.
        registry: what can be called; only declarations are read.
        attachments: type by handle. File names in the request count as inputs of their type where
            no attachment has that type.

    Returns:
        A plan with `why`: clauses, matches, bridging steps, the runner-up and the margin between
        them. No steps for small talk.

    Raises:
        NoPlan: an input of the best plan has no producer; names the missing conversion.
    """
    return search(Reading(request, registry, attachments), "typed")


def prepare(registry: Registry) -> None:
    """Learn the examples of a registry's tools now (seconds), for this process and for later ones."""
    Reading("hello", registry, {}).worked()


class Reading:
    """A request read against a registry: what both this planner and the assisted one search with.

    Args:
        request, registry, attachments: see `plan`.

    Attributes:
        registry: the tools that planners choose from.
        parsed: clauses and literals.
        types: of what is given, attached or written.
        matches: of clauses and tools, best first.
        small_talk: the request is nearer to a greeting than to anything a tool does.
    """

    def __init__(self, request: str, registry: Registry, attachments: Mapping[str, str]) -> None:
        self.request, self.attachments = request, attachments
        self.registry = registry = Registry(tools=[tool for tool in registry if tool.planned])
        self.parsed = parse(request, beginnings(registry), given=bool(attachments))
        self.tools = {tool.name: tool for tool in registry}
        self._matcher = matcher(list(registry))
        self.uses_encoder = self._matcher.uses_encoder
        self.given = _values(self.parsed, attachments)
        written = [TEXT for literal in self.parsed.literals if literal.type == TEXT]
        self.types = frozenset(value.type for value in self.given).union(written)
        self.matches = self._matcher.matches(self.parsed, self.types)

    def worked(self) -> list[Worked]:
        """Requests over these tools that are like it; none where the tools are others, or without the encoder."""
        vectors = self._matcher.vectors
        return nearest(self.request, list(self.attachments.values()), self.tools, vectors) if vectors else []

    @cached_property
    def small_talk(self) -> bool:
        asked = any(match.score > 0 for match in self.matches)  # rather than not
        return not (self.given or asked) and self._matcher.small_talk(self.parsed)


def search(reading: Reading, planner: str, judged: Judgement | None = None, also: list[Plan] | None = None) -> Plan:
    """The best checked plan of a request that was read.

    Args:
        reading: of the request.
        planner: who the plan says decided.
        judged: the tools that a judge would use; None where nobody was asked.
        also: gets the other plans that score about as well.

    Raises:
        NoPlan: see `plan`.
    """
    parsed, tools, given = reading.parsed, reading.tools, reading.given
    found = _judged(reading.matches, judged) if judged else reading.matches
    _refuse_unmakeable(reading)
    drafts = _search(parsed, tools, found, given, ASKED)
    if not drafts[0].steps and found and not reading.small_talk:
        # What is asked for plainly and lacks only its input is not exchanged for something else.
        lacking = next((d for d in drafts if d.missing), None)
        if lacking is not None and lacking.score + MISSING_COST * len(lacking.missing) > _PLAINLY:
            # Unless other words ask as plainly for what can be done: "say that the car is red".
            plain = [m for m in found if m.nearness >= PLAIN]
            drafts = [d for d in _search(parsed, tools, plain, given, -math.inf) if d.steps and not d.missing]
            if not drafts:
                raise _no_plan(lacking)
        else:
            surest = max((m.score for m in found if m.score < ASKED), default=0.0)
            drafts = _search(parsed, tools, [m for m in found if m.score >= surest - 0.5], given, -math.inf)
            drafts = [d for d in drafts if d.steps] or drafts
    best = drafts[0]
    if best.missing:
        raise _no_plan(best)
    steps = best.steps
    _refuse_unreadable(reading, best)
    why: dict[str, Any] = {
        "clauses": [clause.text for clause in parsed.clauses],
        "matches": [
            {"clause": m.clause, "tool": m.tool, "words": m.words, "score": round(m.score, 3)}
            for m in found
            if m.score >= ASKED
        ],
        "bridging": list(best.bridging),
        "encoder": reading.uses_encoder,
    }
    if judged:
        why["judged"] = list(judged.names)
    other = next((d for d in drafts[1:] if [s.tool for s in d.steps] != [s.tool for s in steps]), None)
    if other is not None:
        why |= {"runner_up": [s.tool for s in other.steps], "margin": round(best.score - other.score, 3)}
    if also is not None:
        # Tools that do the same take each other's chances: here each is rated as if the surest were not there.
        top = {m.clause: m for m in reversed(found)}
        alike = [m if m is top[m.clause] else replace(m, score=max(m.score, m.beside(top[m.clause]))) for m in found]
        close = [d for d in _search(parsed, tools, alike, given, ASKED) if d.steps != steps]
        close = [d for d in close if not d.missing and best.score - d.score <= CLOSE]
        also += [Plan(planner=planner, steps=d.steps, why=why | {"bridging": list(d.bridging)}) for d in close]
    made = Plan(planner=planner, steps=steps, why=why)
    handles = dict(reading.attachments) | {
        source.attachment: v.type for v in given for source in v.sources if isinstance(source, FromAttachment)
    }
    return made.model_copy(update={"problems": check(made, reading.registry, handles)})


def _no_plan(draft: Draft) -> NoPlan:
    return NoPlan(f"{draft.missing[0]}.", hint="Attach it, or add a tool that does; see: hopline tools")


def _refuse_unmakeable(reading: Reading) -> None:
    """Nothing stands in for a type that is plainly to be made and that no tool makes.

    Raises:
        NoPlan: there is one.
    """
    made = {port.type for tool in reading.tools.values() for port in tool.outputs}
    for clause in reading.parsed.clauses:
        for kind in sorted(named_after(clause.words, _MAKING) - made - reading.types - {TEXT}):
            have = " or ".join(sorted(reading.types)) or TEXT
            raise NoPlan(
                f"nothing here makes {kind}, which {clause.text!r} asks for.",
                hint=f"Add a tool that makes {kind} from {have}; what there is: hopline tools",
            )


def _refuse_unreadable(reading: Reading, best: Draft) -> None:
    """A plan that reads nothing of what was attached is none, where no tool could read it.

    Raises:
        NoPlan: so it is.
    """
    taken = {port.type for tool in reading.tools.values() for port in tool.inputs}
    unreadable = sorted(set(reading.attachments.values()) - taken)
    if best.steps and unreadable and not any(value.used and value.clause == -1 for value in best.values):
        raise NoPlan(
            f"nothing here takes {unreadable[0]}.",
            hint=f"Add a tool that makes text of {unreadable[0]}; what there is: hopline tools",
        )


def _judged(matches: Sequence[Match], judged: Judgement) -> list[Match]:
    """Matches with a judge's word added: for a tool it named, where that fits best; against one it did not."""
    named, unnamed = (INFORMED, INFORMED) if judged.informed else (NAMED, UNNAMED)
    best: dict[str, float] = {}
    for m in matches:
        best[m.tool] = max(best.get(m.tool, m.score), m.score)
    weighed = []
    for m in matches:
        if m.tool in judged.names:
            weighed.append(replace(m, score=m.score + named) if m.score == best[m.tool] else m)
        elif m.nearness >= PLAIN:
            weighed.append(m)  # what words plainly ask for, a judge's silence does not take away
        else:
            # It may not slip in by its own words either.
            weighed.append(replace(m, score=m.score - unnamed, nearness=m.nearness - UNNAMED))
    return sorted(weighed, key=lambda m: (-m.score, m.clause, m.start, m.tool))


def _values(parsed: Parsed, attachments: Mapping[str, str]) -> tuple[Value, ...]:
    """Attachments, and file names and addresses in the request that stand for some."""
    values = [Value(type=kind, sources=(FromAttachment(attachment=handle),)) for handle, kind in attachments.items()]
    counts = {kind: list(attachments.values()).count(kind) for kind in set(attachments.values())}
    named: dict[str, int] = {}
    for literal in parsed.literals:
        if literal.type in (TEXT,) and not re.search(r"\.\w{2,4}$", literal.text):
            continue
        named[literal.type] = named.get(literal.type, 0) + 1
        if named[literal.type] > counts.get(literal.type, 0):
            handle = f"{literal.type}{named[literal.type]}"
            values.append(Value(type=literal.type, sources=(FromAttachment(attachment=handle),)))
    return tuple(values)


_MORE = {"again", "back", "another", "also"}


def _search(
    parsed: Parsed, tools: Mapping[str, Tool], found: Sequence[Match], given: tuple[Value, ...], asked: float
) -> list[Draft]:
    binder = Binder(tools, parsed, found, ASKED)
    drafts = [Draft(values=given)]
    surest = binder.surest
    for index in _order(parsed):
        here = [m for m in found if m.clause == index and not parsed.clauses[index].written]
        if here and here[0].score < surest[here[0].tool]:
            # Asked for elsewhere, it leaves this clause to the others.
            here = [here[0], *(replace(m, score=max(m.score, m.beside(here[0]))) for m in here[1:])]
            here.sort(key=lambda m: -m.score)
        options = _options(here, asked, tools, parsed.clauses[index], bool(given))
        grown = [_extend(binder, draft, option, index) for draft in drafts for option in options]
        grown = [replace(d, score=d.score - _UNMADE_COST * binder.unmade(d, index)) for d in grown]
        drafts = sorted(grown, key=lambda d: -d.score)[:_BEAM]
    ended = [replace(d, score=d.score - _ending_cost(d)) for d in drafts]
    return sorted(ended, key=lambda d: (bool(d.missing), -d.score))


def _ending_cost(draft: Draft) -> float:
    """Of attachments that nothing reads, and of things made on the way that lead nowhere."""
    unread = sum(not value.used and value.clause == -1 for value in draft.values)
    read = {need for step in draft.steps for need in step.needs()}
    dead = sum(step.id not in read for step in draft.steps[:-1])
    return _UNUSED_COST * unread + _DEAD_COST * dead


def _order(parsed: Parsed) -> list[int]:
    """Indices of clauses in the order in which they are to be done: "... first" and "before ..." turn it."""
    order = list(range(len(parsed.clauses)))
    for index, clause in enumerate(parsed.clauses):
        if index > 0 and clause.words[-1] == "first":
            order.remove(index)
            order.insert(order.index(index - 1), index)
        if clause.words[0] == "before" and index + 1 < len(parsed.clauses):
            order.remove(index)
            order.append(index)
    return order


def _options(
    matches: Sequence[Match], threshold: float, tools: Mapping[str, Tool], clause: Clause, given: bool
) -> list[tuple[Match, ...]]:
    """What a clause may ask for: nothing, one tool, or up to three of which each takes what the one before makes."""
    top = list(matches[:_CANDIDATES])
    options: list[tuple[Match, ...]] = [(), *((m,) for m in top if m.score >= threshold - _LEAST)]
    surest = top[0] if top and top[0].score >= threshold else None
    beside = (
        {m.tool: _beside(m, surest, threshold) for m in top if m is surest or not _tells(m, clause)} if surest else {}
    )
    able = [replace(m, score=score) for m in top if (score := beside.get(m.tool)) is not None]
    chains: list[tuple[Match, ...]] = [(m,) for m in able]
    spans = {m.tool: m.span if given else _span(m, tools, clause) for m in able}
    for _ in range(_MOST_IN_CLAUSE - 1):
        chains = [
            (*chain, m)
            for chain in chains
            for m in able
            if _takes(tools[m.tool], tools[chain[-1].tool])
            and all(m.tool != o.tool and not spans[m.tool] & spans[o.tool] for o in chain)
            and not any(_asks(tools[m.tool]) & _asks(tools[o.tool]) for o in chain)
        ]
        options += sorted((c for c in chains if any(m.tool == surest.tool for m in c)), key=_turned) if surest else []
    return options


def _beside(match: Match, surest: Match, threshold: float) -> float | None:
    """Score of a match where its clause asks for the surest one too; None where it asks for that alone."""
    if match is surest:
        return match.score
    score = max(match.score, match.beside(surest))
    if match.nearness >= PLAIN:
        plainly = _PLAINNESS * match.plainness + _ODDS * score - _BESIDE_COST
        return max(score, threshold, min(plainly, _MOST_BESIDE))
    return score if score >= SECOND else None


def _tells(match: Match, clause: Clause) -> bool:
    """Its words tell what somebody does, and ask for nothing: "what she describes", "when does he say it ends"."""
    before, word = clause.words[: match.start], clause.words[match.start]
    return bool(before) and (before[-1] in _SUBJECTS or bool(_ASKED_OF & set(before)) or word in _DONE_BY_SOMEBODY)


def _turned(chain: Sequence[Match]) -> int:
    """How often a chain goes against the order of the words."""
    return sum(first.start > second.start for first, second in pairwise(chain))


def _takes(second: Tool, first: Tool) -> bool:
    return bool(second.inputs) and second.inputs[0].type in {port.type for port in first.outputs}


def _asks(tool: Tool) -> set[str]:
    """What the words of a clause are to it beside what it works on, a question: one clause asks it of one tool."""
    return {port.name for port in tool.inputs[1:] if port.type == TEXT and not port.name.startswith(TEXT)}


def _span(match: Match, tools: Mapping[str, Tool], clause: Clause) -> set[int]:
    """Positions a match speaks for: with a tool that makes things of text, the prompt after it too."""
    tool = tools[match.tool]
    generates = any(p.type == TEXT for p in tool.inputs) and all(p.type != TEXT for p in tool.outputs)
    prompt = bool(set(clause.words[match.start + 1 : match.start + 3]) & {"a", "an", "some", "two", "three"})
    return set(range(match.start, len(clause.words))) if generates and prompt else match.span


def _repeat_cost(before: Draft, after: Draft, clause: Clause) -> float:
    """Of doing again what an earlier step does: less where it has something new to do it to, or words ask for it."""
    last = after.steps[-1]
    earlier = [step for step in before.steps if step.tool == last.tool]
    if not earlier:
        return 0.0
    same = any((s.inputs == last.inputs or s.id in last.needs()) and s.parameters == last.parameters for s in earlier)
    if same:
        return _REPEAT_COST
    return 0.0 if set(clause.words) & _MORE else _NEW_REPEAT_COST


def _extend(binder: Binder, draft: Draft, option: tuple[Match, ...], index: int) -> Draft:
    clause = binder.parsed.clauses[index]
    for m in option:
        times = next((n for words, n in _TIMES.items() if words in clause.text), 1)
        heeded = any(step.tool == m.tool and step.id in draft.bridging for step in draft.steps)
        for turn in range(times):
            grown = binder.append(draft, binder.tools[m.tool], index, m.words)
            if turn == 0:
                grown = replace(grown, score=grown.score + binder.also_asked(draft, grown, m))
                grown = replace(grown, score=grown.score - _repeat_cost(draft, grown, clause))
            draft = grown
        if not heeded:
            draft = replace(draft, score=draft.score + (_TAKEN if _taken(binder, draft, m) else m.score))
    return draft


def _taken(binder: Binder, draft: Draft, match: Match) -> bool:
    """Its words are part of those that ask as plainly for a bridge: "spoken", in "the spoken question"."""
    bridges = [step for step in draft.steps if step.id in draft.bridging and step.tool != match.tool]
    others = [other for step in bridges if (other := binder.matches.get((match.clause, step.tool))) is not None]
    return any(min(other.nearness, match.nearness) >= PLAIN and match.span < other.span for other in others)
