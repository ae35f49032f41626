"""The line in which requests wait: one runs at a time, visitors take turns.

Two runs side by side would share the workers: each would wait inside the other's hops, and the
times that are written down would hold that waiting.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from hopline.tools.errors import HoplineError, UserError

Stage = Literal["waiting", "planning", "running", "measuring", "ended"]

WAITING_EACH = 5
"""Requests that one visitor may have waiting."""


@dataclass(kw_only=True, eq=False)
class Job:
    """One request on its way; read by pages while the line works on it.

    Attributes:
        visitor: whose it is.
        request: the words.
        work: does it; moves the job from stage to stage with `tell`.
        id: names it before it has a run.
        stage: where it is.
        words: what is under way, for people.
        fraction: of the hop that is done, in [0, 1].
        run: id of its run; empty until there is one.
        error: why there is no run; empty otherwise.
        version: grows whenever something changed.
        cancelled: set to stop it.
    """

    visitor: str
    request: str
    work: Callable[[Job], None]
    id: str = field(default_factory=lambda: f"job-{secrets.token_hex(4)}")
    stage: Stage = "waiting"
    words: str = ""
    fraction: float = 0.0
    run: str = ""
    error: str = ""
    version: int = 0
    cancelled: threading.Event = field(default_factory=threading.Event)
    _began_s: float = 0.0
    _ended_s: float = 0.0

    @property
    def took_s(self) -> float:
        """Seconds since it left the line, or that it took; 0 while it waits."""
        return (self._ended_s or time.monotonic()) - self._began_s if self._began_s else 0.0

    @property
    def ended(self) -> bool:
        """Nothing more will change."""
        return self.stage == "ended"

    def tell(
        self,
        *,
        stage: Stage | None = None,
        words: str | None = None,
        fraction: float = 0.0,
        run: str = "",
        error: str = "",
    ) -> None:
        """Change what pages see."""
        if stage and self.stage == "waiting":
            self._began_s = time.monotonic()
        if stage == "ended":
            self._ended_s = time.monotonic()
        self.stage = stage or self.stage
        self.words = self.words if words is None else words
        self.fraction = fraction
        self.run = run or self.run
        self.error = error or self.error
        self.version += 1


class Line:
    """Runs jobs one after another in a thread of its own, a visitor's turn at a time."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Job]] = {}
        self._turns: dict[str, int] = {}
        self._changed = threading.Condition()
        self._now: Job | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="line", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Put a job at the end of its visitor's own row.

        Raises:
            UserError: the visitor has too many waiting.
        """
        with self._changed:
            row = self._waiting.setdefault(job.visitor, deque())
            if len(row) >= WAITING_EACH:
                raise UserError(
                    f"{WAITING_EACH} requests of yours are waiting already.", hint="Wait for one, or stop one."
                )
            row.append(job)
            self._changed.notify_all()

    def ahead(self, job: Job) -> int:
        """How many jobs run before this one, the one that is running included."""
        with self._changed:
            rows = [list(self._waiting[visitor]) for visitor in self._in_turn()]
            running = int(self._now is not None)
        turns = [one for turn in range(max(map(len, rows), default=0)) for row in rows for one in row[turn : turn + 1]]
        return running + turns.index(job) if job in turns else 0

    def cancel(self, job: Job) -> None:
        """Stop a job, whether it waits or runs; harmless when it has ended."""
        job.cancelled.set()
        with self._changed:
            row = self._waiting.get(job.visitor, deque())
            if job in row:
                row.remove(job)
                if not row:
                    del self._waiting[job.visitor]
                job.tell(stage="ended", words="", error="Stopped before it began.")

    def close(self) -> None:
        """Stop everything and wait for the running job to end."""
        with self._changed:
            self._closed = True
            waiting = [job for row in self._waiting.values() for job in row]
            now = self._now
            self._changed.notify_all()
        for job in (*waiting, *([now] if now else [])):
            self.cancel(job)
        self._thread.join(timeout=10)

    def _serve(self) -> None:
        while (job := self._next()) is not None:
            job.tell(stage="planning", words="Planning")
            try:
                job.work(job)
            except HoplineError as error:
                job.tell(error=str(error))
            except Exception as error:  # a bug must not end the line for everybody
                job.tell(error=f"A bug in hopline: {type(error).__name__}: {error}")
            finally:
                with self._changed:
                    self._now = None
                job.tell(stage="ended", words="")

    def _next(self) -> Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting)
            if self._closed:
                return None
            visitor = self._in_turn()[0]
            job = self._waiting[visitor].popleft()
            if not self._waiting[visitor]:
                del self._waiting[visitor]
            self._turns[visitor] = max(self._turns.values(), default=0) + 1
            self._now = job
            return job

    def _in_turn(self) -> list[str]:
        """Visitors who wait, the one served longest ago first."""
        return sorted(self._waiting, key=lambda visitor: self._turns.get(visitor, 0))
