"""Experiments with fakes of known loss: what is lost is found, what is done is not done again."""

from __future__ import annotations

import itertools
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from hopline.agent.experiments.corpus import read_corpus
from hopline.agent.experiments.engine import Ended, LocalEngine, Trajectory
from hopline.agent.experiments.experiment import check_experiment, run_experiment, write_study
from hopline.agent.experiments.grid import make_grid, run_grid
from hopline.agent.experiments.spec import experiment_from
from hopline.agent.experiments.study import Study, flow_rows, headline_rows, worst
from hopline.agent.experiments.summary import markdown
from hopline.agent.experiments.tables import tables, write_tables
from hopline.agent.hops.journal import Journal, now
from hopline.agent.hops.records import Hop
from hopline.agent.loss.compare import Comparison
from hopline.agent.loss.estimate import Estimate
from hopline.agent.running.profile import Profile
from hopline.tools.errors import BadInput, BadPlan, MissingBackend
from hopline.tools.fakes import drawn, fake_registry

LOSSY = "text_to_speech:fake:drop={drop} | speech_to_text:fake"
NULL = {"name": "null", "chain": "text_to_speech:fake | speech_to_text:fake", "generations": 2}
DROPS = {"name": "drops {drop}", "chain": LOSSY, "generations": 2, "factors": {"drop": [0.3, 1.0]}}


def run(journal: Journal, *chains: dict[str, Any], count: int = 24, lanes: int = 2, **more: Any) -> Study:
    experiment = experiment_from(
        {"name": "fakes", "sources": {"grammar": "speech", "count": count}, "chains": list(chains), **more}
    )
    return run_experiment(
        experiment,
        journal=journal,
        registry=fake_registry(),
        profile=Profile(name="fakes"),
        engine=LocalEngine(registry=fake_registry(), profile=Profile(name="fakes"), journal=journal, lanes=lanes),
    )


def csv(study: Study) -> dict[str, list[Sequence[Any]]]:
    named = tables(study.grid, study.observations, study.analysis)
    return {name: [columns, *rows] for name, (columns, rows) in named.items() if name != "trajectories"}


def headline(study: Study, chain: str, failures: str = "left out", measure: str = "slot_bits") -> Estimate:
    node = study.analysis.last(chain)
    assert node is not None
    found = study.analysis.of(node, measure, failures=failures)
    assert isinstance(found, Estimate)
    return found


def test_null_chain_loses_nothing_and_a_destroyer_everything(journal: Journal) -> None:
    study = run(journal, NULL, DROPS)
    null, some, none = (headline(study, name) for name in ("null", "drops 0.3", "drops 1.0"))
    assert null.value == null.ceiling == pytest.approx(21.807, abs=1e-3)
    assert null.at_ceiling
    assert (none.value, none.lo) == (0.0, 0.0)
    assert none.hi is not None
    assert none.hi < 1.0
    assert some.hi is not None
    assert null.lo is not None
    assert 1.0 < some.value < some.hi < null.lo
    differences = {(c.other, c.metric): c.comparison for c in study.analysis.compared}
    found = differences["drops 1.0", "slots right"]
    assert getattr(found, "difference", None) is not None
    assert found.difference.value == -1.0  # type: ignore[union-attr]  # asserted above
    assert found.adjusted < 0.01  # type: ignore[union-attr]


def test_repeats_of_what_ignores_the_seed_run_once(journal: Journal) -> None:
    study = run(journal, NULL, repeats=3, count=4)
    calls = [o.calls for o in study.observations]
    # The fakes' seed matters, so every repeat is called; n is still the sources.
    assert calls == [2] * 12  # the second generation sends the same words again
    assert headline(study, "null").n == 4


FICKLE = {"name": "fickle", "chain": "translation:fickle:drop=0.1"}


def again(study: Study) -> Estimate:
    """What the same hop gives again, of the facts that it gave first."""
    found = study.analysis.again["fickle"]["facts kept"]
    assert isinstance(found, Estimate)
    return found


def test_what_is_not_deterministic_is_called_anew_for_each_repeat_and_what_is_before_it_once(journal: Journal) -> None:
    chain = {**FICKLE, "chain": f"sleep:here(seconds=0) | {FICKLE['chain']}"}
    study = run(journal, chain, repeats=3)
    assert [o.calls for o in study.observations] == [2, 1, 1] * 24
    texts = {(o.trajectory.source.id, o.texts[2]) for o in study.observations}
    assert len(texts) > 2 * 24  # seldom twice the same
    assert headline(study, "fickle").n == again(study).n == 24
    runs = journal.runs(limit=1000)
    assert csv(run(journal, chain, repeats=3)) == csv(study)
    assert journal.runs(limit=1000) == runs


def test_the_interval_of_a_floor_is_as_wide_as_floors_differ(journal: Journal) -> None:
    """Twenty experiments whose re-runs are drawn anew: most intervals hold the mean of all floors."""
    floors = [again(run(journal, FICKLE, repeats=2, measures=[], seed=10 * k)) for k in range(20)]
    mean = sum(floor.value for floor in floors) / len(floors)
    assert 0.5 < mean < 0.95
    assert len({floor.value for floor in floors}) > 10
    held = [floor for floor in floors if floor.lo is not None and floor.hi is not None and floor.lo <= mean <= floor.hi]
    assert len(held) >= 15


def test_in_a_loop_each_generation_draws_anew(journal: Journal) -> None:
    """A draw from the cache would look like a text that has settled."""
    study = run(journal, {**FICKLE, "chain": "translation:fickle:drop=0.02", "generations": 12})
    assert [o.calls for o in study.observations] == [12] * 24
    stayed_and_changed = 0
    for o in study.observations:
        states = [o.trajectory.source.artifact.text, *(text for _, text in sorted(o.texts.items()))]
        changes = [a != b for a, b in itertools.pairwise(states)]
        stayed_and_changed += any(not one and later for one, later in itertools.pairwise(changes))
        repeats = [hop.repeat for hop in journal.hops(o.run)]
        assert repeats == [states[:k].count(states[k]) for k in range(12)]
    assert stayed_and_changed > 12


def test_sources_that_have_become_the_same_text_draw_apart(journal: Journal) -> None:
    """Else they would agree from there on, and an interval over sources would be too narrow."""
    chain = {**FICKLE, "chain": "text_to_speech:fake:drop=1.0 | speech_to_text:fake | dice"}
    study = run(journal, chain, count=20)
    assert {o.texts[2] for o in study.observations} == {""}
    assert len({o.texts[3] for o in study.observations}) == 20


def test_a_loop_that_was_cut_goes_on_with_new_draws(journal: Journal) -> None:
    chain = {**FICKLE, "chain": "translation:fickle", "generations": 4}
    whole = run(journal, chain, count=1)
    (one,) = whole.observations
    cut = journal.hops(one.run)[2:]
    with closing(sqlite3.connect(journal.path)) as database:
        database.execute(f"DELETE FROM hops WHERE id IN ({', '.join(str(hop.id) for hop in cut)})")
        database.execute("UPDATE runs SET status = 'running', owner = ?", (f"1 0.00 {socket.gethostname()}",))
        database.commit()
    run(journal, chain, count=1)
    assert [(hop.repeat, hop.cached_from) for hop in journal.hops(one.run)] == [(k, None) for k in range(4)]


def test_the_same_again_calls_nothing_and_a_changed_chain_only_itself(journal: Journal) -> None:
    first = run(journal, NULL, DROPS, count=5)
    runs = len(journal.runs(limit=1000))
    again = run(journal, NULL, DROPS, count=5)
    assert len(journal.runs(limit=1000)) == runs
    assert csv(again) == csv(first)
    changed = run(journal, NULL, {**DROPS, "factors": {"drop": [0.3, 0.5]}}, count=5)
    assert len(journal.runs(limit=1000)) == runs + 5
    assert [o.run for o in changed.observations if o.trajectory.chain.name == "null"] == [
        o.run for o in first.observations if o.trajectory.chain.name == "null"
    ]


def test_tables_do_not_depend_on_lanes(tmp_path: Path) -> None:
    found = []
    for lanes in (1, 3):
        with Journal(tmp_path / str(lanes)) as journal:
            found.append(csv(run(journal, NULL, DROPS, lanes=lanes, repeats=2, count=8)))
    assert found[0] == found[1]


def test_failures_are_left_out_and_counted_as_loss(journal: Journal) -> None:
    chain = {"name": "refuses", "chain": "text_to_speech:fake | speech_to_text:fake | fail(only=red)"}
    study = run(journal, chain, count=24)
    failed = [o for o in study.observations if o.status != "ok"]
    assert 0 < len(failed) < 24
    assert {o.failed_step for o in failed} == {3}
    completed, lost = headline(study, "refuses"), headline(study, "refuses", failures="lost")
    assert completed.n == 24 - len(failed)
    assert lost.n == 24
    assert lost.value < completed.value
    flow = flow_rows(study)[1]
    assert flow[:4] == ["refuses", "24", "24", str(24 - len(failed))]
    assert f"{len(failed)} × " in flow[5]
    assert "at hop 3" in flow[5]


def test_chains_that_do_not_fit_are_refused_before_anything_runs(journal: Journal) -> None:
    with pytest.raises(BadPlan, match="speech_to_text"):
        run(journal, {"name": "x", "chain": "speech_to_text:fake"})
    with pytest.raises(BadPlan, match="text_to_image"):
        run(journal, {"name": "x", "chain": "text_to_speech:fake | text_to_image:fake"})
    assert journal.runs() == []


def test_report_and_tables_are_written(journal: Journal, tmp_path: Path) -> None:
    study = run(journal, NULL, DROPS)
    files = write_study(study, tmp_path / "out")
    assert [f.name for f in files[:2]] == ["report.html", "report.md"]
    summary = markdown(study)
    assert "| null | ≥ 21.81 [" in summary
    assert "| drops 1.0 | 0.00 [" in summary
    assert headline_rows(study)[0] == ["chain", "bits", "failures counted as lost", "ceiling", "sources"]
    page = files[0].read_text("utf-8")
    pictures = page.count("<picture>")
    assert pictures == 5  # generations, slots, types of facts, hazards, survival
    assert page.count("data:image/svg+xml;base64,") == 4 * pictures  # for desk and phone, light and dark
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert {o.trajectory.chain.name for o in worst(study)} == {"drops 1.0"}
    names = {f.name for f in files}
    assert {"figures.csv", "facts.parquet", "outcomes.csv", "trajectories.csv"} <= names


def test_tables_open_in_duckdb(journal: Journal, tmp_path: Path) -> None:
    import duckdb

    files = write_study(run(journal, NULL, count=20), tmp_path)
    figures = next(f for f in files if f.name == "figures.parquet")
    query = "SELECT value, n FROM read_parquet(?) WHERE measure = 'slot_bits' AND part = 'all' AND generation = 2"
    with duckdb.connect() as connection:
        rows = connection.execute(query, [str(figures)]).fetchall()
    assert rows == [(pytest.approx(21.807, abs=1e-3), 20)] * 2


@pytest.mark.models
def test_check_says_what_it_would_do(journal: Journal) -> None:
    experiment = experiment_from(
        {
            "name": "speech",
            "sources": {"grammar": "speech", "count": 10},
            "chains": [
                {"name": "a", "chain": "text_to_speech | speech_to_text", "generations": 3},
                {"name": "b", "chain": "text_to_speech | noise | speech_to_text", "generations": 2},
            ],
            "repeats": 2,
            "engine": {"lanes": 2},
        }
    )
    found = check_experiment(experiment, journal)
    assert (found.sources, found.trajectories, found.hops, found.finished) == (10, 40, 240, 0)
    # Of each source 6 calls in a; in b all but the first speech, twice, for the noise has a seed.
    assert found.calls == 10 * (6 + 2 * 5)
    assert found.untimed == ("noise:function", "speech_to_text:faster-whisper", "text_to_speech:piper")
    assert (found.seconds, found.lanes, found.sources_needed) == (0, 2, 117)
    assert found.warnings[0] == "10 sources: a difference of 0.1 between two chains needs about 117."

    made = journal.begin_run("earlier")
    for duration_ms in (100.0, 200.0, 900.0):
        hop = Hop(id=0, run=made.id, step="step1", item=0, tool="text_to_speech", backend="text_to_speech:piper",
                  parameters={}, seed=0, status="ok", started_at=now(), duration_ms=duration_ms)  # fmt: skip
        journal.begin_hop(hop)
    timed = check_experiment(experiment, journal)
    assert timed.seconds == pytest.approx(0.2 * 10 * (3 + 2))
    assert timed.untimed == ("noise:function", "speech_to_text:faster-whisper")


def test_a_measure_that_is_not_there_is_refused_before_anything_runs(journal: Journal) -> None:
    with pytest.raises(BadInput, match="there is no measure 'bleu'; there are: wer, mer, cer, chrf, cosine"):
        run(journal, NULL, measures=["bleu"])
    assert journal.runs() == []


def test_only_the_measures_asked_for_are_taken(journal: Journal) -> None:
    study = run(journal, NULL, count=3, measures=["mer"])
    assert {f.measure for f in study.analysis.figures} & {"wer", "mer", "cer", "chrf", "cosine"} == {"mer"}


def test_an_optional_chain_is_left_out_where_it_lacks_something(journal: Journal) -> None:
    rest = {"name": "elsewhere", "chain": "text_to_speech:absent | speech_to_text:fake"}
    with pytest.raises(MissingBackend, match="chain 'elsewhere': there is no backend 'text_to_speech:absent'"):
        run(journal, NULL, rest)
    study = run(journal, NULL, {**rest, "optional": True}, count=3)
    assert [c.name for c in study.grid.experiment.expanded()] == ["null"]
    assert "elsewhere was left out: there is no backend 'text_to_speech:absent'" in markdown(study)
    with pytest.raises(MissingBackend, match="all chains were left out: elsewhere: there is no backend"):
        run(journal, {**rest, "optional": True})


def test_an_experiment_keeps_its_limits(journal: Journal) -> None:
    with pytest.raises(BadPlan, match="fakes has 96 hops; its limit is 95"):
        run(journal, NULL, limits={"hops": 95})
    slow = {"name": "slow", "chain": "sleep:fake(seconds=30)"}
    experiment = experiment_from(
        {
            "name": "limited",
            "sources": {"grammar": "speech", "count": 1},
            "chains": [slow],
            "limits": {"hop_timeout_s": 0.5},
        }
    )
    study = run_experiment(experiment, journal=journal, registry=fake_registry(), profile=Profile(name="fakes"))
    assert study.observations[0].problem.startswith("step1: stopped after its time limit of 0.5 s.")


def test_when_its_time_is_up_it_stops_and_later_goes_on(journal: Journal) -> None:
    chain = {"name": "slow", "chain": "sleep:here(seconds=0.3)"}
    first = run(journal, chain, count=8, lanes=1, limits={"minutes": 0.01})
    done = sum(o.status == "ok" for o in first.observations)
    assert 0 < done < 8
    again = run(journal, chain, count=8)
    assert [o.status for o in again.observations] == ["ok"] * 8
    kept = {o.run for o in first.observations if o.status == "ok"}
    assert kept < {o.run for o in again.observations}


def test_what_runs_before_the_first_generation_is_no_generation(journal: Journal) -> None:
    chain = {
        "name": "heard first",
        "before": "text_to_speech:fake",
        "chain": "speech_to_text:fake | text_to_speech:fake",
        "generations": 2,
    }
    study = run(journal, {**chain, "chain": f"{chain['chain']} | speech_to_text:fake | text_to_speech:fake"}, count=3)
    nodes = [(node.step, node.generation, node.ends) for node in study.analysis.nodes]
    assert nodes == [(2, 1, False), (4, 1, True), (6, 2, False), (8, 2, True)]


def test_an_interface_of_three_methods_is_all_that_an_engine_needs(journal: Journal) -> None:
    """One that hands results out in the reverse order, as other machines might."""
    kept: list[tuple[Trajectory, ...]] = []

    class Backwards:
        def submit(self, unit: tuple[Trajectory, ...]) -> None:
            kept.append(unit)

        def results(self) -> Iterator[Ended]:
            inner = LocalEngine(registry=fake_registry(), profile=Profile(name="fakes"), journal=journal, lanes=1)
            for unit in reversed(kept):
                inner.submit(unit)
            yield from reversed(list(inner.results()))

        def cancel(self) -> None:
            kept.clear()

    experiment = experiment_from(
        {"name": "fakes", "sources": {"grammar": "speech", "count": 6}, "chains": [NULL, DROPS], "repeats": 2}
    )
    study = run_experiment(
        experiment, journal=journal, registry=fake_registry(), profile=Profile(name="fakes"), engine=Backwards()
    )
    with Journal(journal.folder / "other") as other:
        assert csv(study) == csv(run(other, NULL, DROPS, count=6, repeats=2))


def test_thousands_of_hops_are_cheap_and_keep_the_memory(journal: Journal) -> None:
    """The whole is benchmarks/experiments.py; processor time, so that a busy machine does not matter."""
    chain = {"name": "long", "chain": "text_to_speech:fake:swap=0.2 | speech_to_text:fake", "generations": 5}
    experiment = experiment_from(
        {"name": "many", "sources": {"grammar": "speech", "count": 300}, "chains": [chain], "engine": {"lanes": 2}}
    )
    registry, profile = fake_registry(), Profile(name="fakes")
    grid = make_grid(experiment, read_corpus(experiment), registry, profile)
    resident: list[int] = []

    def on_ended(ended: Ended, done: int, total: int) -> None:
        if done % 100 == 0:
            resident.append(psutil.Process().memory_info().rss)

    engine = LocalEngine(registry=registry, profile=profile, journal=journal, lanes=2)
    began = time.process_time()
    run_grid(grid, engine, journal, on_ended)
    assert (time.process_time() - began) * 1000 / grid.hops < 2
    assert grid.hops == 3000
    assert resident[-1] - resident[0] < 8 * 2**20


def test_functions_of_a_file_are_links(journal: Journal, tmp_path: Path) -> None:
    source = """
from hopline.tools.function import tool

@tool
def whisper(text: str) -> str:
    "Writes a text in small letters."
    return text.lower()
"""
    (tmp_path / "mine.py").write_text(source)
    experiment = experiment_from(
        {
            "name": "mine",
            "sources": {"grammar": "speech", "count": 2},
            "chains": [{"name": "small", "chain": "whisper"}],
            "tools_from": ["mine.py"],
        },
        folder=tmp_path,
    )
    study = run_experiment(experiment, journal=journal)
    assert [o.texts[1] for o in study.observations] == [
        o.trajectory.source.artifact.text.lower() for o in study.observations
    ]


def test_a_backend_that_batches_gets_several_calls_at_once(journal: Journal) -> None:
    chain = {"name": "together", "chain": "fail:together(only=red) | text_to_speech:fake | speech_to_text:fake"}
    experiment = experiment_from(
        {
            "name": "batched",
            "sources": {"grammar": "speech", "count": 24},
            "chains": [chain],
            "engine": {"lanes": 1},
        }
    )
    study = run_experiment(experiment, journal=journal, registry=fake_registry(), profile=Profile(name="fakes"))
    sizes, refused = [], set()
    for o in study.observations:
        first = journal.hops(o.run)[0]
        assert (first.status == "failed") == ("red" in o.trajectory.source.artifact.text)
        if first.status == "ok":
            sizes.append(first.details["together"])
        else:
            refused.add(o.problem)
    # One that is refused does not take the others of its batch along.
    assert refused == {"step1: failed, on purpose."}
    assert max(sizes) == 4
    assert len([size for size in sizes if size > 1]) > 2


def test_twins_make_the_pool_twice_as_large(journal: Journal, tmp_path: Path) -> None:
    places = "Paris Naples Toronto Helsinki Geneva Lisbon Oslo Madrid".split()
    texts = [f"{n} boats left for {place} on Monday." for n, place in enumerate(places, 20)]
    (tmp_path / "t.txt").write_text("\n".join(texts))
    experiment = experiment_from(
        {"name": "twins", "sources": {"texts": "t.txt", "pairs": True}, "chains": [NULL]}, folder=tmp_path
    )
    study = run_experiment(experiment, journal=journal, registry=fake_registry(), profile=Profile(name="fakes"))
    node = study.analysis.last("null")
    assert node is not None
    bits = study.analysis.of(node, "identification_bits")
    assert isinstance(bits, Estimate)
    assert (bits.n, bits.ceiling) == (8, 4.0)
    assert bits.value == 4.0


def test_questions_are_scored_by_their_answers(journal: Journal, tmp_path: Path) -> None:
    folder, numbers = tmp_path / "p", "two three four five".split()
    folder.mkdir()
    rows = ["file_name,question,text,answer"]
    for i in range(24):
        shown = numbers[i % 4]
        (folder / f"{i:02}.png").write_bytes(drawn(f"{shown.capitalize()} red cats on sheet {i}.").data)
        # Every fourth picture shows another number than its answer says.
        said = "six" if shown == "five" else shown
        rows.append(f"{i:02}.png,How many cats are there?,{said.capitalize()} cats.,{said}")
    (folder / "metadata.csv").write_text("\n".join(rows))
    chains = [
        {"name": "reads", "chain": "image_captioning:fake"},
        {"name": "forgets", "chain": "image_captioning:fake:drop=1.0"},
    ]
    experiment = experiment_from({"name": "asked", "sources": {"folder": "p"}, "chains": chains}, folder=tmp_path)
    study = run_experiment(experiment, journal=journal, registry=fake_registry(), profile=Profile(name="fakes"))
    assert study.analysis.headline == "answers"
    assert (headline(study, "reads", measure="answers").value, headline(study, "reads", measure="answers").n) == (
        0.75,
        24,
    )
    assert headline(study, "forgets", measure="answers").value == 0
    (compared,) = [c.comparison for c in study.analysis.compared if c.metric == "answers right"]
    assert isinstance(compared, Comparison)
    assert compared.difference.value == -0.75
    assert "share of the questions that are answered right" in markdown(study)


SLOW = {
    "name": "slow",
    "chain": "sleep(seconds=0.1) | text_to_speech:fake:swap=0.2 | speech_to_text:fake",
}
SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_experiments_run import whole
from hopline.agent.hops.journal import Journal
with Journal(Path(sys.argv[2])) as journal:
    whole(journal, sys.argv[3])
"""
KILLS = 10


REAL = [
    {"name": "clean", "chain": "text_to_image:pictograms | image_captioning:exemplar", "generations": 2},
    {"name": "worn", "chain": "text_to_image:pictograms | jpeg(quality=10) | image_captioning:exemplar"},
]


def whole(journal: Journal, tools: str) -> Study:
    """The experiment that is killed."""
    if tools == "fakes":
        return run(journal, NULL, DROPS, SLOW, count=40, repeats=2)
    experiment = experiment_from(
        {"name": tools, "sources": {"grammar": "picture", "count": 24}, "chains": REAL, "engine": {"lanes": 2}}
    )
    return run_experiment(experiment, journal=journal)


def hops_of(home: Path) -> int:
    """Hops in the journal of another process, 0 while it has none."""
    if not (home / "journal.sqlite").exists():
        return 0
    with closing(sqlite3.connect(home / "journal.sqlite", timeout=30)) as database:
        try:
            return int(database.execute("SELECT count(*) FROM hops").fetchone()[0])
        except sqlite3.OperationalError:  # the tables are not made yet
            return 0


@pytest.mark.crash
@pytest.mark.parametrize("tools", ["fakes", pytest.param("real", marks=[pytest.mark.slow, pytest.mark.models])])
def test_killed_ten_times_an_experiment_goes_on_to_the_same_tables(tmp_path: Path, tools: str) -> None:
    with Journal(tmp_path / "undisturbed") as journal:
        undisturbed = written(whole(journal, tools), tmp_path / "undisturbed")
    home, chance = tmp_path / "killed", random.Random(1)
    for _ in range(KILLS):
        before = hops_of(home)
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(home), tools])
        while hops_of(home) == before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.2))
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it was done before it was killed"
    with Journal(home) as journal:
        unfinished = [r for r in journal.labelled("experiment", tools) if r.status == "running"]
        assert 0 < len(unfinished) <= 2 * KILLS
        assert written(whole(journal, tools), home) == undisturbed
        assert journal.verify() == []


def written(study: Study, folder: Path) -> dict[str, bytes]:
    """The bytes of the tables, without the one that holds ids of runs."""
    files = write_tables(folder / "tables", tables(study.grid, study.observations, study.analysis))
    return {path.name: path.read_bytes() for path in files if path.stem != "trajectories"}
