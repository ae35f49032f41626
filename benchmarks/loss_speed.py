#!/usr/bin/env python3
"""Time and memory of the measurement of loss, without any model call.

    python benchmarks/loss_speed.py [--sources 10000]

One run of six hops: facts and text metrics of its texts. Many runs: 10,000 sources × 6 nodes, their survival,
and identification at each node in pools of 256 from given vectors.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time

import numpy as np
from hopline.agent.loss.bits import measure_identification
from hopline.agent.loss.extraction import English
from hopline.agent.loss.facts import align
from hopline.agent.loss.grammar import SPEECH
from hopline.agent.loss.plugins import metrics
from hopline.agent.loss.readings import ReadHop
from hopline.agent.loss.survival import measure_survival

POOL = 256
NODES = 6
FACTS = 5


def one_run(rounds: int = 20) -> float:
    """Median milliseconds for the facts and text metrics of a run of six hops, three of which make text."""
    reader = English()
    scorers = [metric for metric in metrics() if metric.name != "cosine"]
    taken = []
    for number, message in enumerate(SPEECH.messages(rounds)):
        # Texts that no earlier round read: the extractor remembers what it has read.
        source = f"{message.text} Number {number} was seen in a large brown house near the river."
        outputs = [source.replace("are", "were"), source.lower().replace(".", ""), source.replace("house", "home")]
        began = time.perf_counter()
        facts = reader.facts(source)
        for output in outputs:
            align(facts, reader.facts(output))
            for scorer in scorers:
                scorer(source, output)
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken[1:])


def many(sources: int) -> dict[str, float]:
    """Seconds of identification and survival."""
    draw = np.random.default_rng(0)
    began = time.perf_counter()
    truth = draw.normal(size=(sources, 64)).astype(np.float32)
    bits = []
    for node in range(NODES):
        seen = truth + draw.normal(scale=0.5 + 0.5 * node, size=truth.shape).astype(np.float32)
        for start in range(0, sources - POOL + 1, POOL):
            pool = np.s_[start : start + POOL]
            bits.append(measure_identification(seen[pool] @ truth[pool].T).bits.value)
    identification_s = time.perf_counter() - began
    began = time.perf_counter()
    alive = np.ones(sources * FACTS, dtype=bool)
    columns = [alive]
    for _ in range(NODES):
        alive = alive & (draw.random(alive.shape) >= 0.15)
        columns.append(alive & (draw.random(alive.shape) >= 0.1))
    chain = [ReadHop(tool=f"hop{k % 2}", backend=f"b{k % 2}", modality="text", reader="english") for k in range(NODES)]
    survival = measure_survival(np.array(columns).T, np.arange(sources * FACTS) // FACTS, chain)
    return {
        "pools": len(bits),
        "identification_s": identification_s,
        "survival_s": time.perf_counter() - began,
        "legs": len(survival.legs),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    run_ms = one_run()
    found = many(options.sources)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if options.json:
        print(json.dumps({"run_ms": run_ms, **found, "peak_mib": peak_mib}))
        return
    print(f"one run of six hops, facts and text metrics: {run_ms:.1f} ms (100)")
    print(f"{options.sources:,} sources x {NODES} nodes: identification in {found['pools']} pools of {POOL} "
          f"{found['identification_s']:.1f} s, survival {found['survival_s']:.1f} s (60 s together)")  # fmt: skip
    print(f"peak memory {peak_mib:.0f} MiB (2,048)")


if __name__ == "__main__":
    main()
