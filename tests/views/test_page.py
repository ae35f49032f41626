"""The page of a run: what is on it, and that nothing in it can be anything but text."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hopline.agent.hops.records import (
    AttachmentRecord,
    Failure,
    hop_from_json,
    model_call_from_json,
    probe_from_json,
    run_from_json,
    to_json,
)
from hopline.agent.views.frame import page_frame
from hopline.agent.views.page import run_page, stylesheet

if TYPE_CHECKING:
    from tests.views.conftest import Sample

GOLDEN = Path(__file__).parent / "golden" / "four_hops.html"
BREAKOUTS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style></title></textarea><svg/onload=alert(1)>",
    "<!-- --><![CDATA[ ]]><?php ?>",
    "\u202egnp.exe\u2066",
    "nul\x00 esc\x1b[2J",
    "javascript:alert(1)",
    "&lt;b&gt;&#60;script&#62;",
    "\ud800",
)
OWN_LINKS = ("https://openmoji.org/", "https://creativecommons.org/licenses/by-sa/4.0/")


class Structure(HTMLParser):
    """Elements with their attribute names, and everything that points somewhere."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.shape: list[str] = []
        self.pointers: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.shape.append(f"<{tag} {' '.join(name for name, _ in attrs)}>")
        self.pointers += [(name, value or "") for name, value in attrs if name in ("href", "src", "action", "srcset")]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        self.shape.append(f"</{tag}>")

    def handle_comment(self, data: str) -> None:
        self.shape.append("<!-- -->")

    def handle_data(self, data: str) -> None:
        self.words += data


def structure(page: str) -> Structure:
    found = Structure()
    found.feed(page)
    found.close()
    return found


def page_of(sample: Sample, **changed: Any) -> str:
    parts: dict[str, Any] = {
        "run": sample.run,
        "hops": sample.hops,
        "probes": sample.probes,
        "calls": sample.calls,
        "loss": sample.loss,
        "read": sample.shelf.read,
        "media_folder": None,
    }
    return run_page(**(parts | changed))


# -- hostile records --------------------------------------------------------------------------------

KEPT = {"id", "run", "modality", "media_type", "format", "hop", "status", "handle", "started_at", "created_at"}
KEPT |= {"ended_at", "states", "last_seen", "source", "first_seen", "step", "attachment", "severity"}


def with_every_string(value: Any, change: Callable[[str], str], key: str = "") -> Any:
    """The same data with each free string changed, keys of free mappings included."""
    if isinstance(value, str):
        return value if key in KEPT else change(value)
    if isinstance(value, dict):
        free = key in ("identity", "parameters", "details", "why", "signature")
        return {
            (change(k) if free and k not in ("flags",) else k): (
                v if k in ("states", "inputs", "outputs") and key != "steps" else with_every_string(v, change, k)
            )
            for k, v in value.items()
        }
    if isinstance(value, list | tuple):
        return type(value)(with_every_string(inner, change, key) for inner in value)
    return value


def changed_page(sample: Sample, change: Callable[[str], str]) -> str:
    def record(value: Any) -> Any:
        return with_every_string(to_json(value), change)

    return run_page(
        run_from_json(record(sample.run)),
        [hop_from_json(record(hop)) for hop in sample.hops],
        [probe_from_json(record(probe)) for probe in sample.probes],
        [model_call_from_json(record(call)) for call in sample.calls],
        with_every_string(sample.loss, change),
        sample.shelf.read,
        media_folder=None,
    )


@pytest.mark.parametrize("breakout", BREAKOUTS)
def test_a_hostile_string_anywhere_leaves_the_structure_as_it_was(sample: Sample, breakout: str) -> None:
    harmless = structure(changed_page(sample, lambda s: f"{s}openmoji {'x' * len(breakout)}"))
    hostile = structure(changed_page(sample, lambda s: f"{s}openmoji {breakout}"))
    assert hostile.shape == harmless.shape
    assert all(
        value.startswith(("#", "data:image/", "data:audio/")) or value in OWN_LINKS for _, value in hostile.pointers
    )


@pytest.mark.parametrize("breakout", BREAKOUTS)
def test_hostile_ids_and_handles_stay_text(sample: Sample, breakout: str) -> None:
    def page_with(word: str) -> str:
        plan = {"steps": [{"id": word, "tool": word, "inputs": {word: [{"attachment": word}, {"text": word}]}}]}
        given = replace(sample.run.attachments[0], handle=word)
        run = replace(sample.run, id=word, profile=word, plan=plan, attachments=(given,))
        hops = [replace(hop, run=word, step=word, started_at=word) for hop in sample.hops]
        loss = {"nodes": [{"id": word, "hop": None, "modality": word}], "facts": [], "invented": [], "notes": [word]}
        loss["facts"] = [{"type": word, "text": word, "states": {word: word}, "last_seen": word, "altered_to": {}}]
        return page_of(sample, run=run, hops=hops, loss=loss)

    assert structure(page_with(breakout)).shape == structure(page_with(re.sub(r"\S", "x", breakout))).shape


def test_hostile_text_of_a_tool_is_shown_as_text(sample: Sample) -> None:
    words = " ".join(b for b in BREAKOUTS if b != "\ud800")
    ref = sample.shelf.put(words)
    hop = replace(sample.hops[0], outputs={"text": (ref,)})
    found = structure(page_of(sample, hops=[hop], run=replace(sample.run, outputs=(ref,), answer=words)))
    assert "<script>alert(1)</script>" in found.words
    assert "⟨U+202E⟩gnp.exe" in found.words
    assert not [shape for shape in found.shape if shape.startswith(("<script", "<img src", "<!--"))]


@pytest.mark.parametrize("breakout", BREAKOUTS)
def test_a_hostile_media_type_or_modality_is_never_embedded(sample: Sample, breakout: str) -> None:
    ref = sample.shelf.put(b"<script>alert(1)</script>", breakout, f"image/svg+xml;{breakout}")
    page = page_of(sample, run=replace(sample.run, outputs=(ref,)), hops=(), loss=None)
    found = structure(page)
    assert "A browser does not show" in found.words
    assert all(value.startswith(("#", "data:audio/wav;base64,")) for _, value in found.pointers)


def test_bytes_that_are_not_utf8_do_not_stop_the_page(sample: Sample) -> None:
    ref = sample.shelf.put(b"\xff\xfe<b>")
    assert "\ufffd\ufffd&lt;b&gt;" in page_of(sample, run=replace(sample.run, answer="", outputs=(ref,)))


# -- what is on it ----------------------------------------------------------------------------------


def test_golden(sample: Sample) -> None:
    """Renew with `HOPLINE_RENEW=1 pytest tests/views`; the style sheet and its digest are left out."""
    page = page_of(sample).replace(stylesheet(), "")
    page = re.sub(r"sha256-[A-Za-z0-9+/=]+", "sha256-…", page)
    page = re.sub(r"base64,[A-Za-z0-9+/=]+", "base64,…", page)
    page = re.sub(r"(?<=>)(?=<(section|article|li|details|div|figure|svg|dl|h[1-6]))", "\n", page)
    if os.environ.get("HOPLINE_RENEW"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(page, "utf-8")
    assert page == GOLDEN.read_text("utf-8"), "the page changed: look at it, then HOPLINE_RENEW=1 pytest tests/views"


def test_everything_a_person_asks_for_is_there_result_first(sample: Sample) -> None:
    found = structure(page_of(sample))
    words = " ".join(found.words.split())
    for said in (
        sample.run.request,
        "memo.wav",
        "23 November 2026, 16:57 UTC",
        "assisted",
        "runner_up",
        "Two red birds sit on a green tree in Berlin. There are free clouds and no dogs.",
        "maybe not English",
        "48,000 Hz became 16,000 Hz.",
        "48,000 → 16,000 Hz",
        "1.3 s + 1.8 s loading",
        "sent to another machine",
        "cached",
        "faster_whisper",
        "0.0625",
        "normaliser:english",
        "Unscored: the encoder is not installed",
        "not scored: reader equals next hop",
        "measured as one round trip: hop 2, text to image and hop 3, image captioning",
        "against audio1",
        "1 call it made for itself",
        "No words in the picture.",
        "1,210 in, 6 out",
        "OpenMoji",
        "CC BY-SA 4.0",
    ):
        assert said in words, said
    titles = ["Result", "What went in", "Plan", "Where each fact was last seen", "Hop by hop", "Readings"]
    places = [page_of(sample).index(f'-title">{title}</h2>') for title in titles]
    assert places == sorted(places)


def test_nothing_is_called_lost(sample: Sample) -> None:
    assert not re.search(r"\blost\b", structure(page_of(sample)).words.replace(stylesheet(), ""), re.IGNORECASE)


def test_headings_do_not_skip_a_level_and_ids_are_unique_and_links_lead_somewhere(sample: Sample) -> None:
    found = structure(page_of(sample))
    levels = [int(shape[2]) for shape in found.shape if re.match(r"<h[1-6] ", shape)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    assert len(set(found.ids)) == len(found.ids)
    assert {v[1:] for _, v in found.pointers if v.startswith("#")} <= set(found.ids)


def test_policy_allows_nothing_but_what_is_in_the_page(sample: Sample) -> None:
    page = page_of(sample)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    digest = base64.b64encode(hashlib.sha256(stylesheet().encode()).digest()).decode()
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "img-src data:",
        "media-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert "style=" not in page
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_no_credit_where_no_pictogram_was_drawn(sample: Sample) -> None:
    hops = [replace(hop, identity={}) for hop in sample.hops]
    assert "OpenMoji" not in page_of(sample, hops=hops)


@pytest.mark.parametrize("status", ["running", "ok", "partial", "failed", "cancelled"])
def test_a_run_without_anything_has_a_page(sample: Sample, status: Any) -> None:
    run = replace(
        sample.run, status=status, plan=None, attachments=(), outputs=(), ended_at="", created_at="", request=""
    )
    words = structure(run_page(run, (), (), (), None, sample.shelf.read, media_folder=None)).words
    assert ("Nothing has come out yet." if status == "running" else "Nothing came out.") in words
    assert "(no words)" in words


def test_a_failed_hop_says_why_and_small_talk_has_no_steps(sample: Sample) -> None:
    failed = replace(
        sample.hops[0], status="failed", outputs={}, error=Failure(reason="timeout", message="Stopped after 60 s.")
    )
    page = page_of(sample, hops=[failed], run=replace(sample.run, plan={"planner": "typed", "steps": []}))
    assert "Stopped after 60 s." in page
    assert "No tool was needed" in page
    assert "timeout" in page


def test_an_artifact_that_is_gone_is_named_on_the_page(sample: Sample) -> None:
    drawn = sample.run.outputs[0]
    del sample.shelf.kept[drawn.id]
    assert f"no artifact {drawn.id[:12]} in this journal." in page_of(sample)


def test_long_text_is_folded_and_cut_only_with_a_word_about_it(sample: Sample) -> None:
    ref = sample.shelf.put("word " * 50_000)
    page = page_of(sample, run=replace(sample.run, outputs=(ref,)))
    assert "All 250,000 characters" in page
    assert "50,000 more characters are in the journal." in page
    request = "Describe " + "very " * 100 + "exactly."
    folded = page_of(sample, run=replace(sample.run, request=request))
    assert "The whole request" in folded
    assert request in folded


def test_a_frame_holds_the_page_unchanged_and_may_run_nothing(sample: Sample) -> None:
    page = page_of(sample)
    frames: list[dict[str, str | None]] = []

    class Frames(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag == "iframe"
            frames.append(dict(attrs))

    Frames().feed(page_frame(page))
    assert [frame["srcdoc"] for frame in frames] == [page]
    assert frames[0]["sandbox"] is None


# -- media ------------------------------------------------------------------------------------------


def with_noise(sample: Sample, sizes: list[int]) -> Sample:
    refs = [sample.shelf.put(os.urandom(size), "image", "image/png") for size in sizes]
    attachments = tuple(
        AttachmentRecord(handle=f"image{n}", name=f"{n}.png", artifact=ref) for n, ref in enumerate(refs, start=1)
    )
    return replace(sample, run=replace(sample.run, attachments=attachments, outputs=()), hops=())


def test_beyond_25_mb_media_are_written_beside_the_page_under_their_digest(sample: Sample, tmp_path: Path) -> None:
    heavy = with_noise(sample, [9_000_000, 9_000_000, 9_000_000])
    folder = tmp_path / "my run-media"
    page = page_of(heavy, media_folder=folder)
    assert len(page) < 26_000_000
    third = heavy.run.attachments[2].artifact
    assert [path.name for path in folder.iterdir()] == [f"{third.id}.png"]
    assert hashlib.sha256((folder / f"{third.id}.png").read_bytes()).hexdigest() == third.id
    assert f'src="my%20run-media/{third.id}.png"' in page
    assert "img-src data: 'self'" in page
    assert page.count("data:image/png;base64,") == 2


def test_what_does_not_fit_and_has_no_folder_is_left_out_by_name(sample: Sample) -> None:
    page = page_of(with_noise(sample, [20_000_000]))
    assert "Too large to be part of this page." in page
    assert "'self'" not in page
    assert len(page) < 200_000


def test_small_media_are_not_written_anywhere(sample: Sample, tmp_path: Path) -> None:
    page_of(sample, media_folder=tmp_path / "media")
    assert list(tmp_path.glob("media*")) == []


def test_a_large_artifact_is_shown_once_and_linked_where_it_is_used_again(sample: Sample) -> None:
    drawn = sample.shelf.put(os.urandom(500_000), "image", "image/png")
    hops = [
        replace(sample.hops[1], outputs={"image": (drawn,)}),
        replace(sample.hops[2], inputs={"image": (drawn,)}),
    ]
    page = page_of(sample, hops=hops, run=replace(sample.run, outputs=()), loss=None)
    assert page.count("data:image/png;base64,") == 1
    assert 'href="#hop-2-out-0"' in page
