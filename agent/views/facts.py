"""Where each fact was last seen: one line a fact, one column a node, from a `hopline.loss/1`.

On a single run a reader that does not find a fact proves nothing, so the words are "last seen at"
and "not read", never "lost" (the hop that lost it needs many sources).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hopline.agent.hops.records import Hop
from hopline.agent.views.facts_text import SEEN, columns, names_of, shown_nodes, story
from hopline.agent.views.icons import icon
from hopline.agent.views.markup import Html, shortened, tag

_FOLLOWED = (*SEEN, "altered")
_LINE, _HEIGHT = 18, 46


def facts_svg(loss: Mapping[str, Any], hops: Sequence[Hop] = ()) -> Html:
    """The picture: facts grouped by type, each followed from node to node.

    Every line is an inline SVG of its own with the whole story in its title, so that it keeps its
    letter size at any width and reads aloud; `facts_table` says the same as text.

    Args:
        loss: plain data of a `hopline.loss/1`.
        hops: of the run, so that lines follow the data where a run branches; without them each
            node is taken to come from the one before it.
    """
    nodes, facts = columns(loss, shown_nodes(loss, hops)), list(loss.get("facts", ()))
    names = names_of(nodes)
    sources = {str(fact.get("source")) for fact in facts}
    if not nodes or not (facts or loss.get("invented")):
        return tag("p", _why_empty(loss), class_="hl-muted")
    parents = _parents(nodes, hops)
    groups: dict[str, list[Html]] = {}
    for fact in facts:
        source = f", from {names.get(str(fact.get('source')))}" if len(sources) > 1 else ""
        groups.setdefault(f"{fact['type']}{source}", []).append(_row(fact, nodes, parents))
    for fact in loss.get("invented", ()):
        groups.setdefault("not in the source", []).append(_invented_row(fact, nodes))
    shown = [
        tag("li", tag("h3", kind, class_="hl-fact-type"), tag("ul", rows, class_="hl-plain", role="list"))
        for kind, rows in groups.items()
    ]
    many = " hl-facts-many" if len(nodes) > 6 else ""
    picture = tag("div", _head(nodes), tag("ul", shown, class_="hl-plain", role="list"), class_=f"hl-facts{many}")
    if many:
        picture = tag("div", picture, class_="hl-scroll", tabindex=0, role="region", aria_label="Facts by node")
    return tag("div", _legend(), picture)


def _why_empty(loss: Mapping[str, Any]) -> str:
    return "No fact could be followed: there is no text to compare with." if loss.get("nodes") else "Not measured yet."


def _head(nodes: Sequence[Mapping[str, Any]]) -> Html:
    cells = []
    for node in nodes:
        hop, _, what = str(node["label"]).rpartition(", ")
        words = [tag("span", f"{hop}, "), tag("span", what)] if hop else [tag("span", what)]
        link = tag("a", words, href=f"#hop-{node['hop']}") if node.get("hop") is not None else tag("span", words)
        declared = tag("span", "declared", class_="hl-declared") if node.get("evidence") == "declared" else None
        cells.append(tag("li", icon(str(node.get("modality") or "other")), link, declared))
    return tag("div", tag("ol", cells, class_="hl-columns"), class_="hl-fact hl-facts-head")


def _row(fact: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]], parents: Sequence[int]) -> Html:
    label = str(fact["text"])
    names = names_of(nodes)
    last = fact.get("last_seen")
    became = [tag("span", "→ ", tag("q", to), f" at {names.get(node, node)}") for node, to in _altered(fact)]
    states = [(str(node["id"]), fact["states"].get(str(node["id"]))) for node in nodes]
    final = [(node, state) for node, state in states if state is not None][-1:]
    where = f"last seen at {names.get(str(last), str(last))}" if last else "never seen"
    kept = any(node == str(last) and state in SEEN for node, state in final)
    note = tag("span", where, class_="hl-last hl-last-kept" if kept else "hl-last")
    name = tag("div", tag("span", label, class_="hl-fact-name", dir="auto"), became, note, class_="hl-fact-label")
    return tag("li", name, _track(fact, nodes, parents, f"{label}: {story(fact, nodes)}"), class_="hl-fact")


def _altered(fact: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each new value once, at the node where it first appears."""
    first: dict[str, str] = {}
    for node, to in (fact.get("altered_to") or {}).items():
        first.setdefault(str(to), str(node))
    return [(node, to) for to, node in first.items()]


def _parents(nodes: Sequence[Mapping[str, Any]], hops: Sequence[Hop]) -> list[int]:
    """Place of the node that each node was made from; -1 for none."""
    made_by = {hop.id: hop for hop in hops}
    artifacts = [node.get("artifact") for node in nodes]
    parents = []
    for place, node in enumerate(nodes):
        hop = made_by.get(node["hop"]) if node.get("hop") is not None else None
        read = {ref.id for refs in hop.inputs.values() for ref in refs} if hop else set()
        # Two hops may have made the very same bytes; the later of them is the nearer one.
        earlier = [n for n in range(place) if artifacts[n] in read]
        given = [n for n in range(place) if nodes[n].get("hop") is None]
        # A hop that read no node read an attachment, whose node may be its reference text.
        parents.append(earlier[-1] if earlier else given[-1] if hop and given else place - 1)
    return parents


def _track(fact: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]], parents: Sequence[int], said: str) -> Html:
    states = [fact["states"].get(str(node["id"])) for node in nodes]
    last = next((p for p, node in enumerate(nodes) if node["id"] == fact.get("last_seen")), None)
    known = [place for place, state in enumerate(states) if state is not None]
    came_from = {place: _nearest(parents[place], states, parents) for place in known}
    leads_on = _leading_on(known, states, came_from)
    parts = [_guides(len(nodes))]
    for place, before in came_from.items():
        look = _segment(str(states[before]), str(states[place]), place in leads_on) if before >= 0 else ""
        if look:
            parts.append(_stroke(before, place, len(nodes), look))
    for place in known:
        x = _x(place, len(nodes))
        if place == last:
            parts.append(tag("circle", cx=x, cy=_LINE, r=11, class_="hl-ring"))
        parts.append(_mark(str(states[place]), x))
        to = (fact.get("altered_to") or {}).get(str(nodes[place]["id"]))
        if to and states[place] == "altered":
            parts.append(tag("text", shortened(str(to), 9), x=x, y=_LINE + 24, class_="hl-new-value"))
    return _picture(said, parts)


def _invented_row(fact: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]]) -> Html:
    first = next((p for p, node in enumerate(nodes) if node["id"] == fact.get("first_seen")), None)
    label = names_of(nodes).get(str(fact.get("first_seen")), "")
    parts = [_guides(len(nodes))]
    if first is not None:
        parts.append(_mark("invented", _x(first, len(nodes))))
    said = f"{fact['text']}: not in the source, first seen at {label or 'an unknown place'}"
    note = tag("span", f"{fact['type']}, first seen at {label}" if label else str(fact["type"]), class_="hl-first")
    name = tag("div", tag("span", str(fact["text"]), class_="hl-fact-name", dir="auto"), note, class_="hl-fact-label")
    return tag("li", name, _picture(said, parts), class_="hl-fact")


def _picture(said: str, parts: Sequence[Html]) -> Html:
    return tag("svg", tag("title", said), parts, class_="hl-track", height=_HEIGHT, role="img", aria_label=said)


def _x(place: int, count: int) -> str:
    return f"{(place + 0.5) / count * 100:.4g}%"


def _guides(count: int) -> Html:
    lines = [tag("line", x1=_x(n, count), x2=_x(n, count), y1=0, y2="100%") for n in range(count)]
    return tag("g", lines, class_="hl-guide")


def _nearest(place: int, states: Sequence[str | None], parents: Sequence[int]) -> int:
    """The closest node upstream where the fact has a state; -1 for none."""
    while place >= 0 and states[place] is None:
        place = parents[place]
    return place


def _leading_on(known: Sequence[int], states: Sequence[str | None], came_from: Mapping[int, int]) -> set[int]:
    """Places from which the fact is still followed, there or downstream."""
    found: set[int] = set()
    for place in reversed(known):
        if states[place] in _FOLLOWED or place in found:
            found.update((place, came_from[place]))
    return found


def _segment(left: str, right: str, leads_on: bool) -> str:
    """The look of a line between two nodes; empty for none."""
    if left in _FOLLOWED and right in _FOLLOWED:
        return "altered" if "altered" in (left, right) else "seen"
    if leads_on:
        return "gap"
    return "fading" if left in _FOLLOWED and right in ("not_read", "void") else ""


def _stroke(left: int, right: int, count: int, look: str) -> Html:
    class_ = f"hl-line hl-line-{look}"
    if right == left + 1:
        return tag("line", x1=_x(left, count), x2=_x(right, count), y1=_LINE, y2=_LINE, class_=class_)
    # Past the nodes of another branch: an arc, stretched to the distance between its ends.
    arc = tag("path", d="M0 15C15 0 85 0 100 15", class_=class_, vector_effect="non-scaling-stroke")
    width = f"{(right - left) / count * 100:.4g}%"
    box = {"viewBox": "0 0 100 15", "preserveAspectRatio": "none"}
    return tag("svg", arc, x=_x(left, count), y=_LINE - 15, width=width, height=15, **box)


def _mark(state: str, x: str) -> Html:
    """Marks differ by shape, not only by colour."""
    if state in SEEN:
        return tag("circle", cx=x, cy=_LINE, r=6, class_="hl-mark-seen")
    shapes = {
        "altered": "M0 -8L8 0L0 8L-8 0Z",
        "void": "M-5 -5L5 5M-5 5L5 -5",
        "unscored": "M-5 0H5",
        "invented": "M-7 0H7M0 -7V7M-5 -5L5 5M-5 5L5 -5",
    }
    if state in shapes:
        shape = tag("path", d=shapes[state], class_=f"hl-mark-{state}")
        return tag("svg", shape, x=x, y=_LINE, overflow="visible")
    return tag("circle", cx=x, cy=_LINE, r=5, class_="hl-mark-not-read")


def _legend() -> Html:
    entries = []
    for words, look, state, ring in (
        ("seen", "seen", "seen", False),
        ("last seen here", "fading", "seen", True),
        ("altered", "altered", "altered", False),
        ("not read", "", "not_read", False),
        ("void: its object is not there", "", "void", False),
        ("not scored", "", "unscored", False),
        ("not in the source", "", "invented", False),
    ):
        line = tag("line", x1=14, x2=40, y1=_LINE, y2=_LINE, class_=f"hl-line hl-line-{look}") if look else None
        circle = tag("circle", cx=14, cy=_LINE, r=11, class_="hl-ring") if ring else None
        width = 42 if look else 28
        key = tag("svg", line, circle, _mark(state, "14"), width=width, height=36, aria_hidden="true")
        entries.append(tag("li", key, tag("span", words)))
    return tag("ul", entries, class_="hl-legend hl-plain", role="list")
