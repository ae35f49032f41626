"""Profiles: which backend serves each tool, which chat model plans and which sees."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Self

from hopline.tools.backend import Backend
from hopline.tools.errors import BadPlan, MissingBackend, NotFound
from hopline.tools.function import functions_of
from hopline.tools.home import home
from hopline.tools.mcp.settings import ServerSettings
from hopline.tools.registry import Registry, installed
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator


class Profile(BaseModel):
    """A profile as its TOML says.

    Attributes:
        name: how it is chosen.
        description: one sentence.
        remote: content may leave this machine.
        backends: by tool, `tool:backend[:model]`.
        readers: by modality, the backends that read nodes for measurement, in order.
        chat: model that plans and serves the text tools; empty for none.
        sees: chat model that takes pictures; empty for none.
        planner: `typed`, `assisted` or `chat`; empty for `assisted` where the local model is present, else `typed`.
        tools_from: Python files whose `@tool` functions are registered; in a profile's file beside that file.
        models: models of the manifest that no backend names.
        large_models: models that `models pull PROFILE` leaves out; they are pulled by name.
        traces: where runs are written as OpenTelemetry spans, a JSON Lines file or an OTLP/HTTP address; empty for
            nowhere.
        trace_content: spans show texts; without it they name them by sha256.
        mcp: servers whose tools are added, by the word that their names begin with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str = ""
    remote: bool = False
    backends: Mapping[str, str] = Field(default_factory=dict)
    readers: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    chat: str = ""
    sees: str = ""
    planner: str = ""
    tools_from: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    large_models: tuple[str, ...] = ()
    traces: str = ""
    trace_content: bool = False
    mcp: Mapping[str, ServerSettings] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _servers(self) -> Self:
        for name, server in self.mcp.items():
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", name):
                raise ValueError(f"mcp.{name}: the name of a server is a lower-case word")
            if server.remote and not self.remote:
                raise ValueError(
                    f"mcp.{name} may send away what it is given, and this profile keeps content here; say remote = "
                    "false for the server if you know that it does not, or remote = true for the profile"
                )
        return self

    @property
    def written(self) -> set[str]:
        """Ids of the backends that it names, readers included."""
        return {*self.backends.values(), *(one for readers in self.readers.values() for one in readers)}

    def choose(self, registry: Registry, tool: str, backend_id: str | None = None) -> Backend:
        """The backend that serves a tool: the plan's own, the profile's, or the first that needs no server.

        Raises:
            NotFound: no such tool.
            MissingBackend: nothing serves it here; says what would.
            BadPlan: the plan names a backend of another tool, or one that sends content away
                where the profile does not allow it.
        """
        declared = registry.tool(tool)
        there = sorted(registry.backends(tool), key=lambda backend: (backend.asks_server, backend.large))
        if not (self.remote or backend_id or tool in self.backends):
            there = [kind for kind in there if not kind().remote]
        wanted = backend_id or self.backends.get(tool) or next((backend.name for backend in there), "")
        if not wanted:
            raise MissingBackend(
                f"{declared.name} is declared, but the profile {self.name!r} has no backend for it.",
                hint="Install a package that brings one, or name one in a profile of your own.",
            )
        wanted = wanted if wanted.startswith(f"{tool}:") else f"{tool}:{wanted}"
        if backend_id and backend_id.partition(":")[0] != tool and f"{tool}:{backend_id}" != wanted:
            raise BadPlan(f"{backend_id} is not a backend of {tool}.")
        backend = registry.backend(wanted)
        if backend.remote and not self.remote:
            raise BadPlan(f"{wanted} sends content away, and the profile {self.name!r} does not allow it.")
        return backend


def load_profile(name: str) -> Profile:
    """A profile by its name (built in, or `HOPLINE_HOME/profiles/NAME.toml`) or its file.

    Raises:
        NotFound: there is none; lists those there are.
        BadPlan: the file does not read; says where.
    """
    path = Path(name)
    if path.suffix == ".toml":
        if not path.is_file():
            raise NotFound(f"there is no profile file {name}.")
        text = path.read_text("utf-8")
    else:
        found = {**_built_in(), **_own()}
        if name not in found:
            raise NotFound(f"there is no profile {name!r}; there are: {', '.join(sorted(found))}.")
        text, path = found[name], home() / "profiles" / name
    try:
        profile = Profile.model_validate(tomllib.loads(text))
        beside = tuple(str(path.parent / Path(file).expanduser()) for file in profile.tools_from)
        return profile.model_copy(update={"tools_from": beside})
    except tomllib.TOMLDecodeError as error:
        raise BadPlan(f"the profile {name} is not TOML: {error}.") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise BadPlan(f"the profile {name}: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from None


def registry_for(profile: Profile) -> Registry:
    """The installed tools, and those of the profile's own Python files, which are run for it.

    Raises:
        BadInput: a file is not there, or marks no tool.
        BadPlan: a function is not a tool, or two are called the same.
    """
    registry = installed()
    for function in functions_of(map(Path, profile.tools_from)):
        registry.add_function(function)
    return registry


def profile_names() -> list[str]:
    """Names of all profiles here."""
    return sorted({**_built_in(), **_own()})


def _built_in() -> dict[str, str]:
    folder = resources.files("hopline.agent.running").joinpath("profiles")
    return {p.name.removesuffix(".toml"): p.read_text("utf-8") for p in folder.iterdir() if p.name.endswith(".toml")}


def _own() -> dict[str, str]:
    return {path.stem: path.read_text("utf-8") for path in sorted((home() / "profiles").glob("*.toml"))}
