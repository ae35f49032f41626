"""An Ollama server: where it is, what it has, and what a tag stands for there today.

Plain requests of the standard library, so that an identity or a `doctor` costs milliseconds and no import.
The answers of `/api/tags`, `/api/show` and `/api/pull`: https://docs.ollama.com/api.
"""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from hopline.tools.chat.sizes import pull_command, said_size
from hopline.tools.errors import BackendFailed, BadPlan, MissingModel, MissingServer

DEFAULT_PORT = 11434
_LOOK_TIMEOUT_S = 5.0
_PULL_TIMEOUT_S = 120.0
"""Between two lines of a pull, not for the whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tag:
    """What a tag stands for on a server.

    Attributes:
        name: with its tag, `llama3.2-vision:latest`.
        digest: sha256 of the model's manifest, hexadecimal; changes when anybody pulls a newer one.
        quantization: `Q4_K_M`, …; empty if the server does not say.
        parameter_size: `10.7B`; empty if the server does not say.
        size_bytes: on the server's disk.
        elsewhere: the server only passes it on to another machine (Ollama's cloud models).
    """

    name: str
    digest: str
    quantization: str = ""
    parameter_size: str = ""
    size_bytes: int = 0
    elsewhere: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What `/api/show` says of a model.

    Attributes:
        capabilities: `completion`, `tools`, `vision`, `thinking`, …; None from a server too old to say.
        context_length: tokens the model was made for; None if unknown.
    """

    capabilities: frozenset[str] | None = None
    context_length: int | None = None

    def can(self, capability: str) -> bool:
        """Whether it may be tried: listed, or the server does not list."""
        return self.capabilities is None or capability in self.capabilities


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """An Ollama server.

    Attributes:
        url: `http://127.0.0.1:11434`, without credentials.
        authorization: value of that header; empty for none.
    """

    url: str
    authorization: str = field(default="", repr=False)

    @property
    def loopback(self) -> bool:
        """Whether it is on this machine."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def tags(self, model: str = "") -> list[Tag]:
        """All that was pulled there.

        Args:
            model: that somebody looks for, named in the error when nobody answers.

        Raises:
            MissingServer: nobody answers.
            BackendFailed: what answers is not Ollama, or refuses.
        """
        found = self._ask("/api/tags", model=model).get("models")
        if not isinstance(found, list):
            raise BackendFailed(f"what answers at {self.url} is not Ollama: it lists no models.")
        return [_tag(row) for row in found if isinstance(row, dict)]

    def tag(self, model: str) -> Tag:
        """What a tag stands for now.

        Raises:
            MissingModel: it was not pulled; the hint is the command and its size.
            MissingServer, BackendFailed: as `tags`.
        """
        there = self.tags(model)
        wanted = full_tag(model)
        found = next((tag for tag in there if tag.name == wanted), None)
        if found is None:
            raise self.not_pulled(model, [tag.name for tag in there])
        return found

    def show(self, model: str) -> Shown:
        """What a pulled model can do.

        Raises:
            MissingModel: it was not pulled.
            MissingServer, BackendFailed: as `tags`.
        """
        answer = self._ask("/api/show", {"model": full_tag(model)}, model=model)
        listed = answer.get("capabilities")
        capabilities = frozenset(map(str, listed)) if isinstance(listed, list) else None
        information = answer.get("model_info")
        lengths = [
            value
            for key, value in (information.items() if isinstance(information, dict) else ())
            if key.endswith(".context_length") and isinstance(value, int)
        ]
        return Shown(capabilities=capabilities, context_length=max(lengths, default=None))

    def version(self) -> str:
        """Of the server.

        Raises:
            MissingServer, BackendFailed: as `tags`.
        """
        return str(self._ask("/api/version").get("version", "unknown"))

    def pull(self, model: str) -> Iterator[tuple[str, int, int]]:
        """Have the server download a model; one that was broken off goes on where it stopped.

        Yields:
            What it is doing, bytes done and bytes in all of the part under way (0 where it does not say).

        Raises:
            MissingServer: nobody answers, or it went away.
            BackendFailed: it could not; says why. Without its word of success a pull has failed.
        """
        request = self._request("/api/pull", {"model": full_tag(model), "stream": True})
        status = ""
        try:
            with _opener().open(request, timeout=_PULL_TIMEOUT_S) as answer:
                for line in answer:
                    said = json.loads(line)
                    if "error" in said:
                        raise BackendFailed(f"Ollama could not pull {model}: {said['error']}.")
                    status = str(said.get("status", ""))
                    yield status, int(said.get("completed", 0)), int(said.get("total", 0))
        except urllib.error.HTTPError as error:
            raise BackendFailed(f"Ollama could not pull {model}: {_said(error)}.") from None
        except (OSError, http.client.HTTPException) as error:
            raise self.down(model, error) from None
        except ValueError:
            raise BackendFailed(f"what answers at {self.url} is not Ollama.") from None
        if status != "success":
            raise BackendFailed(f"the pull of {model} broke off at {status!r}.", hint="Pull again: it goes on there.")

    def down(self, model: str = "", why: BaseException | None = None) -> MissingServer:
        """The error that says that nobody answers, and what to do."""
        reason = getattr(why, "reason", None) or why
        said = f" ({reason})" if reason else ""
        if self.loopback:
            hint = "Start it: ollama serve (to install it: https://ollama.com/download)."
        else:
            hint = "Start Ollama there, or set OLLAMA_HOST."
        if model:
            hint += f" If the model is not there yet: {pull_command(model)}{said_size(model)}."
        return MissingServer(f"Ollama does not answer at {self.url}{said}.", hint=hint)

    def not_pulled(self, model: str, there: Sequence[str] | None = None) -> MissingModel:
        """The error that says that a model is not there, what is (where known), and the command that brings it."""
        listed = ""
        if there is not None:
            listed = f"; there: {', '.join(there[:8]) or 'none'}{', …' if len(there) > 8 else ''}"
        return MissingModel(
            f"the model {full_tag(model)} is not on the Ollama at {self.url}{listed}.",
            hint=f"Run: {pull_command(model)}{said_size(model)}",
        )

    def _request(self, path: str, body: Mapping[str, Any] | None = None) -> urllib.request.Request:
        headers = {"Content-Type": "application/json"}
        if self.authorization:
            headers["Authorization"] = self.authorization
        data = None if body is None else json.dumps(body).encode()
        return urllib.request.Request(self.url + path, data=data, headers=headers)

    def _ask(self, path: str, body: Mapping[str, Any] | None = None, *, model: str = "") -> dict[str, Any]:
        try:
            with _opener().open(self._request(path, body), timeout=_LOOK_TIMEOUT_S) as answer:
                said = json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404 and body is not None:
                raise self.not_pulled(model) from None
            raise BackendFailed(f"Ollama at {self.url} refused {path}: {_said(error)}.") from None
        except (OSError, http.client.HTTPException) as error:
            raise self.down(model, error) from None
        except ValueError:
            raise BackendFailed(f"what answers at {self.url} is not Ollama.") from None
        if not isinstance(said, dict):
            raise BackendFailed(f"what answers at {self.url} is not Ollama.")
        return said


def server(host: str | None = None) -> Server:
    """The server that `OLLAMA_HOST` names, in all the ways Ollama itself reads it; this machine's by default.

    Args:
        host: instead of the variable.

    Raises:
        BadPlan: it does not read as an address.
    """
    written = (os.environ.get("OLLAMA_HOST", "") if host is None else host).strip().strip("\"'")
    try:
        parts = urlsplit(written if "://" in written else f"http://{written}")
        port = parts.port or {"https": 443, "http": 80 if "://" in written else DEFAULT_PORT}[parts.scheme]
    except (ValueError, KeyError):
        raise BadPlan(f"OLLAMA_HOST={written!r} is no address.", hint="Write host:port or http://host:port.") from None
    name = parts.hostname or "127.0.0.1"
    if name in ("0.0.0.0", "::"):
        # Where a server listens everywhere, a client on the same machine reaches it here.
        name = "127.0.0.1"
    authorization = ""
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {base64.b64encode(pair.encode()).decode()}"
    shown = f"[{name}]" if ":" in name else name
    return Server(url=f"{parts.scheme}://{shown}:{port}{parts.path.rstrip('/')}", authorization=authorization)


def full_tag(model: str) -> str:
    """A model's name with its tag: `llava` → `llava:latest`."""
    return model if ":" in model.rpartition("/")[2] else f"{model}:latest"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """What this machine's server is asked must not go on to another."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _opener() -> urllib.request.OpenerDirector:
    # No proxy: what is asked of this machine stays on it, and one in between would cut streams.
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())


def _tag(row: Mapping[str, Any]) -> Tag:
    details = row.get("details") or {}
    return Tag(
        name=str(row.get("model") or row.get("name") or ""),
        digest=str(row.get("digest", "")).removeprefix("sha256:"),
        quantization=str(details.get("quantization_level") or ""),
        parameter_size=str(details.get("parameter_size") or ""),
        size_bytes=int(row.get("size") or 0),
        elsewhere=bool(row.get("remote_host")),
    )


def _said(error: urllib.error.HTTPError) -> str:
    """What a refusal says, in one line."""
    try:
        return f"{json.load(error)['error']} ({error.code})"
    except (ValueError, KeyError, TypeError, OSError):
        return f"status {error.code}"
