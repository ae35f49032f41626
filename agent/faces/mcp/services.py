"""What the calls do, each on the agent that every other face uses. Blocking; the server calls it in threads."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hopline.agent.agent import Agent, RunOptions
from hopline.agent.attachment import Attachment, open_all
from hopline.agent.faces.mcp.declaring import SEED, registered, services
from hopline.agent.faces.mcp.inputs import attachment
from hopline.agent.faces.mcp.showing import artifact_result, json_result, run_result
from hopline.agent.planning.plan import FromAttachment, FromText, Plan, Source, Step, handles
from hopline.agent.run import Run
from hopline.agent.running.catalogue import catalogue
from hopline.agent.running.events import OnEvent
from hopline.agent.views.markup import visible
from hopline.tools.artifact import TEXT, Artifact
from hopline.tools.errors import BadInput, NotFound
from hopline.tools.spec import Port, Tool
from mcp import types


class Stop:
    """Stops a call's run, whether it has begun or not. Call it from any thread."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._run: Run | None = None

    def __call__(self) -> None:
        self._asked.set()
        if self._run is not None:
            self._run.cancel()

    def watch(self, run: Run) -> Run:
        """Stop this run when asked, at once if that was already."""
        self._run = run
        if self._asked.is_set():
            run.cancel()
        return run


def _object_of(value: Any, port: Port) -> Any:
    """An attachment that a client wrote as text, as the Inspector and some models do; what is text stays text."""
    if isinstance(value, str) and port.type != TEXT and value.startswith("{"):
        with contextlib.suppress(ValueError):
            return json.loads(value)
    return value


class Services:
    """The calls of one server.

    Args:
        agent: what plans and runs.
        folders: whose files a client may name.

    Raises:
        UserError: two tools would have one name.
    """

    def __init__(self, agent: Agent, folders: Sequence[Path] = ()) -> None:
        self.agent = agent
        self._folders = tuple(folders)
        self._registered = registered(agent.registry, agent.profile)
        self.declared = [*services(self._folders), *(declared for _, declared in self._registered.values())]

    def call(self, name: str, given: Mapping[str, Any], on_event: OnEvent, stop: Stop) -> types.CallToolResult:
        """Do one call.

        Args:
            name: of a service or registered tool.
            given: its arguments, checked against its schema.
            on_event: told what the run does.
            stop: ends it from another thread.

        Raises:
            HoplineError: it cannot be done; says why.
        """
        match name:
            case "run_request":
                return self._run(given, on_event, stop)
            case "plan_request":
                return self._plan(given)
            case "list_tools":
                return self._list()
            case "fetch_artifact":
                return artifact_result(self.artifact(given["id"]), given.get("offset", 0))
            case "measure_loss":
                return self._loss(given, on_event, stop)
        if name not in self._registered:
            raise NotFound(f"there is no tool {name!r}; there are: {', '.join(tool.name for tool in self.declared)}.")
        return self._one(self._registered[name][0], given, on_event, stop)

    def artifact(self, name: str) -> Artifact:
        """An artifact by its id or a beginning of it.

        Raises:
            NotFound, StoreCorrupt: it is not there, or not what its id says.
        """
        return self.agent.journal.read(self.agent.journal.find_artifact(name))

    def _attachments(self, given: Mapping[str, Any]) -> list[Attachment]:
        return [attachment(one, self.agent.journal, self._folders) for one in given.get("attachments", [])]

    def _run(self, given: Mapping[str, Any], on_event: OnEvent, stop: Stop) -> types.CallToolResult:
        options: RunOptions = {
            "plan": given.get("plan"),
            "chain": given.get("chain", ""),
            "planner": given.get("planner", ""),
            "conversation": given.get("conversation", ""),
            "use_cache": given.get("use_cache", True),
            "seed": given.get("seed", 0),
            "on_event": on_event,
        }
        return self._ended(given["request"], self._attachments(given), options, stop)

    def _ended(
        self, request: str, attachments: Sequence[Attachment], options: RunOptions, stop: Stop
    ) -> types.CallToolResult:
        started = self.agent.start(request, attachments, **options)
        stop.watch(started.run)
        return run_result(started.wait())

    def _plan(self, given: Mapping[str, Any]) -> types.CallToolResult:
        kinds = [opened.artifact.modality for opened in open_all(self._attachments(given))] + list(given.get("has", []))
        made = self.agent.plan(given["request"], handles(kinds), planner=given.get("planner", ""))
        lines = [
            f"{step.id} {step.tool}" + (f" after {', '.join(step.needs())}" if step.needs() else "")
            for step in made.steps
        ]
        lines += [f"{problem.severity}: {visible(problem.message)}" for problem in made.problems]
        return json_result(made.to_json(), "\n".join(lines) or "No steps: this asks for no tool.")

    def _list(self) -> types.CallToolResult:
        listed = catalogue(self.agent.registry, self.agent.profile)
        lines = [f"{tool.name} ({tool.signature}): {tool.description}" for tool in self.agent.registry]
        return json_result(listed, "\n".join(lines))

    def _loss(self, given: Mapping[str, Any], on_event: OnEvent, stop: Stop) -> types.CallToolResult:
        run = stop.watch(self.agent.open(given["run"]))
        measured = run.loss(probe=given.get("probe", True), on_event=on_event).to_json()
        lines = [
            f"{row['step']} {row['tool']}: "
            + ", ".join(f"{word} {row[word]}" for word in ("kept", "altered", "missing", "invented"))
            for row in measured["hops"]
            if row["kept"] is not None
        ]
        lines += [f"“{visible(fact['text'])}” last seen at {fact['last_seen']}" for fact in measured["facts"]]
        lines += [visible(str(note)) for note in measured["notes"]]
        return json_result(measured, "\n".join(lines) or "Nothing could be measured.")

    def _one(self, tool: Tool, given: Mapping[str, Any], on_event: OnEvent, stop: Stop) -> types.CallToolResult:
        """One hop: a run whose plan is this one step."""
        attachments: list[Attachment] = []
        counts: dict[str, int] = {}
        inputs: dict[str, tuple[Source, ...]] = {}
        for port in tool.inputs:
            sources: list[Source] = []
            for written in given[port.name] if port.many else [given[port.name]]:
                value = _object_of(written, port)
                if isinstance(value, str) and port.type == TEXT:
                    sources.append(FromText(text=value))
                    continue
                one = attachment(
                    {"artifact": value} if isinstance(value, str) else value, self.agent.journal, self._folders
                )
                (opened,) = open_all([one])
                kind = opened.artifact.modality
                if kind != port.type:
                    raise BadInput(f"{tool.name} takes {port.type} as {port.name!r}, and this is {kind}.")
                counts[kind] = counts.get(kind, 0) + 1
                attachments.append(one)
                sources.append(FromAttachment(attachment=f"{kind}{counts[kind]}"))
            inputs[port.name] = tuple(sources)
        parameters = {name: given[name] for name in tool.parameters if name in given and name not in inputs}
        step = Step(id="step1", tool=tool.name, inputs=inputs, parameters=parameters)
        options: RunOptions = {"plan": Plan(steps=(step,), planner="direct"), "on_event": on_event}
        if SEED not in tool.parameters and SEED not in inputs:
            options["seed"] = given.get(SEED, 0)
        return self._ended(tool.name, attachments, options, stop)
