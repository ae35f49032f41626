"""One memory budget: models stay loaded while they fit, those used longest ago make room, and the hop says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psutil
import pytest
from hopline.agent.hops.journal import Journal
from hopline.agent.hops.records import Hop
from hopline.agent.planning.plan import plan_from_json
from hopline.agent.running.profile import Profile
from hopline.agent.running.runner import Runner, Wishes
from hopline.agent.running.workers import Workers
from hopline.tools.fakes import fake_registry
from hopline.tools.home import MEBIBYTE, limits, machine_memory_mib

BUDGET_MIB = 700


@pytest.fixture
def runner(journal: Journal) -> Iterator[Runner]:
    workers = Workers(budget_mib=BUDGET_MIB)
    yield Runner(registry=fake_registry(), profile=Profile(name="fakes"), journal=journal, workers=workers)
    workers.stop()


def hop(runner: Runner, backend: str, tool: str = "no_op", **wishes: bool) -> Hop:
    plan = {"id": "step1", "tool": tool, "backend": backend, "inputs": {"text": [{"text": "x"}]}}
    if tool == "sleep":
        plan["parameters"] = {"seconds": 3.0}
    record = runner.run(
        runner.journal.begin_run("test"), plan_from_json({"steps": [plan]}), Wishes(use_cache=bool(wishes))
    )
    (made,) = runner.journal.hops(record.id)
    assert made.status == "ok", made.error
    return made


def resident_mib(runner: Runner) -> float:
    return sum(psutil.Process(pid).memory_info().rss for pid in runner.workers.pids()) / MEBIBYTE


def test_the_model_used_longest_ago_makes_room(runner: Runner) -> None:
    first, second = "no_op:hold:200", "no_op:hold:201"
    assert "unloaded" not in hop(runner, first).details
    assert "unloaded" not in hop(runner, second).details
    assert hop(runner, first).load_ms == 0, "loaded once, shared by hops"
    assert resident_mib(runner) > 400
    third = hop(runner, "no_op:hold:202")
    (gone,) = third.details["unloaded"]
    assert gone["backend"] == second, "the first was used since"
    assert 200 < gone["mib"] < 350
    assert third.load_ms is not None
    assert third.load_ms > 0
    assert resident_mib(runner) <= BUDGET_MIB
    assert hop(runner, first).load_ms == 0
    again = hop(runner, second)
    assert again.load_ms is not None
    assert again.load_ms > 0, "a swap's cost is shown"
    assert [row["backend"] for row in again.details["unloaded"]] == ["no_op:hold:202"]
    assert resident_mib(runner) <= BUDGET_MIB


def test_many_models_one_after_the_other_stay_within_the_budget(runner: Runner) -> None:
    for mib in range(150, 156):
        hop(runner, f"no_op:hold:{mib}")
        assert resident_mib(runner) <= BUDGET_MIB


def test_a_model_larger_than_the_budget_stands_alone(runner: Runner) -> None:
    hop(runner, "no_op:hold:100")
    large = hop(runner, "no_op:hold:800")
    assert [row["backend"] for row in large.details["unloaded"]] == ["no_op:hold:100"]
    assert len(runner.workers.pids()) == 1


def test_what_is_at_work_is_left_alone(journal: Journal) -> None:
    workers = Workers(budget_mib=1)
    runner = Runner(registry=fake_registry(), profile=Profile(name="fakes"), journal=journal, workers=workers)
    done: list[Hop] = []
    thread = threading.Thread(target=lambda: done.append(hop(runner, "sleep:fake", "sleep")))
    thread.start()
    while not workers.pids():
        pass
    beside = hop(runner, "no_op:hold:1")
    thread.join()
    workers.stop()
    assert "unloaded" not in beside.details
    assert done[0].status == "ok"


def test_a_cached_hop_unloaded_nothing(runner: Runner) -> None:
    hop(runner, "no_op:hold:400")
    assert "unloaded" in hop(runner, "no_op:hold:401").details
    cached = hop(runner, "no_op:hold:401", use_cache=True)
    assert cached.cached_from is not None
    assert "unloaded" not in cached.details


def test_the_budget_is_a_part_of_the_memory_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits().memory_mib == pytest.approx(0.6 * machine_memory_mib())
    assert machine_memory_mib() <= psutil.virtual_memory().total / MEBIBYTE
    monkeypatch.setenv("HOPLINE_MEMORY_MIB", "1234")
    limits.cache_clear()
    assert limits().memory_mib == 1234
