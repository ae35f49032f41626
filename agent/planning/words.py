"""Words of tools and clauses: the phrases a tool describes itself with, and stems."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hopline.agent.planning.clauses import NOUNS
from hopline.tools.spec import Tool

_BEGINNING = 5

NOUN_WORDS = frozenset(word for words in NOUNS.values() for word in words)
"""Names of things of some modality."""

SMALL = frozenset(
    (
        "a an the this that these those it its them they their my your our his her me i you we us he she "
        "of in on at to for from with by as is are was were be been do does did can could would will "
        "please some any what which who how there then so into about up out just one two three first "
        "second new let s m"
    ).split()
)
"""Words too small to say what is wanted."""


def phrases(tool: Tool) -> list[str]:
    """What a tool calls itself: its name, each sentence, each phrase of a sentence, and its examples."""
    found = [re.sub(r"[_-]+", " ", tool.name)]
    for sentence in re.split(r"(?<=[.;])\s+", tool.description):
        found.append(sentence)
        found += re.split(r"[:,]\s+(?:and |or )?|\s+or\s+", sentence)
    named = [phrase.strip(" .;:,").lower() for phrase in found]
    # The mere name of a thing ("photo", in "a picture, photo or drawing") is no phrase for what is done.
    telling = [p for p in named if any(w not in SMALL and w not in NOUN_WORDS for w in p.split())]
    return list(dict.fromkeys([*(telling or named[:1]), *(example.lower() for example in tool.examples)]))


def beginnings(tools: Iterable[Tool]) -> frozenset[str]:
    """How the longer words begin that tools are called by: "summarization" and "summary" alike."""
    return frozenset(
        word[:_BEGINNING]
        for tool in tools
        for word in re.findall(r"[a-z]{5,}", re.sub(r"[_-]", " ", tool.name.lower()))
    )


def stems(text: str) -> frozenset[str]:
    """Word stems without the smallest words: lower case, common endings cut."""
    words = [w for w in re.findall(r"[^\W\d_]+", text.lower()) if w not in SMALL]
    return frozenset(re.sub(r"(ations?|ings?|ions?|ed|es|s|e|ing)$", "", w) if len(w) > 4 else w for w in words)
