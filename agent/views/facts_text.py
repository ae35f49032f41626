"""Where each fact was last seen, in words: a sentence, a table, and who read each column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from hopline.agent.hops.records import Hop
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


OUTPUT_WORDS = {
    "speech_to_text": "transcript",
    "text_to_speech": "speech",
    "image_captioning": "caption",
    "image_ocr": "text read",
    "visual_question_answering": "answer",
    "question_answering": "answer",
    "audio_question_answering": "answer",
    "summarization": "summary",
    "translation": "translation",
    "text_to_audio": "sound",
}
"""What a tool's output is called; other outputs go by their modality."""


def shown_nodes(loss: Mapping[str, Any], hops: Sequence[Hop] = ()) -> list[dict[str, Any]]:
    """The nodes under the names that the page uses: `hop 2, picture`.

    Args:
        loss: plain data of a `hopline.loss/1`.
        hops: of the run; without them nodes keep their own labels.
    """
    position = {hop.id: n for n, hop in enumerate((h for h in hops if h.parent is None), start=1)}
    tools = {hop.id: hop.tool for hop in hops}
    per_hop = Counter(node.get("hop") for node in loss.get("nodes", ()))
    seen: Counter[int] = Counter()
    nodes = []
    for node in loss.get("nodes", ()):
        label, hop = str(node.get("label") or node["id"]), node.get("hop")
        if hop is None and label.startswith(f"{node['id']} "):
            label = str(node["id"])  # `audio1` rather than its long file name, which stands elsewhere
        if hop in position:
            modality = str(node.get("modality"))
            word = OUTPUT_WORDS.get(tools[hop], MODALITY_WORDS.get(modality, modality))
            seen[hop] += 1
            which = f" {seen[hop]}" if per_hop[hop] > 1 else ""
            label = f"hop {position[hop]}, {word}{which}"
        nodes.append({**node, "id": str(node["id"]), "label": label})
    return nodes


def columns(loss: Mapping[str, Any], nodes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The nodes at which some fact has a state; an attachment nobody described has none."""
    used = {node for fact in loss.get("facts", ()) for node in fact["states"]}
    used |= {fact.get("first_seen") for fact in loss.get("invented", ())}
    return [node for node in nodes if node["id"] in used]


def names_of(nodes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The label of each node by its id."""
    return {str(node["id"]): str(node["label"]) for node in nodes}


def facts_summary(loss: Mapping[str, Any]) -> str:
    """One sentence: how many facts there are and what is left at the last node where each was scored."""
    nodes = [str(node["id"]) for node in loss.get("nodes", ())]
    followed = [fact for fact in loss.get("facts", ()) if len(fact["states"]) > 1]
    ends: Counter[str] = Counter()
    for fact in followed:
        states = [fact["states"].get(node) for node in nodes]
        scored = [state for state in states if state not in (None, "unscored")]
        # The source itself always says its facts; what counts is what was read after it.
        last = scored[-1] if len(scored) > 1 else "unscored"
        ends["seen" if last in SEEN else str(last)] += 1
    total = sum(ends.values())
    if not total:
        alone = len(loss.get("facts", ()))
        return f"{alone} {'fact' if alone == 1 else 'facts'}, and nothing after to look for them in." if alone else ""
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


def facts_table(loss: Mapping[str, Any], hops: Sequence[Hop] = ()) -> Html:
    """The same as the picture, as a table of words."""
    nodes = columns(loss, shown_nodes(loss, hops))
    names = names_of(nodes)
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


_EVIDENCE = {"given": "its own words", "declared": "as the tool says it made it", "none": "not read"}


def readers_list(loss: Mapping[str, Any], hops: Sequence[Hop] = ()) -> Html | None:
    """What stands behind each column: who read it, and what it says."""
    entries = []
    for node in shown_nodes(loss, hops):
        evidence = str(node.get("evidence"))
        known = f"read by {node['reader']}" if node.get("reader") else _EVIDENCE.get(evidence, evidence)
        words = tag("q", shortened(str(node["text"]), 300), dir="auto") if node.get("text") else None
        entries.append(tag("li", tag("strong", node["label"]), f": {known}", words))
    return tag("ul", entries, class_="hl-readers") if entries else None
