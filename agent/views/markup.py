"""A small HTML builder in which every string is text unless it was built here.

What tools and attachments say is shown, never interpreted: each `str` is escaped, and characters
that could hide or reorder what is around them are written out (`⟨U+202E⟩`).
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable

_JOINERS = "\u200c\u200d"
"""Zero-width joiners: emoji and several scripts are wrong without them, and they reorder nothing."""

_HIDDEN_CATEGORIES = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_VOID = ("br", "hr", "img", "link", "meta", "source")


class Html(str):
    """Markup that goes into a page as it is; only this module and the views make it."""

    __slots__ = ()


Child = Html | str | int | float | None | Iterable["Child"]
Attribute = str | int | float | bool | None


def visible(text: str) -> str:
    """The text with each control, bidi and other format character written out.

    Line breaks and tabs stay (`\\r\\n` becomes `\\n`), and so do the zero-width joiners.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(c) for c in text.replace("\r\n", "\n"))


def _shown(character: str) -> str:
    if character in "\n\t" or character in _JOINERS:
        return character
    if unicodedata.category(character) in _HIDDEN_CATEGORIES:
        return f"⟨U+{ord(character):04X}⟩"
    return character


def shortened(text: str, characters: int) -> str:
    """The text on one line, with an ellipsis when it is longer than that many characters.

    Wide characters count as two.
    """
    line = " ".join(visible(text).split())
    room = characters
    for place, character in enumerate(line):
        room -= 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if room < 0:
            return f"{line[: max(place - 1, 1)].rstrip()}…"
    return line


def escape(text: str) -> Html:
    """The text as markup that shows it."""
    return Html(html.escape(visible(text), quote=True))


def join(children: Child) -> Html:
    """Children one after the other: markup as it is, everything else as text."""
    if children is None:
        return Html("")
    if isinstance(children, Html):
        return children
    if isinstance(children, str):
        return escape(children)
    if isinstance(children, int | float):
        return escape(f"{children:g}" if isinstance(children, float) else str(children))
    return Html("".join(join(child) for child in children))


def tag(element: str, /, *children: Child, **attributes: Attribute) -> Html:
    """An element.

    Args:
        element: its name.
        children: what is in it.
        attributes: by name; a trailing `_` is dropped and `_` becomes `-` (`class_`,
            `aria_label`). None and False leave the attribute out, True writes it bare.

    Raises:
        ValueError: an element or attribute name has other characters than letters, digits, `-`.
    """
    opening = [_checked(element)]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        shown = _checked(key.rstrip("_").replace("_", "-"))
        opening.append(shown if value is True else f'{shown}="{_attribute(value)}"')
    start = f"<{' '.join(opening)}>"
    return Html(start if element in _VOID else f"{start}{join(children)}</{element}>")


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name of an element or attribute")
    return name


def _attribute(value: str | int | float) -> str:
    return join(value if not isinstance(value, Html) else str.__str__(value))
