"""The Agent: requests in plain words become runs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self, TypedDict, Unpack

from hopline.agent.acting.answer import closing_answer, only_what_exists, small_talk
from hopline.agent.acting.conversation import Conversation
from hopline.agent.acting.deciding import HopByHop, chat_model, hop_by_hop
from hopline.agent.attachment import Attachment, open_all
from hopline.agent.costing import costs
from hopline.agent.hops.journal import Journal, now
from hopline.agent.hops.records import Failure, Hop, RunRecord
from hopline.agent.notebook import remember
from hopline.agent.planning.chain import chain_plan
from hopline.agent.planning.check import check
from hopline.agent.planning.costs import check_route, others_like, routed
from hopline.agent.planning.plan import Plan, Problem, plan_from_json
from hopline.agent.run import Run
from hopline.agent.running.approval import Approve, approver
from hopline.agent.running.events import Event, OnEvent, nobody
from hopline.agent.running.local_model import LocalModel
from hopline.agent.running.profile import Profile, load_profile, registry_for
from hopline.agent.running.readiness import for_planning
from hopline.agent.running.runner import Runner, Wishes
from hopline.agent.running.workers import Workers
from hopline.agent.tracing.tracing import open_tracing
from hopline.tools.artifact import Artifact
from hopline.tools.errors import BadPlan, HoplineError, Unavailable, UserError
from hopline.tools.exchange import Exchange
from hopline.tools.home import Limits
from hopline.tools.mcp import add_servers
from hopline.tools.registry import Registry

PLANNERS = ("typed", "assisted", "chat")
"""No language model; a small one on this machine beside the search; the profile's chat model."""

Attachable = Attachment | str | Path | Artifact


class RunOptions(TypedDict, total=False):
    """How a request is to be run; every key may be left out.

    Attributes:
        plan: a saved plan to run instead of planning.
        chain: a chain of backends to run instead of planning.
        planner: see `Agent.plan`, or `agent`: the profile's chat model decides hop by hop.
        route: see `Agent.plan`.
        conversation: id of the conversation to go on with.
        use_cache: take the outputs of equal earlier hops; on by default.
        seed: for whatever is random; 0 by default.
        out: folder to copy outputs into.
        on_event: told what happens, from several threads, one at a time.
        labels: kept with the run, for who looks for it again. Runs whose `source` differs share no call of a backend
            that is not deterministic.
        cancelled: set by anybody to stop the run, planning included; its own by default.
        approve: asked before each call of a tool that nobody here vouches for and that may change something; True
            for all of them. By default they are not made.
    """

    plan: Plan | Mapping[str, object] | None
    chain: str
    planner: str
    route: str
    conversation: str
    use_cache: bool
    seed: int
    out: Path | None
    on_event: OnEvent
    labels: Mapping[str, str]
    cancelled: threading.Event
    approve: Approve | bool


class Agent:
    """Plans requests, runs plans, keeps the journal. Use it in a `with`, or call `close`.

    Args:
        registry: what can be called.
        profile: which backend serves each tool.
        journal: where everything is written.
        workers: processes of the heavy backends; its own by default.
        traces: where runs go as OpenTelemetry spans: a JSON Lines file, an OTLP/HTTP address or a TracerProvider;
            by default what `HOPLINE_TRACES` or the profile says, which is nowhere.
        within: limits of a hop; those of the environment by default.
        at_close: ends what serves the registry.

    Raises:
        UserError, MissingExtra: the traces cannot go there.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        profile: Profile,
        journal: Journal,
        workers: Workers | None = None,
        traces: object = None,
        within: Limits | None = None,
        at_close: Callable[[], None] | None = None,
    ) -> None:
        self.registry = registry
        self.profile = profile
        self.journal = journal
        self._workers = workers or Workers()
        self._local_model = LocalModel(self._workers)
        self.runner = Runner(registry=registry, profile=profile, journal=journal, workers=self._workers, within=within)
        self._tracing = open_tracing(profile, traces)
        self._at_close = at_close
        remember(journal)

    @classmethod
    def from_profile(
        cls,
        profile: str | Profile = "offline",
        *,
        tools: Iterable[object] = (),
        home: Path | None = None,
        traces: object = None,
    ) -> Self:
        """An agent with the installed tools and backends, those of the profile's Python files and MCP servers.

        Args:
            profile: name, path of a TOML file, or a Profile.
            tools: typed functions to register beside them.
            home: folder of journal and store; `HOPLINE_HOME` by default.
            traces: as in `Agent`.

        Raises:
            NotFound, BadPlan: the profile is not there or does not read; a function is not a tool.
            BadInput: a Python file of the profile is not there, or marks no tool.
            MissingExtra: the profile names MCP servers, and their package is not installed.
        """
        chosen = profile if isinstance(profile, Profile) else load_profile(profile)
        registry = registry_for(chosen)
        for function in tools:
            registry.add_function(function)
        close = add_servers(chosen.mcp, registry)
        try:
            return cls(registry=registry, profile=chosen, journal=Journal(home), traces=traces, at_close=close)
        except BaseException:
            close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes that serve tools, send what is left of the traces, and close the journal."""
        self._workers.stop()
        if self._at_close is not None:
            self._at_close()
        if self._tracing is not None:
            self._tracing.close()
        self.journal.close()

    # -- planning ----------------------------------------------------------------------------

    def plan(
        self,
        request: str,
        attachments: Mapping[str, str] | None = None,
        *,
        planner: str = "",
        route: str = "",
        conversation: str = "",
    ) -> Plan:
        """The plan of a request, checked; nothing runs.

        Args:
            request: plain words.
            attachments: type by handle, `{"audio1": "audio"}`.
            planner: one of `PLANNERS`; by default `HOPLINE_PLANNER`, the profile's, or `assisted`
                where the local language model is present, else `typed`.
            route: `cheapest`, `fastest` or `most-faithful` where several paths fit.
            conversation: id of one whose earlier runs the request may refer to.

        Raises:
            NoPlan: no chain of tools leads from what is there to what is asked.
            UserError: there is no such planner or route.
        """
        check_route(route)
        earlier = Conversation(self.journal, conversation)
        made = self._plan(request, attachments or {}, earlier, planner, [], None)
        return self._routed(made, request, {**(attachments or {}), **earlier.types()}, route)

    def _plan(
        self,
        request: str,
        attachments: Mapping[str, str],
        earlier: Conversation,
        planner: str,
        exchanges: list[Exchange],
        cancelled: threading.Event | None,
    ) -> Plan:
        """A checked plan; what is asked of a language model for it goes into `exchanges`."""
        from hopline.agent.planning import assisted, chat, followup, typed

        history, registry = earlier.history(), for_planning(self.registry, self.profile)

        def by_types(said: str, given: Mapping[str, str]) -> Plan:
            return typed.plan(said, registry, given)

        def by_judgement(said: str, given: Mapping[str, str]) -> Plan:
            ask = partial(self._local_model.ask, purpose="plan", kept=exchanges, cancelled=cancelled)
            return assisted.plan(said, registry, given, ask)

        chosen = self._planner(planner)
        if chosen in ("typed", "assisted"):
            make = by_types if chosen == "typed" else by_judgement
            made = followup.plan(request, registry, attachments, history, make)
        elif chosen == "chat":
            model = partial(chat_model, self.profile)
            made = chat.plan(request, registry, attachments, model, exchanges, cancelled, history)
        elif chosen == "agent":
            raise UserError("the agent decides hop by hop: it has no plan to show.", hint="Run it.")
        else:
            raise UserError(f"there is no planner {chosen!r} here.", hint=f"Use --planner {', '.join(PLANNERS)}.")
        return self._checked(made, {**attachments, **earlier.types()})

    def _routed(self, plan: Plan, request: str, known: Mapping[str, str], route: str) -> Plan:
        """The plan, or one that does as much, with the backends that the journal speaks for."""
        if not route or not plan.steps or plan.errors:
            return plan
        free = plan.planner in PLANNERS and "again" not in plan.why
        others = others_like(plan, request, for_planning(self.registry, self.profile), known) if free else []
        tools = dict.fromkeys(name for one in (plan, *others) for name in one.tools)
        measured = costs(self.journal, self.registry, self.profile, tools, losses=route == "most-faithful")
        return self._checked(routed(plan, others, measured, route), known)

    def _planner(self, wanted: str) -> str:
        chosen = wanted or os.environ.get("HOPLINE_PLANNER", "") or self.profile.planner
        return chosen or ("assisted" if self._local_model.present else "typed")

    def _checked(self, plan: Plan, attachments: Mapping[str, str]) -> Plan:
        problems = (*check(plan, self.registry, attachments), *self._told_beforehand(plan))
        if why := plan.why.get("fallback"):
            words = f"the typed planner decided, for the language model could not: {why}"
            problems = (Problem(severity="warning", message=words), *problems)
        return plan.model_copy(update={"problems": problems})

    def _told_beforehand(self, plan: Plan) -> Iterator[Problem]:
        """What a person should know of a plan that nothing is wrong with."""
        for name, error in self.registry.absent.items():
            yield Problem(severity="warning", message=f"the tools of {name} are not here: {error}")
        for step in plan.steps:
            try:
                backend = self.profile.choose(self.registry, step.tool, step.backend)
            except HoplineError:
                continue  # a plan can name what cannot be run here
            if backend.asks_first:
                words = f"{step.tool} may change something outside; it is called only when you approve it."
                yield Problem(severity="warning", message=words, step=step.id)

    # -- running -----------------------------------------------------------------------------

    def run(self, request: str, attachments: Sequence[Attachable] = (), **options: Unpack[RunOptions]) -> Run:
        """Run a request to its end.

        Args:
            request: plain words.
            attachments: files or artifacts, optionally with references.
            **options: see `RunOptions`.

        Returns:
            The run, whatever its outcome.

        Raises:
            UserError: wrong use: a refused attachment, a plan or chain that does not check.
        """
        run, wishes, made = self._begin(request, attachments, options)
        self._finish(run, wishes, made)
        return run

    def start(self, request: str, attachments: Sequence[Attachable] = (), **options: Unpack[RunOptions]) -> Started:
        """Like `run`, in a thread of its own; returns at once. `Started.run.cancel()` stops it.

        Raises:
            UserError: wrong use.
        """
        run, wishes, made = self._begin(request, attachments, options)
        thread = threading.Thread(target=self._finish, args=(run, wishes, made), name=f"run-{run.id}")
        thread.start()
        return Started(run, thread)

    def _begin(
        self, request: str, attachments: Sequence[Attachable], options: RunOptions
    ) -> tuple[Run, Wishes, Plan | HopByHop | HoplineError]:
        began_ns = time.time_ns()
        opened = open_all(attachments)
        route = check_route(options.get("route", ""))
        conversation = options.get("conversation", "")
        earlier = Conversation(self.journal, conversation)
        types = {o.handle: o.artifact.modality for o in opened}
        made: Plan | HopByHop | HoplineError
        exchanges: list[Exchange] = []
        told = options.get("plan") is not None or options.get("chain")
        try:
            if not told and self._planner(options.get("planner", "")) == "agent":
                made = hop_by_hop(self.profile)
            else:
                made = self._wanted(request, types, earlier, options, exchanges)
                self._refuse_errors(made)
                made = self._routed(made, request, {**types, **earlier.types()}, route)
                self.runner.backends(made)
        except Unavailable as error:
            made = error
        use_cache = options.get("use_cache", True)
        record = self.journal.begin_run(
            request,
            conversation=conversation,
            profile=self.profile.name,
            seed=options.get("seed", made.why.get("seed", 0) if isinstance(made, Plan) else 0),
            options={
                "use_cache": use_cache,
                "route": route,
                **({"labels": dict(labels)} if (labels := options.get("labels")) else {}),
            },
            attachments=[(o.handle, o.name, o.artifact, o.reference) for o in opened],
        )
        for exchange in exchanges:
            self.journal.add_exchange(record.id, exchange)
        run = Run(self, record.id)
        run.out = options.get("out")
        run.cancelled = options.get("cancelled") or run.cancelled
        on_event = self._followed(run, record, began_ns, options.get("on_event", nobody))
        wishes = Wishes(
            use_cache=use_cache,
            handles=earlier,
            on_event=on_event,
            cancelled=run.cancelled,
            approve=approver(options.get("approve", False)),
        )
        return run, wishes, made

    def _wanted(
        self,
        request: str,
        types: Mapping[str, str],
        earlier: Conversation,
        options: RunOptions,
        exchanges: list[Exchange],
    ) -> Plan:
        saved, chain = options.get("plan"), options.get("chain", "")
        if saved is not None:
            plan = saved if isinstance(saved, Plan) else plan_from_json(saved)
            return self._checked(plan, {**types, **earlier.types()})
        if chain:
            return self._checked(chain_plan(chain, self.registry, types, request), types)
        return self._plan(request, types, earlier, options.get("planner", ""), exchanges, options.get("cancelled"))

    def _refuse_errors(self, plan: Plan) -> None:
        if plan.errors:
            for step in plan.steps:
                self.registry.tool(step.tool)  # one that could not be asked for says why
            first = plan.errors[0]
            raise BadPlan(f"{first.step}: {first.message}" if first.step else first.message)

    def _followed(self, run: Run, record: RunRecord, began_ns: int, on_event: OnEvent) -> OnEvent:
        """Who is told what the run does: its spans, where it is traced, and who asked."""
        if self._tracing is None:
            return on_event
        spans = run.spans = self._tracing.begin(record, began_ns=began_ns, read=self.journal.read)

        def both(event: Event) -> None:
            spans(event)
            on_event(event)

        return both

    def _finish(self, run: Run, wishes: Wishes, made: Plan | HopByHop | HoplineError) -> None:
        try:
            self._bring_about(run, wishes, made)
        finally:
            if run.spans is not None:
                run.spans.end(self.journal.run(run.id), self.journal.model_calls(run.id))
                run.spans = None

    def _bring_about(self, run: Run, wishes: Wishes, made: Plan | HopByHop | HoplineError) -> None:
        record = self.journal.run(run.id)
        if isinstance(made, HoplineError):
            error = Failure(reason=made.reason, message=str(made))
            self.journal.update_run(replace(record, status="failed", error=error, answer=str(made), ended_at=now()))
            return
        if isinstance(made, HopByHop):
            self._act(record, made, wishes)
            return
        record = self.runner.run(record, made, wishes)
        self.journal.update_run(replace(record, answer=self._answer(record, made)))

    def _act(self, record: RunRecord, decides: HopByHop, wishes: Wishes) -> None:
        from hopline.agent.acting.hop_by_hop import act  # LangChain, for whoever needs it

        earlier = Conversation(self.journal, record.conversation, before=record.position)
        given = {a.handle: a.artifact.modality for a in record.attachments} | earlier.types()
        ended = act(self.runner, record, decides.model, given, wishes, earlier.requests())
        hops = self.journal.hops(record.id)
        answer = closing_answer(ended.run, hops, self.journal.read)
        if not hops:
            answer = "\n".join(filter(None, [only_what_exists(ended.words, given), answer]))
        self.journal.update_run(replace(ended.run, answer=answer))

    def _answer(self, record: RunRecord, plan: Plan) -> str:
        if not plan.steps:
            return small_talk([tool.name for tool in self.registry])
        return closing_answer(record, self.journal.hops(record.id), self.journal.read)

    # -- stored runs -------------------------------------------------------------------------

    def open(self, name: str = "last") -> Run:
        """A stored run, by id, the beginning of one, or `last`.

        Raises:
            NotFound: there is none.
        """
        return Run(self, self.journal.resolve(name))

    def resume(
        self,
        name: str | Run,
        *,
        on_event: OnEvent = nobody,
        repeat_side_effects: bool = False,
        approve: Approve | bool = False,
    ) -> Run:
        """Finish a run that was cut, cancelled or failed; repeats no finished hop.

        Args:
            name: as in `open`, or what `open` gave, which can then be cancelled.
            on_event: told what happens.
            repeat_side_effects: call again a tool with side effects that was in flight.
            approve: see `RunOptions`.

        Raises:
            UserError: the run is live, has no plan, or a tool with side effects was in flight.
        """
        run = name if isinstance(name, Run) else self.open(name)
        record = run.record
        if record.plan is None:
            raise UserError(f"run {run.id} has no plan to go on with; run its request again.")
        if record.status == "ok":
            return run
        plan = plan_from_json(record.plan)
        if plan.planner == "agent":
            raise UserError(
                f"run {run.id} was decided hop by hop, and who decided has forgotten it.",
                hint="Run its request again: equal hops come from the cache.",
            )
        self.runner.backends(plan)
        began_ns = time.time_ns()
        record = self.journal.take_over(run.id)
        hops = self.journal.hops(run.id)
        self._ask_about_side_effects(hops, repeat_side_effects, record)
        kept = {(h.step, h.item): h for h in hops if h.parent is None and h.status == "ok" and self._whole(h)}
        wishes = Wishes(
            use_cache=bool(record.options.get("use_cache", True)),
            handles=Conversation(self.journal, record.conversation),
            kept=kept,
            on_event=self._followed(run, record, began_ns, on_event),
            cancelled=run.cancelled,
            approve=approver(approve),
        )
        self._finish(run, wishes, plan)
        return run

    def _whole(self, hop: Hop) -> bool:
        return not any(self.journal.store.check(ref.id, ref.media_type) for ref in hop.output_list)

    def _ask_about_side_effects(self, hops: Sequence[Hop], allowed: bool, record: RunRecord) -> None:
        for hop in hops:
            in_flight = hop.status == "failed" and hop.error is not None and hop.error.reason == "interrupted"
            if in_flight and not allowed and self.registry.tool(hop.tool).side_effects:
                error = Failure(reason="interrupted", message=f"{hop.step}: {hop.tool} was in flight.")
                self.journal.update_run(replace(record, status="failed", error=error, ended_at=now()))
                raise UserError(
                    f"{hop.tool} has side effects and was in flight when the run was cut; it may have done its work.",
                    hint="Look, then resume with --repeat-side-effects.",
                )

    def replay(self, name: str, swaps: Mapping[str, str], **options: Unpack[RunOptions]) -> Run:
        """Run a stored run's plan again with other backends in some steps.

        Equal hops come from the cache, so only the swapped steps and what follows are called.

        Args:
            name: as in `open`.
            swaps: backend by step id, `{"step2": "text_to_image:diffusers"}`.
            **options: see `RunOptions`; plan, seed and conversation are the stored run's.

        Raises:
            UserError: the run has no plan, or a step or backend is unknown.
        """
        record = self.open(name).record
        if record.plan is None:
            raise UserError(f"run {record.id} has no plan to replay.")
        plan = plan_from_json(record.plan)
        for step_id in swaps:
            plan.step(step_id)
        steps = [s.model_copy(update={"backend": swaps.get(s.id, s.backend)}) for s in plan.steps]
        attachments = [
            Attachment(self.journal.read(a.artifact), self.journal.read(a.reference) if a.reference else None, a.name)
            for a in record.attachments
        ]
        swapped = plan.model_copy(update={"steps": tuple(steps), "planner": "saved"})
        # In the same conversation, so that handles of earlier runs stand for the same artifacts.
        stored: RunOptions = {"plan": swapped, "seed": record.seed, "conversation": record.conversation}
        return self.run(record.request, attachments, **(options | stored))


class Started:
    """A run in a thread of its own.

    Attributes:
        run: the run; its status is `running` until it ends.
    """

    def __init__(self, run: Run, thread: threading.Thread) -> None:
        self.run = run
        self._thread = thread

    def wait(self, timeout_s: float | None = None) -> Run:
        """The run when it has ended, or as it is when the time is up."""
        self._thread.join(timeout_s)
        return self.run
