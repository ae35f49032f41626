"""Commands that plan and run: run, plan, resume, replay."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from hopline.agent.faces.cli.output import fail, human, say_json, visible, want_json
from hopline.tools.errors import BadInput, BadPlan, HoplineError, Unavailable, UserError

if TYPE_CHECKING:
    from hopline.agent import Agent, Attachment, Run
    from hopline.agent.planning.plan import Plan
    from hopline.agent.running.profile import Profile
    from hopline.tools.registry import Registry

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
ProfileName = Annotated[str, typer.Option("--profile", "-p", help="Name or TOML file of a profile.")]
ProfileOfRun = Annotated[
    str, typer.Option("--profile", "-p", help="Name or TOML file of a profile; the run's own by default.")
]
PlannerName = Annotated[
    str,
    typer.Option("--planner", help="typed, assisted, chat, or agent (hop by hop)."),
]
RouteName = Annotated[
    str, typer.Option("--route", help="cheapest, fastest or most-faithful: by what the journal measured.")
]
ToolsFrom = Annotated[list[Path] | None, typer.Option("--tools-from", help="Python file whose @tool functions to add.")]
Yes = Annotated[bool, typer.Option("--yes", help="Approve every call of a tool that asks first.")]
Files = Annotated[list[str] | None, typer.Option("--attach", "-a", help="File to attach; may be given several times.")]

# Reasons that mean "something is missing" rather than "it failed".
_MISSING = {Unavailable.reason, *(kind.reason for kind in Unavailable.__subclasses__())}


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("run")(run)
    app.command("plan")(plan)
    app.command("resume")(resume)
    app.command("replay")(replay)


@contextmanager
def agent_of(profile: str | Profile, tools_from: list[Path] | None = None, traces: str = "") -> Iterator[Agent]:
    """An agent of a profile, closed at the end."""
    from hopline.agent import Agent
    from hopline.tools.function import functions_of

    with Agent.from_profile(profile, tools=functions_of(tools_from or []), traces=traces or None) as agent:
        yield agent


@contextmanager
def agent_of_run(
    name: str, tools_from: list[Path] | None = None, *, profile: str = "", calls: bool = True
) -> Iterator[Agent]:
    """An agent of the profile that a stored run had; `offline` where that profile is gone.

    Args:
        name: of the run.
        tools_from: see `functions`.
        profile: another one.
        calls: it is to call tools; without that, the profile's MCP servers are not started.
    """
    from hopline.agent.hops.journal import Journal
    from hopline.agent.running.profile import load_profile, profile_names

    if not profile:
        with Journal() as journal:
            own = journal.run(journal.resolve(name)).profile
        profile = own if own in profile_names() else "offline"
    chosen = load_profile(profile)
    with agent_of(chosen if calls else chosen.model_copy(update={"mcp": {}}), tools_from) as agent:
        yield agent


def run(
    request: Annotated[str, typer.Argument(help="What you want, in plain words; - reads it from stdin.")] = "",
    attach: Files = None,
    reference: Annotated[
        list[str] | None, typer.Option("--reference", "-r", help="audio1=FILE: a text that says what is in it.")
    ] = None,
    plan: Annotated[Path | None, typer.Option("--plan", help="Run a saved or edited plan (JSON).")] = None,
    chain: Annotated[str, typer.Option("--chain", help='Run a chain once: "text_to_speech | speech_to_text".')] = "",
    profile: ProfileName = "offline",
    planner: PlannerName = "",
    route: RouteName = "",
    loss: Annotated[bool, typer.Option("--loss", help="Measure what each hop lost.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to copy the outputs into.")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Call every tool, even for equal work.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="For whatever is random.")] = 0,
    traces: Annotated[
        str, typer.Option("--traces", help="Write OpenTelemetry spans to a JSON Lines file or an OTLP/HTTP address.")
    ] = "",
    yes: Yes = False,
    tools_from: ToolsFrom = None,
    json_: Json = False,
) -> None:
    """Plan a request, run it, write every hop down."""
    from hopline.agent.faces.cli.progress import Progress

    want_json(json_)
    request = sys.stdin.read().strip() if request == "-" else request
    if not request and plan is None and not chain:
        raise UserError("say what you want, or give --plan or --chain.")
    with agent_of(profile, tools_from, traces) as agent:
        attachments = _attachments(attach or [], reference or [])
        with Progress(human(), agent.journal) as progress:
            done = agent.run(
                request,
                attachments,
                plan=_read_json(plan) if plan else None,
                chain=chain,
                planner=planner,
                route=route,
                use_cache=not no_cache,
                seed=seed,
                out=out,
                on_event=progress,
                approve=yes or progress.approve,
            )
            if loss and done.status in ("ok", "partial"):
                done.loss(on_event=progress)
        _end(done, json_, loss)


def resume(
    name: Annotated[str, typer.Argument(help="Run id, the beginning of one, or last.")] = "last",
    repeat_side_effects: Annotated[
        bool, typer.Option("--repeat-side-effects", help="Call again a tool with side effects that was in flight.")
    ] = False,
    yes: Yes = False,
    profile: ProfileOfRun = "",
    tools_from: ToolsFrom = None,
    json_: Json = False,
) -> None:
    """Finish a run that was cut; no finished hop runs twice."""
    from hopline.agent.faces.cli.progress import Progress

    want_json(json_)
    with agent_of_run(name, tools_from, profile=profile) as agent:
        with Progress(human(), agent.journal) as progress:
            done = agent.resume(
                name,
                on_event=progress,
                repeat_side_effects=repeat_side_effects,
                approve=yes or progress.approve,
            )
        _end(done, json_)


def replay(
    name: Annotated[str, typer.Argument(help="Run id, the beginning of one, or last.")],
    swap: Annotated[list[str], typer.Option("--swap", help="step2=tool:backend; may be given several times.")],
    loss: Annotated[bool, typer.Option("--loss", help="Measure both runs and show the difference.")] = False,
    yes: Yes = False,
    profile: ProfileOfRun = "",
    tools_from: ToolsFrom = None,
    json_: Json = False,
) -> None:
    """Run a stored run again with other backends in some steps; what did not change is not called."""
    from hopline.agent.faces.cli.progress import Progress

    want_json(json_)
    swaps = dict(_pair(text, "--swap step2=tool:backend") for text in swap)
    from hopline.agent.loss.difference import difference

    with agent_of_run(name, tools_from, profile=profile) as agent:
        before = agent.open(name)
        with Progress(human(), agent.journal) as progress:
            done = agent.replay(name, swaps, on_event=progress, approve=yes or progress.approve)
            changed = None
            if loss and done.status in ("ok", "partial"):
                changed = difference(before.loss(on_event=progress).to_json(), done.loss(on_event=progress).to_json())
        _end(done, json_, difference=changed)


def plan(
    request: Annotated[str, typer.Argument(help="What you want, in plain words.")] = "",
    attach: Files = None,
    has: Annotated[list[str] | None, typer.Option("--has", help="Type of an attachment that is not here yet.")] = None,
    tools: Annotated[Path | None, typer.Option("--tools", help="Plan over this tool list (JSON).")] = None,
    cases: Annotated[Path | None, typer.Option("--cases", help="Plan many requests, one JSON a line.")] = None,
    profile: ProfileName = "offline",
    planner: PlannerName = "",
    route: RouteName = "",
    explain: Annotated[bool, typer.Option("--explain", help="Show clauses, matches, bridges, the runner-up.")] = False,
    tools_from: ToolsFrom = None,
    json_: Json = False,
) -> None:
    """Show the plan of a request; nothing runs."""
    want_json(json_ or cases is not None)
    with agent_of(profile, tools_from) as agent:
        if tools is not None:
            agent.registry = _foreign(tools)
        if cases is not None:
            for case in _cases(cases):
                say_json(_planned_case(agent, case, planner, route))
            return
        if not request:
            raise UserError("say what you want planned, or give --cases.")
        types = _types(_opened_types(attach or []) + (has or []))
        made = agent.plan(request, types, planner=planner, route=route)
    if json_:
        say_json(_plan_json(made, explain))
    else:
        _show_plan(made, explain)
    if made.errors:
        raise typer.Exit(2)


def _planned_case(agent: Agent, case: dict[str, Any], planner: str, route: str) -> dict[str, Any]:
    try:
        made = agent.plan(str(case["request"]), _types(case.get("attachments", [])), planner=planner, route=route)
    except HoplineError as error:
        problem = {"severity": "error", "message": str(error), "reason": error.reason}
        return {"id": case["id"], "format": "hopline.plan/1", "planner": planner, "steps": [], "problems": [problem]}
    return {"id": case["id"], **_plan_json(made, False)}


def _plan_json(made: Plan, explain: bool) -> dict[str, Any]:
    data = made.to_json()
    if not explain:
        data.pop("why", None)
    return data


def _show_plan(made: Plan, explain: bool) -> None:
    from hopline.agent.faces.cli.progress import meant
    from hopline.agent.planning.plan import FromAttachment, FromStep

    if not made.steps:
        typer.echo("No steps: this asks for no tool.")
    for step in made.steps:
        sources = []
        for name, given in step.inputs.items():
            for source in given:
                if isinstance(source, FromAttachment):
                    sources.append(f"{name} = {source.attachment}")
                elif isinstance(source, FromStep):
                    item = "" if source.item is None else f"[{source.item}]"
                    sources.append(f"{name} = {source.step}{item}")
                else:
                    sources.append(f"{name} = “{visible(source.text)}”")
        settings = "".join(f", {name}={value!r}" for name, value in step.parameters.items())
        by = f"  by {step.backend}" if step.backend else ""
        typer.echo(f"{step.id}  {step.tool}({', '.join(sources)}{settings}){by}")
    for words in meant(made):
        human().print(visible(words), style="dim", markup=False)
    if not explain:
        human().print(f"Decided by the {made.planner} planner.", style="dim")
    for problem in made.problems:
        where = f"{problem.step}: " if problem.step else ""
        human().print(f"{problem.severity}: {where}{visible(problem.message)}", style="yellow", markup=False)
    if explain:
        _show_why(made)


def _show_why(made: Plan) -> None:
    typer.echo(f"planner: {made.planner}")
    for key, value in made.why.items():
        written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
        typer.echo(f"{key}: {written}")


def _foreign(path: Path) -> Registry:
    from hopline.tools.registry import Registry
    from hopline.tools.spec import tool_from_json

    entries = _read_json(path)
    if not isinstance(entries, list):
        raise BadPlan(f"{path} should hold a JSON list of tools.")
    return Registry(tool_from_json(entry) for entry in entries)


def _cases(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        raise BadInput(f"{path}: there is no such file of cases.")
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if line.strip():
            try:
                case = json.loads(line)
                case["id"], case["request"]
            except (ValueError, KeyError, TypeError):
                raise BadInput(f"{path}, line {number}: a case is an object with id and request.") from None
            yield case


def _opened_types(files: list[str]) -> list[str]:
    from hopline.agent.attachment import open_all

    return [opened.artifact.modality for opened in open_all(files)]


def _types(kinds: Iterable[str]) -> dict[str, str]:
    counts: dict[str, int] = {}
    handles = {}
    for kind in kinds:
        counts[kind] = counts.get(kind, 0) + 1
        handles[f"{kind}{counts[kind]}"] = kind
    return handles


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path}: there is no such file.") from None
    except (ValueError, OSError) as error:
        raise BadInput(f"{path} does not read as JSON: {error}.") from None


def _attachments(files: list[str], references: list[str]) -> list[Attachment]:
    from hopline.agent import Attachment
    from hopline.agent.attachment import open_all

    given = dict(_pair(text, "--reference audio1=FILE") for text in references)
    handles = [opened.handle for opened in open_all(files)]
    unknown = sorted(set(given) - set(handles))
    if unknown:
        raise UserError(f"no attachment is called {unknown[0]!r}; there are: {', '.join(handles) or 'none'}.")
    return [Attachment(file, given.get(handle)) for file, handle in zip(files, handles, strict=True)]


def _pair(text: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals or not value:
        raise UserError(f"{text!r} does not read; write {form}.")
    return name, value


def _end(done: Run, json_: bool, loss: bool = False, *, difference: Mapping[str, Any] | None = None) -> None:
    """Show how a run ended, and end the command with its exit code."""
    if json_:
        say_json(done.to_json() | ({"difference": difference} if difference is not None else {}))
    else:
        show_end(done, loss, difference=difference)
    if code := exit_code_of(done):
        raise typer.Exit(code)


def show_end(
    done: Run, loss: bool = False, *, difference: Mapping[str, Any] | None = None, talking: bool = False
) -> None:
    """What a run gave on stdout; for people, its loss, its name and why it is not ok.

    Args:
        done: an ended run.
        loss: show what each hop lost.
        difference: of two losses, to show too.
        talking: one of many in a conversation: shorter.
    """
    record = done.record
    for output in done.outputs:
        typer.echo(visible(output.text) if output.modality == "text" else str(output.path))
    if not record.outputs and record.answer and not (record.error and record.error.message in record.answer):
        typer.echo(visible(record.answer))
    if loss and done.status in ("ok", "partial"):
        from hopline.agent.faces.cli.loss_table import show_loss

        show_loss(done.loss().to_json(), human())
    if difference is not None:
        from hopline.agent.faces.cli.loss_table import show_difference

        show_difference(difference, human())
    named = f"run {record.id}: {record.status}   (hopline show {record.id} --html page.html)"
    human().print(f"run{record.position}, {record.id}: {record.status}" if talking else named, style="dim")
    if record.error is not None:
        fail(HoplineError(record.error.message))


def exit_code_of(done: Run) -> int:
    """0 ok; 3 something is missing; 130 cancelled; 1 failed or partial."""
    record = done.record
    if record.error is None:
        return 0
    return 3 if record.error.reason in _MISSING else 130 if record.status == "cancelled" else 1
