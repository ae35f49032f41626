"""What an experiment costs: both cores beside bare processes, the same again, 100,000 hops of fakes, and both ends.

    python benchmarks/experiments.py [--sources 48] [--hops 100000] [--only speech|hops|ends]

speech: the speech loop of examples/experiments, part by part, interleaved with the very calls that it made: in one
bare process of one thread, in two of them side by side (their speed-up is the ceiling; under 1.5 the run is void), and
in one process with the libraries' own threading. Everyone loads the models anew in each part. Then the same experiment
again, unchanged, by the command that a person types.

hops: trajectories of fakes; milliseconds and memory for each hop, and how long the journal takes to answer after it.

ends: a chain that loses nothing and one that loses everything.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from hopline.agent.experiments.corpus import read_corpus
from hopline.agent.experiments.engine import Ended, LocalEngine
from hopline.agent.experiments.experiment import run_experiment
from hopline.agent.experiments.grid import make_grid, registry_with_channels, run_grid
from hopline.agent.experiments.spec import experiment_from, read_experiment
from hopline.agent.experiments.study import headline_rows
from hopline.agent.hops.journal import Journal
from hopline.agent.running.profile import Profile, load_profile
from hopline.tools import Call
from hopline.tools.fakes import fake_registry
from hopline.tools.home import models_folder
from hopline.tools.store import Store

SPEECH_LOOP = Path(__file__).resolve().parents[1] / "examples" / "experiments" / "speech-loop.toml"
HOPLINE = str(Path(sys.executable).with_name("hopline"))
CORES = 2
SHARE, LEAST_CEILING = 0.9, 1.5
"""Bar: of the ceiling; and the ceiling under which this machine was too busy to tell."""
ONE_THREAD = {"HOPLINE_THREADS": "1", "OMP_NUM_THREADS": "1"}


def nobody(ended: Ended, done: int, total: int) -> None:
    """Nobody is told."""
    assert not ended.problem, ended.problem


# -- both cores ------------------------------------------------------------------------------------


def speech(sources: int, part: int, folder: Path) -> dict[str, Any]:
    """The speech loop, in parts of so many sources."""
    written = folder / SPEECH_LOOP.name
    written.write_text(SPEECH_LOOP.read_text("utf-8").replace("count = 48", f"count = {sources}"), "utf-8")
    experiment = read_experiment(written)
    registry, profile = registry_with_channels(), load_profile(experiment.profile)
    grid = make_grid(experiment, read_corpus(experiment), registry, profile, ready=True)
    times: dict[str, list[float]] = {"engine": [], "one": [], "two": [], "threaded": []}
    calls = 0
    with Journal(folder) as journal:
        for number, begin in enumerate(range(0, sources, part)):
            some = replace(grid, units=grid.units[begin : begin + part])
            engine = LocalEngine(registry=registry, profile=profile, journal=journal, lanes=CORES)
            began = time.perf_counter()
            ended = run_grid(some, engine, journal, nobody)
            times["engine"].append(time.perf_counter() - began)
            halves = _made(journal, [ended[t.cell].run for t in some.trajectories], folder)
            both = [call for half in halves for call in half]
            calls += len(both)
            bare: list[tuple[str, Callable[[], float]]] = [
                ("one", lambda both=both: _bare([both], folder, ONE_THREAD)),  # type: ignore[misc]  # bound now
                ("two", lambda halves=halves: _bare(halves, folder, ONE_THREAD)),  # type: ignore[misc]
                ("threaded", lambda both=both: _bare([both], folder, {})),  # type: ignore[misc]
            ]
            for name, work in bare[number % 3 :] + bare[: number % 3]:
                times[name].append(work())
            shown = ", ".join(f"{name} {column[-1]:.1f} s" for name, column in times.items())
            print(f"  sources {begin} to {begin + len(some.units) - 1}: {shown}", flush=True)
    total = {name: sum(column) for name, column in times.items()}
    share = total["two"] / total["engine"]
    ceiling = total["one"] / total["two"]
    return {
        "calls": calls,
        "seconds": {name: round(found, 1) for name, found in total.items()},
        "ceiling": round(ceiling, 3),
        "speed_up": round(total["one"] / total["engine"], 3),
        "share_of_the_ceiling": round(share, 3),
        "by_part": [round(two / engine, 3) for two, engine in zip(times["two"], times["engine"], strict=True)],
        "against_own_threading": round(total["threaded"] / total["engine"], 3),
        "void": ceiling < LEAST_CEILING,
        "again": _again(written, folder),
    }


def _made(journal: Journal, runs: Sequence[str], folder: Path) -> list[list[dict[str, Any]]]:
    """The calls of some runs, not those from the cache, in two halves of equally many sources."""
    halves: list[list[dict[str, Any]]] = [[], []]
    place: dict[str, int] = {}
    for run in runs:
        request = journal.run(run).request
        half = halves[place.setdefault(request, len(place)) % 2]
        half += [
            {
                "backend": hop.backend,
                "inputs": {
                    port: [(ref.id, ref.modality, ref.media_type) for ref in refs] for port, refs in hop.inputs.items()
                },
                "parameters": dict(hop.parameters),
                "seed": hop.seed,
            }
            for hop in journal.hops(run)
            if hop.cached_from is None
        ]
    return halves


def _bare(shares: Sequence[Sequence[dict[str, Any]]], folder: Path, environment: dict[str, str]) -> float:
    """Seconds that processes take side by side, each with its share of the calls."""
    began = time.perf_counter()
    processes = []
    for number, share in enumerate(shares):
        path = folder / f"calls-{number}.json"
        path.write_text(json.dumps(share), "utf-8")
        command = [sys.executable, __file__, "--calls", str(path)]
        processes.append(subprocess.Popen(command, env={**os.environ, **environment}))
    for process in processes:
        assert process.wait() == 0
    return time.perf_counter() - began


def call_all(path: Path) -> None:
    """What a bare process does: load each backend at its first call, and call."""
    registry, store = registry_with_channels(), Store(path.parent / "artifacts")
    ready: dict[str, Any] = {}
    for call in json.loads(path.read_text("utf-8")):
        if call["backend"] not in ready:
            ready[call["backend"]] = registry.backend(call["backend"])
            ready[call["backend"]].load()
        inputs = {port: tuple(store.get(*ref) for ref in refs) for port, refs in call["inputs"].items()}
        ready[call["backend"]].call(Call(inputs=inputs, parameters=call["parameters"], seed=call["seed"]))


def _again(written: Path, folder: Path) -> dict[str, Any]:
    """The command twice over: the first writes the report of what was run, the second finds all unchanged."""
    command = [HOPLINE, "experiment", "run", str(written)]
    seconds, hops = [], []
    for _ in range(2):
        began = time.perf_counter()
        out = ["--out", str(folder / "report")]
        subprocess.run([*command, *out], check=True, capture_output=True, env=_at_home(folder))
        seconds.append(time.perf_counter() - began)
        with Journal(folder) as journal:
            hops.append(sum(len(journal.hops(run.id)) for run in journal.runs(limit=100_000)))
    return {"seconds": round(seconds[-1], 2), "hops_added": hops[1] - hops[0]}


def _at_home(folder: Path) -> dict[str, str]:
    """The environment of a command whose journal lies here; the weights stay where they are."""
    return {**os.environ, "HOPLINE_HOME": str(folder), "HOPLINE_MODELS": str(models_folder())}


# -- many hops -------------------------------------------------------------------------------------


def many(hops: int, folder: Path) -> dict[str, Any]:
    """Fakes, ten hops a trajectory."""
    experiment = experiment_from(
        {
            "name": "many",
            "sources": {"grammar": "speech", "count": max(1, hops // 10)},
            "chains": [{"name": "a", "chain": "text_to_speech:fake:swap=0.2 | speech_to_text:fake", "generations": 5}],
        }
    )
    registry, profile = fake_registry(), Profile(name="fakes")
    resident: list[tuple[int, float]] = []
    with Journal(folder) as journal:
        grid = make_grid(experiment, read_corpus(experiment), registry, profile)

        def on_ended(ended: Ended, done: int, total: int) -> None:
            nobody(ended, done, total)
            if done % max(1, total // 10) == 0:
                resident.append((done * 10, psutil.Process().memory_info().rss / 2**20))

        engine = LocalEngine(registry=registry, profile=profile, journal=journal, lanes=CORES)
        began = time.perf_counter()
        run_grid(grid, engine, journal, on_ended)
        took = time.perf_counter() - began
        began = time.perf_counter()
        run_grid(grid, engine, journal, nobody)
        again = time.perf_counter() - began
        last = journal.runs(limit=1)[0].id
    return {
        "hops": grid.hops,
        "ms_a_hop": round(took * 1000 / grid.hops, 3),
        "resident_mib": [round(mib, 1) for _, mib in resident],
        "grown_mib": round(resident[-1][1] - resident[0][1], 1),
        "again_s": round(again, 2),
        "runs_s": _answers(folder, "runs"),
        "show_s": _answers(folder, "show", last),
    }


def _answers(folder: Path, *words: str) -> float:
    """Median seconds of a command, start of Python included."""
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        command = [HOPLINE, *words]
        subprocess.run(command, check=True, capture_output=True, env=_at_home(folder))
        seconds.append(time.perf_counter() - began)
    return round(statistics.median(seconds), 2)


# -- both ends -------------------------------------------------------------------------------------


def ends(folder: Path) -> dict[str, str]:
    """Bits that arrive through a chain that loses nothing, and one that loses everything."""
    chain = "text_to_speech:fake:drop={drop} | speech_to_text:fake"
    experiment = experiment_from(
        {
            "name": "ends",
            "sources": {"grammar": "speech", "count": 48},
            "chains": [{"name": "drop {drop}", "chain": chain, "generations": 3, "factors": {"drop": [0.0, 1.0]}}],
        }
    )
    with Journal(folder) as journal:
        study = run_experiment(experiment, journal=journal, registry=fake_registry(), profile=Profile(name="fakes"))
        return {row[0]: f"{row[1]} of {row[3]} bits, n = {row[4]}" for row in headline_rows(study)[1:]}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, default=48, help="of the speech loop")
    parser.add_argument("--part", type=int, default=8, help="sources between two turns")
    parser.add_argument("--hops", type=int, default=100_000, help="of fakes")
    parser.add_argument("--only", choices=("speech", "hops", "ends"))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--calls", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.calls:
        call_all(options.calls)
        return
    work: dict[str, Callable[[Path], dict[str, Any]]] = {
        "ends": ends,
        "hops": lambda folder: many(options.hops, folder),
        "speech": lambda folder: speech(options.sources, options.part, folder),
    }
    found = {}
    for name, run in work.items():
        if options.only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                found[name] = run(Path(folder))
            if not options.json:
                print(name)
                for key, value in found[name].items():
                    print(f"  {key.replace('_', ' '):24}{value}")
    if options.json:
        print(json.dumps({"format": "hopline.benchmark/1", **found}))
    spoken = found.get("speech")
    if spoken:
        verdict = "void: the machine was busy" if spoken["void"] else f"bar: a share of {SHARE} of the ceiling"
        print(f"{verdict}; own threading takes {spoken['against_own_threading']} times as long as the engine")


if __name__ == "__main__":
    main()
