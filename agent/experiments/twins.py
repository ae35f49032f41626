"""Minimal pairs: beside each text a twin that says one fact otherwise.

Sources that differ in everything are told apart by anything that is left of them; twins only by the one fact.
The other value comes from the other texts of the corpus, so that it is as likely as the one it replaces.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from hopline.agent.loss.extraction import Extractor
from hopline.agent.loss.facts import Fact, align

LEAST_COMMON = ("relation", "negation")
"""Types of facts that cannot be changed by writing another value in their place."""


def twins(texts: Sequence[str], extractor: Extractor, seed: int) -> list[str | None]:
    """A twin of each text, None where no fact can be changed alone.

    Args:
        texts: any number of them, in order.
        extractor: reads the facts, and confirms that exactly one has changed.
        seed: of the choice of fact and value.
    """
    facts = [extractor.facts(text) for text in texts]
    values: dict[str, list[str]] = {}
    for text, found in zip(texts, facts, strict=True):
        for fact in found:
            if fact.span is not None and fact.type not in LEAST_COMMON:
                values.setdefault(fact.type, []).append(text[slice(*fact.span)])
    known = {kind: sorted(set(words)) for kind, words in values.items()}
    taken = set(texts)
    found_twins = []
    for number, (text, found) in enumerate(zip(texts, facts, strict=True)):
        twin = _twin(text, found, known, extractor, random.Random(f"{seed} {number}"), taken)
        found_twins.append(twin)
        taken.add(twin or text)
    return found_twins


def _twin(
    text: str,
    facts: Sequence[Fact],
    known: Mapping[str, Sequence[str]],
    extractor: Extractor,
    chance: random.Random,
    taken: set[str],
) -> str | None:
    places = [fact for fact in facts if fact.span is not None and fact.type in known]
    for fact in chance.sample(places, len(places)):
        start, end = fact.span or (0, 0)
        others = [words for words in known[fact.type] if words.lower() != text[start:end].lower()]
        for words in chance.sample(others, len(others)):
            # A sentence keeps its capital.
            written = words[:1].upper() + words[1:] if text[start : start + 1].isupper() else words
            twin = text[:start] + written + text[end:]
            if twin not in taken and _changes_one(facts, extractor.facts(twin), fact):
                return twin
    return None


def _changes_one(before: Sequence[Fact], after: Sequence[Fact], changed: Fact) -> bool:
    alignment = align(before, after)
    altered = [fate.fact.id for fate in alignment.fates if fate.status != "kept"]
    return altered == [changed.id] and not alignment.invented
