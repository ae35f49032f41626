"""Time and memory of the measurement itself, without any model call; `benchmarks/loss_speed.py` measures them."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator

from loss_speed import NODES, POOL, many, one_run

from proving.row import Row

RUN_MS, MANY_S, MANY_MIB = 100.0, 60.0, 2048.0


def rows(full: bool) -> Iterator[Row]:
    """One run, and many; without `full` a tenth of the sources within a fifth of the time, for CI is a busy place."""
    taken_ms = one_run()
    yield Row(
        test="speed of one run of six hops: facts and text metrics",
        bar=f"≤ {RUN_MS:.0f} ms",
        measured=f"{taken_ms:.1f} ms, the median",
        met=taken_ms <= RUN_MS,
    )
    sources, most_s = (10_000, MANY_S) if full else (1_000, MANY_S / 5)
    began = time.process_time()  # of all threads: what other programs do meanwhile does not count
    many(sources)
    seconds = time.process_time() - began
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # of this process so far, so never too low
    yield Row(
        test=f"speed of many runs: {sources:,} sources x {NODES} nodes, identification in pools of {POOL}, survival",
        bar=f"≤ {most_s:.0f} s and ≤ {MANY_MIB:,.0f} MiB on 2 cores",
        measured=f"{seconds:.1f} s of processor time, {peak_mib:,.0f} MiB",
        met=seconds <= most_s and peak_mib <= MANY_MIB,
    )
