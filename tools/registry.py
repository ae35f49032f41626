"""What can be called here: declared tools and the backends that serve them.

Built-ins enter by the same entry-point groups as anybody else's, `hopline.tools` (a sequence of
Tools) and `hopline.backends` (a Backend class). `HOPLINE_PLUGINS=0` leaves out all but ours.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points

from hopline.tools.backend import Backend
from hopline.tools.errors import BadPlan, HoplineError, MissingBackend, NotFound, UserError
from hopline.tools.function import tool_of
from hopline.tools.spec import Tool

OURS = "hopline"


class Registry:
    """Tools by name and backend classes by `tool:backend`.

    Args:
        tools: declarations.
        backends: classes; each names a declared tool.

    Attributes:
        absent: why the tools whose names begin with `NAME_` are not here, by NAME.

    Raises:
        BadPlan: two of one name, or a backend of an undeclared tool.
    """

    def __init__(self, tools: Iterable[Tool] = (), backends: Iterable[type[Backend]] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        self._backends: dict[str, type[Backend]] = {}
        self.absent: dict[str, HoplineError] = {}
        for tool in tools:
            self.add_tool(tool)
        for backend in backends:
            self.add_backend(backend)

    def add_tool(self, tool: Tool) -> None:
        if tool.name in self._tools:
            raise BadPlan(f"two tools are called {tool.name!r}.")
        self._tools[tool.name] = tool

    def add_backend(self, backend: type[Backend]) -> None:
        if backend.tool not in self._tools:
            raise BadPlan(f"backend {backend.name!r} serves the tool {backend.tool!r}, which nobody declares.")
        key = f"{backend.tool}:{backend.name}"
        if key in self._backends:
            raise BadPlan(f"two backends are called {key!r}.")
        self._backends[key] = backend

    def add_function(self, function: object) -> Tool:
        """Register a function marked with `@tool`, or a plain typed one.

        Raises:
            BadPlan: its signature does not say what goes in and comes out.
        """
        declaration, backend = tool_of(function)
        self.add_tool(declaration)
        self.add_backend(backend)
        return declaration

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def tool(self, name: str) -> Tool:
        """The declaration of that name.

        Raises:
            NotFound: nobody declares it.
            HoplineError: who would declare it could not be asked.
        """
        if name not in self._tools:
            for prefix, error in self.absent.items():
                if name.startswith(f"{prefix}_"):
                    raise error
            raise NotFound(f"there is no tool {name!r}; there are: {', '.join(self._tools) or 'none'}.")
        return self._tools[name]

    def backends(self, tool: str) -> list[type[Backend]]:
        """Backend classes that serve a tool, in the order of registration."""
        return [backend for backend in self._backends.values() if backend.tool == tool]

    def backend(self, backend_id: str) -> Backend:
        """An instance of `tool:backend[:model]`, not loaded.

        Raises:
            NotFound: no such tool.
            MissingBackend: the tool is declared but this backend is not here.
        """
        tool, _, rest = backend_id.partition(":")
        name, _, model = rest.partition(":")
        self.tool(tool)
        key = f"{tool}:{name}"
        if key not in self._backends:
            have = ", ".join(f"{b.tool}:{b.name}" for b in self.backends(tool)) or "none"
            raise MissingBackend(f"there is no backend {key!r}; {tool} has: {have}.", hint="See: hopline doctor")
        return self._backends[key](model)


def installed() -> Registry:
    """All tools and backends that installed packages bring.

    Raises:
        UserError: an entry point is broken; names the package that brings it.
    """
    registry = Registry()
    for tools in _load("hopline.tools"):
        for tool in tools if isinstance(tools, Iterable) else [tools]:
            registry.add_tool(tool)  # type: ignore[arg-type]  # checked by _load
    for backend in _load("hopline.backends"):
        registry.add_backend(backend)  # type: ignore[arg-type]  # checked by _load
    return registry


def _load(group: str) -> Iterator[object]:
    only_ours = os.environ.get("HOPLINE_PLUGINS") == "0"
    for entry in sorted(entry_points(group=group), key=_ours_first):
        package = entry.dist.name if entry.dist else "an unknown package"
        if only_ours and package != OURS:
            continue
        try:
            loaded = entry.load()
        except Exception as error:  # a plug-in may raise anything while it is imported
            raise UserError(
                f"the package {package} brings {group} entry {entry.name!r}, which does not load: {error!r}.",
                hint="Remove the package, or set HOPLINE_PLUGINS=0.",
            ) from error
        if group == "hopline.backends" and not (isinstance(loaded, type) and issubclass(loaded, Backend)):
            raise UserError(f"the package {package} brings {entry.name!r}, which is not a Backend class.")
        yield loaded


def _ours_first(entry: EntryPoint) -> bool:
    return not (entry.dist and entry.dist.name == OURS)
