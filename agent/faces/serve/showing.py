"""A run as the parts of the page: the fragments of `hopline.agent.views`, media by address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hopline.agent import Agent, Run
from hopline.agent.hops.records import ArtifactRef, Failure
from hopline.agent.running.readiness import readiness
from hopline.agent.views.compare import Side, compare_fragment
from hopline.agent.views.gallery import SHOWN_TYPES, Gallery
from hopline.agent.views.markup import Html, tag
from hopline.agent.views.page import run_header, run_sections, section
from hopline.agent.views.words import name_of_tool
from hopline.tools.home import Limits, limits, setting

PARTS = ("head", "plan", "result", "compare", "facts", "hops", "given", "rest")
"""Pieces of the page that change one by one, so that a hop that arrives leaves a player alone.

In the order of the page: what happens next comes first, what the person knows already comes last.
"""

Loss = Mapping[str, Any] | None


class AddressedGallery(Gallery):
    """Gives media as addresses of this server, under the run that they belong to."""

    def __init__(self, run: Run) -> None:
        super().__init__(run.read)
        self._run = run

    def source(self, ref: ArtifactRef) -> str | Failure:
        """An address for `src`, or why there is none."""
        if ref.media_type not in SHOWN_TYPES:
            return Failure(reason="no_preview", message=f"A browser does not show {ref.media_type}.")
        return f"/artifacts/{self._run.id}/{ref.id}"


def run_parts(run: Run, loss: Loss, before: tuple[Run, Loss] | None = None) -> dict[str, Html]:
    """HTML by part.

    Args:
        run: it may still be running.
        loss: a `hopline.loss/1`; None where nothing was measured.
        before: the run that it repeats, with its loss; None for none.
    """
    record, hops = run.record, run.hops
    shown = dict.fromkeys(PARTS, Html(""))
    shown["head"] = tag("div", run_header(record, hops), data_run=record.id)
    sections = run_sections(record, hops, run.probes, run.model_calls, loss, AddressedGallery(run))
    for name, title, content in sections:
        part = name if name in PARTS else "rest"
        if part == "result" and record.status == "running":
            continue
        shown[part] = Html(shown[part] + section(name, title, content))
    if before is not None and record.status != "running":
        sides = compare_fragment(_side(*before), _side(run, loss))
        shown["compare"] = section("compare", "Side by side", sides)
    return {part: tag("div", html, class_="hl") if html else html for part, html in shown.items()}


def _side(run: Run, loss: Loss) -> Side:
    return Side(run=run.record, hops=run.hops, loss=loss, gallery=AddressedGallery(run), link=f"?run={run.id}")


def nothing_yet(heading: str, words: str = "") -> dict[str, Html]:
    """The parts when there is no run to show: a heading with a few words."""
    head = tag("div", tag("h1", heading), tag("p", words) if words else None, class_="hl hl-start")
    return {**dict.fromkeys(PARTS, Html("")), "head": head}


def top_line(agent: Agent) -> Html:
    """Whose page this is, and what its profile means for what a person hands over."""
    profile = agent.profile
    stays = "content may leave this machine" if profile.remote else "nothing leaves this machine"
    mark = "hl-mark hl-mark-warn" if profile.remote else "hl-mark"
    return tag(
        "div",
        tag("span", "hopline", class_="hl-brand"),
        tag("span", "chains of tools, every hop written down, every loss measured", class_="hl-tagline"),
        tag("span", f"profile {profile.name}: {stays}", class_=mark),
        class_="hl hl-top",
    )


def profile_fragment(agent: Agent) -> Html:
    """The profile, what each tool needs, and the limits that are on."""
    profile = agent.profile
    return tag(
        "div",
        tag("h1", f"Profile {profile.name}"),
        tag("p", profile.description, class_="hl-lead"),
        section("tools", "Tools", _tools(agent)),
        section("limits", "Limits", _limits()),
        class_="hl hl-start",
    )


def _tools(agent: Agent) -> Html:
    rows = []
    for found in readiness(agent.registry, agent.profile):
        tool = agent.registry.tool(found.tool)
        ways = ", ".join(port.type for port in tool.inputs) + " → " + ", ".join(port.type for port in tool.outputs)
        state: tuple[object, ...] = ("ready",)
        if not found.ready:
            state = ("missing: ", ", ".join(found.missing), *(tag("code", f" {c}") for c in found.commands))
        rows.append(
            tag(
                "tr",
                tag("th", name_of_tool(found.tool), scope="row"),
                tag("td", ways),
                tag("td", tag("code", found.backend.partition(":")[2] or "–")),
                tag("td", *state),  # type: ignore[arg-type]  # words and elements
            )
        )
    return _table(("tool", "from → to", "done by", "here"), rows, "Tools")


def _limits() -> Html:
    values = limits()
    rows = []
    for name, field in Limits.model_fields.items():
        value = getattr(values, name)
        cells = (
            tag("td", value if isinstance(value, str) else f"{value:,.10g}"),
            tag("td", tag("code", setting(name))),
        )
        rows.append(tag("tr", tag("th", str(field.description), scope="row"), *cells))
    return _table(("limit", "value", "set by"), rows, "Limits")


def _table(head: tuple[str, ...], rows: list[Html], label: str) -> Html:
    table = tag("table", tag("thead", tag("tr", [tag("th", words, scope="col") for words in head])), tag("tbody", rows))
    return tag("div", table, class_="hl-scroll", tabindex=0, role="region", aria_label=label)
