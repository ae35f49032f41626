"""A plain typed function as a tool, with no packaging.

    @tool
    def shout(text: str) -> str:
        "Writes a text in capital letters."
        return text.upper()

`str` is text; `Image`, `Audio`, `Video` are artifacts of that modality; `list[...]` is many.
Parameters with a default are settings, the others are inputs; `seed: int = 0` gets the hop's seed.
"""

from __future__ import annotations

import hashlib
import inspect
import runpy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, cast, get_args, get_origin, get_type_hints, overload

from hopline.tools.artifact import AUDIO, IMAGE, TEXT, VIDEO, Artifact
from hopline.tools.backend import Backend, Call, Result
from hopline.tools.errors import BadInput, BadPlan
from hopline.tools.spec import Port, Tool

Image = Annotated[Artifact, IMAGE]
Audio = Annotated[Artifact, AUDIO]
Video = Annotated[Artifact, VIDEO]

F = TypeVar("F", bound=Callable[..., Any])

_SETTINGS = {str: "string", int: "integer", float: "number", bool: "boolean"}
_MARK = "__hopline_tool__"
SEED = "seed"


@overload
def tool(function: F) -> F: ...
@overload
def tool(
    *,
    name: str = "",
    examples: Sequence[str] = (),
    deterministic: bool = True,
    side_effects: bool = False,
    recodes: bool = False,
) -> Callable[[F], F]: ...
def tool(
    function: F | None = None,
    *,
    name: str = "",
    examples: Sequence[str] = (),
    deterministic: bool = True,
    side_effects: bool = False,
    recodes: bool = False,
) -> Any:
    """Mark a typed function as a tool; it stays callable as before.

    Args:
        function: the function; its docstring's first paragraph is the description.
        name: the tool's name; the function's by default.
        examples: how people ask for it, a clause each ("say it in capitals"); the planner learns from eight or more.
        deterministic: the same input always gives the same bytes.
        side_effects: it changes something outside; never cached nor silently repeated.
        recodes: its output is its input coded otherwise; see `Result.details`.

    Raises:
        BadPlan: its signature does not say what goes in and comes out.
    """

    def mark(f: F) -> F:
        declaration, backend = _declare(f, name or f.__name__, deterministic, side_effects, recodes)
        setattr(f, _MARK, (replace(declaration, examples=tuple(examples)), backend))
        return f

    return mark(function) if function is not None else mark


def tool_of(function: object) -> tuple[Tool, type[Backend]]:
    """Declaration and backend class of a marked or plain typed function.

    Raises:
        BadPlan: it is not a function, or its signature does not say what goes in and comes out.
    """
    marked = getattr(function, _MARK, None)
    if marked is not None:
        return cast("tuple[Tool, type[Backend]]", marked)
    if not callable(function) or not hasattr(function, "__name__"):
        raise BadPlan(f"{function!r} is not a function.")
    return _declare(function, function.__name__, True, False, False)


def tools_in(namespace: Mapping[str, object]) -> list[object]:
    """The marked functions of a module, in the order of their definition."""
    return [value for value in namespace.values() if hasattr(value, _MARK)]


def functions_of(files: Iterable[Path]) -> list[object]:
    """The marked functions of some Python files, which are run for it.

    Raises:
        BadInput: a file is not there, or marks none.
    """
    found: list[object] = []
    for path in files:
        if not path.is_file():
            raise BadInput(f"{path}: there is no such file of tools.")
        functions = tools_in(runpy.run_path(str(path)))
        if not functions:
            raise BadInput(f"{path} marks no function with @tool.")
        found.extend(functions)
    return found


def _declare(
    function: Callable[..., Any], name: str, deterministic: bool, side_effects: bool, recodes: bool
) -> tuple[Tool, type[Backend]]:
    hints = get_type_hints(function, include_extras=True)
    inputs: list[Port] = []
    parameters: dict[str, dict[str, Any]] = {}
    seeded = False
    for parameter in inspect.signature(function).parameters.values():
        kind = hints.get(parameter.name)
        if parameter.name == SEED:
            seeded = True
        elif parameter.default is inspect.Parameter.empty:
            inputs.append(_port(name, parameter.name, kind))
        else:
            parameters[parameter.name] = {"default": parameter.default}
            if kind in _SETTINGS:
                parameters[parameter.name]["type"] = _SETTINGS[kind]
    returned = hints.get("return")
    outputs = () if returned in (None, type(None)) else (_port(name, "", returned),)
    if returned is None and "return" not in hints:
        raise BadPlan(f"tool {name}: say what it returns (-> str, Image, Audio, Video, a list of these, or None).")
    declaration = Tool(
        name=name,
        description=(inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " "),
        inputs=tuple(inputs),
        outputs=outputs,
        parameters=parameters,
        side_effects=side_effects,
    )
    body: dict[str, Any] = {
        "__doc__": f"The function {function.__qualname__}.",
        "__module__": function.__module__,
        "tool": name,
        "name": "function",
        "code_version": _source_digest(function),
        "deterministic": deterministic,
        "seeded": seeded,
        "recodes": recodes,
        "declaration": declaration,
        "function": staticmethod(function),
    }
    return declaration, type(f"Function_{name}", (FunctionBackend,), body)


def _source_digest(function: Callable[..., Any]) -> str:
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):  # typed at a prompt: the compiled code stands for it
        source = function.__code__.co_code.hex() + repr(function.__code__.co_consts)
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def _port(tool_name: str, port_name: str, kind: Any) -> Port:
    many = get_origin(kind) in (list, tuple)
    if many:
        kind = get_args(kind)[0]
    if kind is str:
        type_ = TEXT
    elif get_origin(kind) is Annotated and get_args(kind)[0] is Artifact:
        type_ = str(get_args(kind)[1])
    else:
        shown = getattr(kind, "__name__", kind)
        raise BadPlan(
            f"tool {tool_name}: {port_name or 'the result'} is {shown}; "
            "an input or result is str, Image, Audio, Video or a list of these."
        )
    return Port(name=port_name or type_, type=type_, many=many)


class FunctionBackend(Backend):
    """Calls the function in the coordinator."""

    heavy = False
    recodes: ClassVar[bool] = False
    declaration: ClassVar[Tool]
    function: ClassVar[Callable[..., Any]]

    def call(self, call: Call) -> Result:
        arguments: dict[str, Any] = {}
        for port in self.declaration.inputs:
            values = [a.text if port.type == TEXT else a for a in call.inputs[port.name]]
            arguments[port.name] = values if port.many else values[0]
        if self.seeded:
            arguments[SEED] = call.seed
        returned = type(self).function(**arguments, **call.parameters)
        if not self.declaration.outputs:
            return Result(outputs={})
        (port,) = self.declaration.outputs
        items = list(returned) if port.many else [returned]
        made = tuple(Artifact.from_text(item) if port.type == TEXT else item for item in items)
        return Result(outputs={port.name: made}, details={"recoded": True} if self.recodes else {})
