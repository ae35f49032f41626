"""A request in pieces: its clauses, and what is written in it word for word."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from hopline.tools.artifact import AUDIO, IMAGE, TEXT, VIDEO

URL = "url"

NOUNS: Mapping[str, frozenset[str]] = {
    IMAGE: frozenset(
        (
            "image images picture pictures photo photos photograph photographs drawing drawings scan scans "
            "screenshot screenshots poster sign painting sketch illustration illustrations snapshot jpg png "
            "diagram page receipt"
        ).split()
    ),
    AUDIO: frozenset(
        (
            "audio recording recordings memo memos voice sound speech clip podcast message track interview mp3 wav"
        ).split()
    ),
    VIDEO: frozenset(["video", "videos", "film", "movie", "footage", "clip", "mp4"]),
    TEXT: frozenset(
        [
            "text",
            "texts",
            "sentence",
            "sentences",
            "paragraph",
            "paragraphs",
            "article",
            "words",
            "document",
            "description",
        ]
    ),
}
"""Words that name a thing of a modality."""

DEFINITE = frozenset("the this that these those my your our its both each all two".split())
INDEFINITE = frozenset("a an some another new make draw create generate".split())
"""Words before a thing that is known, and before one that is to be made."""
ORDINALS: Mapping[str, int] = {
    **{word: place for place, word in enumerate(("first", "second", "third", "fourth", "fifth", "sixth"))},
    "original": 0,
    "last": -1,
    "latest": -1,
    "newest": -1,
    "previous": -1,
    "other": -2,
}
"""Which of several things, as an index."""
SEVERAL = frozenset("both these those each all them they every two three four five several".split())
"""Words that mean several things at once."""
INTO = frozenset(["into", "to", "as"])
"""Words before what something becomes."""

LANGUAGES: Mapping[str, str] = {
    name.lower(): name
    for name in (
        "Afrikaans Albanian Amharic Arabic Armenian Azerbaijani Basque Belarusian Bengali Bosnian Bulgarian Burmese "
        "Cantonese Catalan Chinese Croatian Czech Danish Dutch English Esperanto Estonian Farsi Finnish French "
        "Galician Georgian German Greek Gujarati Hausa Hebrew Hindi Hungarian Icelandic Indonesian Irish Italian "
        "Japanese Kannada Kazakh Khmer Korean Kurdish Latin Latvian Lithuanian Macedonian Malay Malayalam Maltese "
        "Mandarin Marathi Mongolian Nepali Norwegian Pashto Persian Polish Portuguese Punjabi Romanian Russian "
        "Serbian Sinhala Slovak Slovene Slovenian Somali Spanish Swahili Swedish Tagalog Tamil Telugu Thai Turkish "
        "Ukrainian Urdu Uzbek Vietnamese Welsh Xhosa Yoruba Zulu"
    ).split()
}
"""Names of languages, by their lower case."""

_FAR = 8
"""Words before a language that may say that something is in it."""
_IS = frozenset(
    "is are was were it's its thats wrote written writes recorded left sent spoke spoken speaks talks texted".split()
)
_SPEAKS = frozenset("speaks talks speaking talking spoke".split())
_KNOWS = frozenset("know knows read reads speak speaks understand understands any much".split())
_NOT = frozenset("not no never nobody none neither without don't dont doesn't doesnt can't cant cannot".split())
_ASKING = frozenset("what what's who where when how which can could would will does do please".split())
_TELLING = frozenset("tell give put read say show let i i'd need want turn translate answer".split())
_VERSIONS = frozenset("version translation summary text words subtitles one voice please speaker".split())
_AFTERWARDS = frozenset("and or then please instead too for so of as aloud out first with if that so".split())
_DETERMINERS = frozenset("this that these those the my your our his her their a an attached some two both".split())

READER = "english"
"""What somebody reads who asks in English, and only says that something is in another language."""

_DECLARES = re.compile(r"(?:and )?(?:i have|i've|i got|we have|here is|here's|here are|there is|given|this is my)\b")
_ASKS = re.compile(
    r"\bwhether\b|\b(?:tell me|find out|check|see|know) (?:if|who|where|when|why|which|how (?:many|much))\b"
)
_EXTENSIONS = {
    **dict.fromkeys(["jpg", "jpeg", "png", "webp", "gif", "heic", "bmp", "tif", "tiff"], IMAGE),
    **dict.fromkeys(["wav", "mp3", "m4a", "flac", "ogg", "opus", "aac"], AUDIO),
    **dict.fromkeys(["mp4", "mov", "mkv", "avi", "webm"], VIDEO),
    **dict.fromkeys(["txt", "md"], TEXT),
}
_URL = re.compile(r"\b(?:https?://|www\.)[^\s'\"<>)]+", re.IGNORECASE)
_FILE = re.compile(rf"\b[\w-]+\.({'|'.join(_EXTENSIONS)})\b", re.IGNORECASE)
_QUOTED = re.compile(
    r"[“\"]([^”\"]+)[”\"]|(?:(?<=\s)|(?<=^)|(?<=[(:]))['‘]([^'’]{2,}(?:['’]\w[^'’]*)*)['’](?=[\s,.;:!?)]|$)"
)
_AFTER_COLON = re.compile(r":\s+(?!<\d+>)(\S.*)$", re.DOTALL)
_TOKEN = re.compile(r"<\d+>|[\w'’-]+|[^\w\s]")
_BREAK = {",", ".", ";", ":", "?", "!", "(", ")", "–", "—"}
_SO_MANY = frozenset("a an one two three four five six seven eight nine ten some".split())
_LONGEST_THING = 7
"""Words of one more thing of a list, at most."""
_JOIN = {"then", "and", "afterwards", "finally", "next", "before", "after", "but", "while", "also", "plus"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Literal:
    """Something written word for word in a request: quoted text, a file name or an address.

    Attributes:
        type: `text`, a modality for a file name, or `url`.
        text: as written, without its quotes.
        clause: index of the clause it stands in.
    """

    type: str
    text: str
    clause: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Clause:
    """A stretch of words between breaks.

    Attributes:
        words: in order, lower case; a literal stands as the noun of its type.
        text: the words as one string.
        question: the clause stands in a sentence that ends with a question mark, or asks in other words.
        written: it is nothing but what is written word for word, and asks for nothing.
        language: that it asks for; empty if none.
    """

    words: tuple[str, ...]
    text: str
    question: bool = False
    written: bool = False
    language: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parsed:
    """A request in pieces.

    Attributes:
        request: as typed.
        clauses: in order.
        literals: in order.
        content: the request without commands' literals, for prompts made of the request itself.
    """

    request: str
    clauses: tuple[Clause, ...]
    literals: tuple[Literal, ...]


def parse(request: str, telling: Collection[str] = (), given: bool = False) -> Parsed:
    """Clauses and literals of a request.

    Args:
        request: any text.
        given: something is attached. What stands behind a colon is something written where there is nothing else
            to work on ("say this: good morning"), and otherwise more of the request ("two things: ...").
        telling: beginnings of words that tools call themselves by. Given them, one more thing of a list ("a cat,
            a dog and two birds") stays in its clause, and one more thing to do ("and a summary") does not.
    """
    found: list[tuple[str, str]] = []

    def keep(kind: str, text: str) -> str:
        found.append((kind, text))
        return f" <{len(found) - 1}> "

    text = _URL.sub(lambda m: keep(URL, m[0].rstrip(".,;")), request)
    text = _QUOTED.sub(lambda m: _quoted(m[1] or m[2], keep), text)
    text = _FILE.sub(lambda m: keep(_EXTENSIONS[m[1].lower()], m[0]), text)
    if not given and not found:
        text = _AFTER_COLON.sub(lambda m: f": {keep(TEXT, m[1].strip())}", text)
    clauses: list[Clause] = []
    literals: list[Literal] = []
    for sentence in re.findall(r"[^.?!]+[.?!]*", text):
        question = "?" in sentence
        for words in _split(_TOKEN.findall(sentence), telling):
            shown = []
            for word in words:
                if re.fullmatch(r"<\d+>", word):
                    kind, written = found[int(word[1:-1])]
                    literals.append(Literal(type=kind, text=written, clause=len(clauses)))
                    shown.append({URL: "url"}.get(kind, kind))
                else:
                    shown.append(word.lower().replace("’", "'"))
            said = " ".join(shown)
            asks = question or _ASKS.search(said) is not None
            alone = all(re.fullmatch(r"<\d+>", word) for word in words)
            clauses.append(Clause(words=tuple(shown), text=said, question=asks, written=alone))
    spoken = zip(clauses, _languages(clauses, telling), strict=True)
    clauses = [replace(clause, language=language) for clause, language in spoken]
    return Parsed(request=request, clauses=tuple(clauses), literals=tuple(literals))


def mentioned(clause: Clause, articles: Collection[str]) -> set[str]:
    """Types named after one of these articles, at most two words on."""
    return named_after(clause.words, articles)


def named_in(words: Iterable[str]) -> set[str]:
    """Types of which a word is a name."""
    here = set(words)
    return {kind for kind, nouns in NOUNS.items() if nouns & here}


def named_after(words: Sequence[str], marks: Collection[str]) -> set[str]:
    """Types named within three words after one of these."""
    return {kind for i, word in enumerate(words) if word in marks for kind in named_in(words[i + 1 : i + 4])}


def wanted_language(words: Sequence[str]) -> str:
    """The language that words, in lower case, ask for ("put it into French"); empty if none.

    One that something is in ("it is in French", "this French letter") is not asked for.
    """
    bare = [word.strip(",;:.!?'\"") for word in words]
    wanted = [p for p, word in enumerate(bare) if word in LANGUAGES and not _says_what_it_is_in(bare, p)]
    return LANGUAGES[bare[wanted[-1]]] if wanted else ""


def _languages(clauses: Sequence[Clause], telling: Collection[str]) -> list[str]:
    """The language that each clause asks for.

    That of a thing ("menus in Japanese") is not asked for where another one is wanted of it afterwards.
    """
    wanted = [wanted_language(clause.words) for clause in clauses]
    for place, (language, clause) in enumerate(zip(wanted, clauses, strict=True)):
        # "in French and in German" are two that are wanted.
        later = {
            other for other, its in zip(wanted[place + 1 :], clauses[place + 1 :], strict=True) if its.words[0] != "in"
        }
        told = clause.words[0] in _ASKING | _TELLING or any(w.startswith(tuple(telling)) for w in clause.words)
        if "in" in clause.words and not told and later - {"", language}:
            wanted[place] = ""
    return wanted


def _says_what_it_is_in(words: Sequence[str], place: int) -> bool:
    """Whether the language at this place is that of something there is."""
    before, after = words[max(0, place - _FAR) : place], words[place + 1 : place + 2]
    if not before or before[-1] in ("into", "to"):
        return False
    if before[-1] == "from" or before[-1] in _SPEAKS or (before[-1] in _KNOWS and _NOT & set(before)):
        return True
    if before[-1] in ("in", "all", "entirely", "mostly"):
        asks = words[0] in _ASKING or (words[0] in _TELLING and not _IS & set(words[:3]))
        return not asks and any(word in _IS or word.endswith("'s") for word in before[:-1])
    a_thing = bool(after) and after[0] not in _VERSIONS and after[0] not in _AFTERWARDS
    return a_thing and before[-1] in _DETERMINERS


def only_says_what_there_is(clause: Clause) -> bool:
    """Whether a clause asks for nothing ("I have a shaky video")."""
    return _DECLARES.match(clause.text) is not None


def file_type(name: str) -> str | None:
    """The type that the ending of a file name or address stands for, if any."""
    return _EXTENSIONS.get(name.rpartition(".")[2].lower())


def is_address(text: str) -> bool:
    """Whether a text is an address of the web and nothing else."""
    return _URL.fullmatch(text.strip()) is not None


def _quoted(inner: str, keep: Callable[[str, str], str]) -> str:
    inner = inner.strip()
    if re.fullmatch(r"<\d+>", inner):
        return f" {inner} "
    file = _FILE.fullmatch(inner)
    return keep(_EXTENSIONS[file[1].lower()] if file else TEXT, inner)


def _split(tokens: list[str], telling: Collection[str]) -> list[list[str]]:
    clauses: list[list[str]] = [[]]
    for place, token in enumerate(tokens):
        beside = [word.lower() for word in tokens[place : place + 2]] == ["next", "to"]
        listed = token.lower() in (",", "and") and len(clauses[-1]) > 1 and _one_more(tokens[place + 1 :], telling)
        if (token in _BREAK or token.lower() in _JOIN) and not beside and not listed:
            if clauses[-1]:
                clauses.append([])
            if token.lower() in ("before", "after"):
                clauses[-1].append(token)
        else:
            clauses[-1].append(token)
    return [clause for clause in clauses if clause]


def _one_more(tokens: list[str], telling: Collection[str]) -> bool:
    """Whether what follows, up to the next break, is one more thing ("a small dog") and nothing to be done."""
    words: list[str] = []
    for token in tokens:
        if token in _BREAK or token.lower() in _JOIN:
            break
        words.append(token.lower())
    things = set().union(*NOUNS.values())
    return (
        bool(telling)
        and 1 < len(words) <= _LONGEST_THING
        and words[0] in _SO_MANY
        and not any(word in things or word in LANGUAGES or word.startswith(tuple(telling)) for word in words)
    )
