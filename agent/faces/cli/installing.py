"""Commands about what is here: tools, models, licences, doctor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from hopline.agent.faces.cli.output import human, megabytes, say_json, table_console, visible, want_json
from hopline.agent.faces.cli.running import Json, ProfileName, ToolsFrom
from hopline.tools.errors import HoplineError, StoreCorrupt
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from hopline.agent.running.profile import Profile
    from hopline.agent.running.readiness import Readiness
    from hopline.tools.backend import Backend
    from hopline.tools.hub_files import HubModel
    from hopline.tools.models import Model
    from hopline.tools.registry import Registry

_OLLAMA = "ollama:"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("tools")(tools)
    app.command("licences")(licences)
    app.command("doctor")(doctor)
    models = typer.Typer(help="Models: where they are, and how to get them.", no_args_is_help=False)
    models.callback(invoke_without_command=True)(list_models)
    models.command("pull")(pull)
    models.command("verify")(verify)
    app.add_typer(models, name="models")


@contextmanager
def _profile_and_registry(name: str) -> Iterator[tuple[Profile, Registry]]:
    """A profile and what can be called with it; its MCP servers are ended at the end."""
    from hopline.agent.running.profile import load_profile
    from hopline.tools.mcp import add_servers
    from hopline.tools.registry import installed

    profile, registry = load_profile(name), installed()
    close = add_servers(profile.mcp, registry)
    try:
        yield profile, registry
    finally:
        close()


def tools(profile: ProfileName = "offline", tools_from: ToolsFrom = None, json_: Json = False) -> None:
    """List the tools that can be planned, and the backends that serve them."""
    from hopline.agent.running.catalogue import catalogue
    from hopline.tools.function import functions_of

    want_json(json_)
    with _profile_and_registry(profile) as (chosen, registry):
        for function in functions_of(tools_from or []):
            registry.add_function(function)
        listed = catalogue(registry, chosen)
    if json_:
        say_json(listed)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("tool", "from → to", f"backend ({chosen.name})", "others"):
        table.add_column(column)
    for tool, row in zip(registry, listed["tools"], strict=True):
        serving = row["backend"]
        others = [b.partition(":")[2] for b in row["backends"] if b != serving]
        shown = Text.assemble(tool.name, (" asks first", "yellow") if row["asks_first"] else "")
        table.add_row(
            shown, tool.signature, serving.partition(":")[2] or Text("none yet", style="dim"), ", ".join(others)
        )
    table_console().print(table)
    for name, error in registry.absent.items():
        human().print(Text(f"the tools of {name} are not here: {visible(str(error))}", style="yellow"))


def list_models(context: typer.Context, json_: Json = False) -> None:
    """List the models hopline knows by name, and whether they are here."""
    if context.invoked_subcommand is not None:
        return
    from hopline.tools.models import manifest
    from hopline.tools.weights import known as hub_models
    from hopline.tools.weights import pulled_folder

    want_json(json_)
    known = list(manifest().values())
    of_hub = [(m, pulled_folder(m.name).is_dir()) for m in hub_models().values()]
    if json_:
        rows = [{"name": m.name, "present": m.present, "size_bytes": m.size, "licence": m.licence} for m in known]
        rows += [{"name": m.name, "present": here, "size_bytes": m.size, "licence": m.licence} for m, here in of_hub]
        say_json({"format": "hopline.models/1", "models": rows})
        return
    table = Table(box=None, pad_edge=False)
    for column in ("model", "here", "download", "licence", "what"):
        table.add_column(column)
    for m in known:
        table.add_row(m.name, "yes" if m.present else "no", megabytes(m.download_size), m.licence, m.title)
    for one, here in of_hub:
        table.add_row(one.name, "yes" if here else "no", megabytes(one.size), one.licence, one.title)
    table_console().print(table)


def pull(
    names: Annotated[list[str] | None, typer.Argument(help="Profiles, backends or models; offline by default.")] = None,
    json_: Json = False,
) -> None:
    """Download models, check every digest, unpack; nothing is installed.

    A pull that was cut goes on where it stopped. `ollama:NAME` is fetched by Ollama, `OWNER/NAME` or
    `OWNER/NAME@REVISION` from the Hugging Face hub: safetensors and configurations alone.
    """
    from hopline.agent.planning.typed import prepare
    from hopline.tools.chat.pulling import pull_by_ollama
    from hopline.tools.encoder import MODEL as ENCODER
    from hopline.tools.hub import pull_from_hub
    from hopline.tools.hub_files import pull as pull_files
    from hopline.tools.models import pull as pull_model
    from hopline.tools.registry import installed

    want_json(json_)
    console = human()
    by_ollama = _by_ollama(names or ["offline"])
    by_hub = _by_hub(names or ["offline"])
    named = [name for name in names or ["offline"] if not name.startswith(_OLLAMA) and name not in by_hub]
    wanted, files = _models(named), _of_the_hub(named)
    missing = [m for m in wanted if not m.present]
    sizes = [*(m.download_size for m in missing), *(f.size_bytes for f in files if f.folder is None)]
    if sizes:
        console.print(f"{len(sizes)} models to download, {megabytes(sum(sizes))} in all")
    for one in files:
        pull_files(one, lambda line: console.print(f"  {line}", style="dim", markup=False))
    for model in wanted:
        pull_model(model, lambda line: console.print(f"  {line}", style="dim", markup=False))
    for name in by_ollama:
        pull_by_ollama(name, lambda line: console.print(f"  {line}", style="dim", markup=False))
    for name in by_hub:
        pull_from_hub(name, lambda line: console.print(f"  {line}", style="dim", markup=False))
    if any(model.name == ENCODER for model in wanted):
        console.print("  the planner learns how people ask for the tools", style="dim", markup=False)
        prepare(installed())
    if json_:
        pulled = [*(m.name for m in wanted), *(f.repository for f in files), *(f"{_OLLAMA}{n}" for n in by_ollama)]
        pulled += by_hub
        say_json({"format": "hopline.pulled/1", "models": pulled})


def verify(json_: Json = False) -> None:
    """Hash every model that is here and compare with the manifest."""
    from hopline.tools.models import manifest
    from hopline.tools.models import verify as verify_model

    want_json(json_)
    problems = []
    for model in manifest().values():
        if model.path.exists():
            try:
                verify_model(model)
            except HoplineError as error:
                problems.append(str(error))
    if json_:
        say_json({"format": "hopline.verify/1", "problems": problems})
    elif problems:
        raise StoreCorrupt("; ".join(problems), hint="Delete its folder and pull again.")
    else:
        human().print("every model is what the manifest says", style="green")
    if problems:
        raise typer.Exit(1)


def _by_ollama(names: list[str]) -> list[str]:
    """Models of Ollama among names, and those that named profiles use."""
    from hopline.agent.running.profile import load_profile, profile_names

    found: list[str] = []
    profiles = profile_names()
    for name in names:
        if name.startswith(_OLLAMA):
            found.append(name.removeprefix(_OLLAMA))
        elif name in profiles or name.endswith(".toml"):
            profile = load_profile(name)
            written = [f":{profile.chat}", f":{profile.sees}", *profile.backends.values()]
            found += [model for one in written if (model := one.partition(f":{_OLLAMA}")[2])]
    return list(dict.fromkeys(found))


def _by_hub(names: list[str]) -> list[str]:
    """Models of the hub among names, and those that named profiles use."""
    from hopline.agent.running.profile import load_profile, profile_names
    from hopline.agent.running.readiness import backends_of
    from hopline.tools.models import manifest
    from hopline.tools.pretrained import Pretrained
    from hopline.tools.registry import installed
    from hopline.tools.weights import is_hub_id

    found: list[str] = []
    profiles = profile_names()
    for name in names:
        if name in profiles or name.endswith(".toml"):
            profile = load_profile(name)
            written = set(profile.backends.values()) | {r for readers in profile.readers.values() for r in readers}
            # What a profile does not write is not pulled with it: these models are large.
            for backend in backends_of(installed(), profile):
                short = backend.id.partition(":")[2]
                if isinstance(backend, Pretrained) and {backend.id, short} & written and is_hub_id(backend.model_name):
                    found.append(backend.model_name)
        elif isinstance(named := _backend(name), Pretrained) and is_hub_id(named.model_name):
            found.append(named.model_name)
        elif not name.startswith(_OLLAMA) and name not in manifest() and is_hub_id(name):
            found.append(name)
    return list(dict.fromkeys(found))


def _models(names: list[str]) -> list[Model]:
    from hopline.agent.running.profile import load_profile, profile_names
    from hopline.agent.running.readiness import models_of
    from hopline.tools.models import find
    from hopline.tools.registry import installed

    found: dict[str, Model] = {}
    profiles = profile_names()
    for name in names:
        if name in profiles or name.endswith(".toml"):
            profile = load_profile(name)
            for model in models_of(installed(), profile):
                if model.name not in profile.large_models:
                    found[model.name] = model
                elif not model.present:
                    size = megabytes(model.download_size)
                    human().print(f"left out: {model.name}, {size}; get it with: hopline models pull {model.name}")
        elif (backend := _backend(name)) is not None:
            found |= {model: find(model) for model in backend.models}
        else:
            found[name] = find(name)
    return list(found.values())


def _backend(name: str) -> Backend | None:
    """The backend of that id; None where it is no such id."""
    from hopline.tools.registry import installed

    registry = installed()
    return registry.backend(name) if name.partition(":")[0] in registry else None


def _of_the_hub(names: list[str]) -> list[HubModel]:
    """Models of the hub that named backends, and those of named profiles, read."""
    from hopline.agent.running.profile import load_profile, profile_names
    from hopline.agent.running.readiness import backends_of
    from hopline.tools.registry import installed

    backends: list[Backend] = []
    profiles = profile_names()
    for name in names:
        if name in profiles or name.endswith(".toml"):
            backends += backends_of(installed(), load_profile(name))
        elif (backend := _backend(name)) is not None:
            backends.append(backend)
    return list(dict.fromkeys(one for backend in backends for one in backend.hub))


def licences(profile: ProfileName = "offline", json_: Json = False) -> None:
    """List the licences of what a profile uses: packages and models."""
    from hopline.agent.running.readiness import licences as licences_of

    want_json(json_)
    with _profile_and_registry(profile) as (chosen, registry):
        rows = licences_of(registry, chosen)
    if json_:
        say_json({"format": "hopline.licences/1", "profile": chosen.name, "uses": [asdict(row) for row in rows]})
        return
    table = Table(box=None, pad_edge=False)
    for column in ("kind", "name", "version", "licence", "credit"):
        table.add_column(column)
    for row in rows:
        table.add_row(row.kind, row.name, row.version, row.licence, row.attribution)
    table_console().print(table)


def doctor(
    profile: ProfileName = "offline",
    all_: Annotated[bool, typer.Option("--all", help="Say what the other backends miss, too.")] = False,
    json_: Json = False,
) -> None:
    """Say for each tool what serves it here, what is missing, the command that brings it and its download.

    Recommends a profile for this machine's memory and graphics card.
    """
    from hopline.agent.running.readiness import readiness, recommended
    from hopline.tools.chat.server import server
    from hopline.tools.machine import this_machine

    want_json(json_)
    with _profile_and_registry(profile) as (chosen, registry):
        rows = list(readiness(registry, chosen))
    machine = this_machine()
    try:
        ollama = server().loopback and bool(server().version())
    except HoplineError:
        ollama = False
    advised, why = recommended(machine, ollama)
    if json_:
        said = {"format": "hopline.doctor/1", "profile": chosen.name, "tools": [asdict(row) for row in rows]}
        say_json(said | {"machine": asdict(machine), "recommended": {"profile": advised, "why": why}})
    else:
        _show(rows, all_)
        console = table_console()
        console.print(f"this machine: {machine}; the profile for it: {advised} ({why})", markup=False)
    if registry.absent or any(row.commands and not row.optional for row in rows):
        raise typer.Exit(3)


def _show(rows: Sequence[Readiness], every: bool) -> None:
    from hopline.agent.running.readiness import download_bytes

    table = Table(box=None, pad_edge=False)
    for column in ("tool", "backend", "state", "could serve it too"):
        table.add_column(column)
    for row in rows:
        others = Text()
        for other in row.others:
            others.append(", " if others else "")
            others.append(other.backend.partition(":")[2], style="green" if other.ready else "dim")
        table.add_row(row.tool, row.backend.partition(":")[2] or "–", _state(row), others)
        for other in row.others if every else ():
            table.add_row("", Text(other.backend.partition(":")[2], style="dim"), _state(other), "")
    console = table_console()
    console.print(table)
    shown = [row for row in rows if row.commands] + [o for row in rows if every for o in row.others if o.commands]
    for command in dict.fromkeys(command for row in shown for command in row.commands):
        size = sum(download_bytes(command, shown).values())
        console.print(f"to get it: {command}" + (f"   ({megabytes(size)})" if size else ""), markup=False)


def _state(row: Readiness) -> Text:
    return Text("ready", style="green") if row.ready else Text("; ".join(row.missing), style="yellow")
