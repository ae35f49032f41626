"""The runner: a checked plan becomes hops, each written down before it starts and when it ends."""

from __future__ import annotations

import hashlib
import json
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from hopline.agent.hops.journal import Journal, now, ref_of
from hopline.agent.hops.records import ArtifactRef, Failure, Hop, RunRecord
from hopline.agent.planning.plan import FromAttachment, FromStep, FromText, Plan, Source, Step, in_order
from hopline.agent.running.approval import Approval, Approve, nobody_approves
from hopline.agent.running.events import Event, OnEvent, nobody
from hopline.agent.running.profile import Profile
from hopline.agent.running.workers import Done, Workers
from hopline.tools.artifact import Artifact
from hopline.tools.backend import Backend, Call, Progress, Result
from hopline.tools.errors import BackendFailed, HopCancelled, HoplineError, HopTimeout, InputRefused, NotApproved
from hopline.tools.exchange import Exchange
from hopline.tools.home import Limits, limits, setting
from hopline.tools.registry import Registry
from hopline.tools.spec import Tool

T = TypeVar("T")

Item = ArtifactRef | None
"""One artifact of an ordered list; None where the hop that should have made it failed."""

Handles = Callable[[str], Sequence[ArtifactRef]]
"""Finds what a handle across runs (`run3.step2`) stands for."""


def no_handles(handle: str) -> Sequence[ArtifactRef]:
    """There are no earlier runs."""
    raise InputRefused(f"there is no attachment {handle!r}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """How one run is to be run.

    Attributes:
        use_cache: take the outputs of an equal earlier hop.
        handles: finds artifacts of earlier runs of the conversation.
        kept: hops of this run that need not be done again, by (step, item).
        on_event: told what happens; called from several threads, one at a time.
        cancelled: set by anybody to stop the run.
        approve: asked before a call of a backend that `asks_first`.
    """

    use_cache: bool = True
    handles: Handles = no_handles
    kept: Mapping[tuple[str, int], Hop] = field(default_factory=dict)
    on_event: OnEvent = nobody
    cancelled: threading.Event = field(default_factory=threading.Event)
    approve: Approve = nobody_approves


class Runner:
    """Runs plans with one registry, profile and journal; its workers stay warm between runs.

    Args:
        registry: what can be called.
        profile: which backend serves each tool.
        journal: where everything is written.
        workers: processes of the heavy backends.
        within: limits of a hop; those of the environment by default.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        profile: Profile,
        journal: Journal,
        workers: Workers,
        within: Limits | None = None,
    ) -> None:
        self.registry = registry
        self.profile = profile
        self.journal = journal
        self.workers = workers
        self._within = within
        self._loaded: dict[str, Backend] = {}
        self._load_lock = threading.Lock()

    def backends(self, plan: Plan) -> dict[str, Backend]:
        """The backend of each step, by step id; nothing is loaded.

        Raises:
            NotFound, MissingBackend, BadPlan: a step cannot run here.
        """
        return {step.id: self.profile.choose(self.registry, step.tool, step.backend) for step in plan.steps}

    def run(self, run: RunRecord, plan: Plan, wishes: Wishes) -> RunRecord:
        """Run a checked plan to its end.

        Args:
            run: as `Journal.begin_run` or `take_over` gave it.
            plan: without errors.
            wishes: how.

        Returns:
            The run with its status and outputs, as the journal now has it.
        """
        execution = Execution(self, run, plan, wishes)
        try:
            ended = execution.run()
        except BaseException as error:
            self.journal.interrupt(run.id)
            failure = Failure(reason="bug", message=f"{type(error).__name__}: {error}")
            self.journal.update_run(replace(run, plan=plan.to_json(), status="failed", error=failure, ended_at=now()))
            raise
        self.journal.update_run(ended)
        wishes.on_event(Event(kind="run_ended", run=ended))
        return ended

    def perform(self, backend: Backend, call: Call, *, cancelled: threading.Event, progress: Progress) -> Done:
        """Do one call where its backend wants it done, within the limits of a hop.

        Raises:
            HoplineError: the call failed; never a foreign exception.
        """
        within = self._within or limits()
        timeout_s = within.hop_timeout_s
        if backend.heavy:
            return self.workers.of(backend).call(
                call,
                timeout_s=timeout_s,
                memory_mib=within.hop_memory_mib,
                progress=progress,
                cancelled=cancelled,
            )
        ready, load_ms = self._load(backend)
        began = time.perf_counter()
        result = _in_thread(lambda: ready.call(replace(call, progress=progress)), timeout_s, cancelled)
        return Done(result=result, load_ms=load_ms, call_ms=(time.perf_counter() - began) * 1000)

    def _load(self, backend: Backend) -> tuple[Backend, float]:
        with self._load_lock:
            if backend.id in self._loaded:
                return self._loaded[backend.id], 0.0
            began = time.perf_counter()
            backend.load()
            self._loaded[backend.id] = backend
            return backend, (time.perf_counter() - began) * 1000


class Execution:
    """One plan on its way."""

    def __init__(self, runner: Runner, run: RunRecord, plan: Plan, wishes: Wishes) -> None:
        self.runner = runner
        self.journal = runner.journal
        self.run_record = replace(run, plan=plan.to_json())
        self.plan = plan
        self.wishes = wishes
        self.attachments = {a.handle: a.artifact for a in run.attachments}
        self.made: dict[str, list[tuple[Tool, Hop]]] = {}
        self.twins = self._twins()
        self._drawn_for = str(run.options.get("labels", {}).get("source", ""))
        self._asked: Counter[str] = Counter()
        for hop in wishes.kept.values():
            asked = cache_key(hop.identity, hop.parameters, hop.seed, hop.inputs)
            self._asked[asked] = max(self._asked[asked], hop.repeat + 1)
        self._emit_lock = threading.Lock()
        self._ask_lock = threading.Lock()
        self._count_lock = threading.Lock()

    def run(self) -> RunRecord:
        backends = self.runner.backends(self.plan)
        self.journal.update_run(self.run_record)
        self._emit(Event(kind="planned", run=self.run_record, plan=self.plan))
        steps = in_order(self.plan.steps)
        missing = {step.id: len(step.needs()) for step in steps}
        readers: dict[str, list[Step]] = {step.id: [] for step in steps}
        for step in steps:
            for need in step.needs():
                readers[need].append(step)
        ready = deque(step for step in steps if not missing[step.id])
        flying: dict[Future[Hop], Step] = {}
        hops: dict[str, list[Hop]] = {}
        unfinished: dict[str, int] = {}
        with self._pool(backends.values()) as pool:
            while ready or flying:
                while ready:
                    step = ready.popleft()
                    calls = self._calls(step, backends[step.id])
                    hops[step.id], unfinished[step.id] = [], len(calls)
                    flying.update({pool.submit(call): step for call in calls})
                for future in _wait(flying, self.wishes.cancelled):
                    step = flying.pop(future)
                    hops[step.id].append(future.result())
                    unfinished[step.id] -= 1
                    if unfinished[step.id]:
                        continue
                    tool = self.runner.registry.tool(step.tool)
                    self.made[step.id] = [(tool, hop) for hop in sorted(hops[step.id], key=lambda h: h.item)]
                    for reader in readers[step.id]:
                        missing[reader.id] -= 1
                        if not missing[reader.id]:
                            ready.append(reader)
        return self._ended()

    def take(self, step: Step) -> list[Hop]:
        """Run one more step, which was not in the plan; the journal's plan has it before it starts.

        Raises:
            NotFound, MissingBackend, BadPlan: it cannot run here.
        """
        backend = self.runner.profile.choose(self.runner.registry, step.tool, step.backend)
        self.plan = self.plan.model_copy(update={"steps": (*self.plan.steps, step)})
        self.run_record = replace(self.run_record, plan=self.plan.to_json())
        self.twins = self._twins()
        self.journal.update_run(self.run_record)
        with self._pool([backend]) as pool:
            hops = [future.result() for future in [pool.submit(call) for call in self._calls(step, backend)]]
        self.made[step.id] = [(self.runner.registry.tool(step.tool), hop) for hop in hops]
        return hops

    @staticmethod
    def _pool(backends: Iterable[Backend]) -> ThreadPoolExecutor:
        """Threads for the calls: as many as may run side by side, each with the calls that one batch takes."""
        batch = max((backend.batch_on(limits().threads) for backend in backends), default=1)
        return ThreadPoolExecutor(limits().max_workers * batch, thread_name_prefix="hop")

    def _ended(self) -> RunRecord:
        hops = [hop for step in self.plan.steps for _, hop in self.made[step.id]]
        bad = [hop for hop in hops if hop.status != "ok"]
        outputs = self.outputs()
        error = failure_of(bad)
        if not bad:
            status = "ok"
        elif self.wishes.cancelled.is_set():
            status, error = "cancelled", Failure(reason="cancelled", message="somebody stopped it.")
        else:
            status = "partial" if outputs else "failed"
        return replace(self.run_record, status=status, error=error, outputs=outputs, ended_at=now())  # type: ignore[arg-type]  # one of RunStatus

    def outputs(self, aside: frozenset[str] = frozenset()) -> tuple[ArtifactRef, ...]:
        """What the last steps gave, and the pictures and sounds made on the way to them.

        Args:
            aside: ids of steps that do not count as last.
        """
        leaves = {step.id for step in self.plan.leaves()} - aside
        bridges = set(self.plan.why.get("bridging", ()))
        found = [
            ref
            for step in self.plan.steps
            for _, hop in self.made[step.id]
            for ref in hop.output_list
            if step.id in leaves or (ref.modality != "text" and step.id not in bridges)
        ]
        return tuple({ref.id: ref for ref in found}.values())

    # -- from a step to its calls ------------------------------------------------------------

    def _calls(self, step: Step, backend: Backend) -> list[Callable[[], Hop]]:
        tool = self.runner.registry.tool(step.tool)
        parameters = tool.with_defaults(step.parameters)
        seed = self.run_record.seed + self.twins[step.id]
        try:
            rows = _mapped(tool, {port.name: self._items(step, port.name, port.type) for port in tool.inputs}, step)
        except HoplineError as error:
            refused = error
            return [lambda: self._not_done(step, 0, backend, parameters, seed, refused)]

        def make(item: int, inputs: Mapping[str, tuple[ArtifactRef, ...]] | HoplineError) -> Callable[[], Hop]:
            if isinstance(inputs, HoplineError):
                return lambda: self._not_done(step, item, backend, parameters, seed, inputs)
            kept = self.wishes.kept.get((step.id, item))
            if kept is not None:
                return lambda: kept
            return lambda: self._hop(step.id, item, tool, backend, inputs, parameters, seed)

        return [make(item, row) for item, row in enumerate(rows)]

    def _twins(self) -> dict[str, int]:
        """How many earlier steps ask for the very same, by step: each gets a seed of its own."""
        seen: dict[str, int] = {}
        twins = {}
        for step in self.plan.steps:
            asked = step.model_dump_json(exclude={"id", "partial"})
            twins[step.id] = seen.get(asked, 0)
            seen[asked] = twins[step.id] + 1
        return twins

    def _items(self, step: Step, port: str, kind: str) -> list[Item]:
        return [item for source in step.inputs.get(port, ()) for item in self._source(source, kind)]

    def _source(self, source: Source, kind: str) -> list[Item]:
        match source:
            case FromText():
                return [self.journal.keep(Artifact.from_text(source.text), self.run_record.id)]
            case FromAttachment():
                if source.attachment in self.attachments:
                    return [self.attachments[source.attachment]]
                return list(self.wishes.handles(source.attachment))
            case FromStep():
                return self._from_step(source, kind)

    def _from_step(self, source: FromStep, kind: str) -> list[Item]:
        items: list[Item] = []
        for tool, hop in self.made[source.step]:
            if hop.status != "ok":
                items.append(None)
                continue
            fitting = [p.name for p in tool.outputs if source.output in (None, p.name) and p.type == kind]
            items.extend(hop.outputs.get(fitting[0], ()) if fitting else ())
        if source.item is None:
            return items
        if source.item >= len(items):
            raise InputRefused(f"{source.step} gave {len(items)} of what item {source.item} was asked of.")
        return [items[source.item]]

    # -- one hop -----------------------------------------------------------------------------

    def _not_done(
        self,
        step: Step,
        item: int,
        backend: Backend,
        parameters: Mapping[str, Any],
        seed: int,
        why: HoplineError,
    ) -> Hop:
        """Write down a hop that could not be called."""
        hop = Hop(
            id=0,
            run=self.run_record.id,
            step=step.id,
            item=item,
            tool=step.tool,
            backend=backend.id,
            parameters=parameters,
            seed=seed,
            status="skipped",
            started_at=now(),
            error=Failure(reason="input_failed", message=str(why)),
        )
        hop = self.journal.begin_hop(hop)
        self._emit(Event(kind="hop_ended", run=self.run_record, hop=hop))
        return hop

    def _hop(
        self,
        step: str,
        item: int,
        tool: Tool,
        backend: Backend,
        inputs: Mapping[str, tuple[ArtifactRef, ...]],
        parameters: Mapping[str, Any],
        seed: int,
        parent: int | None = None,
    ) -> Hop:
        identity = backend.identity()
        cacheable = not tool.side_effects
        key, repeat = self._address(backend, identity, parameters, seed, inputs) if cacheable else ("", 0)
        hop = Hop(
            id=0,
            run=self.run_record.id,
            step=step,
            item=item,
            parent=parent,
            tool=tool.name,
            backend=backend.id,
            inputs=inputs,
            parameters=parameters,
            seed=seed,
            repeat=repeat,
            identity=identity,
            remote=backend.remote,
            started_at=now(),
        )
        earlier = self.journal.cached(key) if cacheable and self.wishes.use_cache else None
        if earlier is not None:
            hop = self.journal.begin_hop(
                replace(
                    hop,
                    status="ok",
                    outputs=earlier.outputs,
                    # What was unloaded for the earlier one was not for this one.
                    details={name: value for name, value in earlier.details.items() if name != "unloaded"},
                    mechanical_losses=earlier.mechanical_losses,
                    cached_from=earlier.id,
                    duration_ms=0.0,
                    load_ms=0.0,
                )
            )
            self._emit(Event(kind="hop_ended", run=self.run_record, hop=hop))
            return hop
        if self.wishes.cancelled.is_set():
            hop = replace(
                hop, status="cancelled", error=Failure(reason="cancelled", message="stopped before it began.")
            )
            return self.journal.begin_hop(hop)
        hop = self.journal.begin_hop(hop, cache_key=key)
        self._emit(Event(kind="hop_started", run=self.run_record, hop=hop))
        began = time.perf_counter()
        load_ms = 0.0
        exchanges: tuple[Exchange, ...] = ()
        try:
            call = Call(
                inputs={name: tuple(self.journal.read(ref) for ref in refs) for name, refs in inputs.items()},
                parameters=parameters,
                seed=seed,
                tools={need: self._child(need, hop, seed) for need in backend.needs},
            )
            if backend.asks_first:
                self._ask_first(hop, tool, call)
                began = time.perf_counter()
            asked = time.perf_counter()
            done = self.runner.perform(backend, call, cancelled=self.wishes.cancelled, progress=self._progress(hop))
            result, load_ms = done.result, done.load_ms
            # To wait for others, and what they took of a batch, is no time of this hop.
            began += time.perf_counter() - asked - (done.load_ms + done.call_ms) / 1000
            exchanges = result.exchanges
            _check_outputs(tool, result)
            outputs = {
                name: tuple(self._kept(artifact) for artifact in artifacts)
                for name, artifacts in result.outputs.items()
            }
            hop = replace(
                hop,
                status="ok",
                outputs=outputs,
                details=_plain_details(result.details) | ({"approved": True} if backend.asks_first else {}),
                mechanical_losses=result.mechanical_losses,
            )
        except HopCancelled as error:
            hop = replace(hop, status="cancelled", error=Failure(reason=error.reason, message=str(error)))
        except HoplineError as error:
            exchanges = exchanges or error.exchanges
            hop = replace(hop, status="failed", error=Failure(reason=error.reason, message=str(error)))
        for exchange in exchanges:
            self.journal.add_exchange(self.run_record.id, exchange, hop.id)
        duration_ms = (time.perf_counter() - began) * 1000 - load_ms
        hop = replace(hop, duration_ms=round(duration_ms, 3), load_ms=round(load_ms, 3))
        self.journal.end_hop(hop)
        self._emit(Event(kind="hop_ended", run=self.run_record, hop=hop))
        return hop

    def _address(
        self,
        backend: Backend,
        identity: Mapping[str, str],
        parameters: Mapping[str, Any],
        seed: int,
        inputs: Mapping[str, tuple[ArtifactRef, ...]],
    ) -> tuple[str, int]:
        """The cache's key of a call, and how often this run has asked the very same before.

        What may answer otherwise is called again each time, and answers no other source: a draw that came back
        from the cache would look like a text that settled, or like sources that agree.
        """
        if backend.deterministic:
            return cache_key(identity, parameters, seed if backend.seeded else 0, inputs), 0
        asked = cache_key(identity, parameters, seed, inputs)
        with self._count_lock:
            repeat = self._asked[asked]
            self._asked[asked] += 1
        return cache_key(identity, parameters, seed, inputs, repeat, self._drawn_for), repeat

    def _ask_first(self, hop: Hop, tool: Tool, call: Call) -> None:
        """Wait for a yes, as long as it takes.

        Raises:
            NotApproved: the answer was no, or there is nobody to ask.
            HopCancelled: the run was stopped meanwhile.
        """
        asked = Approval(step=hop.step, tool=tool, backend=hop.backend, inputs=call.inputs, parameters=call.parameters)
        with self._ask_lock:
            yes = _in_thread(lambda: self.wishes.approve(asked), math.inf, self.wishes.cancelled)
        if not yes:
            raise NotApproved(
                f"{tool.name} may change something outside, and nobody approved the call; it was not made.",
                hint="Approve it in the terminal, with --yes, or by approve= in Python.",
            )

    def _kept(self, artifact: Artifact) -> ArtifactRef:
        self.journal.store.put(artifact)  # its use is written with the end of the hop
        return ref_of(artifact)

    def _child(self, tool_name: str, parent: Hop, seed: int) -> Callable[..., Result]:
        """What a backend that needs another tool is handed: each use is a child hop."""
        tool = self.runner.registry.tool(tool_name)
        backend = self.runner.profile.choose(self.runner.registry, tool_name)
        used = iter(range(limits().max_mapped_width))

        def use(inputs: Mapping[str, tuple[Artifact, ...]], parameters: Mapping[str, Any] | None = None) -> Result:
            refs = {
                name: tuple(self.journal.keep(a, self.run_record.id) for a in artifacts)
                for name, artifacts in inputs.items()
            }
            full = tool.with_defaults(parameters or {})
            hop = self._hop(parent.step, next(used), tool, backend, refs, full, seed, parent=parent.id)
            if hop.status != "ok":
                raise BackendFailed(f"{tool_name}: {hop.error.message if hop.error else hop.status}")
            outputs = {name: tuple(self.journal.read(ref) for ref in made) for name, made in hop.outputs.items()}
            return Result(outputs=outputs, details=hop.details, mechanical_losses=hop.mechanical_losses)

        return use

    def _progress(self, hop: Hop) -> Progress:
        def progress(fraction: float, words: str) -> None:
            if self.wishes.cancelled.is_set():
                raise HopCancelled("cancelled.")
            self._emit(Event(kind="hop_progress", run=self.run_record, hop=hop, fraction=fraction, words=words))

        return progress

    def _emit(self, event: Event) -> None:
        with self._emit_lock:
            self.wishes.on_event(event)


def failure_of(bad: Sequence[Hop]) -> Failure | None:
    """Why a run is not ok, from its hops that are not; None where there are none."""
    cause = next((h for h in bad if h.status == "failed"), bad[0] if bad else None)
    if cause is None:
        return None
    why = cause.error.message if cause.error else "it was stopped."
    return Failure(reason=cause.error.reason if cause.error else "cancelled", message=f"{cause.step}: {why}")


def seeded(backend: Backend) -> bool:
    """The seed tells calls apart: it matters, or the backend is not deterministic and it counts the repeats."""
    return backend.seeded or not backend.deterministic


def cache_key(
    identity: Mapping[str, str],
    parameters: Mapping[str, Any],
    seed: int,
    inputs: Mapping[str, Sequence[ArtifactRef]],
    repeat: int = 0,
    source: str = "",
) -> str:
    """sha256 of everything that decides a hop's outputs, and of what tells calls apart that no input decides."""
    named = {name: [ref.id for ref in refs] for name, refs in inputs.items()}
    decides = [dict(identity), dict(parameters), seed, repeat, named, *([source] if source else [])]
    text = json.dumps(decides, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _mapped(
    tool: Tool, values: Mapping[str, list[Item]], step: Step
) -> list[Mapping[str, tuple[ArtifactRef, ...]] | HoplineError]:
    """The inputs of each call of a step: one mapped input, the others broadcast, or zipped.

    Raises:
        InputRefused: an input is empty, lengths differ, or the step is too wide.
    """
    for name, items in values.items():
        if not items:
            raise InputRefused(f"nothing came in for its input {name!r}.")
    many = {port.name for port in tool.inputs if port.many}
    widths = {name: len(items) for name, items in values.items() if name not in many and len(items) > 1}
    if len(set(widths.values())) > 1:
        listed = ", ".join(f"{name} has {width}" for name, width in widths.items())
        raise InputRefused(f"its mapped inputs are not equally long: {listed}.")
    width = max(widths.values(), default=1)
    if width > limits().max_mapped_width:
        raise InputRefused(
            f"it would be mapped over {width} items; the limit is {limits().max_mapped_width}.",
            hint=f"Raise {setting('max_mapped_width')}.",
        )
    return [_row(values, many, widths, index, step.partial) for index in range(width)]


def _row(
    values: Mapping[str, list[Item]], many: set[str], widths: Mapping[str, int], index: int, partial: bool
) -> Mapping[str, tuple[ArtifactRef, ...]] | HoplineError:
    row: dict[str, tuple[ArtifactRef, ...]] = {}
    for name, items in values.items():
        wanted = items if name in many else [items[index if name in widths else 0]]
        present = tuple(item for item in wanted if item is not None)
        if not present or (len(present) < len(wanted) and not partial):
            return InputRefused(f"what its input {name!r} needs was not made.")
        row[name] = present
    return row


def _check_outputs(tool: Tool, result: Result) -> None:
    declared = {port.name: port for port in tool.outputs}
    if set(result.outputs) != set(declared):
        raise BackendFailed(f"it gave {sorted(result.outputs)}, but {tool.name} declares {sorted(declared)}.")
    for name, artifacts in result.outputs.items():
        port = declared[name]
        if not port.many and len(artifacts) != 1:
            raise BackendFailed(f"it gave {len(artifacts)} for {name}, which is one.")
        wrong = next((a for a in artifacts if a.modality != port.type), None)
        if wrong is not None:
            raise BackendFailed(f"it gave {wrong.modality} for {name}, which is {port.type}.")


def _plain_details(details: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return dict(json.loads(json.dumps(details, allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise BackendFailed(f"its details are not plain JSON ({error}).") from None


def _in_thread(do: Callable[[], T], timeout_s: float, cancelled: threading.Event) -> T:
    """Do something in a thread that can be left behind if it hangs."""
    box: list[T] = []
    raised: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            box.append(do())
        except BaseException as error:
            raised.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    deadline = time.monotonic() + timeout_s
    told = 0.0
    while not done.wait(0.1):
        if cancelled.is_set():
            told = told or time.monotonic()
            if time.monotonic() - told > 1:
                raise HopCancelled("cancelled.")
        if time.monotonic() > deadline:
            raise HopTimeout(
                f"left after its time limit of {timeout_s:g} s.", hint=f"Raise {setting('hop_timeout_s')}."
            )
    for error in raised:
        if isinstance(error, HoplineError):
            raise error
        raise BackendFailed(f"{type(error).__name__}: {error}") from error
    return box[0]


def _wait(flying: Mapping[Future[Hop], Step], cancelled: threading.Event) -> set[Future[Hop]]:
    while True:
        try:
            return wait(flying, return_when=FIRST_COMPLETED).done
        except KeyboardInterrupt:
            cancelled.set()
