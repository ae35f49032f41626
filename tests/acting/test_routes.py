"""`--route`: what the journal measured decides between backends and paths, and the plan says on what that rests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hopline.agent import Agent, Attachment
from hopline.agent.costing import costs, shares
from hopline.agent.hops.journal import Journal, now
from hopline.agent.hops.records import Hop
from hopline.agent.planning.costs import Costs, Measured, others_like, routed
from hopline.agent.planning.plan import FromAttachment, FromStep, Plan, Step
from hopline.agent.running.profile import Profile
from hopline.tools.backend import Backend, Call, Result
from hopline.tools.errors import UserError
from hopline.tools.fakes import fake_registry, spoken
from hopline.tools.registry import Registry
from hopline.tools.spec import Tool, ports

HEAR = "speech_to_text:fake"
DEAF = "speech_to_text:fake:drop=0.5"
PLAN = {"steps": [{"id": "step1", "tool": "speech_to_text", "inputs": {"audio": [{"attachment": "audio1"}]}}]}


@pytest.fixture
def agent(home: Path) -> Iterator[Agent]:
    with Agent(registry=fake_registry(), profile=Profile(name="fakes"), journal=Journal()) as made:
        yield made


def called(journal: Journal, backend: str, *times_ms: float, cached: bool = False, status: str = "ok") -> None:
    """Hops of a backend that took so long, written by hand."""
    run = journal.begin_run("x")
    for ms in times_ms:
        hop = journal.begin_hop(Hop(id=0, run=run.id, step="step1", tool=backend.partition(":")[0], backend=backend))
        if cached:
            again = replace(hop, status="ok", cached_from=hop.id, duration_ms=ms, started_at=now())
            journal.begin_hop(again)
        else:
            journal.end_hop(replace(hop, status=status, duration_ms=ms))  # type: ignore[arg-type]  # one of HopStatus
    journal.update_run(replace(run, status="ok"))


def planned(agent: Agent, route: str) -> Plan:
    """The plan in which nobody chose a backend, with a route."""
    run = agent.run("x", [spoken("two red cars")], plan=PLAN, route=route)
    assert run.status == "ok"
    assert run.plan is not None
    return run.plan


def test_the_fastest_by_the_median_of_what_was_called(agent: Agent) -> None:
    called(agent.journal, HEAR, 900.0, 100.0, 800.0)
    called(agent.journal, DEAF, 300.0, 200.0, 9000.0)
    # Neither what came from the cache nor what failed counts.
    called(agent.journal, HEAR, 0.1, 0.1, 0.1, 0.1, cached=True)
    called(agent.journal, HEAR, 0.1, 0.1, 0.1, 0.1, status="failed")
    made = planned(agent, "fastest")
    assert made.steps[0].backend == DEAF
    route = made.why["route"]
    assert route["hops"] == 6
    assert route["compared"]["step1"] == [
        {"backend": DEAF, "hops": 3, "measured": "0.3 s"},
        {"backend": HEAR, "hops": 3, "measured": "0.8 s"},
    ]
    assert route["words"] == "fastest, by 6 measured hops: step1 fake:drop=0.5 0.3 s (3), fake 0.8 s (3)."


def test_with_nothing_measured_the_default_stands_and_says_so(agent: Agent) -> None:
    for route in ("cheapest", "fastest", "most-faithful"):
        with Agent(
            registry=fake_registry(), profile=Profile(name="f"), journal=Journal(agent.journal.folder / route)
        ) as a:
            made = planned(a, route)
            assert made.steps[0].backend is None
            assert made.why["route"]["words"] == f"{route}: nothing is measured yet; the profile's choice stands."
    called(agent.journal, HEAR, 5.0, 6.0)
    made = planned(agent, "fastest")
    assert made.steps[0].backend is None
    assert "measured on 2 hops, but nothing to compare it with" in made.why["route"]["words"]


def test_only_another_one_is_measured_so_the_default_stands(agent: Agent) -> None:
    called(agent.journal, DEAF, 1.0)
    assert planned(agent, "fastest").steps[0].backend is None


def test_the_most_faithful_by_facts_that_came_through(agent: Agent) -> None:
    text = "Two red cars stand left of a green house. Three dogs sit next to a yellow boat."
    (agent.journal.folder / "said.txt").write_text(text)
    memo = Attachment(spoken(text), agent.journal.folder / "said.txt")
    for backend in (HEAR, DEAF):
        for seed in range(3):
            agent.run("x", [memo], chain=backend, seed=seed)
    agent.profile = agent.runner.profile = Profile(name="fakes", backends={"speech_to_text": DEAF})
    before = agent.run("x", [memo], plan=PLAN)
    assert before.hops[0].backend == DEAF
    made = agent.run("x", [memo], plan=PLAN, route="most-faithful")
    assert made.hops[0].backend == HEAR
    assert made.plan is not None
    best, worst = made.plan.why["route"]["compared"]["step1"]
    assert best["backend"] == HEAR
    kept, facts = (int(word) for word in best["measured"].split() if word.isdigit())
    assert kept == facts > 0, "the one that loses nothing kept every fact"
    assert "which is few" in made.plan.why["route"]["words"] or made.plan.why["route"]["hops"] >= 5
    assert worst["backend"] == DEAF


def test_a_share_is_of_what_came_in_and_cached_hops_do_not_count(agent: Agent) -> None:
    text = "Two red cars stand left of a green house."
    chain = "no_op:fake | no_op:fake"
    first = agent.run(text, chain=chain, use_cache=False)
    (facts, kept), (facts2, kept2) = [(before, after) for _, _, before, after in shares(first.loss())]
    assert facts == kept == facts2 == kept2 > 3
    measured = costs(agent.journal, agent.registry, agent.profile, ["no_op"], losses=True).of("no_op:fake")
    assert (measured.hops, measured.facts, measured.kept, measured.share) == (2, 2 * facts, 2 * facts, 1.0)
    agent.run(text, chain=chain)
    again = costs(agent.journal, agent.registry, agent.profile, ["no_op"], losses=True).of("no_op:fake")
    assert (again.hops, again.loss_hops) == (2, 2)


def test_a_step_that_names_its_backend_keeps_it(agent: Agent) -> None:
    called(agent.journal, HEAR, 1.0)
    called(agent.journal, DEAF, 500.0)
    run = agent.run("x", [spoken("a cat")], chain=DEAF, route="fastest")
    assert run.hops[0].backend == DEAF


def test_a_backend_that_sends_content_away_is_no_choice_where_that_is_forbidden(agent: Agent) -> None:
    class Away(Backend):
        tool = "speech_to_text"
        name = "away"
        remote = True

        def call(self, call: Call) -> Result:
            raise AssertionError("called")

    agent.registry.add_backend(Away)
    called(agent.journal, "speech_to_text:away", 0.001)
    called(agent.journal, HEAR, 500.0)
    assert planned(agent, "fastest").steps[0].backend is None


def test_there_is_no_such_route(agent: Agent) -> None:
    with pytest.raises(UserError, match="cheapest, fastest, most-faithful"):
        agent.run("x", chain="no_op", route="scenic")
    with pytest.raises(UserError, match="cheapest"):
        agent.plan("x", route="scenic")
    assert agent.journal.runs() == []


# -- sums over plans, by hand ------------------------------------------------------------------


def step(name: str, tool: str, *needs: str) -> Step:
    sources = tuple(FromStep(step=need) for need in needs) or (FromAttachment(attachment="a"),)
    return Step(id=name, tool=tool, inputs={"in": sources})


def table(rows: Mapping[str, Measured]) -> Costs:
    return Costs(backends={name.partition(":")[0]: [name] for name in rows}, measured=rows)


WIDE = Plan(planner="typed", steps=(step("s1", "p"), step("s2", "p"), step("s3", "q", "s1", "s2")))
LONG = Plan(planner="typed", steps=(step("s1", "r"), step("s2", "r", "s1")))


def test_side_by_side_is_fast_and_one_after_the_other_is_cheap() -> None:
    # WIDE: 10 + 10 + 2 x 5 = 30 of computing (its join makes two calls at most), 15 to wait; LONG: 9 + 9 = 18 of both.
    known = table({"p:x": Measured(hops=1, ms=10), "q:x": Measured(hops=1, ms=5), "r:x": Measured(hops=1, ms=9)})
    assert routed(LONG, [WIDE], known, "fastest").tools == WIDE.tools
    assert routed(WIDE, [LONG], known, "cheapest").tools == LONG.tools
    why = routed(LONG, [WIDE], known, "fastest").why["route"]
    assert why["hops"] == 3
    assert why["paths"] == [{"tools": ["r", "r"], "fastest": [18]}, {"tools": ["p", "p", "q"], "fastest": [15]}]


def test_a_call_that_leaves_the_machine_costs_more_than_any_time() -> None:
    known = table(
        {"p:x": Measured(hops=1, ms=1, remote=True), "q:x": Measured(hops=1, ms=1), "r:x": Measured(hops=1, ms=9000)}
    )
    assert routed(WIDE, [LONG], known, "cheapest").tools == LONG.tools
    assert routed(LONG, [WIDE], known, "fastest").tools == WIDE.tools


def test_what_is_kept_multiplies_along_a_path() -> None:
    # WIDE keeps .9 x .9 x 1 = .81, LONG .95 x .95 = .9025.
    rows = {"p": (10, 9), "q": (10, 10), "r": (100, 95)}
    known = table({f"{t}:x": Measured(facts=f, kept=k, loss_hops=1) for t, (f, k) in rows.items()})
    assert routed(WIDE, [LONG], known, "most-faithful").tools == LONG.tools


def test_a_path_with_a_step_that_was_never_measured_does_not_win() -> None:
    known = table({"p:x": Measured(hops=1, ms=100), "q:x": Measured(hops=1, ms=100), "r:x": Measured()})
    assert routed(WIDE, [LONG], known, "fastest").tools == WIDE.tools
    assert routed(LONG, [WIDE], known, "fastest").tools == LONG.tools


@pytest.mark.models
def test_two_tools_that_do_the_same_are_two_paths(home: Path) -> None:
    class Direct(Backend):
        tool, name, heavy = "film_to_text", "x", False

        def call(self, call: Call) -> Result:
            raise AssertionError("called")

    class Sound(Direct):
        tool = "video_to_audio"

    class Hear(Direct):
        tool = "speech_to_text"

    from hopline.tools.declarations import STANDARD_TOOLS

    standard = [tool for tool in STANDARD_TOOLS if tool.name in ("video_to_audio", "speech_to_text", "image_ocr")]
    words = "Transcribes speech: listens to a video or film and writes out the words said."
    direct = Tool(name="film_to_text", description=words, inputs=ports("video"), outputs=ports("text"))
    registry = Registry([*standard, direct], [Direct, Sound, Hear])
    with Agent(registry=registry, profile=Profile(name="f"), journal=Journal()) as agent:
        plain = agent.plan("Transcribe this.", {"video1": "video"})
        others = others_like(plain, "Transcribe this.", registry, {"video1": "video"})
        both = {tuple(plan.tools) for plan in (plain, *others)}
        assert both == {("film_to_text",), ("video_to_audio", "speech_to_text")}
        called(agent.journal, "film_to_text:x", 500.0)
        called(agent.journal, "video_to_audio:x", 100.0)
        called(agent.journal, "speech_to_text:x", 100.0)
        fast = agent.plan("Transcribe this.", {"video1": "video"}, route="fastest")
        assert fast.tools == ["video_to_audio", "speech_to_text"]
        assert "paths" in fast.why["route"]["words"]
        called(agent.journal, "speech_to_text:x", 9000.0, 9000.0)
        assert agent.plan("Transcribe this.", {"video1": "video"}, route="fastest").tools == ["film_to_text"]
