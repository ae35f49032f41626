"""Warm worker processes: one for each heavy backend, killed when it hangs, grows or crashes; unloaded for others.

Started as `python -m`, never by multiprocessing, so that a plain script, a notebook, pytest and
a daemon all work.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import IO, Any, Protocol

import psutil
from hopline.agent.running import wire
from hopline.tools import errors
from hopline.tools.backend import Backend, Call, Progress, Result
from hopline.tools.errors import BackendCrashed, BackendFailed, HopCancelled, HoplineError, HopTimeout, ResourceExceeded
from hopline.tools.exchange import exchange_from_json
from hopline.tools.home import MEBIBYTE, limits, setting
from hopline.tools.models import manifest

QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
    "GRADIO_ANALYTICS_ENABLED": "False",
}
"""Switches other libraries' tracing, analytics and downloads off in every worker."""

_POLL_S = 0.05
_SAMPLE_S = 0.2
_CANCEL_GRACE_S = 1.0
_PROCESS_MIB = 150.0
"""Of a worker before its weights: Python and the libraries of speech."""


@dataclass(kw_only=True, eq=False)
class _Asked:
    """A call that somebody waits for.

    Attributes:
        call: what to do.
        progress: told what the backend reports, if the call is alone.
        cancelled: set to stop it; calls that run together stop when all are.
        answer: how it ended; None until then.
        load_ms: that loading took for it.
        call_ms: its share of the time that the call took.
    """

    call: Call
    progress: Progress
    cancelled: Cancelled
    answer: Result | HoplineError | None = None
    load_ms: float = 0.0
    call_ms: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """A call that was done.

    Attributes:
        result: what it gave.
        load_ms: wall clock of loading for it, 0 when warm.
        call_ms: wall clock of the call, without waiting for others; of calls done together, its share.
    """

    result: Result
    load_ms: float
    call_ms: float


class Cancelled(Protocol):
    """What a `threading.Event` says."""

    def is_set(self) -> bool:
        """Somebody wants it to stop."""


class _All:
    """Set when all are."""

    def __init__(self, each: Sequence[Cancelled]) -> None:
        self._each = each

    def is_set(self) -> bool:
        return all(one.is_set() for one in self._each)


MakeRoom = Callable[["Worker"], list[dict[str, Any]]]


class Worker:
    """One backend in a process of its own; safe to use from several threads.

    Args:
        backend: its class must be importable by name.
        environment: variables for the process, beside those of this one.
        make_room: told before it loads its model and after each call, for it may have grown; unloads others and gives
            what it unloaded.

    Attributes:
        needs_mib: resident memory when it was last seen; 0 before the first call.
    """

    def __init__(
        self,
        backend: Backend,
        environment: Mapping[str, str] | None = None,
        make_room: MakeRoom = lambda worker: [],
    ) -> None:
        self.backend = backend
        self._make_room = make_room
        self.needs_mib = 0.0
        self._environment = {**QUIET, **(environment or {})}
        self._batch = backend.batch_on(int(self._environment.get(setting("threads"), limits().threads)))
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._log: IO[bytes] | None = None
        self._asked: deque[_Asked] = deque()
        self._busy = threading.Lock()

    def call(
        self, call: Call, *, timeout_s: float, memory_mib: float, progress: Progress, cancelled: Cancelled
    ) -> Done:
        """Do one call; where the backend batches, together with those that other threads are waiting for.

        Args:
            call: its `progress` and `tools` are not used; heavy backends need no tools.
            timeout_s: wall clock for loading and calling; of calls that run together, for each.
            memory_mib: most resident memory, sampled.
            progress: told what the backend reports, if the call is alone.
            cancelled: set by somebody to stop it.

        Raises:
            HopTimeout, HopCancelled, ResourceExceeded, BackendCrashed, BackendFailed: as they say;
                but for BackendFailed the process is gone, and the next call starts a new one.
            HoplineError: whatever the backend itself raised on purpose.
        """
        mine = _Asked(call=call, progress=progress, cancelled=cancelled)
        self._asked.append(mine)
        with self._busy:
            if mine.answer is None:
                with suppress(ValueError):  # somebody took it along and failed
                    self._asked.remove(mine)
                others = [self._asked.popleft() for _ in range(min(self._batch - 1, len(self._asked)))]
                self._do([mine, *others], timeout_s, memory_mib)
        if isinstance(mine.answer, Result):
            return Done(result=mine.answer, load_ms=mine.load_ms, call_ms=mine.call_ms)
        assert mine.answer is not None
        raise mine.answer

    def _do(self, asked: Sequence[_Asked], timeout_s: float, memory_mib: float) -> None:
        """Answer some calls together; if that fails, one by one, so that each gets its own error."""
        alone = len(asked) == 1
        progress: Progress = asked[0].progress if alone else _nobody
        cancelled = asked[0].cancelled if alone else _All([one.cancelled for one in asked])
        unloaded = [] if self.warm else self._make_room(self)
        began = time.perf_counter()
        try:
            results, load_ms = self._exchange(
                [one.call for one in asked], timeout_s * len(asked), memory_mib, progress, cancelled
            )
        except HoplineError as error:
            if alone:
                asked[0].answer = error
                return
            for one in asked:
                self._do([one], timeout_s, memory_mib)
            return
        call_ms = ((time.perf_counter() - began) * 1000 - load_ms) / len(asked)
        self.needs_mib = self.resident_mib()
        unloaded += self._make_room(self)
        if unloaded:
            results[0] = replace(results[0], details={**results[0].details, "unloaded": unloaded})
        asked[0].load_ms = load_ms
        for one, result in zip(asked, results, strict=True):
            one.answer, one.call_ms = result, call_ms

    def _exchange(
        self, calls: Sequence[Call], timeout_s: float, memory_mib: float, progress: Progress, cancelled: Cancelled
    ) -> tuple[list[Result], float]:
        connection = self._start()
        deadline = time.monotonic() + timeout_s
        asked = [{"parameters": dict(call.parameters), "seed": call.seed} for call in calls]
        try:
            wire.send(connection, {"say": "calls", "calls": asked}, wire.together([call.inputs for call in calls]))
            return self._wait(connection, deadline, timeout_s, memory_mib, progress, cancelled)
        except (EOFError, OSError):
            raise BackendCrashed(self._last_words()) from None
        except (HopTimeout, HopCancelled, ResourceExceeded):
            self.stop()
            raise

    def _wait(
        self,
        connection: Connection,
        deadline: float,
        timeout_s: float,
        memory_mib: float,
        progress: Progress,
        cancelled: Cancelled,
    ) -> tuple[list[Result], float]:
        load_ms = 0.0
        sampled = time.monotonic()
        told: float | None = None
        grace_s = 0.0  # while it loads it hears nothing
        while True:
            if connection.poll(_POLL_S):
                head, artifacts = wire.receive(connection)
                match head["say"]:
                    case "results":
                        each = wire.apart(artifacts, len(head["results"]))
                        return [wire.result_from(h, o) for h, o in zip(head["results"], each, strict=True)], load_ms
                    case "loaded":
                        load_ms = head["load_ms"]
                        grace_s = _CANCEL_GRACE_S
                    case "progress":
                        progress(head["fraction"], head["words"])
                    case _:
                        kind: type[HoplineError] = getattr(errors, head["kind"], BackendFailed)
                        raise kind(head["message"], exchanges=tuple(map(exchange_from_json, head["exchanges"])))
            moment = time.monotonic()
            if cancelled.is_set() and told is None:
                told = moment
                wire.send(connection, {"say": "cancel"})
            if told is not None and moment - told > grace_s:
                raise HopCancelled("cancelled.")
            if moment > deadline:
                raise HopTimeout(
                    f"stopped after its time limit of {timeout_s:g} s.", hint=f"Raise {setting('hop_timeout_s')}."
                )
            if moment - sampled > _SAMPLE_S:
                sampled = moment
                self._check_memory(memory_mib)

    def _check_memory(self, memory_mib: float) -> None:
        resident = self.resident_mib()
        if resident > memory_mib:
            raise ResourceExceeded(
                f"stopped at {resident:.0f} MiB of memory; its limit is {memory_mib:.0f} MiB.",
                hint=f"Raise {setting('hop_memory_mib')}.",
            )

    @property
    def warm(self) -> bool:
        """Its process is there, and so is what it loaded."""
        return self._process is not None and self._process.poll() is None

    def resident_mib(self) -> float:
        """Memory that its process takes now; 0 where there is none."""
        with suppress(psutil.Error):
            if self.pid is not None:
                return float(psutil.Process(self.pid).memory_info().rss) / MEBIBYTE
        return 0.0

    def unload(self) -> float:
        """End its process if it is idle; gives the MiB that were freed, 0 where it is at work."""
        if not self._busy.acquire(blocking=False):
            return 0.0
        try:
            freed_mib = self.resident_mib()
            self.stop()
        finally:
            self._busy.release()
        return freed_mib

    @property
    def pid(self) -> int | None:
        """Process id while it is there."""
        return self._process.pid if self._process else None

    def _start(self) -> Connection:
        if self._connection is not None and self.warm:
            return self._connection
        self.stop()
        ours, theirs = socket.socketpair()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed in stop()
        kind = type(self.backend)
        with theirs:
            self._process = subprocess.Popen(
                # -P: a folder called `hopline` where the person stands must not shadow us.
                [
                    *(sys.executable, "-P", "-m", "hopline.agent.running.worker", str(theirs.fileno())),
                    *(kind.__module__, kind.__qualname__, self.backend.model),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                start_new_session=True,
                env={**os.environ, **self._environment},
            )
        self._connection = Connection(ours.detach())
        return self._connection

    def _last_words(self) -> str:
        """Why it is gone, with the last line it wrote; cleans up."""
        process, log = self._process, self._log
        code = process.wait(timeout=5) if process else 0
        last = ""
        if log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 2000))
            lines = [line for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
            last = f" Its last words: {lines[-1].strip()}" if lines else ""
        self.stop()
        if code < 0:
            return f"its process was ended by {signal.Signals(-code).name}.{last}"
        return f"its process ended with code {code}.{last}"

    def stop(self) -> None:
        """Kill the process and whatever it started; harmless when there is none."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._log is not None:
            self._log.close()
            self._log = None


def _nobody(fraction: float, words: str) -> None:
    """Calls that run together report to nobody."""


class Workers:
    """The warm workers of an Agent, by backend, within one memory budget.

    A model is loaded once and shared by all hops. Before another is loaded, those used longest ago are unloaded
    until there is room for it; a worker that is at work is left alone. A result for which others were unloaded says
    so in its detail `unloaded`, `[{"backend", "mib"}]`.

    Args:
        environment: variables for their processes, such as limits of their own.
        budget_mib: resident memory of all of them together; `HOPLINE_MEMORY_MIB` by default.
    """

    def __init__(self, environment: Mapping[str, str] | None = None, budget_mib: float | None = None) -> None:
        self._environment = environment
        self._budget_mib = budget_mib
        self._workers: dict[str, Worker] = {}
        """By backend, the one used last at the end."""
        self._lock = threading.Lock()

    def of(self, backend: Backend) -> Worker:
        """The worker of a backend, started at its first call; from now on the one used last."""
        with self._lock:
            worker = self._workers.pop(backend.id, None) or Worker(backend, self._environment, self._make_room)
            self._workers[backend.id] = worker
            return worker

    def _make_room(self, wanted: Worker) -> list[dict[str, Any]]:
        """Unload idle models, the one used longest ago first, until `wanted` fits the budget beside the others."""
        budget_mib = self._budget_mib or limits().memory_mib
        unloaded = []
        with self._lock:
            others = [worker for worker in self._workers.values() if worker is not wanted and worker.warm]
            taken_mib = wanted.resident_mib() or wanted.needs_mib or _guess_mib(wanted.backend)
            taken_mib += sum(worker.resident_mib() for worker in others)
            for worker in others:
                if taken_mib <= budget_mib:
                    break
                if freed_mib := worker.unload():
                    taken_mib -= freed_mib
                    unloaded.append({"backend": worker.backend.id, "mib": round(freed_mib)})
        return unloaded

    def pids(self) -> list[int]:
        """Process ids of the workers that are there."""
        with self._lock:
            return [worker.pid for worker in self._workers.values() if worker.pid is not None]

    def stop(self) -> None:
        """End them all."""
        with self._lock:
            workers, self._workers = list(self._workers.values()), {}
        for worker in workers:
            worker.stop()


def _guess_mib(backend: Backend) -> float:
    """What a backend may take that was never seen loaded: a process, and its weights once."""
    weights = sum(manifest()[name].size for name in backend.models) + sum(one.size_bytes for one in backend.hub)
    return _PROCESS_MIB + weights / MEBIBYTE
