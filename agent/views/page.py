"""The page of one run: a single HTML file that asks nothing of any network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hopline.agent.hops.reading import ReadArtifact
from hopline.agent.hops.records import Hop, ModelCall, Probe, RunRecord
from hopline.agent.views.artifact import artifact_fragment
from hopline.agent.views.facts import facts_svg
from hopline.agent.views.facts_text import facts_summary, facts_table, names_of, readers_list, shown_nodes
from hopline.agent.views.gallery import Gallery
from hopline.agent.views.hop import hop_fragment
from hopline.agent.views.markup import Html, shortened, tag
from hopline.agent.views.plan import plan_svg
from hopline.agent.views.score import named_row
from hopline.agent.views.values import pairs, value_fragment
from hopline.agent.views.words import (
    MODALITY_WORDS,
    STATUS_WORDS,
    hop_anchor,
    moment,
    name_of_tool,
    seconds,
    span_ms,
)

Section = tuple[str, str, Html]
"""Id, title and content."""

_HEADING_CHARACTERS = 180


@cache
def stylesheet() -> Html:
    """The style sheet of every fragment; its rules touch only what is inside `.hl`."""
    return Html(Path(__file__).with_name("page.css").read_text("utf-8"))


def run_page(
    run: RunRecord,
    hops: Sequence[Hop],
    probes: Sequence[Probe],
    calls: Sequence[ModelCall],
    loss: Mapping[str, Any] | None,
    read: ReadArtifact,
    *,
    media_folder: Path | None,
) -> str:
    """The page of a run.

    Media are part of the page up to 25 MB in all; beyond that they are written into
    `media_folder` under their sha256 and the page points to them.

    Args:
        run: the run.
        hops: in the order in which they began, child hops included.
        probes: readings for measurement.
        calls: exchanges with chat models.
        loss: plain data of a `hopline.loss/1`; None when nothing was measured.
        read: gives the bytes of a reference; what it cannot give is named on the page.
        media_folder: a folder beside the page; None leaves out what does not fit, and says so.

    Raises:
        OSError: the media folder cannot be written.
    """
    gallery = Gallery(read, media_folder)
    sections = run_sections(run, hops, probes, calls, loss, gallery)
    links = [tag("li", tag("a", title, href=f"#{name}")) for name, title, _ in sections]
    body = (
        tag("a", "Skip to the result", href="#result", class_="hl-skip"),
        run_header(run, hops),
        tag("nav", tag("ul", links, class_="hl-plain", role="list"), class_="hl-contents", aria_label="On this page"),
        tag("main", (section(*found) for found in sections), id="main"),
        tag("footer", tag("p", f"Run {run.id}, written down and shown by hopline."), class_="hl-footer"),
    )
    return document(f"{shortened(run.request, 70) or 'A run'} – hopline", body, beside=gallery.beside)


def run_sections(
    run: RunRecord,
    hops: Sequence[Hop],
    probes: Sequence[Probe],
    calls: Sequence[ModelCall],
    loss: Mapping[str, Any] | None,
    gallery: Gallery,
) -> list[Section]:
    """The sections of a run's page that have something to show, in order.

    Args:
        run: the run; it may still be running.
        hops: in the order in which they began, child hops included.
        probes: readings for measurement.
        calls: exchanges with chat models.
        loss: plain data of a `hopline.loss/1`; None when nothing was measured.
        gallery: of the page they go on.

    Returns:
        Id, title and content each, for `section`: `result`, `given`, `plan`, `facts`, `hops`,
        `readings`, `calls`, `credits`.
    """
    names = _names(hops)
    sections = (
        _result(run, hops, names, gallery),
        _given(run, gallery),
        _plan(run, hops),
        _facts(loss, hops),
        _hops(hops, loss, names, gallery),
        _probes(probes, names, gallery),
        _calls(calls, names, gallery),
        _credits(hops, probes),
    )
    return [found for found in sections if found is not None]


def document(title: str, body: Sequence[Html], *, beside: bool = False) -> str:
    """A whole page that asks nothing of any network.

    Args:
        title: of the page.
        body: its elements.
        beside: media lie in a folder beside the page.
    """
    css = stylesheet()
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode("ascii")
    media = "data: 'self'" if beside else "data:"
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src {media}; media-src {media}; "
        "base-uri 'none'; form-action 'none'"
    )
    # The policy is written without `tag`, since its quotes are ours and easier to read unescaped.
    head = (
        tag("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", css),
    )
    page = tag("html", tag("head", _lines(head)), "\n", tag("body", _lines(body), class_="hl hl-page"), lang="en")
    return f"<!doctype html>\n{page}\n"


def _lines(parts: Sequence[Html]) -> Html:
    return Html("\n".join(["", *parts, ""]))


def section(name: str, title: str, content: Html) -> Html:
    """A section of a page with its heading."""
    heading = tag("h2", title, id=f"{name}-title")
    return tag("section", heading, content, id=name, aria_labelledby=f"{name}-title")


def run_header(run: RunRecord, hops: Sequence[Hop]) -> Html:
    """What was asked, how it ended, when and with what, under a heading of level 1."""
    own = [hop for hop in hops if hop.parent is None]
    facts: dict[str, Html | str | None] = {
        "when": moment(run.created_at),
        "took": seconds(span_ms(run.created_at, run.ended_at)) if run.ended_at else "not ended",
        "hops": str(len(own)),
        "profile": run.profile,
        "planner": str(run.plan.get("planner", "–")) if run.plan else "no plan",
        "content": "partly sent to other machines" if any(h.remote for h in hops) else "stayed on this machine",
    }
    status = STATUS_WORDS.get(run.status, run.status)
    request, whole = run.request.strip(), None
    if len(request) > _HEADING_CHARACTERS:
        words = tag("blockquote", run.request, class_="hl-words", dir="auto")
        request, whole = (
            shortened(request, _HEADING_CHARACTERS),
            tag("details", tag("summary", "The whole request"), words),
        )
    return tag(
        "header",
        tag(
            "p",
            tag("span", "hopline", class_="hl-brand"),
            tag("span", f"run {run.id}", class_="hl-run"),
            tag("span", status, class_=f"hl-status hl-status-{run.status if run.status in STATUS_WORDS else 'other'}"),
            class_="hl-eyebrow",
        ),
        tag("h1", request or "(no words)", dir="auto"),
        whole,
        tag("p", run.error.message, class_="hl-error", role="note") if run.error else None,
        pairs(facts),
        class_="hl-header",
    )


def _names(hops: Sequence[Hop]) -> dict[int, str]:
    """What the page calls each hop, by its number in the journal: `hop 2, text to image`."""
    position = {hop.id: n for n, hop in enumerate((h for h in hops if h.parent is None), start=1)}
    names = {}
    for hop in hops:
        within = f" within hop {position.get(hop.parent, '?')}" if hop.parent is not None else ""
        number = f"hop {position[hop.id]}, " if hop.id in position else ""
        names[hop.id] = f"{number}{name_of_tool(hop.tool).lower()}{within}"
    return names


def _result(run: RunRecord, hops: Sequence[Hop], names: Mapping[int, str], gallery: Gallery) -> Section:
    makers = {ref.id: hop for hop in hops if hop.parent is None for ref in hop.output_list}
    shown: list[Html] = []
    answer = tag("p", run.answer, class_="hl-answer", dir="auto") if run.answer else None
    # What the last step gave is the answer to the request, so it comes first.
    for number, ref in enumerate(reversed(run.outputs)):
        maker = makers.get(ref.id)
        said = f"{MODALITY_WORDS.get(ref.modality, ref.modality).capitalize()} that came out"
        words = f" of {names[maker.id]}" if maker else ""
        shown.append(
            tag(
                "div",
                artifact_fragment(ref, gallery, anchor=f"output-{number}", description=f"{said}{words}", fold=2400),
                tag("p", "From ", tag("a", names[maker.id], href=f"#{hop_anchor(maker)}")) if maker else None,
                class_="hl-output",
            )
        )
    outputs = tag("div", shown, class_="hl-outputs") if shown else None
    words = "Nothing has come out yet." if run.status == "running" else "Nothing came out."
    nothing = None if shown or answer else tag("p", words, class_="hl-muted")
    return "result", "Result", tag("div", answer, outputs, nothing)


def _given(run: RunRecord, gallery: Gallery) -> Section | None:
    if not run.attachments:
        return None
    shown: list[Html] = []
    for a in run.attachments:
        name = tag("p", tag("strong", a.handle), " ", tag("bdi", a.name), class_="hl-attachment-name")
        artifact = artifact_fragment(
            a.artifact, gallery, anchor=f"given-{len(shown)}", description=f"Attachment {a.handle}, {a.name}"
        )
        reference = None
        if a.reference:
            words = artifact_fragment(a.reference, gallery)
            reference = tag("details", tag("summary", "Reference text, given to measure against"), words)
        shown.append(tag("div", name, artifact, reference, class_="hl-output"))
    return "given", "What went in", tag("div", shown, class_="hl-outputs")


def _plan(run: RunRecord, hops: Sequence[Hop]) -> Section | None:
    if run.plan is None:
        return None
    problems = [
        tag("li", tag("strong", str(p.get("severity", "problem"))), " ", str(p.get("message", "")))
        for p in run.plan.get("problems", ())
    ]
    why = run.plan.get("why")
    content = (
        plan_svg(run.plan, hops, run.attachments),
        tag("ul", problems, class_="hl-problems") if problems else None,
        tag("p", "Decided by the ", tag("strong", str(run.plan.get("planner", "saved"))), " planner.", class_="hl-by"),
        tag("details", tag("summary", "Why this plan"), value_fragment(why), class_="hl-more") if why else None,
    )
    return "plan", "Plan", tag("div", content)


def _facts(loss: Mapping[str, Any] | None, hops: Sequence[Hop]) -> Section | None:
    if loss is None:
        return None
    summary = facts_summary(loss)
    followed = bool(loss.get("facts") or loss.get("invented"))
    notes = [tag("li", str(note)) for note in loss.get("notes", ())]
    readers = readers_list(loss, hops)
    content = (
        tag("p", summary, class_="hl-lead") if summary else None,
        facts_svg(loss, hops),
        tag("details", tag("summary", "The same as a table of words"), facts_table(loss, hops), class_="hl-more")
        if followed
        else None,
        tag("details", tag("summary", "Who read each column, and what it says"), readers, class_="hl-more")
        if readers
        else None,
        tag("ul", notes, class_="hl-notes") if notes else None,
    )
    return "facts", "Where each fact was last seen", tag("div", content)


def _hops(
    hops: Sequence[Hop], loss: Mapping[str, Any] | None, names: Mapping[int, str], gallery: Gallery
) -> Section | None:
    own = [hop for hop in hops if hop.parent is None]
    if not own:
        return None
    nodes = names_of(shown_nodes(loss, hops)) if loss else {}
    rows = {row.get("hop"): named_row(row, nodes, names) for row in loss.get("hops", ())} if loss else {}
    shown = []
    for position, hop in enumerate(own, start=1):
        children = [child for child in hops if child.parent == hop.id]
        shown.append(tag("li", hop_fragment(hop, gallery, position=position, loss=rows.get(hop.id), children=children)))
    return "hops", "Hop by hop", tag("ol", shown, class_="hl-hops hl-plain", role="list")


def _probes(probes: Sequence[Probe], names: Mapping[int, str], gallery: Gallery) -> Section | None:
    if not probes:
        return None
    rows = []
    for probe in probes:
        what = MODALITY_WORDS.get(probe.node.modality, probe.node.modality)
        came_from = f"of {names.get(probe.hop, probe.hop)}" if probe.hop is not None else "that was attached"
        heading = tag("summary", f"{what.capitalize()} {came_from}, read by ", tag("code", probe.reader))
        reading = artifact_fragment(probe.reading, gallery) if probe.reading else None
        error = tag("p", probe.error.message, class_="hl-error") if probe.error else None
        more = pairs({"time": seconds(probe.duration_ms), "identity": value_fragment(probe.identity)})
        rows.append(tag("li", tag("details", heading, reading, error, more, class_="hl-more")))
    lead = tag("p", "Made to measure; not part of the run or its time.", class_="hl-muted")
    return "readings", "Readings", tag("div", lead, tag("ul", rows, class_="hl-plain", role="list"))


def _calls(calls: Sequence[ModelCall], names: Mapping[int, str], gallery: Gallery) -> Section | None:
    if not calls:
        return None
    rows = []
    for call in calls:
        facts: dict[str, Html | str | None] = {
            "model": value_fragment(call.identity),
            "tokens": f"{_count(call.input_tokens)} in, {_count(call.output_tokens)} out",
            "time": seconds(call.duration_ms),
            "ended": call.finish_reason or "no reason given",
            "repair": str(call.repair) if call.repair else None,
        }
        parts = [
            (tag("p", words, class_="hl-side-name"), artifact_fragment(ref, gallery))
            for words, ref in (("Messages", call.messages), ("Reply", call.reply))
            if ref is not None
        ]
        error = tag("p", call.error.message, class_="hl-error") if call.error else None
        made_for = f", for {names.get(call.hop, call.hop)}" if call.hop is not None else ""
        purpose = f"{name_of_tool(call.purpose)}{made_for}"
        summary = tag("summary", purpose, tag("span", seconds(call.duration_ms), class_="hl-time"))
        rows.append(tag("li", tag("details", summary, pairs(facts), error, parts, class_="hl-more")))
    return "model-calls", "Model calls", tag("ul", rows, class_="hl-plain", role="list")


def _count(tokens: int | None) -> str:
    return "not counted" if tokens is None else f"{tokens:,}"


def _credits(hops: Sequence[Hop], probes: Sequence[Probe]) -> Section | None:
    identities = [*(hop.identity for hop in hops), *(probe.identity for probe in probes)]
    words = " ".join(f"{key} {value}" for identity in identities for key, value in identity.items()).lower()
    if "openmoji" not in words:
        return None
    credit = tag(
        "p",
        "Pictograms by ",
        tag("a", "OpenMoji", href="https://openmoji.org/", rel="noreferrer"),
        ", the open-source emoji and icon project, changed in colour and put together. Licence: ",
        tag("a", "CC BY-SA 4.0", href="https://creativecommons.org/licenses/by-sa/4.0/", rel="license noreferrer"),
        ".",
    )
    return "credits", "Credits", credit
