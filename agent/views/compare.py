"""Two runs of one request side by side: what each step made, and which facts ended elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hopline.agent.hops.records import Hop, RunRecord
from hopline.agent.loss.difference import difference
from hopline.agent.views.artifact import artifact_fragment
from hopline.agent.views.facts_text import names_of, shown_nodes
from hopline.agent.views.gallery import Gallery
from hopline.agent.views.markup import Html, tag
from hopline.agent.views.score import kept_line
from hopline.agent.views.words import STATUS_WORDS, name_of_tool, seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One of the two runs.

    Attributes:
        run: the run.
        hops: in the order in which they began.
        loss: plain data of a `hopline.loss/1`; None where nothing was measured.
        gallery: gives its media.
        link: where its own page is.
    """

    run: RunRecord
    hops: Sequence[Hop]
    loss: Mapping[str, Any] | None
    gallery: Gallery
    link: str = ""

    def of_step(self, step: str) -> list[Hop]:
        """Its own hops of a step."""
        return [hop for hop in self.hops if hop.step == step and hop.parent is None]


def compare_fragment(before: Side, after: Side) -> Html:
    """The run that was replayed on the left, the replay on the right.

    Steps that made the same bytes by the same backend are named in one line.
    """
    steps = list(dict.fromkeys(hop.step for side in (before, after) for hop in side.hops if hop.parent is None))
    changed = [step for step in steps if _made(before, step) != _made(after, step)]
    same = [_title(after, step).lower() for step in steps if step not in changed]
    return tag(
        "div",
        [_row(before, after, step) for step in changed],
        tag("p", f"The same on both sides: {', '.join(same)}.", class_="hl-muted") if same else None,
        _facts(before, after),
        tag("p", "One source: what happened here, not a measure of the backends.", class_="hl-muted"),
        class_="hl-compare",
    )


def _made(side: Side, step: str) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(hop.backend, hop.status, tuple(ref.id for ref in hop.output_list)) for hop in side.of_step(step)]


def _title(side: Side, step: str) -> str:
    return next((name_of_tool(hop.tool) for hop in side.of_step(step)), step)


def _row(before: Side, after: Side, step: str) -> Html:
    sides = [_side("Before", before, step), _side("After", after, step)]
    return tag("div", tag("h3", _title(after, step)), tag("div", sides, class_="hl-sides"))


def _side(words: str, side: Side, step: str) -> Html:
    name = tag("a", words, href=side.link) if side.link else words
    shown: list[Html | None] = [tag("p", name, f", run {side.run.id}", class_="hl-side-name")]
    hops = side.of_step(step)
    rows = {row.get("hop"): row for row in side.loss.get("hops", ())} if side.loss else {}
    for hop in hops:
        status = "" if hop.status == "ok" else f", {STATUS_WORDS.get(hop.status, hop.status)}"
        time = "from the cache" if hop.cached_from is not None else seconds(hop.duration_ms)
        shown.append(tag("p", tag("code", hop.backend), f" {time}{status}", class_="hl-time"))
        shown.extend(
            artifact_fragment(ref, side.gallery, description=f"{words}: {name_of_tool(hop.tool).lower()}")
            for ref in hop.output_list
        )
        shown.append(tag("p", hop.error.message, class_="hl-error") if hop.error else None)
        shown.append(kept_line({**rows[hop.id], "against": None, "round_trip": None}) if hop.id in rows else None)
    if not hops:
        shown.append(tag("p", "This step did not run.", class_="hl-missing"))
    return tag("div", shown, class_="hl-output")


def _facts(before: Side, after: Side) -> Html | None:
    if before.loss is None or after.loss is None:
        return None
    elsewhere = difference(before.loss, after.loss)["facts"]
    if not elsewhere:
        return tag("p", "Every fact was last seen where it was before.")
    names = [names_of(shown_nodes(side.loss or {}, side.hops)) for side in (before, after)]
    rows = [
        tag(
            "tr",
            tag("th", str(fact["text"]), scope="row", dir="auto"),
            tag("td", str(fact["type"])),
            [tag("td", _end(end, known)) for end, known in zip(fact["ends"], names, strict=True)],
        )
        for fact in elsewhere
    ]
    head = [tag("th", words, scope="col") for words in ("fact", "type", "last seen before", "last seen after")]
    table = tag("table", tag("thead", tag("tr", head)), tag("tbody", rows))
    scrolled = tag("div", table, class_="hl-scroll", tabindex=0, role="region", aria_label="Facts that ended elsewhere")
    return tag("div", tag("h3", "Facts that ended elsewhere"), scrolled)


def _end(end: Mapping[str, Any], names: Mapping[str, str]) -> str:
    seen = end["last_seen"]
    became = [f"became “{text}”" for text in dict.fromkeys(end["altered_to"].values())]
    return ", ".join([names.get(str(seen), str(seen)) if seen else "never seen", *became])
