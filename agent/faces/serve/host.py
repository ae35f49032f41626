"""What each visitor may see and do: their runs, their uploads, their place in the line."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hopline.agent import Agent, Attachment, Run
from hopline.agent.attachment import open_all
from hopline.agent.faces.serve.line import Job, Line
from hopline.agent.hops.records import ArtifactRef, RunRecord
from hopline.agent.running.events import Event
from hopline.agent.running.readiness import callable_backends
from hopline.agent.views.words import name_of_tool
from hopline.tools.errors import BadInput, HoplineError, NotFound, UserError

VISITOR, REPLAY_OF = "visitor", "replay_of"
"""Labels of runs: whose it is, and the run that it repeats."""

_KEPT_LOSSES = 50
_ENDS = {"cancelled": "Stopped:", "failed": "It failed:", "partial": "Partly done:"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Swap:
    """A replay that could be made: this step by that backend."""

    step: str
    tool: str
    backend: str


def visitor_of(token: str) -> str:
    """The name under which a visitor's runs are kept; it does not give the token away."""
    return hashlib.sha256(token.encode()).hexdigest()[:32]


class Host:
    """Serves visitors with one agent.

    Args:
        agent: plans, runs and keeps everything.
        reports: folder whose experiment reports are shown; None for none.
    """

    def __init__(self, agent: Agent, *, reports: Path | None = None) -> None:
        self.agent = agent
        self.reports = reports
        self.line = Line()
        self._jobs: dict[str, list[Job]] = {}
        self._uploads: dict[str, set[str]] = {}
        self._conversations: dict[str, str] = {}
        self._losses: dict[str, Mapping[str, Any]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Stop what is running; the agent stays open."""
        self.line.close()

    # -- uploads -----------------------------------------------------------------------------

    def uploaded(self, visitor: str, paths: Sequence[str]) -> None:
        """Remember who uploaded these files."""
        with self._lock:
            self._uploads.setdefault(visitor, set()).update(str(Path(path).resolve()) for path in paths)

    def owns_upload(self, visitor: str, path: str) -> bool:
        """This very visitor uploaded the file of that path."""
        try:
            whole = str(Path(path).resolve())
        except (OSError, ValueError):  # no path at all
            return False
        with self._lock:
            return whole in self._uploads.get(visitor, ())

    def _take(self, visitor: str, paths: Sequence[str]) -> list[Attachment]:
        """Uploads as attachments, through the gate; the files are removed, whether they passed or not."""
        if not all(self.owns_upload(visitor, path) for path in paths):
            raise BadInput("only files that you uploaded here can be attached.")
        try:
            opened = open_all([Path(path) for path in paths])
            return [Attachment(one.artifact, None, one.name) for one in opened]
        finally:
            for path in paths:
                Path(path).unlink(missing_ok=True)
            with self._lock:
                self._uploads.get(visitor, set()).difference_update(str(Path(path).resolve()) for path in paths)

    # -- requests ----------------------------------------------------------------------------

    def ask(self, visitor: str, request: str, uploads: Sequence[str] = ()) -> Job:
        """Put a request into the line.

        Args:
            visitor: who asks.
            request: plain words.
            uploads: paths of files that this visitor uploaded.

        Raises:
            UserError: no words, a refused file, or too much waiting.
        """
        attachments = self._take(visitor, uploads)
        if not request.strip():
            raise UserError("say in words what you want.")
        conversation = self._conversation(visitor)

        def work(job: Job) -> None:
            self._end(
                job,
                self.agent.run(
                    request,
                    attachments,
                    conversation=conversation,
                    labels={VISITOR: visitor},
                    cancelled=job.cancelled,
                    on_event=_teller(job),
                ),
            )

        return self._submit(Job(visitor=visitor, request=request, work=work))

    def replay(self, visitor: str, run_id: str, step: str, backend: str) -> Job:
        """Put a stored run with another backend in one step into the line.

        Raises:
            NotFound: the run is not this visitor's.
            UserError: too much waiting.
        """
        before = self.run(visitor, run_id)

        def work(job: Job) -> None:
            labels = {VISITOR: visitor, REPLAY_OF: before.id}
            self._end(
                job,
                self.agent.replay(
                    before.id, {step: backend}, labels=labels, cancelled=job.cancelled, on_event=_teller(job)
                ),
            )

        return self._submit(Job(visitor=visitor, request=before.record.request, work=work))

    def _submit(self, job: Job) -> Job:
        self.line.submit(job)
        with self._lock:
            mine = [one for one in self._jobs.get(job.visitor, []) if not one.ended]
            self._jobs[job.visitor] = [*mine, job]
        return job

    def _end(self, job: Job, run: Run) -> None:
        job.tell(run=run.id)
        if run.status in ("ok", "partial") and run.hops and not job.cancelled.is_set():
            job.tell(stage="measuring", words="Measuring what each hop lost")
            self._keep_loss(run.id, run.loss(on_event=_teller(job)).to_json())
        if run.status != "ok":
            error = run.record.error
            job.tell(error=f"{_ENDS.get(run.status, run.status)} {error.message if error else ''}".strip())

    def stop(self, visitor: str, target: str) -> None:
        """Stop a job of this visitor, by its id or its run's; harmless when it has ended."""
        job = self.job(visitor, target)
        if job is not None:
            self.line.cancel(job)

    def job(self, visitor: str, target: str = "") -> Job | None:
        """This visitor's job of that id or run; without a target, the one that began last and has not ended."""
        with self._lock:
            jobs = list(self._jobs.get(visitor, ()))
        if target:
            return next((job for job in jobs if target in (job.id, job.run)), None)
        active = [job for job in jobs if not job.ended]
        return next((job for job in active if job.stage != "waiting"), active[0] if active else None)

    # -- conversations and runs --------------------------------------------------------------

    def _conversation(self, visitor: str) -> str:
        with self._lock:
            if visitor not in self._conversations:
                runs = self.runs(visitor)
                self._conversations[visitor] = runs[0].conversation if runs else secrets.token_hex(4)
            return self._conversations[visitor]

    def new_conversation(self, visitor: str) -> None:
        """Later requests do not see what was made so far."""
        with self._lock:
            self._conversations[visitor] = secrets.token_hex(4)

    def go_on_from(self, visitor: str, run_id: str) -> None:
        """Later requests belong to the conversation of this run.

        Raises:
            NotFound: the run is not this visitor's.
        """
        conversation = self.run(visitor, run_id).record.conversation
        with self._lock:
            self._conversations[visitor] = conversation

    def runs(self, visitor: str) -> list[RunRecord]:
        """This visitor's runs, newest first."""
        return list(reversed(self.agent.journal.labelled(VISITOR, visitor)))

    def run(self, visitor: str, run_id: str) -> Run:
        """A run of this visitor.

        Raises:
            NotFound: there is none of that id, or it is somebody else's.
        """
        refused = NotFound("there is no such run of yours.")
        try:
            run = self.agent.open(run_id)
            labels = run.record.options.get("labels", {})
        except HoplineError:
            raise refused from None
        if run.id != run_id or labels.get(VISITOR) != visitor:
            raise refused
        return run

    def artifact(self, visitor: str, run_id: str, artifact_id: str) -> ArtifactRef:
        """A reference of an artifact that a run of this visitor took or made.

        Raises:
            NotFound: the run is not theirs, or has no such artifact.
        """
        run = self.run(visitor, run_id)
        record = run.record
        refs = [*record.outputs, *(a.artifact for a in record.attachments)]
        refs += [ref for hop in run.hops for refs in (*hop.inputs.values(), *hop.outputs.values()) for ref in refs]
        for ref in refs:
            if ref.id == artifact_id:
                return ref
        raise NotFound("there is no such artifact in this run.")

    def loss(self, run: Run) -> Mapping[str, Any]:
        """A `hopline.loss/1` of an ended run from the readings that are there; kept, since it takes time."""
        with self._lock:
            known = self._losses.get(run.id)
        return known if known is not None else self._keep_loss(run.id, run.loss(probe=False).to_json())

    def _keep_loss(self, run_id: str, loss: Mapping[str, Any]) -> Mapping[str, Any]:
        with self._lock:
            self._losses[run_id] = loss
            for old in list(self._losses)[:-_KEPT_LOSSES]:
                del self._losses[old]
        return loss

    # -- replays -----------------------------------------------------------------------------

    def replayed(self, visitor: str, run: Run) -> Run | None:
        """The run that this one repeats; None where it is none, or the other is gone."""
        before = run.record.options.get("labels", {}).get(REPLAY_OF)
        try:
            return self.run(visitor, before) if before else None
        except NotFound:
            return None

    def swaps(self, run: Run) -> list[Swap]:
        """Every way to replay this run with one step done by another backend that works here."""
        registry, profile = self.agent.registry, self.agent.profile
        return [
            Swap(step=hop.step, tool=hop.tool, backend=backend)
            for hop in {hop.step: hop for hop in run.hops if hop.parent is None}.values()
            for backend in callable_backends(registry, profile, hop.tool)
            if backend != hop.backend
        ]


def _teller(job: Job) -> Any:
    """Passes on to a job what its run says."""

    def tell(event: Event) -> None:
        hop = event.hop
        if event.kind == "planned":
            job.tell(stage="running", words="", run=event.run.id)
        elif event.kind == "hop_started" and hop is not None:
            job.tell(words=name_of_tool(hop.tool))
        elif event.kind == "hop_progress" and hop is not None:
            said = f"{name_of_tool(hop.tool)}: {event.words}" if event.words else name_of_tool(hop.tool)
            job.tell(words=said, fraction=event.fraction)
        elif event.kind == "hop_ended":
            job.tell(words="")
        elif event.kind == "probe":
            job.tell(words=f"Measuring: {event.words}")

    return tell
