"""The Plan: a typed graph of steps, checked whole before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from hopline.tools.errors import BadPlan
from hopline.tools.notebook import drawn
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

FORMAT = "hopline.plan/1"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FromAttachment(_Value):
    """An attachment, by its handle: `audio1`. Handles across runs are `run3.step2`."""

    attachment: str


class FromStep(_Value):
    """The output of another step: all of it, or one item of many.

    Attributes:
        step: id of the producing step.
        item: position in its ordered outputs, from 0; None takes them all.
        output: name of the output port; None takes the only one, or the one whose type fits.
    """

    step: str
    item: Annotated[int, Field(ge=0)] | None = None
    output: str | None = None


class FromText(_Value):
    """Literal text written in the request."""

    text: str


Source = FromAttachment | FromStep | FromText


class Step(_Value):
    """One call of one tool, mapped over lists where its inputs are lists.

    Attributes:
        id: `step1`, … unique in the plan.
        tool: a name of the registry.
        backend: `tool:backend[:model]`, or None for the profile's choice.
        inputs: by input name, an ordered list of sources.
        parameters: always literal.
        partial: a join that may run although some of its sources failed.
    """

    id: str
    tool: str
    backend: str | None = None
    inputs: Mapping[str, tuple[Source, ...]] = Field(default_factory=dict)
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    partial: bool = False

    def needs(self) -> list[str]:
        """Ids of the steps it reads, in order, each once."""
        found = [s.step for sources in self.inputs.values() for s in sources if isinstance(s, FromStep)]
        return list(dict.fromkeys(found))


class Problem(_Value):
    """Something wrong with a plan; only an error stops it."""

    severity: Literal["error", "warning"]
    message: str
    step: str | None = None


class Plan(_Value):
    """A typed graph of steps in an order in which they can run.

    Attributes:
        planner: which planner decided (`typed`, `assisted`, `chat`, `saved`, `chain`).
        steps: none for small talk.
        problems: what the check said.
        why: what `--explain` prints: clauses, matches, bridging hops, runner-up, margin.
    """

    format: Literal["hopline.plan/1"] = "hopline.plan/1"
    planner: str = "saved"
    steps: tuple[Step, ...] = ()
    problems: tuple[Problem, ...] = ()
    why: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _unique_ids(self) -> Plan:
        ids = [step.id for step in self.steps]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise ValueError(f"two steps are called {twice[0]!r}")
        return self

    @property
    def errors(self) -> list[Problem]:
        return [p for p in self.problems if p.severity == "error"]

    @property
    def tools(self) -> list[str]:
        return [step.tool for step in self.steps]

    def step(self, step_id: str) -> Step:
        """The step of that id.

        Raises:
            BadPlan: there is none.
        """
        for step in self.steps:
            if step.id == step_id:
                return step
        raise BadPlan(f"the plan has no step {step_id!r}; it has {', '.join(s.id for s in self.steps) or 'none'}.")

    def leaves(self) -> Iterator[Step]:
        """Steps that no other step reads: what the person gets."""
        read = {needed for step in self.steps for needed in step.needs()}
        return (step for step in self.steps if step.id not in read)

    def to_json(self) -> dict[str, Any]:
        """Plain data of format `hopline.plan/1`, valid input for `run --plan`."""
        return self.model_dump(mode="json", exclude_none=True)

    def _repr_html_(self) -> str:
        return drawn(self)


def plan_from_json(data: object) -> Plan:
    """A Plan from parsed JSON.

    Raises:
        BadPlan: names the place and what is wrong with it.
    """
    if isinstance(data, Mapping) and data.get("format", FORMAT) != FORMAT:
        raise BadPlan(f"this hopline reads plans of format {FORMAT}, not {data['format']!r}.")
    try:
        return Plan.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the plan"
        raise BadPlan(f"the plan does not read: {place}: {first['msg']}.") from None


def in_order(steps: Sequence[Step]) -> list[Step]:
    """The steps in an order in which they can run, otherwise as given.

    Raises:
        BadPlan: steps wait for each other.
    """
    known = {step.id for step in steps}
    done: set[str] = set()
    waiting = list(steps)
    ordered: list[Step] = []
    while waiting:
        ready = next((s for s in waiting if all(n in done or n not in known for n in s.needs())), None)
        if ready is None:
            raise BadPlan(f"steps wait for each other: {', '.join(s.id for s in waiting)}.")
        waiting.remove(ready)
        done.add(ready.id)
        ordered.append(ready)
    return ordered


def handles(kinds: Sequence[str]) -> dict[str, str]:
    """Types by the handles that attachments get: `audio1`, `image1`, `image2`."""
    return {f"{kind}{kinds[: place + 1].count(kind)}": kind for place, kind in enumerate(kinds)}
