"""Follow-ups: what a request of a conversation means beside its own words.

A request may name earlier things ("read that to me"), ask for a step again, perhaps otherwise ("draw it again",
"make the second one bigger"), ask for the same with something else ("and this one?"), or for the last answer in
another language ("now in French"). Which it is, and which handles it means, is decided here, without a model and
without contents; what is then planned over those handles is the planners' affair.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from hopline.agent.planning.again import (
    after,
    attachments_of,
    changed,
    fed,
    moved,
    number_of,
    one_of,
    read_by,
    retyped,
    seed_of,
    shown,
    swapped,
)
from hopline.agent.planning.check import check
from hopline.agent.planning.clauses import wanted_language
from hopline.agent.planning.history import History, Thing, Turn
from hopline.agent.planning.mentions import PLURAL, SINGULAR, Mention, Mentions
from hopline.agent.planning.plan import FromAttachment, FromStep, FromText, Plan, Source, Step
from hopline.agent.planning.typed import ASKED, Reading, search
from hopline.agent.planning.words import NOUN_WORDS, SMALL
from hopline.tools.artifact import TEXT
from hopline.tools.errors import NoPlan
from hopline.tools.registry import Registry

Make = Callable[[str, Mapping[str, str]], Plan]
"""Plans a request over these handles, as some planner does."""

_AGAIN = re.compile(r"\b(again|redo|repeat|retry|rerun|once more|one more time|another time)\b")
_FILLER = frozenset(
    "now but more much bit little very really ok okay good great fine nice well thanks thank want like make made "
    "have get give let need one ones other another last next same too also likewise only just instead maybe perhaps "
    "yes no kindly again once time try redo repeat retry rerun both all".split()
)
"""Words that do not say what is to be done."""
_CHANGES: Mapping[str, tuple[str, float]] = {
    **dict.fromkeys(("bigger", "larger"), ("size", 2.0)),
    "smaller": ("size", 0.5),
    **dict.fromkeys(("faster", "quicker", "quickly"), ("speed", 1.25)),
    **dict.fromkeys(("slower", "slowly"), ("speed", 0.8)),
    "longer": ("duration", 2.0),
    "shorter": ("duration", 0.5),
}
"""What a word changes: the beginning of a parameter's name, and the factor."""
_ASKED_CHANCE = 1 / 3
_CLEARLY_BETTER = 0.1
_BRIDGED, _FURTHER, _QUESTION = 0.3, 0.2, 0.2
"""What a bridging step costs; what a further step that is asked for gains, and costs where it is not; what a tool
that takes a question gains where one is asked."""


def plan(request: str, registry: Registry, attachments: Mapping[str, str], history: History, make: Make) -> Plan:
    """The plan of a request in its conversation.

    Args:
        request: plain words.
        registry: what can be called.
        attachments: type by handle, of the request's own.
        history: earlier runs; none makes it a request of its own.
        make: plans over the handles that are meant, the request's own among them.

    Returns:
        A plan; `why["refers_to"]` says what the words were taken to mean, `why["again"]` which earlier steps
        are done again, and `why["seed"]` with which seed.

    Raises:
        NoPlan: nothing leads from what is meant to what is asked.
    """
    if not any(turn.things or turn.steps for turn in history):
        return make(request, attachments)
    return _FollowUp(request, registry, attachments, history).plan(make)


class _FollowUp:
    def __init__(self, request: str, registry: Registry, attachments: Mapping[str, str], history: History) -> None:
        self.request, self.registry, self.attachments = request, registry, attachments
        self.history = [turn for turn in history if turn.things or turn.steps]
        self.reading = Reading(request, registry, attachments)
        self.clauses = self.reading.parsed.clauses
        self.mentioned = Mentions(self.history, registry, attachments)
        self.mentions = self.mentioned.find([clause.words for clause in self.clauses])
        self.words = [word for clause in self.clauses for word in clause.words if word.isalpha()]
        self.telling = [w for w in self.words if w not in SMALL | _FILLER | NOUN_WORDS | SINGULAR | PLURAL]

    def plan(self, make: Make) -> Plan:
        if self.reading.parsed.literals:
            return make(self.request, self.attachments)
        for decided in (self._other_input, self._other_language, self._once_more):
            made = decided(make)
            if made is not None:
                return made
        return self._referring(make)

    # -- the same with something else --------------------------------------------------------

    def _other_input(self, make: Make) -> Plan | None:
        """ "And this one?", "the same for the second": the last plan, reading something else."""
        if self.telling or not self.words or _AGAIN.search(" ".join(self.words)):
            return None
        sure = [thing for mention in self.mentions if mention.sure for thing in mention.things]
        new = dict(self.attachments) or {thing.handle: thing.type for thing in sure}
        for turn in reversed(self.history):
            if swaps := self._swaps(turn, new):
                return self._again(turn, turn.steps, swaps=swaps)
        return None

    def _swaps(self, turn: Turn, new: Mapping[str, str]) -> dict[str, tuple[Source, ...]]:
        """What stands for each handle that the steps of a turn read: of several, one by one, or all for the first."""
        swaps: dict[str, tuple[Source, ...]] = {}
        for kind in dict.fromkeys(new.values()):
            fresh = [FromAttachment(attachment=handle) for handle, its in new.items() if its == kind]
            read = [handle for handle in read_by(turn) if self._type_of(turn, handle) == kind]
            one_by_one = len(read) == len(fresh)
            for place, handle in enumerate(read):
                swaps[handle] = (fresh[place],) if one_by_one else tuple(fresh) if place == 0 else ()
        return swaps

    def _type_of(self, turn: Turn, handle: str) -> str:
        name = handle if "." in handle else f"run{turn.position}.{handle}"
        things = [t for earlier in self.history for t in earlier.things if t.handle in (name, f"{name}[0]")]
        return things[0].type if things else ""

    # -- the same in another language --------------------------------------------------------

    def _other_language(self, make: Make) -> Plan | None:
        """ "Now in French": the step that chose a language with another one, or a new step behind the last text."""
        language = wanted_language(self.words)
        if not language or self.attachments or any(word != language.lower() for word in self.telling):
            return None
        turn = self.history[-1]
        chose = next((step for step in reversed(turn.steps) if "language" in step.parameters), None)
        if chose is not None:
            return self._again(turn, [chose, *after(turn, chose)], changes={"language": language})
        sure = [mention for mention in self.mentions if mention.sure]
        if sure or not turn.outputs or turn.outputs[-1].type == TEXT:
            return None
        made = turn.outputs[-1].step
        if made is None or (made.needs() and not turn.made_by(made.needs()[0])):
            return None
        port = next((p for p in self.registry.tool(made.tool).inputs if p.type == TEXT and p.name in made.inputs), None)
        if port is None:
            return None
        place = "text0"
        before = make(self.request, {place: TEXT})
        if not before.steps or before.errors:
            return None
        said = tuple(moved(source, turn, {}) for source in made.inputs[port.name])
        steps = [fed(step, {place: said}) for step in before.steps]
        last = Step(
            id=f"step{len(steps) + 1}",
            tool=made.tool,
            inputs={
                name: (FromStep(step=steps[-1].id),)
                if name == port.name
                else tuple(moved(source, turn, {}) for source in sources)
                for name, sources in made.inputs.items()
            },
            parameters=made.parameters,
        )
        why = {**before.why, "refers_to": {"the last answer": [shown(source) for source in said]}}
        return self._checked(before.model_copy(update={"steps": (*steps, last), "why": why}))

    # -- a step again ------------------------------------------------------------------------

    def _once_more(self, make: Make) -> Plan | None:
        """ "Draw it again", "make the second one bigger", "once more, but slower"."""
        again = _AGAIN.search(" ".join(self.words)) is not None
        changes = [_CHANGES[word] for word in self.words if word in _CHANGES]
        asking = {match.clause for match in self.reading.matches if match.score >= ASKED}
        if self.attachments or not (again or changes) or len(asking) > 1:
            return None
        found = self._asked_again(alone=bool(changes))
        if found is None:
            return None
        turn, steps = found
        if not changes:
            return self._again(turn, steps, seed=1 + max((t.seed for h in self.history for t in h.things), default=0))
        name, factor = changes[0]
        step = steps[-1]
        if not number_of(self.registry.tool(step.tool), name):
            return None
        changes_to = changed(self.registry.tool(step.tool), step, name, factor)
        return self._again(turn, [step], changes=changes_to, seed=seed_of(turn, step))

    def _asked_again(self, *, alone: bool) -> tuple[Turn, list[Step]] | None:
        """The steps that are asked for again, with their turn: of what is named, of a tool's last call, or the last.

        Args:
            alone: the last step is meant where nothing says which; otherwise all of the last plan.
        """
        sure = [
            mention for mention in self.mentions if mention.sure or mention.words.split()[0] not in PLURAL | SINGULAR
        ]
        things = [thing for mention in sure for thing in mention.things if thing.step is not None]
        said = {word for mention in sure for word in mention.words.split()}
        verbs = {word for word in self.telling if word not in _CHANGES} - said
        if not verbs and things:
            return self._of(things[-1])
        if not verbs:
            turn = next((turn for turn in reversed(self.history) if turn.outputs), None)
            if turn is None:
                return None
            return self._of(turn.outputs[-1]) if alone else (turn, list(turn.steps))
        best = max((match.chance for match in self.reading.matches), default=0.0)
        for match in self.reading.matches:
            if match.chance < max(_ASKED_CHANCE, best - _CLEARLY_BETTER) or not verbs <= set(match.words.split()):
                continue
            if sure:
                made = [thing for thing in things if thing.step is not None and thing.step.tool == match.tool]
                return self._of(made[-1]) if made else None
            takes = {port.type for port in self.registry.tool(match.tool).inputs}
            for turn in reversed(self.history):
                made = [t for t in turn.things if t.step is not None and t.step.tool == match.tool]
                if made:
                    return self._of(made[-1])
                if self.mentions and any(thing.type in takes for thing in turn.outputs):
                    return None  # "describe it again", and there is something newer to describe
        return None

    def _of(self, thing: Thing) -> tuple[Turn, list[Step]]:
        """The step that made a thing, that thing alone."""
        turn = next(turn for turn in self.history if turn.position == thing.turn)
        assert thing.step is not None
        if not thing.handle.endswith("]"):
            return turn, [thing.step]
        return turn, [one_of(thing.step, int(thing.handle.partition("[")[2][:-1]))]

    def _again(
        self,
        turn: Turn,
        steps: Sequence[Step],
        *,
        swaps: Mapping[str, tuple[Source, ...]] | None = None,
        changes: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> Plan | None:
        """Steps of an earlier run as a plan of their own; `changes` are of the first one's parameters."""
        wanted = list(steps)
        named = {step.id: f"step{number}" for number, step in enumerate(wanted, 1)}
        again = []
        for step in wanted:
            inputs = {
                name: tuple(s for source in sources for s in swapped(source, turn, named, swaps or {}))
                for name, sources in step.inputs.items()
            }
            parameters = {**step.parameters, **(changes or {})} if step is wanted[0] else step.parameters
            again.append(step.model_copy(update={"id": named[step.id], "inputs": inputs, "parameters": parameters}))
        why: dict[str, Any] = {"again": [f"run{turn.position}.{step.id}" for step in wanted]}
        if swaps:
            why["instead"] = {handle: [shown(s) for s in sources] for handle, sources in swaps.items()}
        if changes:
            why["changed"] = dict(changes)
        if seed:
            why["seed"] = seed
        return self._checked(Plan(planner="typed", steps=tuple(again), why=why))

    # -- planned anew, over what is meant ----------------------------------------------------

    def _referring(self, make: Make) -> Plan:
        sure = [mention for mention in self.mentions if mention.sure]
        if sure:
            given = dict(self.attachments) | {t.handle: t.type for mention in sure for t in mention.things}
            over = self._tried(given)
            alone = self._tried(self.attachments)
            if alone is None or (over is not None and set(given) <= {*attachments_of(over), *self.attachments}):
                return self._plainly(make, given, sure)
        if self.attachments or self._small_talk():
            return make(self.request, self.attachments)
        pronoun = next((mention for mention in self.mentions if self._begins(mention)), None)
        if pronoun is None and not self._lacks():
            return make(self.request, {})
        sets = self._sets(pronoun)
        chosen = self._best(sets)
        if chosen is None:
            return make(self.request, {} if pronoun is None else sets[0])
        return _saying(make(self.request, chosen), {pronoun.words if pronoun else "(not said)": list(chosen)})

    def _plainly(self, make: Make, given: Mapping[str, str], sure: Sequence[Mention]) -> Plan:
        """Plan a request whose mentions do not ask for the tools that made what they mean."""
        request = self.request
        undo: dict[str, str] = {}
        for mention in sure:
            request, plain, typed = mention.plainly(request)
            undo |= {plain: typed} if plain else {}
        made = make(request, given)
        steps = [step.model_copy(update={"inputs": retyped(step, undo)}) for step in made.steps]
        made = made.model_copy(update={"steps": tuple(steps)})
        return _saying(made, {mention.words: [thing.handle for thing in mention.things] for mention in sure})

    def _small_talk(self) -> bool:
        return self.reading.small_talk and not set(self.telling) & set(_CHANGES)

    def _begins(self, mention: Mention) -> bool:
        """No clause before it asks for anything that "it" could be."""
        return not any(m.score >= ASKED for m in self.reading.matches if m.clause < mention.clause)

    def _sets(self, pronoun: Mention | None) -> list[Mapping[str, str]]:
        """Handles that may be meant, likeliest first: one thing, or in the plural those of a type."""
        things = pronoun.things if pronoun is not None else self.mentioned.latest()
        if pronoun is None or pronoun.words not in PLURAL:
            return [{thing.handle: thing.type} for thing in things]
        kinds = list(dict.fromkeys(thing.type for thing in things))
        sets = [{t.handle: kind for t in things if t.type == kind} for kind in kinds]
        return sorted(sets, key=lambda handles: len(handles) < 2)

    def _lacks(self) -> bool:
        """By itself the request has nothing to work on: a text tool would be fed the request's own words."""
        alone = self._tried({})
        if alone is None:
            return True
        if not alone.steps or any(clause.question for clause in self.clauses):
            return bool(alone.steps)
        whole = {self.request.strip(), *(sentence.strip() for sentence in self._sentences())}
        for step in alone.steps:
            makes_text = all(port.type == TEXT for port in self.registry.tool(step.tool).outputs)
            texts = [s.text for sources in step.inputs.values() for s in sources if isinstance(s, FromText)]
            if any(makes_text or not self._says(text) for text in texts):
                return True
            if any(text.strip() in whole for text in texts) and not self._names_something():
                return True
        return False

    def _names_something(self) -> bool:
        """It says what to make: "a melody", but not "a picture"."""
        pairs = [pair for clause in self.clauses for pair in pairwise(clause.words)]
        return any(article in ("a", "an", "some") and word not in NOUN_WORDS for article, word in pairs)

    def _sentences(self) -> list[str]:
        return [part for part in self.request.replace("!", ".").replace("?", ".").split(".") if part.strip()]

    def _says(self, text: str) -> bool:
        return any(word not in SMALL | _FILLER for word in text.lower().split())

    def _best(self, sets: Sequence[Mapping[str, str]]) -> Mapping[str, str] | None:
        """The handles over which the request plans best; the likeliest unless another is clearly better."""
        best: tuple[float, Mapping[str, str]] | None = None
        for given in sets:
            made = self._tried(given)
            if made is None or not set(given) <= set(attachments_of(made)):
                continue
            score = self._quality(made)
            if best is None or score > best[0] + _CLEARLY_BETTER:
                best = (score, given)
        return best[1] if best else None

    def _quality(self, made: Plan) -> float:
        """How well the words ask for the steps of a plan; bridging ones cost."""
        bridging = set(made.why.get("bridging", ()))
        scores: dict[str, float] = {}
        for match in self.reading.matches:
            scores[match.tool] = max(scores.get(match.tool, 0.0), match.chance)
        questions = any(clause.question for clause in self.clauses)
        for tool in self.registry:
            if questions and any("question" in port.name for port in tool.inputs):
                scores[tool.name] = scores.get(tool.name, 0.0) + _QUESTION
        asked = [scores.get(step.tool, 0.0) for step in made.steps if step.id not in bridging]
        unasked = sum(score < _ASKED_CHANCE for score in asked)
        return max(asked, default=0.0) + _FURTHER * (len(asked) - 1 - unasked) - _BRIDGED * len(bridging)

    def _tried(self, given: Mapping[str, str]) -> Plan | None:
        request = self.request
        for mention in self.mentions:
            request, *_ = mention.plainly(request) if mention.sure and given != self.attachments else (request,)
        try:
            made = search(Reading(request, self.registry, given), "typed")
        except NoPlan:
            return None
        return None if made.errors else made

    def _checked(self, made: Plan) -> Plan | None:
        handles = {**self.attachments, **{t.handle: t.type for turn in self.history for t in turn.things}}
        for handle in attachments_of(made):
            whole = [kind for name, kind in handles.items() if name.startswith(f"{handle}[")]
            handles |= {handle: whole[0]} if whole else {}
        problems = check(made, self.registry, handles)
        if any(problem.severity == "error" for problem in problems):
            return None
        return made.model_copy(update={"problems": problems})


def _saying(made: Plan, named: Mapping[str, Sequence[str]]) -> Plan:
    return made.model_copy(update={"why": {**made.why, "refers_to": {k: list(v) for k, v in named.items()}}})
