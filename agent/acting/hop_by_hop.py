"""The hop-by-hop agent: a chat model decides each step when it knows how the last one ended.

For requests whose next step depends on a result. The model sees handles, types and sizes, never what a
tool gave: what a picture, a recording or a text says reaches only the reader (`reader`), which has no tools
and picks one of the choices that were named before it read. LangChain's `create_agent` runs the loop; every
call of a tool passes the gate and goes through the runner.

Imports LangChain, so it is imported where such a run is made and nowhere else.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any

from hopline.agent.acting.gate import Gate
from hopline.agent.acting.reader import check_choices, pick
from hopline.agent.acting.shown import DECIDE, declared, offered
from hopline.agent.hops.records import ArtifactRef, Failure, Hop, RunRecord
from hopline.agent.planning.plan import FromAttachment, FromStep, Source
from hopline.agent.running.runner import Runner, Wishes
from hopline.agent.running.stepwise import Stepwise
from hopline.tools.artifact import TEXT
from hopline.tools.chat.for_agents import AgentModel
from hopline.tools.chat.model import ChatModel
from hopline.tools.chat.structured import Mode, choose_mode
from hopline.tools.errors import HopCancelled, HoplineError, HopTimeout, InputRefused
from hopline.tools.exchange import Exchange
from hopline.tools.home import limits, setting
from hopline.tools.spec import Tool
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelCallLimitMiddleware, ToolCallLimitMiddleware
from langchain.agents.middleware.model_call_limit import ModelCallLimitExceededError
from langchain.agents.middleware.tool_call_limit import ToolCallLimitExceededError
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Command

_INSTRUCTION = f"""\
You do what a person asks by calling tools, one step after another.
A tool answers with a handle for what it made, its type and its size; you are not shown the contents.
Give handles to tools as they are: image1, step2, or step2[0] for the first of several.
Where a tool takes text, give a handle, or the words themselves if the person wrote them.
Where the next step depends on what a text says, call {DECIDE} with its handle, a question and the possible answers.
Pictures, sound and video have to become text first.
Do only what the person asks. When it is done, answer in one short sentence without calling anything."""

_FLAGS = frozenset(("no_speech", "maybe_not_english", "other_language", "no_text", "unsure"))
"""Words of backends that the model may see: a closed list, because anybody's backend may flag anything."""


class Looping(Exception):
    """The very same call was asked for too often."""


@dataclass(kw_only=True)
class Ending:
    """How a hop-by-hop run ended.

    Attributes:
        run: as the journal now has it.
        words: what the model said last; empty where it was stopped.
    """

    run: RunRecord
    words: str


def act(
    runner: Runner,
    run: RunRecord,
    model: ChatModel,
    given: Mapping[str, str],
    wishes: Wishes,
    earlier: Sequence[str] = (),
) -> Ending:
    """Run a request hop by hop, to its end.

    Args:
        runner: makes every call.
        run: as `Journal.begin_run` gave it, with the request.
        model: decides, and reads where a decision depends on a text.
        given: type by handle, of attachments and of earlier runs.
        wishes: how the run is to be run.
        earlier: requests of the conversation, oldest first.
    """
    deadline = Deadline(wishes.cancelled, limits().agent_timeout_s)
    stepwise = Stepwise(runner, run, "agent", replace(wishes, cancelled=deadline))
    acting = _Acting(runner, run, model, given, stepwise, deadline, earlier)
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="agent") as pool:
            future = pool.submit(acting.loop)
            while True:
                try:
                    wait([future])
                    break
                except KeyboardInterrupt:
                    wishes.cancelled.set()
            words, error = future.result()
    except BaseException as bug:
        stepwise.break_off(bug)
        raise
    return Ending(run=stepwise.end(error=error, why=acting.why(words), aside=acting.aside), words=words)


class Deadline(threading.Event):
    """Set when somebody cancelled, or when the time is up.

    Args:
        cancelled: set by anybody to stop the run.
        most_s: wall clock from now.
    """

    def __init__(self, cancelled: threading.Event, most_s: float) -> None:
        super().__init__()
        self._cancelled = cancelled
        self._most_s = most_s
        self._end = time.monotonic() + most_s

    def is_set(self) -> bool:
        return self._cancelled.is_set() or time.monotonic() > self._end

    def check(self, _: str = "") -> None:
        """Raise if it is set.

        Raises:
            HopCancelled: somebody stopped the run.
            HopTimeout: its time is up.
        """
        if self._cancelled.is_set():
            raise HopCancelled("somebody stopped it.")
        if time.monotonic() > self._end:
            raise HopTimeout(f"it took longer than {self._most_s:g} s.", hint=f"Raise {setting('agent_timeout_s')}.")


class _Acting:
    """One request on its way."""

    def __init__(
        self,
        runner: Runner,
        run: RunRecord,
        model: ChatModel,
        given: Mapping[str, str],
        stepwise: Stepwise,
        deadline: Deadline,
        earlier: Sequence[str],
    ) -> None:
        self.runner, self.journal, self.run = runner, runner.journal, run
        self.model, self.given, self.earlier = model, given, tuple(earlier)
        self.stepwise, self.deadline = stepwise, deadline
        self.tools = offered(runner)
        self.gate = Gate("\n".join([*earlier, run.request]), runner.registry, list(self.tools), given)
        self.made: dict[str, list[Hop]] = {}
        self.decided: list[dict[str, Any]] = []
        self.refused: list[dict[str, str]] = []
        self.warnings: dict[str, None] = {}
        self.mode: Mode = "tools"
        self.mode_why = ""

    # -- the loop ----------------------------------------------------------------------------

    def loop(self) -> tuple[str, Failure | None]:
        """What the model said last, and why it was stopped, if it was."""
        from langsmith.run_helpers import tracing_context

        most = limits()
        try:
            self.mode, self.mode_why, probed = choose_mode(self.model)
            for exchange in probed:
                self._keep(exchange)
            middleware: list[AgentMiddleware[Any, Any, Any]] = [
                ModelCallLimitMiddleware(run_limit=most.agent_model_calls, exit_behavior="error"),
                ToolCallLimitMiddleware(run_limit=most.agent_tool_calls, exit_behavior="error"),
                _ThroughTheGate(self._call, most.agent_same_calls, self.deadline),
            ]
            agent = create_agent(
                AgentModel(door=self.model, mode=self.mode, keep=self._keep, on_text=self.deadline.check),
                tools=declared(self.tools.values()),
                system_prompt=_INSTRUCTION,
                middleware=middleware,
            )
            # One call after the other, in the order in which they were asked for, so that handles are foreseeable.
            # The limits above end the loop; LangGraph's own is out of their way.
            config: Any = {"max_concurrency": 1, "recursion_limit": 10 * (most.agent_model_calls + 2)}
            with tracing_context(enabled=False):
                state = agent.invoke({"messages": [HumanMessage(self._question())]}, config)
        except ModelCallLimitExceededError:
            return "", _stopped("limit", "turns of the model", most.agent_model_calls, "agent_model_calls")
        except ToolCallLimitExceededError:
            return "", _stopped("limit", "calls of tools", most.agent_tool_calls, "agent_tool_calls")
        except Looping as error:
            return "", Failure(reason="loop", message=str(error))
        except HoplineError as error:
            for exchange in error.exchanges if not self.made and not self.mode_why else ():
                self._keep(exchange)
            return "", Failure(reason=error.reason, message=str(error))
        last = state["messages"][-1]
        return (last.text.strip() if isinstance(last, AIMessage) else ""), None

    def why(self, words: str) -> dict[str, Any]:
        """What the plan in the journal says about how it came about."""
        found: dict[str, Any] = {"model": self.model.name, "mode": self.mode, "mode_why": self.mode_why}
        if words:
            found["said"] = words
        if self.decided:
            found["decisions"] = self.decided
        if self.refused:
            found["refused"] = self.refused
        if self.warnings:
            found["warnings"] = list(self.warnings)
        return found

    @property
    def aside(self) -> frozenset[str]:
        """Steps that a decision read."""
        return frozenset(row["step"] for row in self.decided if row.get("step"))

    def _keep(self, exchange: Exchange, warnings: Sequence[str] = ()) -> None:
        self.journal.add_exchange(self.run.id, exchange)
        self.warnings.update(dict.fromkeys(warnings))

    def _question(self) -> str:
        lines = [f"Asked before: {request}" for request in self.earlier]
        lines += [f"{handle} is there, of type {kind}." for handle, kind in self.given.items()]
        return "\n".join([*lines, f"Request: {self.run.request}"])

    # -- one call ----------------------------------------------------------------------------

    def _call(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What the model is told about a call: data of our own words, numbers and handles."""
        try:
            if name == DECIDE:
                return self._decide(arguments)
            step = self.gate.step(name, arguments, self.stepwise.steps)
            hops = self.stepwise.take(step)
        except (HopCancelled, HopTimeout):
            raise
        except HoplineError as error:
            self.refused.append({"tool": name, "why": str(error)})
            return {"refused": str(error)}
        self.deadline.check()
        self.made[step.id] = hops
        return self._told(step.id, self.tools[name], hops)

    def _told(self, step: str, tool: Tool, hops: Sequence[Hop]) -> dict[str, Any]:
        well = [hop for hop in hops if hop.status == "ok"]
        told: dict[str, Any] = {}
        if well:
            told["handle"] = step
            told["type"] = ", ".join(port.type for port in tool.outputs) or "nothing"
            refs = [ref for hop in well for ref in hop.output_list]
            if len(refs) != 1:
                told["items"] = len(refs)
            words = sum(len(self.journal.read(ref).text.split()) for ref in refs if ref.modality == TEXT)
            told |= {"words": words} if any(ref.modality == TEXT for ref in refs) else {}
            flags = dict.fromkeys(flag for hop in well for flag in hop.flags if flag in _FLAGS)
            told |= {"notes": list(flags)} if flags else {}
        bad = [hop for hop in hops if hop.status != "ok"]
        if bad:
            # The reason is a word of ours; the message may quote what was read.
            told["failed"] = bad[0].error.reason if bad[0].error else bad[0].status
            told |= {"failed_items": len(bad)} if well else {}
        return told

    def _decide(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        handle, question, choices = (arguments.get(key) for key in ("text", "question", "choices"))
        if not isinstance(handle, str) or not isinstance(question, str) or not isinstance(choices, list):
            raise InputRefused(f"{DECIDE} takes text (a handle), question (words) and choices (a list).")
        names = {*self.tools, DECIDE, *self.given, *(step.id for step in self.stepwise.steps)}
        listed = check_choices(choices, names)
        source = self.gate.source(handle, self.stepwise.steps)
        refs = [ref for ref in self._refs(source) if ref.modality == TEXT] if source is not None else []
        if not refs:
            raise InputRefused(f"{handle!r} is not the handle of a text; get one from a tool first.")
        text = "\n\n".join(self.journal.read(ref).text for ref in refs)
        try:
            choice, found = pick(self.model, text, question, listed, mode=self.mode, on_text=self.deadline.check)
        except HoplineError as error:
            for exchange in error.exchanges:
                self._keep(exchange)
            if isinstance(error, HopCancelled | HopTimeout):
                raise
            return {"failed": error.reason}
        for exchange in found.exchanges:
            self._keep(exchange, found.warnings)
        row = {"question": question, "choices": list(listed), "choice": choice}
        self.decided.append(row | ({"step": source.step} if isinstance(source, FromStep) else {"handle": handle}))
        return {"choice": choice}

    def _refs(self, source: Source) -> list[ArtifactRef]:
        if isinstance(source, FromStep):
            refs = [ref for hop in self.made.get(source.step, ()) for ref in hop.output_list]
            return refs if source.item is None else refs[source.item : source.item + 1]
        if isinstance(source, FromAttachment):
            own = [a.artifact for a in self.run.attachments if a.handle == source.attachment]
            return own or list(self.stepwise.handles(source.attachment))
        return []


class _ThroughTheGate(AgentMiddleware[Any, Any, Any]):
    """Makes every call itself, counts equal ones, watches the clock."""

    def __init__(
        self, call: Callable[[str, Mapping[str, Any]], dict[str, Any]], most_same: int, deadline: Deadline
    ) -> None:
        super().__init__()
        self._call = call
        self._most_same = most_same
        self._deadline = deadline
        self._seen: dict[str, int] = {}

    def before_model(self, state: Any, runtime: Any) -> None:
        self._deadline.check()

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
    ) -> ToolMessage:
        self._deadline.check()
        name, arguments = request.tool_call["name"], request.tool_call["args"]
        key = json.dumps([name, arguments], sort_keys=True, default=str)
        self._seen[key] = self._seen.get(key, 0) + 1
        if self._seen[key] > self._most_same:
            raise Looping(
                f"the model asked for the same call of {name} more than {self._most_same} times "
                f"({setting('agent_same_calls')})."
            )
        told = json.dumps(self._call(name, arguments), ensure_ascii=False)
        return ToolMessage(told, tool_call_id=request.tool_call["id"] or "", name=name)


def _stopped(reason: str, what: str, most: int, name: str) -> Failure:
    return Failure(reason=reason, message=f"it was stopped after {most} {what} ({setting(name)}).")
