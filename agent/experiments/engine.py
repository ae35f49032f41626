"""Who runs the trajectories: an interface of three methods, and this machine behind it.

Another engine (several machines) keeps the interface; the tables do not depend on the order in which
results arrive.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from hopline.agent.agent import Agent
from hopline.agent.experiments.corpus import Source
from hopline.agent.experiments.spec import Chain
from hopline.agent.hops.journal import Journal
from hopline.agent.run import Run
from hopline.agent.running.profile import Profile
from hopline.agent.running.workers import Workers
from hopline.tools.artifact import TEXT
from hopline.tools.errors import HoplineError
from hopline.tools.home import Limits, limits
from hopline.tools.registry import Registry

LANE_THREADS = 1
"""Of a lane's backends: as many lanes as cores are faster than one lane with a thread for each core."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trajectory:
    """One source through one chain, once.

    Attributes:
        source: what is sent.
        chain: through what.
        repeat: from 0.
        seed: of the run.
        cell: address in the journal; the same for the same work.
        experiment: its name.
        cut: id of a run of it that was cut, to be finished; empty to begin.
    """

    source: Source
    chain: Chain
    repeat: int
    seed: int
    cell: str
    experiment: str
    cut: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A trajectory that was run, well or not.

    Attributes:
        trajectory: which.
        run: id of its run; empty if it could not begin.
        problem: why it could not begin.
    """

    trajectory: Trajectory
    run: str = ""
    problem: str = ""


Unit = tuple[Trajectory, ...]
"""Trajectories of one source, in order: one after another, so that what they share runs once."""


class Engine(Protocol):
    """Runs units somewhere."""

    def submit(self, unit: Unit) -> None:
        """Take a unit; returns at once."""

    def results(self) -> Iterator[Ended]:
        """What was submitted, as it ends, until nothing is left."""

    def cancel(self) -> None:
        """Stop what runs and drop what waits; `results` then ends."""


class LocalEngine:
    """Lanes on this machine: each has warm workers of its own, each worker one thread.

    Args:
        registry: what can be called.
        profile: which backend serves each tool.
        journal: where everything is written, shared by the lanes.
        lanes: groups of workers side by side; one for each core by default.
        batch: calls that a backend takes at once; beyond 1 a lane runs twice as many trajectories side by side, so that
            the next calls gather while some are done.
        within: limits of a hop; those of the environment by default.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        profile: Profile,
        journal: Journal,
        lanes: int | None = None,
        batch: int = 1,
        within: Limits | None = None,
    ) -> None:
        self._make: Callable[[Workers], Agent] = lambda workers: Agent(
            registry=registry, profile=profile, journal=journal, workers=workers, within=within
        )
        self._lanes = lanes or os.cpu_count() or 2
        self._beside = 2 * batch if batch > 1 else 1
        self._units: queue.SimpleQueue[Unit | None] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[Ended | BaseException | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._live: set[Run] = set()
        self._lock = threading.Lock()

    def submit(self, unit: Unit) -> None:
        """Take a unit; returns at once."""
        self._units.put(unit)

    def results(self) -> Iterator[Ended]:
        """What was submitted, as it ends, until nothing is left.

        Raises:
            BaseException: a defect in a lane; the others were stopped.
        """
        threads = [threading.Thread(target=self._lane, name=f"lane-{n}") for n in range(self._lanes)]
        for _ in range(self._lanes * self._beside):
            self._units.put(None)
        for thread in threads:
            thread.start()
        try:
            open_lanes = len(threads)
            while open_lanes:
                got = self._ended.get()
                if got is None:
                    open_lanes -= 1
                elif isinstance(got, BaseException):
                    raise got
                else:
                    yield got
        finally:
            self.cancel()
            for thread in threads:
                thread.join()

    def cancel(self) -> None:
        """Stop what runs and drop what waits."""
        self._stopped.set()
        with self._lock:
            for run in self._live:
                run.cancel()

    def _lane(self) -> None:
        own = {"HOPLINE_THREADS": str(LANE_THREADS), "OMP_NUM_THREADS": str(LANE_THREADS)}
        workers = Workers(own, budget_mib=limits().memory_mib / self._lanes)
        agent = self._make(workers)
        try:
            with ThreadPoolExecutor(self._beside) as pool:
                for done in [pool.submit(self._units_one_by_one, agent) for _ in range(self._beside)]:
                    done.result()
        except BaseException as error:  # the caller's thread raises it
            self._ended.put(error)
        finally:
            workers.stop()
            self._ended.put(None)

    def _units_one_by_one(self, agent: Agent) -> None:
        try:
            while (unit := self._units.get()) is not None:
                for trajectory in unit:
                    if self._stopped.is_set():
                        break
                    self._ended.put(self._run(agent, trajectory))
        except BaseException:
            self.cancel()
            raise

    def _run(self, agent: Agent, trajectory: Trajectory) -> Ended:
        source = trajectory.source
        attached = [] if source.artifact.modality == TEXT else [source.artifact]
        try:
            if trajectory.cut:
                run = agent.open(trajectory.cut)
                with self._following(run):
                    agent.resume(run)
            else:
                started = agent.start(
                    source.request or trajectory.experiment,
                    attached,
                    chain=trajectory.chain.written,
                    seed=trajectory.seed,
                    labels={"experiment": trajectory.experiment, "cell": trajectory.cell, "source": source.id},
                )
                with self._following(run := started.run):
                    started.wait()
        except HoplineError as error:
            return Ended(trajectory=trajectory, problem=str(error))
        return Ended(trajectory=trajectory, run=run.id)

    @contextmanager
    def _following(self, run: Run) -> Iterator[None]:
        """`cancel` stops this run meanwhile."""
        with self._lock:
            self._live.add(run)
        if self._stopped.is_set():
            run.cancel()
        try:
            yield
        finally:
            with self._lock:
                self._live.discard(run)
