"""Asking a small language model which tools a request needs.

It only ever chooses names of tools, under a JSON schema; what it is shown are the request,
declarations and the types of attachments.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hopline.agent.planning.matching import Match
from hopline.tools.errors import BackendFailed
from hopline.tools.exchange import Exchange
from hopline.tools.spec import Tool

Ask = Callable[[Sequence[Mapping[str, str]], Mapping[str, Any], int], Exchange]
"""Called with messages, the schema of the answer and its most tokens; may raise a HoplineError."""

Judgement = tuple[tuple[str, ...], ...]
"""Answers of a judge, each the names of tools in the order in which it would use them."""

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
_WHOLE = "The first requests below are examples with other tools; then use only the tools listed."
_SHORT = "For each request you are given the tools that may fit."

# Of no registry that is scored.
_SHOWN = {
    "Speech Recognizer": "(audio -> text): writes down what is said in a recording",
    "Text Shortener": "(text -> text): makes a long text shorter and keeps the main points",
    "Translator": "(text -> text): puts a text into another language",
    "Picture Text Reader": "(image -> text): reads the letters and words in a picture",
    "Picture Describer": "(image -> text): says in a sentence what a picture shows",
    "Painter": "(text -> image): paints a picture of what a text says",
    "Picture Ager": "(image -> image): makes a picture look old, with yellow tones and scratches",
    "Hiss Remover": "(audio -> audio): takes hiss and hum out of a recording",
    "Sound Mixer": "(audio, audio -> audio): lays two recordings over each other",
    "Sound Plotter": "(audio -> image): draws a recording as a picture",
    "Clip Fetcher": "(url -> video): fetches a clip from an address",
    "Sound Extractor": "(video -> audio): takes the sound out of a clip",
    "Mood Detector": "(text -> text): tells whether a text is glad, sad or angry",
    "Speaker": "(text -> audio): reads a text aloud",
    "Grammar Fixer": "(text -> text): mends the grammar of a text",
}
_EXAMPLES: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Listen to talk.wav, sum it up in a few lines and put that into Spanish.",
        "Text Shortener, Translator, Speech Recognizer, Hiss Remover, Grammar Fixer",
        (
            ("write down what is said in talk.wav", "Speech Recognizer"),
            ("sum up the transcript", "Text Shortener"),
            ("put the summary into Spanish", "Translator"),
        ),
    ),
    (
        "What is written on the sign in sign.png?",
        "Picture Describer, Picture Text Reader, Translator",
        (("read the words in sign.png", "Picture Text Reader"),),
    ),
    (
        "Take the sentence 'A fox in the snow', paint it, and make the painting look old.",
        "Picture Ager, Text Shortener, Painter, Grammar Fixer, Picture Describer",
        (("paint a picture of the sentence", "Painter"), ("make the painting look old", "Picture Ager")),
    ),
    (
        "Here are tune.mp3 and my reading voice.wav. Take the hiss out of the reading, lay it over the tune "
        "and show me the sound as a picture.",
        "Sound Mixer, Speaker, Sound Plotter, Painter, Hiss Remover",
        (
            ("take the hiss out of voice.wav", "Hiss Remover"),
            ("lay the reading over tune.mp3", "Sound Mixer"),
            ("show the sound as a picture", "Sound Plotter"),
        ),
    ),
    (
        "I want to know how the speaker feels in the clip at http://x.org/a.mp4.",
        "Mood Detector, Clip Fetcher, Sound Extractor, Speech Recognizer, Speaker",
        (
            ("fetch the clip", "Clip Fetcher"),
            ("pull out its sound", "Sound Extractor"),
            ("write down what is said", "Speech Recognizer"),
            ("tell how the speaker feels", "Mood Detector"),
        ),
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
    request: str, matches: Sequence[Match], tools: Sequence[Tool], attachments: Mapping[str, str], ask: Ask
) -> Judgement:
    """The model's answers to two questions: names alone out of all tools, and steps out of a short list.

    The first is quick where the engine keeps the list in memory between requests; a very long list is
    not shown. Each errs where the other does not: on the development cases both together are better
    than either.

    Args:
        request: plain words.
        matches: of its clauses with the tools, best first.
        tools: all there are; only declarations are shown.
        attachments: type by handle.
        ask: one exchange with the model.

    Raises:
        HoplineError: what `ask` raised.
        BackendFailed: no answer is of the form that was asked.
    """
    listed = shortlist(matches)
    short = sorted((tool for tool in tools if tool.name in listed), key=lambda tool: listed.index(tool.name))
    questions = [_about_steps(request, short, attachments)]
    if len(tools) <= MOST_LISTED:
        questions.insert(0, _about_names(request, tools, attachments))
    answers = [_names_in(ask(messages, schema, _MOST_TOKENS)) for messages, schema in questions]
    if not any(answers):
        raise BackendFailed("the language model's choice of tools is not of the form that was asked.")
    return tuple(answer for answer in answers if answer)


def _about_names(
    request: str, tools: Sequence[Tool], attachments: Mapping[str, str]
) -> tuple[list[dict[str, str]], dict[str, Any]]:
    lines = "\n".join(map(_line, tools))
    messages = [{"role": "system", "content": f"{_INSTRUCTION} The tools are:\n{lines}\n{_WHOLE}"}]
    for asked, _, answer in _EXAMPLES:
        messages.append({"role": "user", "content": asked})
        messages.append({"role": "assistant", "content": json.dumps({"tools": [name for _, name in answer]})})
    messages.append({"role": "user", "content": request + _given(attachments)})
    return messages, _listing("tools", {"enum": [tool.name for tool in tools]})


def _about_steps(
    request: str, tools: Sequence[Tool], attachments: Mapping[str, str]
) -> tuple[list[dict[str, str]], dict[str, Any]]:
    messages = [{"role": "system", "content": f"{_INSTRUCTION} {_SHORT}"}]
    for asked, listed, answer in _EXAMPLES:
        lines = [f"- {name} {_SHOWN[name]}" for name in listed.split(", ")]
        messages.append({"role": "user", "content": _question(lines, asked)})
        steps = [{"do": do, "tool": name} for do, name in answer]
        messages.append({"role": "assistant", "content": json.dumps({"steps": steps})})
    messages.append({"role": "user", "content": _question(map(_line, tools), request + _given(attachments))})
    step = {
        "type": "object",
        "properties": {"do": {"type": "string", "maxLength": 60}, "tool": {"enum": [tool.name for tool in tools]}},
        "required": ["do", "tool"],
        "additionalProperties": False,
    }
    return messages, _listing("steps", step)


def _listing(name: str, items: dict[str, Any]) -> dict[str, Any]:
    several = {"type": "array", "minItems": 1, "maxItems": _MOST_STEPS, "items": items}
    return {"type": "object", "properties": {name: several}, "required": [name], "additionalProperties": False}


def _names_in(exchange: Exchange) -> tuple[str, ...]:
    """The names an answer holds; none where it is not of the form that was asked, or was cut."""
    try:
        answer = json.loads(exchange.reply or "")
        return tuple(answer["tools"] if "tools" in answer else [step["tool"] for step in answer["steps"]])
    except (ValueError, KeyError, TypeError):
        return ()


def _question(lines: Iterable[str], request: str) -> str:
    return "Tools:\n" + "\n".join(lines) + f"\n\nRequest: {request}"


def _given(attachments: Mapping[str, str]) -> str:
    return "".join(f"\n{handle} is attached, of type {kind}." for handle, kind in attachments.items())


def _line(tool: Tool) -> str:
    takes = ", ".join(port.type for port in tool.inputs) or "nothing"
    makes = ", ".join(port.type for port in tool.outputs) or "nothing"
    words = tool.description.split(". ")[0].strip().rstrip(".").split()[:_DESCRIPTION_WORDS]
    return f"- {tool.name} ({takes} -> {makes}): {' '.join(words)}"
