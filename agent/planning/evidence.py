"""Whether a person's own words stand behind what a model wrote into a plan.

A model may have read anything, the description of somebody else's tool for instance. What acts outside a run, or
names an address or a setting, has to be asked for in the request.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from hopline.agent.planning.clauses import URL, parse
from hopline.agent.planning.matching import Match
from hopline.agent.planning.plan import FromText, Plan
from hopline.agent.planning.words import SMALL
from hopline.tools.registry import Registry
from hopline.tools.spec import Tool

_LANGUAGES = dict(
    pair.split("=")
    for pair in (
        "ar=arabic bg=bulgarian bn=bengali ca=catalan cs=czech cy=welsh da=danish de=german el=greek en=english "
        "es=spanish et=estonian eu=basque fa=persian fi=finnish fr=french ga=irish he=hebrew hi=hindi hr=croatian "
        "hu=hungarian id=indonesian is=icelandic it=italian ja=japanese ko=korean la=latin lt=lithuanian "
        "lv=latvian ms=malay "
        "nl=dutch no=norwegian pl=polish pt=portuguese ro=romanian ru=russian sk=slovak sl=slovenian sr=serbian "
        "sv=swedish sw=swahili ta=tamil th=thai tr=turkish uk=ukrainian ur=urdu vi=vietnamese zh=chinese"
    ).split()
)
"""ISO 639-1 codes, which tools take where people write names."""

_OWN_WORDS = 0.5
"""Share of the words of a literal text that are the person's."""


def written(words: str, request: str) -> bool:
    """The person wrote these words, or the name of the language that they are the code of."""
    asked = request.casefold()
    plain = words.strip().casefold()
    names = [plain, _LANGUAGES.get(plain.partition("-")[0], plain)]
    return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", asked) for name in names if name)


def addresses(request: str) -> set[str]:
    """Addresses that the person wrote."""
    return {literal.text for literal in parse(request).literals if literal.type == URL}


def unfounded_setting(tool: Tool, name: str, value: object, request: str) -> str:
    """Words of a parameter that are neither the person's, the tool's own choices nor its default; empty if none."""
    schema = tool.parameters.get(name, {})
    allowed = [schema.get("default"), *schema.get("enum", ())]
    return next((words for words in _strings(value) if words not in allowed and not written(words, request)), "")


def unfounded(
    plan: Plan, request: str, registry: Registry, matches: Sequence[Match], asked: float, most_equal: int
) -> Iterator[str]:
    """What a plan does that the person's words do not ask for, a sentence each.

    Args:
        plan: checked.
        request: what the person typed, earlier requests of the conversation included.
        registry: what can be called.
        matches: of the request's clauses with the tools.
        asked: score from which a match asks for its tool.
        most_equal: equal steps that a plan may have.
    """
    wanted = {match.tool for match in matches if match.score >= asked}
    seen: dict[str, int] = {}
    for step in plan.steps:
        tool = registry.tool(step.tool)
        if (tool.side_effects or tool.network) and tool.name not in wanted:
            yield f"{step.id}: the request does not ask for {tool.name}."
        for name, value in step.parameters.items():
            if words := unfounded_setting(tool, name, value, request):
                yield f"{step.id}: its parameter {name!r} takes words of the request; {words!r} is not there."
        for port in tool.inputs:
            for source in step.inputs.get(port.name, ()):
                if not isinstance(source, FromText):
                    continue
                if port.type == URL and source.text.strip() not in addresses(request):
                    yield f"{step.id}: its input {port.name!r} takes an address that the person wrote."
                elif port.type != URL and not _own(source.text, request):
                    yield f"{step.id}: its input {port.name!r} takes words of the request, not {source.text!r}."
        same = step.model_dump_json(exclude={"id"})
        seen[same] = seen.get(same, 0) + 1
        if seen[same] == most_equal + 1:
            yield f"{step.id}: {tool.name} is called with the very same more than {most_equal} times."


def _own(text: str, request: str) -> bool:
    """Most of the words of a text are the person's."""
    said = [word for word in re.findall(r"\w+", text.casefold()) if word not in SMALL]
    asked = set(re.findall(r"\w+", request.casefold()))
    own = sum(word in asked or word.rstrip("s") in asked or f"{word}s" in asked for word in said)
    return own >= _OWN_WORDS * len(said)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for pair in value.items() for part in pair for text in _strings(part))
    elif isinstance(value, list | tuple):
        yield from (text for part in value for text in _strings(part))
