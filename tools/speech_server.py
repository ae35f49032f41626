"""What the backends on an OpenAI-compatible speech server have in common: its address, its client, its errors.

The model part is `MODEL[@ADDRESS]`, with `#VOICE` after the model for speaking: `whisper-1`,
`Systran/faster-whisper-small@http://127.0.0.1:8000/v1`, `tts-1#alloy`. Without an address it is that of
`OPENAI_BASE_URL`, or OpenAI's. The key is that of `OPENAI_API_KEY`; a server on this machine needs none.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hopline.tools.backend import Backend, Missing
from hopline.tools.errors import (
    BackendFailed,
    BadPlan,
    CutReply,
    HopTimeout,
    InputRefused,
    MissingExtra,
    MissingModel,
    MissingServer,
    ResourceExceeded,
    UserError,
)
from hopline.tools.home import limits, setting

if TYPE_CHECKING:
    from openai import OpenAI

OPENAI = "https://api.openai.com/v1"
_CONNECT_TIMEOUT_S = 5.0


class SpeechServer(Backend):
    """A tool served by a server that speaks OpenAI's speech API.

    Not deterministic: nobody promises that a server answers the same twice. `remote` unless the server is on this
    machine.
    """

    name = "openai"
    deterministic = False
    heavy = False
    asks_server = True
    extra = "openai"
    packages = ("openai",)
    default_model = ""

    def __init__(self, model: str = "") -> None:
        super().__init__(model)
        written, _, address = model.partition("@")
        name, _, voice = written.partition("#")
        self.served = name or self.default_model
        self.voice = voice
        self.address = (address or os.environ.get("OPENAI_BASE_URL") or OPENAI).rstrip("/")
        if urlsplit(self.address).scheme not in ("http", "https"):
            raise BadPlan(f"{self.address!r} is no address of a server.", hint="Write MODEL@http://host:port/v1.")
        self.remote = not on_this_machine(self.address)
        self._client: OpenAI | None = None

    def identity(self) -> dict[str, str]:
        return super().identity() | {"model": self.served, "server": self.address}

    def missing(self) -> tuple[Missing, ...]:
        if self.remote and not os.environ.get("OPENAI_API_KEY"):
            return (Missing(what=f"a key for {self.address}", command="export OPENAI_API_KEY=…"),)
        return ()

    def load(self) -> None:
        if self._client is not None:
            return
        try:
            from openai import DefaultHttpxClient, OpenAI, Timeout
        except ImportError:
            raise MissingExtra("a speech server needs openai.", hint="pip install 'hopline[openai]'") from None
        key = os.environ.get("OPENAI_API_KEY", "")
        if self.remote and not key:
            raise UserError(f"{self.address} wants a key.", hint="Set OPENAI_API_KEY.")
        timeout = Timeout(limits().hop_timeout_s, connect=_CONNECT_TIMEOUT_S)
        # Neither a proxy nor a redirect may carry elsewhere what is said to a server of this machine.
        http = DefaultHttpxClient(trust_env=self.remote, follow_redirects=False, timeout=timeout)
        self._client = OpenAI(
            base_url=self.address, api_key=key or "none", timeout=timeout, max_retries=0, http_client=http
        )

    @contextmanager
    def asking(self) -> Iterator[OpenAI]:
        """The client; what goes wrong with it comes out as ours.

        Raises:
            MissingServer: nobody answers.
            MissingModel: the server has no such model.
            InputRefused: it does not take this input.
            HopTimeout, CutReply, BackendFailed, ResourceExceeded, UserError: as they say.
        """
        import openai

        assert self._client is not None, "load() comes first"
        where = f"the speech server at {self.address}"
        try:
            yield self._client
        except openai.APITimeoutError:
            raise HopTimeout(f"{where} did not answer in time.", hint=f"Raise {setting('hop_timeout_s')}.") from None
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            if type(cause).__name__ in ("RemoteProtocolError", "ReadError"):
                raise CutReply(f"the reply of {where} broke off ({cause}).") from None
            raise MissingServer(
                f"{where} does not answer ({cause}).", hint="Start it, or name another address after @."
            ) from None
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise UserError(f"{where} refuses the key: {_said(error)}.", hint="Set OPENAI_API_KEY.") from None
        except openai.NotFoundError as error:
            raise MissingModel(
                f"{where} does not serve {self.served!r}: {_said(error)}.", hint=f"Ask it: curl {self.address}/models"
            ) from None
        except openai.RateLimitError as error:
            raise ResourceExceeded(f"{where} takes no more for now: {_said(error)}.") from None
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            raise InputRefused(f"{where} does not take it: {_said(error)}.") from None
        except openai.APIStatusError as error:
            raise BackendFailed(f"{where} failed: {_said(error)} (status {error.status_code}).") from None
        except openai.OpenAIError as error:
            raise BackendFailed(f"{where}: {type(error).__name__}: {error}.") from None
        except ValueError as error:  # the client passes on what its JSON parser raises
            raise BackendFailed(f"what answers at {self.address} does not speak OpenAI's API ({error}).") from None
        except Exception as error:
            # What breaks while the body is read comes from the client's transport as it is (httpx, or httpx2).
            if not type(error).__module__.startswith("httpx"):
                raise
            raise CutReply(f"the reply of {where} broke off ({error}).") from None


def on_this_machine(address: str) -> bool:
    """Whether an address is a loopback one."""
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _said(error: Exception) -> str:
    """What a refusal says, in one line."""
    body = getattr(error, "body", None)
    said = body.get("message") if isinstance(body, dict) else None
    return " ".join(str(said or error).split())[:200].rstrip(".")
