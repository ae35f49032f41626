"""Commands about what is here: tools, models, licences, doctor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
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
    from hopline.tools.hub import Report
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
    from hopline.agent.running.profile import load_profile, registry_for
    from hopline.tools.mcp import add_servers

    profile = load_profile(name)
    registry = registry_for(profile)
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
    from hopline.tools.hub import find_folder
    from hopline.tools.hub import known as hub_models
    from hopline.tools.models import manifest

    want_json(json_)
    known = list(manifest().values())
    of_hub = [(m, find_folder(m.name) is not None) for m in hub_models().values()]
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
    from hopline.agent.running.readiness import PARTS
    from hopline.tools.encoder import MODEL as ENCODER
    from hopline.tools.registry import installed

    want_json(json_)
    console = human()
    pulls = _pulls(names or ["offline"])
    for model in _left_out(names or ["offline"]):
        size = megabytes(model.download_size)
        console.print(f"left out: {model.name}, {size}; get it with: hopline models pull {model.name}")
    sizes = [one.size_bytes for one in pulls if one.size_bytes]
    if sizes:
        count = f"{len(sizes)} models" if len(sizes) > 1 else "1 model"
        console.print(f"{count} to download, {megabytes(sum(sizes))} in all")
    for one in pulls:
        one.bring(lambda line: console.print(f"  {line}", style="dim", markup=False))
    if any(one.name == ENCODER for one in pulls) and all(map(find_spec, PARTS["planning"][1])):
        console.print("  the planner learns how people ask for the tools", style="dim", markup=False)
        prepare(installed())
    if json_:
        say_json({"format": "hopline.pulled/1", "models": [one.name for one in pulls]})


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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pull:
    """One thing to bring.

    Attributes:
        name: as `models pull` takes it.
        bring: brings it, unless it is here.
        size_bytes: what is downloaded, about; 0 where it is here or nobody knows.
    """

    name: str
    bring: Callable[[Report], object]
    size_bytes: int = 0


def _profiles(names: Sequence[str]) -> dict[str, Profile]:
    from hopline.agent.running.profile import load_profile, profile_names

    known = profile_names()
    return {name: load_profile(name) for name in names if name in known or name.endswith(".toml")}


def _left_out(names: Sequence[str]) -> list[Model]:
    """What profiles among names read and do not bring."""
    from hopline.agent.running.readiness import models_of
    from hopline.tools.registry import installed

    read = [(profile, model) for profile in _profiles(names).values() for model in models_of(installed(), profile)]
    return [model for profile, model in read if model.name in profile.large_models and not model.present]


def _pulls(names: Sequence[str]) -> list[_Pull]:
    """What names stand for, profiles, backends or models, each once."""
    from hopline.tools.hub import is_hub_id
    from hopline.tools.models import find, manifest
    from hopline.tools.registry import installed

    found: list[_Pull] = []
    profiles, registry = _profiles(names), installed()
    for name in names:
        if name in profiles:
            found += _of_profile(profiles[name], registry)
        elif name.startswith(_OLLAMA):
            found.append(_by_ollama(name))
        elif name.partition(":")[0] in registry:
            backend = registry.backend(name)
            found += [*(_of_manifest(find(model)) for model in backend.models), *_of_hub_and_ollama(backend)]
        elif name in manifest() or not is_hub_id(name):
            found.append(_of_manifest(find(name)))
        else:
            found.append(_repository(name))
    return list({one.name: one for one in found}.values())


def _of_profile(profile: Profile, registry: Registry) -> Iterator[_Pull]:
    from hopline.agent.running.readiness import backends_of, models_of

    yield from (_of_manifest(model) for model in models_of(registry, profile) if model.name not in profile.large_models)
    for backend in backends_of(registry, profile):
        # What a profile does not write is not pulled with it where it is large.
        short = backend.id.partition(":")[2]
        if not (backend.large or backend.asks_server) or {backend.id, short} & profile.written:
            yield from _of_hub_and_ollama(backend)
    yield from (_by_ollama(chat) for chat in (profile.chat, profile.sees) if chat.startswith(_OLLAMA))


def _of_hub_and_ollama(backend: Backend) -> Iterator[_Pull]:
    """What a backend reads that is not in the manifest."""
    from hopline.tools.chat.backend import ChatBackend
    from hopline.tools.hub import is_hub_id, pull_files
    from hopline.tools.pretrained import Pretrained

    for files in backend.hub:
        size = files.size_bytes if files.folder is None else 0
        yield _Pull(name=backend.id, bring=partial(pull_files, files), size_bytes=size)
    if isinstance(backend, Pretrained) and is_hub_id(backend.model_name):
        yield _repository(backend.model_name)
    if isinstance(backend, ChatBackend) and backend.chat_name.startswith(_OLLAMA):
        yield _by_ollama(backend.chat_name)


def _of_manifest(model: Model) -> _Pull:
    from hopline.tools.models import pull as pull_model

    size = 0 if model.present else model.download_size
    return _Pull(name=model.name, bring=partial(pull_model, model), size_bytes=size)


def _repository(name: str) -> _Pull:
    from hopline.tools.hub import pull_repository, pulled_folder, size_of

    size = 0 if pulled_folder(name).is_dir() else size_of(name)
    return _Pull(name=name, bring=partial(pull_repository, name), size_bytes=size)


def _by_ollama(name: str) -> _Pull:
    from hopline.tools.chat.pulling import pull_by_ollama
    from hopline.tools.chat.server import server
    from hopline.tools.chat.sizes import size_bytes

    model = name.removeprefix(_OLLAMA)
    size = size_bytes(model)
    with suppress(HoplineError):
        server().tag(model)
        size = 0
    return _Pull(name=name, bring=partial(pull_by_ollama, model), size_bytes=size)


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
    all_: Annotated[bool, typer.Option("--all", help="Say what the other backends and commands miss, too.")] = False,
    json_: Json = False,
) -> None:
    """Say for each tool what serves it here, what is missing, the command that brings it and its download.

    Planning and measuring too. Recommends a profile for this machine's memory and graphics card.
    """
    from hopline.agent.running.readiness import beside_the_tools, readiness, recommended
    from hopline.tools.chat.server import server
    from hopline.tools.machine import this_machine

    want_json(json_)
    with _profile_and_registry(profile) as (chosen, registry):
        rows = list(readiness(registry, chosen))
    beside = beside_the_tools(chosen)
    machine = this_machine()
    try:
        ollama = server().loopback and bool(server().version())
    except HoplineError:
        ollama = False
    advised, why = recommended(machine, ollama)
    if json_:
        said = {"format": "hopline.doctor/1", "profile": chosen.name, "tools": [asdict(row) for row in rows]}
        said["beside"] = [asdict(row) for row in beside]
        say_json(said | {"machine": asdict(machine), "recommended": {"profile": advised, "why": why}})
    else:
        _show([*rows, *(row for row in beside if all_ or row.tool in ("planning", "loss"))], all_)
        console = table_console()
        console.print(f"this machine: {machine}; the profile for it: {advised} ({why})", markup=False)
    if registry.absent or any(row.commands and not row.optional for row in [*rows, *beside]):
        raise typer.Exit(3)


def _show(rows: Sequence[Readiness], every: bool) -> None:
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
    shown = [*rows, *(other for row in rows if every for other in row.others)]
    # Packages first, then servers, then what packages and servers are needed for.
    commands = dict.fromkeys(command for row in shown for command in row.commands)
    for command in sorted(commands, key=lambda one: (not one.startswith("pip "), " pull " in one)):
        size = _download(command)
        console.print(f"to get it: {command}" + (f"   ({megabytes(size)})" if size else ""), markup=False)


def _download(command: str) -> int:
    """About how many bytes a command downloads; 0 where it is nothing or nobody knows."""
    from hopline.agent.running.readiness import EXTRA_BYTES
    from hopline.tools.chat.sizes import size_bytes

    name = command.rpartition(" ")[2]
    if command.startswith("pip "):
        return EXTRA_BYTES.get(name.partition("[")[2].partition("]")[0], 0)
    if command.startswith("ollama pull "):
        return size_bytes(name)
    return sum(one.size_bytes for one in _pulls([name])) if " pull " in command else 0


def _state(row: Readiness) -> Text:
    if row.ready:
        return Text("ready", style="green")
    return Text(("optional: " if row.optional else "") + "; ".join(row.missing), style="yellow")
