"""The typed planner: no language model; clauses are matched to tools and a search binds their types.

Nothing here knows a tool by its name: a new tool is planned from its description and types alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import permutations
from typing import Any

from hopline.agent.planning.binding import Binder, Draft, Value
from hopline.agent.planning.check import check
from hopline.agent.planning.choosing import Judgement
from hopline.agent.planning.clauses import NOUNS, Clause, Parsed, parse
from hopline.agent.planning.matching import Match, matcher
from hopline.agent.planning.plan import FromAttachment, Plan
from hopline.tools.artifact import TEXT
from hopline.tools.errors import NoPlan
from hopline.tools.registry import Registry
from hopline.tools.spec import Tool

ASKED = 0.46
"""A match below this asks for nothing."""

SECOND = 0.52
"""A second tool in the same clause needs this much."""

PLAIN = 0.58
"""Nearness from which words say plainly what a tool says of itself."""

NAMED, UNNAMED = 0.2, 0.1
"""What a judge's word adds to a match of a tool it named, and takes from one it did not."""

CLOSE = 0.15
"""Plans whose score is no further behind would do as well, if they read and make the same."""

_BEAM = 16
_CANDIDATES = 5
_ALONE = 0.1
"""What nearness counts less than a score."""
_UNUSED_COST = 0.35
_REPEAT_COST = 0.8
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


class Reading:
    """A request read against a registry: what both this planner and the assisted one search with.

    Args:
        request, registry, attachments: see `plan`.

    Attributes:
        parsed: clauses and literals.
        matches: of clauses and tools, best first, before types have their say.
        small_talk: the request is nearer to a greeting than to anything a tool does.
    """

    def __init__(self, request: str, registry: Registry, attachments: Mapping[str, str]) -> None:
        self.request, self.registry, self.attachments = request, registry, attachments
        self.parsed = parse(request)
        self.tools = {tool.name: tool for tool in registry}
        self._matcher = matcher(tuple((tool.name, tool.description) for tool in registry))
        self.uses_encoder = self._matcher.uses_encoder
        self.matches = self._matcher.matches(self.parsed.clauses, request)
        self.given = _values(self.parsed, attachments)

    @cached_property
    def small_talk(self) -> bool:
        return not self.given and self._matcher.small_talk(self.request)


def search(reading: Reading, planner: str, judged: Judgement = (), also: list[Plan] | None = None) -> Plan:
    """The best checked plan of a request that was read.

    Args:
        reading: of the request.
        planner: who the plan says decided.
        judged: tools that a judge would use, an answer each; none where nobody was asked.
        also: gets the other plans that score about as well.

    Raises:
        NoPlan: see `plan`.
    """
    parsed, tools, given = reading.parsed, reading.tools, reading.given
    found = _adjusted(reading.matches, parsed, tools)
    if judged:
        found = _judged(found, judged)
    drafts = _search(parsed, tools, found, given, ASKED)
    if not drafts[0].steps and found and not reading.small_talk:
        surest = max((m.score for m in found if m.score < ASKED), default=0.0)
        drafts = _search(parsed, tools, [m for m in found if m.score >= surest - 0.05], given, -1.0)
        drafts = [d for d in drafts if d.steps] or drafts
    best = drafts[0]
    if best.missing:
        raise NoPlan(f"{best.missing[0]}.", hint="Attach it, or add a tool that does; see: hopline tools")
    steps = best.steps
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
        why["judged"] = [list(names) for names in judged]
    other = next((d for d in drafts[1:] if [s.tool for s in d.steps] != [s.tool for s in steps]), None)
    if other is not None:
        why |= {"runner_up": [s.tool for s in other.steps], "margin": round(best.score - other.score, 3)}
    if also is not None:
        close = [d for d in drafts[1:] if not d.missing and best.score - d.score <= CLOSE]
        also += [Plan(planner=planner, steps=d.steps, why=why | {"bridging": list(d.bridging)}) for d in close]
    made = Plan(planner=planner, steps=steps, why=why)
    handles = dict(reading.attachments) | {
        source.attachment: v.type for v in given for source in v.sources if isinstance(source, FromAttachment)
    }
    return made.model_copy(update={"problems": check(made, reading.registry, handles)})


def _judged(matches: Sequence[Match], judged: Judgement) -> list[Match]:
    """Matches with a judge's word added: for a tool it named, where that fits best; against one it did not."""
    best: dict[str, float] = {}
    for m in matches:
        best[m.tool] = max(best.get(m.tool, m.score), m.score)
    weighed = []
    for m in matches:
        share = sum(m.tool in names for names in judged) / len(judged)
        gain = NAMED * share if m.score == best[m.tool] else 0.0
        lost = UNNAMED * (1 - share)
        # What nobody named may not slip in by its own words either.
        nearness = m.nearness if share else m.nearness - UNNAMED
        weighed.append(replace(m, score=m.score + gain - lost, nearness=nearness))
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


def _adjusted(matches: Sequence[Match], parsed: Parsed, tools: Mapping[str, Tool]) -> list[Match]:
    """Matches with what types say added: a question for a tool that takes one, a thing it takes or makes."""
    adjusted = []
    for m in matches:
        tool = tools[m.tool]
        clause = parsed.clauses[m.clause]
        score = m.score
        if clause.question and any("question" in port.name for port in tool.inputs):
            score += 0.12
        adjusted.append(replace(m, score=score + _fit(clause, tool)))
    ranked = sorted(adjusted, key=lambda m: (-m.score, m.clause, m.start, m.tool))
    return _once(ranked, parsed)


def _asking(clause: Clause, matches: Sequence[Match]) -> list[Match]:
    """The matches of a clause that ask for something.

    Words in what a verb is about ("draw *what is said in the recording*") ask for nothing, if the verb does.
    """
    begins = next((i for i, word in enumerate(clause.words) if i > 0 and word in ("what", "whatever", "who")), None)
    if begins is None or not any(m.start < begins for m in matches):
        return list(matches)
    return [m for m in matches if m.start < begins]


def _once(ranked: Sequence[Match], parsed: Parsed) -> list[Match]:
    """A tool stands for the clause that asks for it best; for others only where they ask for more of it.

    A clause that only says what there is ("I have a shaky video") asks for nothing.
    """
    kept: list[Match] = []
    seen: dict[str, set[str]] = {}
    best = {m.clause: m.score for m in reversed(ranked)}
    for m in sorted(ranked, key=lambda m: (m.score < best[m.clause], -m.score, m.clause, m.start, m.tool)):
        words = set(parsed.clauses[m.clause].words)
        if _DECLARES.match(parsed.clauses[m.clause].text) and len(parsed.clauses) > 1:
            m = replace(m, score=m.score - _DECLARED_COST)
        elif m.tool in seen and not (words | seen[m.tool]) & _MORE:
            m = replace(m, score=m.score - _REPEAT_COST)
        elif m.score >= best[m.clause]:
            seen.setdefault(m.tool, set()).update(words)
        kept.append(m)
    return sorted(kept, key=lambda m: (-m.score, m.clause, m.start, m.tool))


_DECLARES = re.compile(r"(?:and )?(?:i have|i've|i got|we have|here is|here's|here are|there is|given|this is my)\b")
_MORE = {"again", "back", "another", "also", "both", "each"}
_DECLARED_COST = 0.2


def _fit(clause: Clause, tool: Tool) -> float:
    """How the things a clause names go with what a tool takes and makes."""
    definite, indefinite = Binder._mentioned(clause, _DEFINITE), Binder._mentioned(clause, _INDEFINITE)
    takes = {port.type for port in tool.inputs}
    makes = {port.type for port in tool.outputs}
    score = 0.0
    into = re.search(r"\b(?:into|as|make it) an? (\w+)", clause.text)
    for kind in [k for k, nouns in NOUNS.items() if into and into[1] in nouns and k != TEXT]:
        score += 0.3 if kind in makes else -0.2
    for kind in definite - {TEXT}:
        score += 0.12 if kind in takes else 0.0
        score -= 0.3 if kind in makes - takes else 0.0
    for kind in indefinite - {TEXT}:
        score += 0.12 if kind in makes else 0.0
        score -= 0.2 if kind in takes - makes else 0.0
    return score


_DEFINITE = {"the", "this", "that", "these", "those", "my", "your", "our", "its", "both", "each", "all", "two"}
_INDEFINITE = {"a", "an", "some", "another", "new", "make", "draw", "create", "generate"}


def _search(
    parsed: Parsed, tools: Mapping[str, Tool], found: Sequence[Match], given: tuple[Value, ...], asked: float
) -> list[Draft]:
    affinity: dict[str, float] = {}
    for m in found:
        affinity[m.tool] = max(affinity.get(m.tool, 0.0), m.score)
    binder = Binder(tools, parsed, affinity)
    drafts = [Draft(values=given)]
    for index in _order(parsed):
        here = [m for m in found if m.clause == index and (m.score >= asked or m.nearness >= PLAIN)]
        here = _asking(parsed.clauses[index], here)
        options = _options(here, asked, tools, parsed.clauses[index])
        grown = [_extend(binder, draft, option, index) for draft in drafts for option in options]
        drafts = sorted(grown, key=lambda d: -d.score)[:_BEAM]
    ended = [
        replace(d, score=d.score - _UNUSED_COST * sum(not v.used and v.clause == -1 for v in d.values)) for d in drafts
    ]
    return sorted(ended, key=lambda d: (bool(d.missing), -d.score))


def _order(parsed: Parsed) -> list[int]:
    """Indices of clauses in the order in which they are to be done: "... first" and "before ..." turn it."""
    order = list(range(len(parsed.clauses)))
    for index, clause in enumerate(parsed.clauses):
        if index > 0 and clause.words[-1] == "first":
            order.remove(index)
            order.insert(order.index(index - 1), index)
        if clause.words[0] == "before" and index + 1 < len(parsed.clauses):
            order.remove(index)
            order.insert(order.index(index + 1) + 1 if index == 0 else len(order), index)
    return order


def _options(
    matches: Sequence[Match], threshold: float, tools: Mapping[str, Tool], clause: Clause
) -> list[tuple[Match, ...]]:
    """What a clause may ask for: nothing, one tool, or two of which the second takes what the first makes."""
    top = list(matches[:_CANDIDATES])
    options: list[tuple[Match, ...]] = [(), *((m,) for m in top if m.score >= threshold)]
    for first, second in permutations(top, 2):
        made = {port.type for port in tools[first.tool].outputs}
        chained = bool(tools[second.tool].inputs) and tools[second.tool].inputs[0].type in made
        apart = not (_span(first, tools, clause) & _span(second, tools, clause))
        # One of two may be far behind the other in score, if its own words say it plainly.
        plain = max(first.score, second.score) >= threshold and min(first.nearness, second.nearness) >= PLAIN
        if chained and apart and (plain or min(first.score, second.score) >= max(threshold, SECOND)):
            options.append((first, second))
    return options


def _span(match: Match, tools: Mapping[str, Tool], clause: Clause) -> set[int]:
    """Positions a match speaks for: with a tool that makes things of text, the prompt after it too."""
    tool = tools[match.tool]
    generates = any(p.type == TEXT for p in tool.inputs) and all(p.type != TEXT for p in tool.outputs)
    prompt = bool(set(clause.words[match.start + 1 : match.start + 3]) & {"a", "an", "some", "two", "three", "me"})
    return set(range(match.start, len(clause.words))) if generates and prompt else match.span


def _repeats(before: Draft, after: Draft) -> bool:
    """The last step does again what an earlier one did."""
    last = after.steps[-1]
    return any((s.tool, s.inputs) == (last.tool, last.inputs) for s in before.steps)


def _extend(binder: Binder, draft: Draft, option: tuple[Match, ...], index: int) -> Draft:
    clause = binder.parsed.clauses[index]
    for m in option:
        times = next((n for words, n in _TIMES.items() if words in clause.text), 1)
        for turn in range(times):
            grown = binder.append(draft, binder.tools[m.tool], index, m.words)
            if turn == 0 and _repeats(draft, grown):
                grown = replace(grown, score=grown.score - _REPEAT_COST)
            draft = grown
        gain = max(m.score, m.nearness - _ALONE) if len(option) > 1 else m.score
        draft = replace(draft, score=draft.score + gain - ASKED + 0.02)
    return draft
