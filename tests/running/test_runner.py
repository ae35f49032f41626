"""The runner: plans become hops, and every outcome is written down."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hopline.agent.hops.journal import Journal
from hopline.agent.hops.records import Hop, RunRecord
from hopline.agent.planning.plan import Plan, plan_from_json
from hopline.agent.running.events import Event
from hopline.agent.running.profile import Profile
from hopline.agent.running.runner import Runner, Wishes
from hopline.agent.running.workers import Worker, Workers
from hopline.tools.artifact import Artifact
from hopline.tools.fakes import fake_registry
from hopline.tools.fakes.misbehaving import FailTogether
from hopline.tools.home import limits


@pytest.fixture
def runner(journal: Journal) -> Iterator[Runner]:
    workers = Workers()
    yield Runner(registry=fake_registry(), profile=Profile(name="fakes"), journal=journal, workers=workers)
    workers.stop()


def step(number: int, tool: str, *sources: Any, port: str = "text", **more: Any) -> dict[str, Any]:
    return {"id": f"step{number}", "tool": tool, "inputs": {port: list(sources)}, **more}


def after(number: int, **more: Any) -> dict[str, Any]:
    return {"step": f"step{number}", **more}


def said(text: str) -> dict[str, Any]:
    return {"text": text}


def run_plan(runner: Runner, *steps: dict[str, Any], **wishes: Any) -> tuple[RunRecord, list[Hop]]:
    plan: Plan = plan_from_json({"steps": list(steps)})
    record = runner.run(runner.journal.begin_run("test"), plan, Wishes(**wishes))
    return record, runner.journal.hops(record.id)


def texts(runner: Runner, hops: list[Hop]) -> list[str]:
    return [runner.journal.read(ref).text for hop in hops for ref in hop.output_list]


def test_four_hops_through_workers(runner: Runner) -> None:
    record, hops = run_plan(
        runner,
        step(1, "text_to_speech", said("two red cars")),
        step(2, "speech_to_text", after(1), port="audio"),
        step(3, "text_to_image", after(2)),
        step(4, "image_captioning", after(3), port="image"),
    )
    assert record.status == "ok"
    assert [hop.status for hop in hops] == ["ok"] * 4
    assert runner.journal.read(hops[3].output_list[0]).text == "two red cars"
    assert [ref.modality for ref in record.outputs] == ["audio", "image", "text"]
    assert all(hop.identity["backend"] == hop.backend for hop in hops)
    assert runner.journal.verify(record.id) == []


def test_small_talk_gives_no_hops(runner: Runner) -> None:
    record, hops = run_plan(runner)
    assert (record.status, hops, record.outputs) == ("ok", [], ())


def test_mapped_broadcast_and_joined(runner: Runner) -> None:
    record, hops = run_plan(
        runner,
        step(1, "split", said("one\ntwo\nthree")),
        step(2, "no_op", after(1)),
        step(3, "join", after(2)),
        step(4, "no_op", after(2, item=1)),
    )
    assert record.status == "ok"
    assert sorted(h.item for h in hops if h.step == "step2") == [0, 1, 2]  # side by side: any may begin first
    assert texts(runner, [h for h in hops if h.step == "step3"]) == ["one\ntwo\nthree"]
    assert texts(runner, [h for h in hops if h.step == "step4"]) == ["two"]


def test_a_mapped_step_of_a_backend_that_batches_gathers_its_calls(runner: Runner) -> None:
    items = [said(f"item {number}") for number in range(12)]
    began = time.perf_counter()
    record, hops = run_plan(runner, step(1, "fail", *items, backend="fail:together", parameters={"only": "never"}))
    assert record.status == "ok"
    assert [runner.journal.read(ref).text for ref in record.outputs] == [f"item {number}" for number in range(12)]
    assert max(hop.details["together"] for hop in hops) == 4
    # One process did them all, and no hop is charged for the others.
    assert sum(hop.duration_ms or 0 for hop in hops) <= (time.perf_counter() - began) * 1000


def test_a_batch_that_pays_on_two_threads_only_is_not_gathered_on_one() -> None:
    class Threaded(FailTogether):
        batch_threads = 2

    assert (Threaded().batch_on(1), Threaded().batch_on(2)) == (1, 4)
    assert Worker(Threaded(), {"HOPLINE_THREADS": "1"})._batch == 1
    assert Worker(Threaded(), {"HOPLINE_THREADS": "2"})._batch == 4


def test_unequal_mapped_inputs_are_refused(runner: Runner) -> None:
    record, hops = run_plan(
        runner,
        step(1, "split", said("a\nb")),
        step(2, "split", said("a\nb\nc")),
        {
            "id": "step3",
            "tool": "visual_question_answering",
            "inputs": {"image": [after(4)], "question": [after(2)]},
        },
        step(4, "text_to_image", after(1)),
    )
    last = next(h for h in hops if h.step == "step3")
    assert last.status == "skipped"
    assert last.error is not None
    assert "not equally long" in last.error.message
    assert record.status == "partial"


def test_too_wide_a_step_names_its_limit(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPLINE_MAX_MAPPED_WIDTH", "3")
    limits.cache_clear()
    _, hops = run_plan(runner, step(1, "split", said("a\nb\nc\nd")), step(2, "no_op", after(1)))
    assert hops[1].error is not None
    assert "HOPLINE_MAX_MAPPED_WIDTH" in hops[1].error.message


def test_a_failed_hop_fails_what_needs_it_and_nothing_else(runner: Runner) -> None:
    record, hops = run_plan(
        runner,
        step(1, "fail", said("x")),
        step(2, "no_op", after(1)),
        step(3, "no_op", said("fine")),
    )
    by_step = {hop.step: hop for hop in hops}
    assert (by_step["step1"].status, by_step["step2"].status, by_step["step3"].status) == ("failed", "skipped", "ok")
    assert record.status == "partial"
    assert record.error is not None
    assert record.error.reason == "input_refused"


@pytest.mark.parametrize(("how", "reason"), [("resource", "resource"), ("bug", "backend_failed")])
def test_errors_are_mapped(runner: Runner, how: str, reason: str) -> None:
    record, hops = run_plan(runner, step(1, "fail", said("x"), parameters={"how": how}))
    assert record.status == "failed"
    assert hops[0].error is not None
    assert hops[0].error.reason == reason
    assert "Traceback" not in hops[0].error.message


def test_one_item_of_a_mapped_step_may_fail(runner: Runner) -> None:
    steps = (
        step(1, "split", said("good\nbad\nfine")),
        step(2, "fail", after(1), parameters={"only": "bad"}),
        step(3, "no_op", after(2)),
    )
    _, hops = run_plan(runner, *steps, step(4, "join", after(2)))
    assert [h.status for h in sorted((h for h in hops if h.step == "step3"), key=lambda h: h.item)] == [
        "ok",
        "skipped",
        "ok",
    ]
    assert next(h for h in hops if h.step == "step4").status == "skipped"
    _, hops = run_plan(runner, *steps, step(4, "join", after(2), partial=True))
    assert texts(runner, [h for h in hops if h.step == "step4"]) == ["good\nfine"]


def test_the_cache_answers_equal_work_and_only_that(runner: Runner) -> None:
    run_plan(runner, step(1, "no_op", said("same"), parameters={"size_bytes": 100}))
    _, again = run_plan(runner, step(1, "no_op", said("same"), parameters={"size_bytes": 100}))
    _, other = run_plan(runner, step(1, "no_op", said("same"), parameters={"size_bytes": 200}))
    _, without = run_plan(runner, step(1, "no_op", said("same"), parameters={"size_bytes": 100}), use_cache=False)
    assert again[0].cached_from == 1
    assert other[0].cached_from is None
    assert without[0].cached_from is None


def test_the_seed_is_part_of_the_key(runner: Runner) -> None:
    plan = plan_from_json({"steps": [step(1, "no_op", said("same"), parameters={"size_bytes": 99})]})
    runner.run(runner.journal.begin_run("a", seed=1), plan, Wishes())
    second = runner.run(runner.journal.begin_run("b", seed=2), plan, Wishes())
    assert runner.journal.hops(second.id)[0].cached_from is None


def test_the_same_step_twice_gets_two_seeds(runner: Runner) -> None:
    wanted: dict[str, Any] = {"parameters": {"size_bytes": 50}}
    _, hops = run_plan(runner, step(1, "no_op", said("x"), **wanted), step(2, "no_op", said("x"), **wanted))
    assert sorted(hop.seed for hop in hops) == [0, 1]
    assert len(set(texts(runner, hops))) == 2


def test_side_effects_are_never_cached(runner: Runner, tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    for _ in range(2):
        run_plan(runner, step(1, "append", said("line"), parameters={"path": str(path)}))
    assert path.read_text() == "line\nline\n"


def test_a_child_call_is_a_child_hop(runner: Runner) -> None:
    _, hops = run_plan(runner, step(1, "relay", said("x")))
    parent, child = hops
    assert (parent.tool, child.tool, child.parent) == ("relay", "no_op", parent.id)
    assert parent.details == {"relayed": True}


def test_workers_stay_warm_and_end(runner: Runner) -> None:
    _, first = run_plan(runner, {**step(1, "no_op", said("a")), "backend": "no_op:worker"})
    _, second = run_plan(runner, {**step(1, "no_op", said("b")), "backend": "no_op:worker"})
    assert first[0].details["pid"] == second[0].details["pid"]
    assert second[0].load_ms == 0
    runner.workers.stop()
    assert not psutil.pid_exists(first[0].details["pid"])


@pytest.mark.crash
def test_a_hanging_tool_is_stopped_at_its_limit(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPLINE_HOP_TIMEOUT_S", "1")
    limits.cache_clear()
    began = time.monotonic()
    record, hops = run_plan(runner, step(1, "sleep", said("x"), parameters={"report": False}))
    assert time.monotonic() - began < 3
    assert hops[0].error is not None
    assert hops[0].error.reason == "timeout"
    assert "HOPLINE_HOP_TIMEOUT_S" in hops[0].error.message
    assert (record.status, runner.workers.pids()) == ("failed", [])
    assert not [p for p in psutil.Process().children(recursive=True) if p.is_running()]
    after_it, _ = run_plan(runner, step(1, "no_op", said("still here")))
    assert after_it.status == "ok"


@pytest.mark.crash
def test_a_hanging_function_is_left_behind(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPLINE_HOP_TIMEOUT_S", "0.5")
    limits.cache_clear()
    _, hops = run_plan(
        runner, {**step(1, "sleep", said("x"), parameters={"report": False, "seconds": 3}), "backend": "sleep:here"}
    )
    assert hops[0].error is not None
    assert hops[0].error.reason == "timeout"


@pytest.mark.crash
@pytest.mark.parametrize(("how", "word"), [("abort", "SIGABRT"), ("segfault", "SIGSEGV"), ("exit", "code 3")])
def test_a_crash_is_a_hop_that_says_so(runner: Runner, how: str, word: str) -> None:
    record, hops = run_plan(runner, step(1, "crash", said("x"), parameters={"how": how}), step(2, "no_op", said("y")))
    assert hops[0].error is not None
    assert hops[0].error.reason == "crashed"
    assert word in hops[0].error.message
    assert record.status == "partial"


@pytest.mark.crash
def test_a_growing_tool_is_stopped_at_its_memory_limit(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPLINE_HOP_MEMORY_MIB", "300")
    limits.cache_clear()
    _, hops = run_plan(runner, step(1, "grow", said("x"), parameters={"mib": 20000, "pause_s": 0.02}))
    assert hops[0].error is not None
    assert hops[0].error.reason == "resource"
    assert "HOPLINE_HOP_MEMORY_MIB" in hops[0].error.message


@pytest.mark.crash
@pytest.mark.parametrize("report", [True, False])
def test_cancel_from_another_thread(runner: Runner, report: bool) -> None:
    cancelled = threading.Event()
    began: list[float] = []

    def on_event(event: Event) -> None:
        if event.kind == "hop_started":
            began.append(time.monotonic())
            threading.Timer(0.5, cancelled.set).start()

    record, hops = run_plan(
        runner,
        step(1, "sleep", said("x"), parameters={"report": report}),
        step(2, "no_op", after(1)),
        cancelled=cancelled,
        on_event=on_event,
    )
    assert time.monotonic() - began[0] < 2.5
    assert record.status == "cancelled"
    assert [hop.status for hop in hops] == ["cancelled", "skipped"]


def test_independent_steps_run_side_by_side(runner: Runner) -> None:
    wanted: dict[str, Any] = {"parameters": {"seconds": 0.5}}
    began = time.monotonic()
    run_plan(
        runner,
        {**step(1, "sleep", said("a"), **wanted), "backend": "sleep:here"},
        {**step(2, "sleep", said("b"), **wanted), "backend": "sleep:here"},
    )
    assert time.monotonic() - began < 0.95


def test_details_and_losses_are_kept(runner: Runner) -> None:
    _, hops = run_plan(
        runner, {**step(1, "text_to_speech", said("one two three")), "backend": "text_to_speech:fake:drop=1"}
    )
    stored = runner.journal.hop(hops[0].id)
    assert stored == hops[0]
    assert stored.details["lost"]


def test_an_output_that_was_not_declared_fails_the_hop(runner: Runner) -> None:
    from hopline.tools.backend import Backend, Call, Result

    class Wrong(Backend):
        tool = "no_op"
        name = "wrong"
        heavy = False

        def call(self, call: Call) -> Result:
            return Result(outputs={"text": (Artifact(data=b"x", modality="image", media_type="image/png"),)})

    runner.registry.add_backend(Wrong)
    _, hops = run_plan(runner, {**step(1, "no_op", said("x")), "backend": "no_op:wrong"})
    assert hops[0].error is not None
    assert "image" in hops[0].error.message


def test_events_tell_the_story(runner: Runner) -> None:
    kinds: list[str] = []
    run_plan(runner, step(1, "no_op", said("x")), on_event=lambda event: kinds.append(event.kind))
    assert kinds[0] == "planned"
    assert kinds[-1] == "run_ended"
    assert {"hop_started", "hop_progress", "hop_ended"} < set(kinds)


def test_exchanges_with_a_model_are_written_down_failed_ones_too(runner: Runner) -> None:
    record, hops = run_plan(
        runner, step(1, "consult", said("well?")), step(2, "consult", said("so?"), parameters={"fail": True})
    )
    # Which of two independent steps begins first is anybody's guess.
    assert {hop.step: hop.status for hop in hops} == {"step1": "ok", "step2": "failed"}
    good, bad = sorted(runner.journal.model_calls(record.id), key=lambda call: call.error is not None)
    assert {good.hop, bad.hop} == {hop.id for hop in hops}
    assert (good.purpose, good.identity, good.finish_reason) == ("consult", {"model": "none"}, "stop")
    assert good.messages
    assert '"content": "well?"' in runner.journal.read(good.messages).text
    assert good.reply
    assert runner.journal.read(good.reply).text == "yes"
    assert bad.reply is None
    assert bad.error
    assert bad.error.message == "broke off"
    assert runner.journal.verify(record.id) == []
