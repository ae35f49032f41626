"""The picture of facts: its marks follow the states, its words do not claim more than was read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hopline.agent.hops.records import ArtifactRef, Hop
from hopline.agent.views.facts import facts_svg
from hopline.agent.views.facts_text import facts_summary, facts_table, shown_nodes, story

if TYPE_CHECKING:
    from tests.views.conftest import Sample

NODES: list[dict[str, Any]] = [{"id": f"n{n}", "label": f"node {n}", "hop": n, "modality": "text"} for n in range(4)]


def loss_of(*states: str, altered_to: dict[str, str] | None = None, last: str | None = "n0") -> dict[str, Any]:
    fact = {
        "id": "f1",
        "type": "count",
        "text": "3 clouds",
        "states": {f"n{n}": state for n, state in enumerate(states) if state},
        "last_seen": last,
        "altered_to": altered_to or {},
    }
    return {"nodes": NODES, "facts": [fact], "invented": [], "hops": [], "notes": []}


def track(loss: dict[str, Any]) -> str:
    (svg,) = re.findall(r'<svg class="hl-track".*?</g>(.*)</svg>', facts_svg(loss).partition("hl-facts")[2])
    return str(svg)


@pytest.mark.parametrize(
    ("states", "last", "lines"),
    [
        (("seen", "seen", "seen", "seen"), "n3", ["seen", "seen", "seen"]),
        (("seen", "altered", "altered", "seen_again"), "n3", ["altered", "altered", "altered"]),
        (("seen", "not_read", "seen_again", "seen"), "n3", ["gap", "gap", "seen"]),
        (("seen", "seen", "not_read", "not_read"), "n1", ["seen", "fading"]),
        (("seen", "void", "void", "void"), "n0", ["fading"]),
        (("seen", "unscored", "unscored", "unscored"), "n0", []),
        (("seen", "unscored", "seen", "unscored"), "n2", ["gap", "gap"]),
        (("", "seen", "seen", "not_read"), "n2", ["seen", "fading"]),
    ],
)
def test_lines_follow_a_fact_while_it_is_seen(states: tuple[str, ...], last: str, lines: list[str]) -> None:
    assert re.findall(r"hl-line-(\w+)", track(loss_of(*states, last=last))) == lines


def test_each_state_has_a_mark_of_its_own_shape_and_one_ring_where_it_was_last_seen() -> None:
    drawn = track(loss_of("seen", "altered", "not_read", "void", altered_to={"n1": "2"}, last="n1"))
    assert re.findall(r"hl-mark-([\w-]+)", drawn) == ["seen", "altered", "not-read", "void"]
    assert re.findall(r'cx="([\d.]+)%" cy="18" r="11"', drawn) == ["37.5"]
    assert ">2</text>" in drawn


def test_columns_stand_at_the_middle_of_equal_parts() -> None:
    assert re.findall(r'x1="([\d.]+)%" x2="([\d.]+)%" y1="18"', track(loss_of("seen", "seen", "seen", "seen"))) == [
        ("12.5", "37.5"),
        ("37.5", "62.5"),
        ("62.5", "87.5"),
    ]


def test_the_story_says_every_state_in_words() -> None:
    loss = loss_of("seen", "altered", "not_read", "seen_again", altered_to={"n1": "2"})
    assert story(loss["facts"][0], NODES) == (
        "seen at node 0; altered to “2” at node 1; not read at node 2; seen again at node 3"
    )


@pytest.mark.parametrize(
    ("states", "said"),
    [
        (("seen", "seen", "seen", "seen"), "1 fact: 1 still seen at the last reading."),
        (("seen", "altered", "altered", "altered"), "1 fact: 0 still seen at the last reading, 1 altered."),
        (("seen", "not_read", "void", "void"), "1 fact: 0 still seen at the last reading, 1 last seen on the way."),
        (("seen", "seen", "unscored", "unscored"), "1 fact: 1 still seen at the last reading."),
        (("seen", "unscored", "unscored", "unscored"), "1 fact: 0 still seen at the last reading, 1 not scored."),
        (("seen", "", "", ""), "1 fact, and nothing after to look for them in."),
    ],
)
def test_summary_counts_the_last_state_that_was_scored(states: tuple[str, ...], said: str) -> None:
    assert facts_summary(loss_of(*states)) == said


def test_summary_of_the_sample(sample: Sample) -> None:
    assert facts_summary(sample.loss) == (
        "10 facts: 6 still seen at the last reading, 1 altered, 3 last seen on the way, "
        "and 1 that was not in the source."
    )


def test_the_table_says_what_the_picture_shows(sample: Sample) -> None:
    rows = re.findall(r"<tr>(.*?)</tr>", facts_table(sample.loss))
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
    assert cells[0][-1] == "last seen at"
    assert cells[5] == [
        "3 clouds",
        "count",
        "seen",
        "altered to “free”",
        "altered to “1”",
        "altered to “1”",
        "altered to “1”",
        "audio1",
    ]
    assert cells[-1] == ["white cloud", "colour", "not in the source, first seen at step3 image_captioning"]


def test_nothing_to_follow_is_said() -> None:
    assert "no text to compare with" in facts_svg({"nodes": NODES, "facts": [], "invented": []})
    assert "Not measured yet." in facts_svg({})
    assert facts_summary({}) == ""


def test_where_a_run_branches_lines_follow_the_data() -> None:
    refs = [ArtifactRef(id=f"a{n}", modality="text", media_type="text/plain", size_bytes=1) for n in range(4)]
    # n0 feeds n1, n1 feeds both n2 and n3.
    feeding = {1: 0, 2: 1, 3: 1}
    hops = [
        Hop(id=n, run="r", step=f"step{n}", tool="t", backend="t:b", inputs={"text": (refs[before],)})
        for n, before in feeding.items()
    ]
    loss = loss_of("seen", "seen", "not_read", "seen", last="n3")
    loss["nodes"] = [{**NODES[n], "hop": n or None, "artifact": f"a{n}"} for n in range(4)]
    drawn = facts_svg(loss, hops).partition("hl-facts")[2]
    assert re.findall(r"hl-line-(\w+)", drawn) == ["seen", "fading", "seen"]
    (arc,) = re.findall(r'<svg x="([\d.]+)%" y="3" width="([\d.]+)%"', drawn)
    assert arc == ("37.5", "50")


def test_nodes_are_called_what_the_page_calls_their_hops(sample: Sample) -> None:
    labels = [node["label"] for node in shown_nodes(sample.loss, sample.hops)]
    assert labels == ["audio1", "hop 1, transcript", "hop 2, picture", "hop 3, caption", "hop 4, speech"]
    assert "last seen at hop 2, picture" in facts_svg(sample.loss, sample.hops)


def test_several_outputs_of_one_hop_are_numbered(sample: Sample) -> None:
    nodes = [{"id": f"step2.{n}", "label": "x", "hop": 2, "modality": "image"} for n in range(2)]
    assert [n["label"] for n in shown_nodes({"nodes": nodes}, sample.hops)] == ["hop 2, picture 1", "hop 2, picture 2"]


def test_a_node_without_any_fact_has_no_column() -> None:
    loss = loss_of("", "seen", "seen", "")
    assert facts_svg(loss).count('<li><svg class="hl-icon"') == 2


def test_facts_of_two_sources_stand_apart() -> None:
    loss = loss_of("seen", "seen", "", "")
    other = {**loss["facts"][0], "id": "f2", "source": "n2", "states": {"n2": "seen", "n3": "not_read"}}
    loss["facts"] = [{**loss["facts"][0], "source": "n0"}, other]
    assert re.findall(r"hl-fact-type\">([^<]*)<", facts_svg(loss)) == ["count, from node 0", "count, from node 2"]


@pytest.mark.parametrize(
    ("read", "made"),
    [
        ("aws", "awsw"),  # the third hop wrote down the very words of the first
        ("aww", "awws"),  # the second hop changed nothing
    ],
)
def test_a_line_leads_on_from_the_nearest_of_two_equal_artifacts(read: str, made: str) -> None:
    refs = {i: ArtifactRef(id=i, modality="text", media_type="text/plain", size_bytes=1) for i in "aws"}
    hops = [
        Hop(id=n, run="r", step=f"step{n}", tool="t", backend="t:b", inputs={"in": (refs[i],)})
        for n, i in enumerate(read, start=1)
    ]
    loss = loss_of("seen", "seen", "seen", "seen", last="n3")
    loss["nodes"] = [{**NODES[n], "hop": n or None, "artifact": made[n]} for n in range(4)]
    drawn = facts_svg(loss, hops).partition("hl-facts")[2]
    assert re.findall(r'<line x1="([\d.]+)%" x2="([\d.]+)%" y1="18"', drawn) == [
        ("12.5", "37.5"),
        ("37.5", "62.5"),
        ("62.5", "87.5"),
    ]


def test_a_column_that_was_declared_and_not_read_says_so(sample: Sample) -> None:
    nodes = [{**node, "evidence": "declared" if node["id"] == "step2" else "read"} for node in sample.loss["nodes"]]
    assert facts_svg({**sample.loss, "nodes": nodes}).count(">declared</span>") == 1
