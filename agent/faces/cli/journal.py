"""Commands on stored runs: runs, show, loss, verify, rm, prune, export, import."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from hopline.agent.faces.cli.output import human, megabytes, say_json, seconds, table_console, visible, want_json
from hopline.agent.faces.cli.running import Json, ProfileOfRun, agent_of_run
from hopline.tools.errors import UserError
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from hopline.agent.hops.records import ModelCall

Name = Annotated[str, typer.Argument(help="Run id, the beginning of one, or last.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("runs")(runs)
    app.command("show")(show)
    app.command("loss")(loss)
    app.command("verify")(verify)
    app.command("rm")(rm)
    app.command("prune")(prune)
    app.command("export")(export)
    app.command("import")(import_)


def runs(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, newest first.")] = 20,
    conversation: Annotated[str, typer.Option("--conversation", "-c", help="Only those of this conversation.")] = "",
    json_: Json = False,
) -> None:
    """List runs, newest first."""
    from hopline.agent.hops.journal import Journal

    want_json(json_)
    with Journal() as journal:
        found = journal.runs(limit=limit, conversation=conversation)
        alone = {r.conversation: len(journal.runs(limit=2, conversation=r.conversation)) == 1 for r in found}
    if json_:
        rows = [
            {
                "run": r.id,
                "conversation": r.conversation,
                "position": r.position,
                "created_at": r.created_at,
                "status": r.status,
                "request": r.request,
            }
            for r in found
        ]
        say_json({"format": "hopline.runs/1", "runs": rows})
        return
    table = Table(box=None, pad_edge=False)
    for column in ("run", "when", "status", "in conversation", "request"):
        table.add_column(column)
    for r in found:
        when = datetime.fromisoformat(r.created_at).astimezone().strftime("%Y-%m-%d %H:%M")
        place = "" if alone[r.conversation] else f"{r.conversation} run{r.position}"
        table.add_row(r.id, when, r.status, place, Text(visible(r.request)))
    table_console().print(table)


def show(
    name: Name = "last",
    html: Annotated[Path | None, typer.Option("--html", help="Write the page of the run to this file.")] = None,
    json_: Json = False,
) -> None:
    """Show a run: its hops with times, losses and outputs; --html writes its page."""
    from hopline.agent.faces.cli.progress import Progress
    from hopline.agent.running.events import Event

    want_json(json_)
    with agent_of_run(name, calls=False) as agent:
        run = agent.open(name)
        if html is not None:
            path = run.page(html)
            human().print(f"wrote {path}", style="dim", markup=False)
        if json_:
            say_json(run.to_json())
        elif html is not None:
            typer.echo(str(html))
        else:
            record = run.record
            console = table_console()
            console.print(Text(f"run {record.id}: {record.status}", style="bold"))
            console.print(Text(f"“{visible(record.request)}”"))
            earlier = [r for r in agent.journal.runs(conversation=record.conversation) if r.position < record.position]
            for r in reversed(earlier):
                console.print(Text(f"before: run{r.position}, {r.id}: “{visible(r.request)}”", style="dim"))
            for attachment in record.attachments:
                console.print(Text(f"{attachment.handle}: {visible(attachment.name)}", style="dim"))
            progress = Progress(console, agent.journal)
            if run.plan is not None:
                progress(Event(kind="planned", run=record, plan=run.plan))
            for call in run.model_calls:
                if call.hop is None:
                    console.print(Text(said(call), style="dim"))
            for hop in run.hops:
                progress(Event(kind="hop_ended", run=record, hop=hop))
                for call in run.model_calls:
                    if call.hop == hop.id:
                        console.print(Text(f"    {said(call)}", style="dim"))
            for output in run.outputs:
                console.print(Text(f"output: {output.path}", style="dim"))
            if record.answer and not record.error:
                console.print(Text(f"answer: {visible(record.answer)}"))
            if record.error is not None:
                console.print(Text(f"{record.error.reason}: {visible(record.error.message)}", style="red"))


def said(call: ModelCall) -> str:
    """One exchange with a language model, in a line."""
    tokens = f"{call.input_tokens or '?'} → {call.output_tokens or '?'} tokens"
    repair = f", repair {call.repair}" if call.repair else ""
    ended = f"failed: {visible(call.error.message)}" if call.error else call.finish_reason
    model = call.identity.get("model", "a model")
    return f"asked {model} ({call.purpose}{repair}): {tokens}, {seconds(call.duration_ms)}, {ended}"


def loss(
    name: Name = "last",
    no_probes: Annotated[bool, typer.Option("--no-probes", help="Use only readings that are there.")] = False,
    extractor: Annotated[
        str,
        typer.Option("--extractor", help="Who finds the facts: english (rules), chat (the profile's model), or yours."),
    ] = "english",
    profile: ProfileOfRun = "",
    json_: Json = False,
) -> None:
    """Measure what each hop of a run lost."""
    from hopline.agent.faces.cli.loss_table import show_loss
    from hopline.agent.faces.cli.progress import Progress

    want_json(json_)
    with agent_of_run(name, profile=profile) as agent:
        run = agent.open(name)
        with Progress(human(), agent.journal) as progress:
            measured = run.loss(probe=not no_probes, on_event=progress, extractor=extractor).to_json()
    if json_:
        say_json(measured)
    else:
        show_loss(measured, table_console())


def verify(
    name: Annotated[str, typer.Argument(help="Run id; all runs by default.")] = "",
    json_: Json = False,
) -> None:
    """Hash every artifact again and compare with its name."""
    from hopline.agent.hops.journal import Journal

    want_json(json_)
    with Journal() as journal:
        problems = journal.verify(journal.resolve(name) if name else None)
    if json_:
        say_json({"format": "hopline.verify/1", "problems": problems})
    for problem in problems if not json_ else []:
        typer.echo(problem)
    if not problems and not json_:
        human().print("every artifact is what its name says", style="green")
    if problems:
        raise typer.Exit(1)


def rm(names: Annotated[list[str], typer.Argument(help="Run ids.")], json_: Json = False) -> None:
    """Remove runs, and the artifacts that no other run uses."""
    from hopline.agent.hops.journal import Journal

    want_json(json_)
    with Journal() as journal:
        ids = [journal.resolve(name) for name in names]
        freed = journal.remove(ids)
    _removed(ids, freed, json_)


def prune(
    older_than: Annotated[str, typer.Option("--older-than", help="30d, 12h, 2w.")],
    json_: Json = False,
) -> None:
    """Remove runs older than a time."""
    from hopline.agent.hops.journal import Journal

    want_json(json_)
    match = re.fullmatch(r"(\d+)([hdw])", older_than)
    if not match:
        raise UserError(f"--older-than {older_than!r} does not read; write 12h, 30d or 2w.")
    hours = int(match[1]) * {"h": 1, "d": 24, "w": 168}[match[2]]
    with Journal() as journal:
        ids = journal.older_than(datetime.now(UTC) - timedelta(hours=hours))
        freed = journal.remove(ids)
    _removed(ids, freed, json_)


def _removed(ids: list[str], freed: int, json_: bool) -> None:
    if json_:
        say_json({"format": "hopline.removed/1", "runs": ids, "freed_bytes": freed})
    else:
        human().print(f"removed {len(ids)} runs, freed {megabytes(freed)}", style="dim")


def export(
    name: Name,
    file: Annotated[Path, typer.Argument(help="The bundle to write (.zip); with --traces, a JSON Lines file.")],
    traces: Annotated[bool, typer.Option("--traces", help="OpenTelemetry spans instead of a bundle.")] = False,
    json_: Json = False,
) -> None:
    """Write a run with all its artifacts into one file, or its OpenTelemetry spans."""
    from hopline.agent.hops.bundle import export_run
    from hopline.agent.hops.journal import Journal
    from hopline.agent.tracing.tracing import export_traces

    want_json(json_)
    with Journal() as journal:
        run = journal.resolve(name)
        if traces:
            export_traces(journal, run, file)
        else:
            export_run(journal, run, file)
    if json_:
        say_json({"format": "hopline.exported/1", "run": run, "path": str(file)})
    else:
        typer.echo(str(file))


def import_(file: Annotated[Path, typer.Argument(help="A bundle that export wrote.")], json_: Json = False) -> None:
    """Read a run from a bundle; data only, every digest checked."""
    from hopline.agent.hops.bundle import import_run
    from hopline.agent.hops.journal import Journal

    want_json(json_)
    with Journal() as journal:
        run = import_run(journal, file)
    if json_:
        say_json({"format": "hopline.imported/1", "run": run.id})
    else:
        typer.echo(run.id)
