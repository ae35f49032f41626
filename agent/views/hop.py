"""One hop on a page: what went in, what came out, what was cut, how long it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hopline.agent.hops.records import ArtifactRef, Hop
from hopline.agent.views.artifact import artifact_fragment
from hopline.agent.views.gallery import Gallery
from hopline.agent.views.icons import icon
from hopline.agent.views.markup import Html, tag
from hopline.agent.views.score import kept_line, score_list
from hopline.agent.views.values import pairs, value_fragment
from hopline.agent.views.words import STATUS_WORDS, flag, hop_anchor, moment, name_of_tool, number, seconds


def hop_fragment(
    hop: Hop,
    gallery: Gallery,
    *,
    position: int | None = None,
    loss: Mapping[str, Any] | None = None,
    children: Sequence[Hop] = (),
    level: int = 3,
) -> Html:
    """A hop as an `<article>`.

    Args:
        hop: the hop.
        gallery: of the page it goes on.
        position: its number among the hops people see.
        loss: its row of `hops` in a `hopline.loss/1`.
        children: hops that it made for itself, folded away.
        level: of its heading, 2 to 5.
    """
    title = tag(
        f"h{level}",
        tag("span", str(position), class_="hl-number", aria_hidden="true") if position is not None else None,
        name_of_tool(hop.tool),
        class_="hl-hop-title",
    )
    inner = (
        tag("header", title, _time(hop), _marks(hop), class_="hl-hop-head"),
        tag("p", hop.error.message, class_="hl-error", role="note") if hop.error else None,
        _flow(hop, gallery, position),
        _cuts(hop),
        kept_line(loss) if loss else None,
        score_list(loss.get("scores", ())) if loss else None,
        _details(hop),
        _children(children, gallery, level) if children else None,
    )
    status = hop.status if hop.status in STATUS_WORDS else "other"
    return tag("article", inner, class_=f"hl-hop hl-hop-{status}", id=hop_anchor(hop))


def _time(hop: Hop) -> Html:
    if hop.cached_from is not None:
        words = "no call"
    else:
        words = seconds(hop.duration_ms)
        if hop.load_ms and hop.load_ms >= 1:
            words += f" + {seconds(hop.load_ms)} loading"
    return tag("span", words, class_="hl-time")


def _marks(hop: Hop) -> Html:
    marks = [tag("code", hop.backend, class_="hl-backend")]
    if hop.status != "ok":
        look = "hl-mark" if hop.status == "running" else "hl-mark hl-mark-bad"
        marks.append(tag("span", STATUS_WORDS.get(hop.status, hop.status), class_=look))
    if hop.cached_from is not None:
        marks.append(tag("span", icon("cached"), "cached", class_="hl-mark"))
    if hop.remote:
        marks.append(tag("span", icon("remote"), "sent to another machine", class_="hl-mark hl-mark-warn"))
    marks.extend(tag("span", icon("note"), flag(str(word)), class_="hl-mark hl-mark-warn") for word in hop.flags)
    return tag("p", marks, class_="hl-marks")


def _flow(hop: Hop, gallery: Gallery, position: int | None) -> Html:
    sides = [_side("In", hop, gallery, position)]
    if hop.outputs:
        sides.append(_side("Out", hop, gallery, position))
    elif hop.status == "ok":
        sides.append(tag("div", tag("p", "Out", class_="hl-side-name"), tag("p", "nothing", class_="hl-muted")))
    return tag("div", sides, class_="hl-in-out")


def _side(words: str, hop: Hop, gallery: Gallery, position: int | None) -> Html | None:
    ports, verb = (hop.inputs, "given to") if words == "In" else (hop.outputs, "made by")
    where = f"hop {position}, {name_of_tool(hop.tool).lower()}" if position else name_of_tool(hop.tool).lower()
    shown: list[Html] = []
    for port, refs in ports.items():
        if len(ports) > 1:
            shown.append(tag("p", port, class_="hl-port"))
        for place, ref in enumerate(refs, start=1):
            anchor = f"{hop_anchor(hop)}-{words.lower()}-{len(shown)}"
            which = f" {place} of {len(refs)}" if len(refs) > 1 else ""
            said = f"{_noun(ref)}{which} {verb} {where}"
            shown.append(artifact_fragment(ref, gallery, anchor=anchor, description=said))
    heading = tag("p", words, class_="hl-side-name")
    return tag("div", heading, shown, class_=f"hl-{words.lower()}") if shown else None


def _noun(ref: ArtifactRef) -> str:
    return {"image": "Picture", "audio": "Sound", "video": "Video"}.get(ref.modality, "Artifact")


def _cuts(hop: Hop) -> Html | None:
    if not hop.mechanical_losses:
        return None
    items = []
    for loss in hop.mechanical_losses:
        amount = ""
        if loss.before is not None and loss.after is not None:
            amount = f"{number(loss.before)} → {number(loss.after)} {loss.unit}".strip()
        items.append(
            tag(
                "li",
                tag("strong", loss.kind.replace("_", " ")),
                " ",
                tag("span", loss.message, dir="auto"),
                tag("span", amount, class_="hl-amount") if amount else None,
            )
        )
    return tag(
        "div",
        tag("p", icon("cut"), "Cut or changed on the way", class_="hl-cuts-name"),
        tag("ul", items),
        class_="hl-cuts",
    )


def _details(hop: Hop) -> Html:
    shown = {key: value for key, value in hop.details.items() if key != "flags"}
    rows: dict[str, Html | str | None] = {
        "step": hop.step if not hop.item else f"{hop.step}, item {hop.item + 1}",
        "hop in the journal": str(hop.id),
        "cached from": f"hop {hop.cached_from} in the journal" if hop.cached_from is not None else None,
        "status": STATUS_WORDS.get(hop.status, hop.status),
        "reason": hop.error.reason if hop.error else None,
        "backend": tag("code", hop.backend),
        "identity": value_fragment(hop.identity),
        "parameters": value_fragment(hop.parameters),
        "seed": str(hop.seed),
        "repeat": str(hop.repeat) if hop.repeat else None,
        "content": "sent to another machine" if hop.remote else "stayed on this machine",
        "started": moment(hop.started_at),
        "time": f"{seconds(hop.duration_ms)}, loading {seconds(hop.load_ms)}",
        "said by the tool": value_fragment(shown) if shown else None,
    }
    return tag("details", tag("summary", "Backend, parameters, seed and more"), pairs(rows), class_="hl-more")


def _children(children: Sequence[Hop], gallery: Gallery, level: int) -> Html:
    words = f"{len(children)} {'call' if len(children) == 1 else 'calls'} it made for itself"
    shown = [hop_fragment(child, gallery, level=min(level + 1, 5)) for child in children]
    return tag("details", tag("summary", words), shown, class_="hl-children")
