"""A plan that grows: each step is decided when those before it have ended, and runs as any other does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hopline.agent.hops.journal import now
from hopline.agent.hops.records import ArtifactRef, Failure, Hop, RunRecord, RunStatus
from hopline.agent.planning.plan import Plan, Step
from hopline.agent.running.events import Event
from hopline.agent.running.runner import Execution, Runner, Wishes, failure_of


class Stepwise:
    """One run whose steps are not known beforehand.

    Args:
        runner: of the run's profile.
        run: as `Journal.begin_run` gave it.
        planner: who decides, for the plan.
        wishes: how.
    """

    def __init__(self, runner: Runner, run: RunRecord, planner: str, wishes: Wishes) -> None:
        self._runner = runner
        self._wishes = wishes
        self._execution = Execution(runner, run, Plan(planner=planner), wishes)

    @property
    def steps(self) -> tuple[Step, ...]:
        """Those taken so far, in order."""
        return self._execution.plan.steps

    def handles(self, handle: str) -> Sequence[ArtifactRef]:
        """What a handle of an earlier run (`run3.step2`) stands for.

        Raises:
            InputRefused: nothing of that name was made.
        """
        return self._wishes.handles(handle)

    def take(self, step: Step) -> list[Hop]:
        """Run one more step to its end, whatever that is; the plan in the journal has it before it starts.

        Args:
            step: checked together with those before it.

        Raises:
            NotFound, MissingBackend, BadPlan: it cannot run here; nothing was written.
        """
        return self._execution.take(step)

    def end(self, *, error: Failure | None, why: Mapping[str, Any], aside: frozenset[str] = frozenset()) -> RunRecord:
        """Write how the run ended.

        A hop that failed before the last step was got around: the run is ok if whoever decides ended it
        and the last step did its work.

        Args:
            error: why it was stopped; None where whoever decides ended it.
            why: for the plan.
            aside: ids of steps that were taken only to decide on what they gave; no outputs, unless
                there are no others.

        Returns:
            The run with its status and outputs, as the journal now has it.
        """
        execution = self._execution
        execution.plan = execution.plan.model_copy(update={"why": dict(why)})
        outputs = execution.outputs(aside) or execution.outputs()
        last = [hop for step in self.steps[-1:] for _, hop in execution.made.get(step.id, [])]
        error = error or failure_of([hop for hop in last if hop.status != "ok"])
        status: RunStatus = "ok"
        if error is not None:
            status = "cancelled" if error.reason == "cancelled" else "partial" if outputs else "failed"
        run = replace(
            execution.run_record,
            plan=execution.plan.to_json(),
            status=status,
            error=error,
            outputs=outputs,
            ended_at=now(),
        )
        self._runner.journal.update_run(run)
        self._wishes.on_event(Event(kind="run_ended", run=run))
        return run

    def break_off(self, error: BaseException) -> None:
        """Write that a bug ended the run."""
        self._runner.journal.interrupt(self._execution.run_record.id)
        failure = Failure(reason="bug", message=f"{type(error).__name__}: {error}")
        self._runner.journal.update_run(
            replace(self._execution.run_record, status="failed", error=failure, ended_at=now())
        )
