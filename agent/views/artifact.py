"""One artifact on a page: a picture, a player, or its words."""

from __future__ import annotations

from hopline.agent.hops.records import ArtifactRef, Failure
from hopline.agent.views.gallery import (
    AUDIO_TYPES,
    IMAGE_TYPES,
    REPEATED_BYTES,
    TEXT_CHARACTERS,
    Gallery,
)
from hopline.agent.views.icons import icon
from hopline.agent.views.markup import Html, shortened, tag
from hopline.agent.views.words import MODALITY_WORDS, size

FOLDED_CHARACTERS = 700
"""A longer text shows its beginning and folds the whole away."""


def artifact_fragment(
    ref: ArtifactRef, gallery: Gallery, *, anchor: str = "", description: str = "", fold: int = FOLDED_CHARACTERS
) -> Html:
    """A picture, an audio or video player, or escaped text, with a line that says what it is.

    Args:
        ref: the artifact.
        gallery: of the page it goes on.
        anchor: id of this place, so that later mentions of a large artifact can link here.
        description: what it is, for people who do not see or hear it.
        fold: characters of text before the rest is folded away.
    """
    earlier = gallery.place(ref, anchor) if anchor else None
    length = size(ref.size_bytes)
    if ref.modality == "text" or ref.media_type.startswith("text/"):
        text = gallery.text(ref)
        body = _text(text, earlier, fold)
        if not isinstance(text, Failure):
            count = len(text.split())
            length = f"{count:,} {'word' if count == 1 else 'words'}"
    elif earlier and ref.size_bytes > REPEATED_BYTES:
        what = MODALITY_WORDS.get(ref.modality, ref.modality)
        body = tag("p", tag("a", f"The same {what}, shown above", href=f"#{earlier}"), class_="hl-again")
    else:
        body = _media(ref, gallery.source(ref), description)
    place = None if earlier else (anchor or None)
    return tag("figure", body, _caption(ref, length), class_=f"hl-artifact hl-{_kind(ref)}", id=place)


def _kind(ref: ArtifactRef) -> str:
    return ref.modality if ref.modality in MODALITY_WORDS else "other"


def _caption(ref: ArtifactRef, length: str) -> Html:
    return tag(
        "figcaption",
        icon(_kind(ref)),
        tag("span", MODALITY_WORDS.get(ref.modality, ref.modality)),
        tag("span", ref.media_type) if ref.media_type != "text/plain" else None,
        tag("span", length),
        tag("code", ref.id[:12], title=f"sha256 {ref.id}"),
        class_="hl-small",
    )


def _text(text: str | Failure, earlier: str | None, fold: int) -> Html:
    if isinstance(text, Failure):
        return _missing(text)
    if not text.strip():
        return tag("p", "(no words)", class_="hl-muted")
    if len(text) <= fold:
        return tag("blockquote", text, class_="hl-words", dir="auto")
    beginning = tag("blockquote", shortened(text, fold // 2), class_="hl-words", dir="auto")
    if earlier and len(text) > 4 * fold:
        return tag("div", beginning, tag("p", tag("a", "The same text, shown whole above", href=f"#{earlier}")))
    rest = len(text) - TEXT_CHARACTERS
    cut = tag("p", f"{rest:,} more characters are in the journal.", class_="hl-muted") if rest > 0 else None
    whole = tag("blockquote", text[:TEXT_CHARACTERS], class_="hl-words", dir="auto")
    summary = tag("summary", f"All {len(text):,} characters")
    return tag("div", beginning, tag("details", summary, whole, cut))


def _media(ref: ArtifactRef, source: str | Failure, description: str) -> Html:
    if isinstance(source, Failure):
        return _missing(source)
    label = description or f"{MODALITY_WORDS.get(ref.modality, ref.modality)} {ref.id[:12]}"
    if ref.media_type in IMAGE_TYPES:
        return tag("img", src=source, alt=label, decoding="async")
    if ref.media_type in AUDIO_TYPES:
        return tag("audio", controls=True, preload="metadata", src=source, aria_label=label)
    return tag("video", controls=True, preload="metadata", src=source, aria_label=label)


def _missing(why: Failure) -> Html:
    return tag("p", why.message, class_="hl-missing")
