"""What a profile says about a server; nothing here starts or asks one."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from string import Template
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from hopline.tools.errors import MissingServer
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_TYPE = re.compile(r"[a-z][a-z0-9_]*\*?")


class ArgumentSettings(BaseModel):
    """How one JSON argument becomes an input; `"image"` alone is `{type = "image"}`.

    Attributes:
        type: a modality; with a star (`text*`) the argument is a list.
        form: what stands in the JSON where the type is not text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str = Field(pattern=_TYPE.pattern)
    form: Literal["base64", "data_url"] = "base64"


def _argument(value: object) -> object:
    return {"type": value} if isinstance(value, str) else value


class ToolSettings(BaseModel):
    """What the profile says about one tool; it counts before whatever the server says.

    Attributes:
        description: for planners, instead of the server's.
        inputs: JSON arguments that other hops supply; the rest are parameters. By default those that the
            schema requires and that are text, or media in base64.
        outputs: types of what comes back, `"text"` or `"text*, image"`.
        defaults: values of parameters where a plan gives none.
        side_effects: it changes something outside the run: asked about before each call, never cached.
        deterministic: the same arguments give the same result.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = ""
    inputs: Mapping[str, Annotated[ArgumentSettings, BeforeValidator(_argument)]] | None = None
    outputs: str = "text"
    defaults: Mapping[str, Any] = Field(default_factory=dict)
    side_effects: bool = True
    deterministic: bool = False

    @model_validator(mode="after")
    def _whole(self) -> Self:
        types = [part.strip() for part in self.outputs.split(",")]
        if not all(map(_TYPE.fullmatch, types)) or len({kind.rstrip("*") for kind in types}) < len(types):
            raise ValueError(f"outputs are different types like 'text' or 'text*, image', got {self.outputs!r}")
        return self


class ServerSettings(BaseModel):
    """One server of a profile: a command that is started here, or an address.

    Attributes:
        command: program and arguments, spoken to over stdin and stdout.
        url: address of a server that speaks streamable HTTP.
        env: variables for the program, beside PATH, HOME and their like; `${NAME}` is taken from ours.
        headers: for an address; `${NAME}` as in `env`.
        remote: what it is given may leave this machine. Nobody can see that from here, so it is true until the
            profile says otherwise, and always for an address that is not on loopback.
        timeout_s: wall clock of one call, s.
        start_s: wall clock of starting it and asking what it offers, s.
        max_result_mib: size of one result, MiB.
        only: names of tools to take; all by default.
        tools: what is known about some of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: tuple[str, ...] = ()
    url: str = ""
    env: Mapping[str, str] = Field(default_factory=dict)
    headers: Mapping[str, str] = Field(default_factory=dict)
    remote: bool = True
    timeout_s: float = Field(default=60, gt=0)
    start_s: float = Field(default=20, gt=0)
    max_result_mib: float = Field(default=16, gt=0)
    only: tuple[str, ...] = ()
    tools: Mapping[str, ToolSettings] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError("a server has either a command or a url")
        if self.url and urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError("a url begins with http:// or https://")
        if self.url and not self.remote and not self.loopback:
            raise ValueError("an address that is not on loopback is remote")
        return self

    @property
    def loopback(self) -> bool:
        """It is an address of this machine."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    @property
    def where(self) -> str:
        """What is started or asked, for people; without what may be secret."""
        parts = urlsplit(self.url)
        return self.command[0] if self.command else f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def filled(name: str, values: Mapping[str, str]) -> dict[str, str]:
    """Variables or headers with each `${NAME}` taken from the environment.

    Raises:
        MissingServer: a variable is not set; names it and the server.
    """
    try:
        return {key: Template(value).substitute(os.environ) for key, value in values.items()}
    except KeyError as error:
        why = f"the environment variable {error.args[0]} is not set"
    except ValueError as error:
        why = f"{error}"
    raise MissingServer(f"the MCP server {name!r} is not asked: {why}.", hint="Set it, or change the profile.")
