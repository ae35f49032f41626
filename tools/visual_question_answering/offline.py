"""`visual_question_answering:offline`: answers from a caption, tags and the text in a picture.

No vision model: the picture is described and, where the question is about words, read; the answer is
taken from that. What the description does not say is said to be unknown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hopline.tools.artifact import Artifact
from hopline.tools.backend import Backend, Call, Result
from hopline.tools.errors import InputRefused
from hopline.tools.openmoji import COLOURS, noun_of, plural

_ABOUT_TEXT = re.compile(
    r"\b(say|says|said|written|write|read|reads|text|word|words|title|label|letters|name on)\b", re.IGNORECASE
)
_HOW_MANY = re.compile(r"\bhow many ([\w -]+?)(?: are| is| can| do| does| in| on|\?|$)", re.IGNORECASE)
_COLOUR = re.compile(r"\bcolou?r", re.IGNORECASE)
_WHERE = re.compile(r"^\s*where\b", re.IGNORECASE)
_IS_THERE = re.compile(r"^\s*(is|are) there (any |an? |some )?([\w -]+?)(?: in | on |\?|$)", re.IGNORECASE)
_NUMBERS = "no one two three four five six seven eight nine ten eleven twelve".split()
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What is known of a picture.

    Attributes:
        caption: its description.
        objects: `noun`, `count`, `colour` of a drawing's things; empty for a photo.
        labels: (tag, probability) of a photo; empty for a drawing.
        colours: main colours of a photo.
        text: words read in it; None if nobody looked.
    """

    caption: str
    objects: Sequence[Mapping[str, Any]] = ()
    labels: Sequence[tuple[str, float]] = ()
    colours: Sequence[str] = ()
    text: str | None = None


class Offline(Backend):
    """Answers simple questions: what is there, how many, which colour, where, and what is written.

    Details: `why`, where the answer was taken from; `flags`: `unsure` when the description does not
    say, or was itself unsure.
    """

    tool = "visual_question_answering"
    name = "offline"
    heavy = False
    needs = ("image_captioning", "image_ocr")

    def call(self, call: Call) -> Result:
        image = call.inputs["image"]
        question = call.one("question").text.strip()
        if not any(character.isalnum() for character in question):
            raise InputRefused("there is no word in the question.")
        described = call.tools["image_captioning"]({"image": image}, {})
        text = None
        if _ABOUT_TEXT.search(question):
            text = call.tools["image_ocr"]({"image": image}, {}).outputs["text"][0].text.strip()
        found, why = answer(question, _seen(described, text))
        unsure = why == "unknown" or (why != "text" and "unsure" in described.details.get("flags", ()))
        return Result(
            outputs={"text": (Artifact.from_text(found),)},
            details={"why": why, "flags": ["unsure"] if unsure else []},
        )


def _seen(described: Result, text: str | None) -> Seen:
    details = described.details
    return Seen(
        caption=described.outputs["text"][0].text,
        objects=details.get("scene", {}).get("objects", ()),
        labels=[(str(name), float(share)) for name, share in details.get("labels", ())],
        colours=[str(name) for name, _ in details.get("colours", ())],
        text=text,
    )


def answer(question: str, seen: Seen) -> tuple[str, str]:
    """An answer and what it was taken from.

    Args:
        question: plain English.
        seen: what is known of the picture.

    Returns:
        The answer, and `text`, `objects`, `labels`, `caption` or `unknown`.
    """
    if seen.text is not None:
        return (seen.text, "text") if seen.text else ("No text can be read in the picture.", "text")
    many = _HOW_MANY.search(question)
    if many:
        return _how_many(many[1], seen)
    there = _IS_THERE.match(question)
    if there:
        return _is_there(there[3], seen)
    if _COLOUR.search(question):
        return _which_colour(question, seen)
    if _WHERE.match(question):
        return _where(question, seen)
    named = _objects_named(question, seen)
    if named and re.search(r"\b(what|which|who)\b", question, re.IGNORECASE):
        told = _sentences_about(named[0]["noun"], seen)
        if told:
            return told, "caption"
    return seen.caption, "caption"


def _how_many(words: str, seen: Seen) -> tuple[str, str]:
    noun = _noun(words)
    if seen.objects:
        if noun:
            count = sum(int(o["count"]) for o in seen.objects if o["noun"] == noun)
            return f"{_number(count)} {noun if count == 1 else plural(noun)}.".capitalize(), "objects"
        if re.search(r"\b(things|objects|items)\b", words, re.IGNORECASE):
            return f"{_number(sum(int(o['count']) for o in seen.objects))}.".capitalize(), "objects"
    return _unknown(seen)


def _is_there(words: str, seen: Seen) -> tuple[str, str]:
    noun, wanted = _noun(words), words.lower().strip()
    if seen.objects:
        return ("Yes." if any(o["noun"] == noun for o in seen.objects) else "No, not that can be seen."), "objects"
    likely = [share for name, share in seen.labels if _same(name, wanted)]
    if likely and max(likely) >= 0.5:
        return "Yes, probably.", "labels"
    if likely and max(likely) >= 0.1:
        return "Perhaps.", "labels"
    return _unknown(seen)


def _which_colour(question: str, seen: Seen) -> tuple[str, str]:
    named = _objects_named(question, seen)
    if named:
        colours = dict.fromkeys(str(o["colour"]) for o in named if o.get("colour"))
        if colours:
            return f"{' and '.join(colours)}.".capitalize(), "objects"
        return _unknown(seen)
    if seen.colours:
        listed = " and ".join(seen.colours[:2])
        subject = _subject(question)
        whole = subject in ("", "picture", "photo", "image", "drawing", "background")
        if whole or any(_same(name, subject) for name, share in seen.labels if share >= 0.5):
            return f"The main colours of the photo are {listed}.", "labels"
    return _unknown(seen)


def _where(question: str, seen: Seen) -> tuple[str, str]:
    for thing in _objects_named(question, seen):
        told = _sentences_about(thing["noun"], seen)
        if told:
            return told, "caption"
    return _unknown(seen)


def _sentences_about(noun: str, seen: Seen) -> str:
    names = {noun, plural(noun)}
    told = [
        s for s in re.findall(r"[^.]+\.", seen.caption)[1:] if any(f" {n} " in f" {s[:-1].lower()} " for n in names)
    ]
    return " ".join(s.strip() for s in told)


def _objects_named(question: str, seen: Seen) -> list[Mapping[str, Any]]:
    """The things of a drawing that a question names, with their colour where it names that too."""
    words = [word.lower() for word in _WORD.findall(question)]
    nouns = {noun_of(" ".join(words[i : i + n])) for n in (2, 1) for i in range(len(words) - n + 1)} - {""}
    named = [o for o in seen.objects if o["noun"] in nouns]
    coloured = [o for o in named if o.get("colour") in words and o.get("colour") in COLOURS]
    return coloured or named


def _noun(words: str) -> str:
    found = _WORD.findall(words.lower())
    return next(
        (n for k in (2, 1) for i in range(len(found) - k + 1) if (n := noun_of(" ".join(found[i : i + k])))), ""
    )


def _subject(question: str) -> str:
    found = re.search(r"\b(?:the|this|that|his|her|its) ([a-z]+)", question.lower())
    return found[1] if found else ""


def _same(label: str, words: str) -> bool:
    asked = words.lower().split()
    return bool(set(label.lower().split()) & {*asked, *(word.removesuffix("s") for word in asked)})


def _number(count: int) -> str:
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def _unknown(seen: Seen) -> tuple[str, str]:
    return f"I cannot tell. {seen.caption}", "unknown"
