"""Asking a small language model which tools a request needs.

It only ever chooses names of tools, under a JSON schema; what it is shown are the request,
declarations and the types of attachments.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hopline.agent.planning.matching import Match
from hopline.agent.planning.plan import handles
from hopline.agent.planning.worked import Worked
from hopline.tools.errors import BackendFailed
from hopline.tools.exchange import Exchange
from hopline.tools.spec import Tool

Ask = Callable[[Sequence[Mapping[str, str]], Mapping[str, Any], int], Exchange]
"""Called with messages, the schema of the answer and its most tokens; may raise a HoplineError."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What a judge would use.

    Attributes:
        names: of tools, in the order in which it would use them.
        informed: it was shown requests over these very tools.
    """

    names: tuple[str, ...]
    informed: bool = False


LISTED = 12
"""Tools in the short list. On the development cases it holds 94 (multimedia) and 96 % (huggingface) of
those wanted."""
MOST_LISTED = 64
"""Tools of which a list is shown whole."""
_MOST_STEPS = 8
_MOST_TOKENS = 300
_DESCRIPTION_WORDS = 28

_INSTRUCTION = (
    "You plan which tools to use, in the order in which they run, so that each step works on what came before. "
    "Use as few tools as the request needs, one for each thing it asks for."
)
_OTHERS = " The first requests below are examples with other tools; then use only the tools listed."

# With tools of no registry that is scored.
_EXAMPLES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Listen to talk.wav, sum it up in a few lines and put that into Spanish.",
        ("Speech Recognizer", "Text Shortener", "Translator"),
    ),
    ("What is written on the sign in sign.png?", ("Picture Text Reader",)),
    (
        "Take the sentence 'A fox in the snow', paint it, and make the painting look old.",
        ("Painter", "Picture Ager"),
    ),
    (
        "Here are tune.mp3 and my reading voice.wav. Take the hiss out of the reading, lay it over the tune "
        "and show me the sound as a picture.",
        ("Hiss Remover", "Sound Mixer", "Sound Plotter"),
    ),
    (
        "I want to know how the speaker feels in the clip at http://x.org/a.mp4.",
        ("Clip Fetcher", "Sound Extractor", "Speech Recognizer", "Mood Detector"),
    ),
)


def shortlist(matches: Sequence[Match], length: int = LISTED) -> list[str]:
    """The best tools of each clause in turn, until there are enough.

    Args:
        matches: of a request, best first.
        length: how many names.
    """
    clauses: dict[int, list[str]] = {}
    for match in matches:
        clauses.setdefault(match.clause, []).append(match.tool)
    ranks = max((len(names) for names in clauses.values()), default=0)
    turns = (names[rank] for rank in range(ranks) for _, names in sorted(clauses.items()) if rank < len(names))
    return list(dict.fromkeys(turns))[:length]


def judge(
    request: str,
    matches: Sequence[Match],
    tools: Sequence[Tool],
    attachments: Mapping[str, str],
    ask: Ask,
    examples: Sequence[Worked] = (),
) -> Judgement:
    """The tools that the model names, out of all there are, or out of a short list where they are very many.

    The whole list is quick, for the engine keeps it in memory between requests.

    Args:
        request: plain words.
        matches: of its clauses with the tools, best first.
        tools: all there are; only declarations are shown.
        attachments: type by handle.
        ask: one exchange with the model.
        examples: requests over these tools; without any it is shown some over others.

    Raises:
        HoplineError: what `ask` raised.
        BackendFailed: the answer is not of the form that was asked, or names as many tools as it may.
    """
    if len(tools) > MOST_LISTED:
        listed = shortlist(matches)
        tools = sorted((tool for tool in tools if tool.name in listed), key=lambda tool: listed.index(tool.name))
    messages, schema = _question(request, tools, attachments, examples)
    named = _names_in(ask(messages, schema, _MOST_TOKENS))
    if not named:
        raise BackendFailed("the language model's choice of tools is not of the form that was asked.")
    if len(named) == _MOST_STEPS:
        raise BackendFailed("the language model named tool after tool, which chooses none.")
    return Judgement(names=named, informed=bool(examples))


def _question(
    request: str, tools: Sequence[Tool], attachments: Mapping[str, str], examples: Sequence[Worked]
) -> tuple[list[dict[str, str]], dict[str, Any]]:
    lines = "\n".join(map(_line, tools))
    messages = [{"role": "system", "content": f"{_INSTRUCTION} The tools are:\n{lines}{'' if examples else _OTHERS}"}]
    own = [(one.request + _given(handles(one.attachments)), one.tools) for one in examples]
    for asked, names in own or _EXAMPLES:
        messages.append({"role": "user", "content": asked})
        messages.append({"role": "assistant", "content": json.dumps({"tools": names})})
    messages.append({"role": "user", "content": request + _given(attachments)})
    chosen = {"type": "array", "minItems": 1, "maxItems": _MOST_STEPS, "items": {"enum": [tool.name for tool in tools]}}
    schema = {
        "type": "object",
        "properties": {"tools": chosen},
        "required": ["tools"],
        "additionalProperties": False,
    }
    return messages, schema


def _names_in(exchange: Exchange) -> tuple[str, ...]:
    """The names an answer holds; none where it is not of the form that was asked, or was cut."""
    try:
        return tuple(json.loads(exchange.reply or "")["tools"])
    except (ValueError, KeyError, TypeError):
        return ()


def _given(attachments: Mapping[str, str]) -> str:
    return "".join(f"\n{handle} is attached, of type {kind}." for handle, kind in attachments.items())


def _line(tool: Tool) -> str:
    takes = ", ".join(port.type for port in tool.inputs) or "nothing"
    makes = ", ".join(port.type for port in tool.outputs) or "nothing"
    words = tool.description.split(". ")[0].strip().rstrip(".").split()[:_DESCRIPTION_WORDS]
    return f"- {tool.name} ({takes} -> {makes}): {' '.join(words)}"
