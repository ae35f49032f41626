"""Where each fact was last seen, in words: a sentence, a table, and who read each column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from hopline.agent.views.markup import Html, shortened, tag
from hopline.agent.views.words import MODALITY_WORDS

STATE_WORDS = {
    "seen": "seen",
    "seen_again": "seen again",
    "altered": "altered",
    "not_read": "not read",
    "void": "void, its object is not there",
    "unscored": "not scored",
}

SEEN = ("seen", "seen_again")


def node_names(loss: Mapping[str, Any]) -> dict[str, str]:
    """The label of each node by its id."""
    return {str(node["id"]): str(node.get("label") or node["id"]) for node in loss.get("nodes", ())}


def facts_summary(loss: Mapping[str, Any]) -> str:
    """One sentence: how many facts there are and what is left at the last node where each was scored."""
    nodes = [str(node["id"]) for node in loss.get("nodes", ())]
    ends: Counter[str] = Counter()
    for fact in loss.get("facts", ()):
        states = [fact["states"].get(node) for node in nodes]
        scored = [state for state in states if state not in (None, "unscored")]
        last = scored[-1] if scored else "unscored"
        ends["seen" if last in SEEN else str(last)] += 1
    total = sum(ends.values())
    if not total:
        return ""
    said = [f"{ends['seen']} still seen at the last reading"]
    if ends["altered"]:
        said.append(f"{ends['altered']} altered")
    if earlier := ends["not_read"] + ends["void"]:
        said.append(f"{earlier} last seen on the way")
    if ends["unscored"]:
        said.append(f"{ends['unscored']} not scored")
    if invented := len(loss.get("invented", ())):
        said.append(f"and {invented} that {'was' if invented == 1 else 'were'} not in the source")
    return f"{total} {'fact' if total == 1 else 'facts'}: {', '.join(said)}."


def story(fact: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]]) -> str:
    """The way of one fact in words: `seen at memo; altered to “blue” at picture; …`."""
    parts = []
    for node in nodes:
        state = fact["states"].get(str(node["id"]))
        if state is None:
            continue
        to = (fact.get("altered_to") or {}).get(str(node["id"]))
        words = STATE_WORDS.get(state, str(state)) + (f" to “{to}”" if to and state == "altered" else "")
        parts.append(f"{words} at {node.get('label') or node['id']}")
    return "; ".join(parts)


def facts_table(loss: Mapping[str, Any]) -> Html:
    """The same as the picture, as a table of words."""
    nodes = list(loss.get("nodes", ()))
    names = node_names(loss)
    head = [tag("th", words, scope="col") for words in ("fact", "type", *names.values(), "last seen at")]
    rows = []
    for fact in loss.get("facts", ()):
        cells = [tag("th", str(fact["text"]), scope="row", dir="auto"), tag("td", str(fact["type"]))]
        for node in nodes:
            state = fact["states"].get(str(node["id"]))
            to = (fact.get("altered_to") or {}).get(str(node["id"]))
            said = f"altered to “{to}”" if to and state == "altered" else STATE_WORDS.get(state, state) if state else ""
            cells.append(tag("td", said))
        cells.append(tag("td", names.get(str(fact.get("last_seen")), str(fact.get("last_seen") or "never"))))
        rows.append(tag("tr", cells))
    for fact in loss.get("invented", ()):
        seen = names.get(str(fact.get("first_seen")), str(fact.get("first_seen")))
        cells = [tag("th", str(fact["text"]), scope="row", dir="auto"), tag("td", str(fact["type"]))]
        cells.append(tag("td", f"not in the source, first seen at {seen}", colspan=len(nodes) + 1))
        rows.append(tag("tr", cells))
    table = tag("table", tag("thead", tag("tr", head)), tag("tbody", rows))
    return tag("div", table, class_="hl-scroll", tabindex=0, role="region", aria_label="Facts as a table")


def readers_list(loss: Mapping[str, Any]) -> Html | None:
    """Which reader stands behind each column."""
    entries = [
        tag(
            "li",
            f"{node.get('label') or node['id']}: ",
            tag("strong", MODALITY_WORDS.get(str(node.get("modality")), str(node.get("modality")))),
            "" if node.get("evidence") in (None, node.get("modality")) else f", {node['evidence']}",
            f" by {node['reader']}" if node.get("reader") else "",
            tag("q", shortened(str(node["text"]), 300)) if node.get("text") else None,
        )
        for node in loss.get("nodes", ())
    ]
    return tag("ul", entries, class_="hl-readers") if entries else None
