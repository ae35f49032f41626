"""Every error hopline raises on purpose, sorted by who must act.

    HoplineError
    ├── UserError            the person who asked: exit code 2
    │   ├── BadInput         an attachment or text was refused at the gate
    │   ├── BadPlan          a plan, chain, profile or parameter does not check
    │   ├── UnsafeModel      a model's folder holds code or pickles
    │   └── NotFound         no run, artifact or handle of that name
    ├── Unavailable          something must be installed or started: exit code 3
    │   ├── MissingExtra     a Python package; names the extra
    │   ├── MissingModel     weights; names the command and its size
    │   ├── MissingServer    a server that has to be started; names the command
    │   ├── MissingBackend   a declared tool without a backend
    │   └── NoPlan           no tool leads from what is there to what is asked
    ├── HopError             one call of one tool: the hop is recorded as failed, exit code 1
    │   ├── InputRefused     this backend cannot take this input
    │   ├── ResourceExceeded memory or disk
    │   ├── HopTimeout       the time limit of the hop
    │   ├── NotApproved      it may change something, and nobody approved the call
    │   ├── HopCancelled     somebody asked it to stop
    │   ├── BackendCrashed   the worker process died
    │   ├── BackendFailed    the library underneath raised
    │   ├── CutReply         a model's reply ended without a finish reason
    │   └── BadReply         a model answered, but not in the form that was asked
    └── StoreCorrupt         the journal or store does not match its own hashes

Anything else that escapes is a bug.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from hopline.tools.exchange import Exchange


class HoplineError(Exception):
    """Root of all deliberate errors.

    Attributes:
        reason: machine-readable word, stable across versions (`"timeout"`).
        hint: what to do next, one sentence or command; empty when there is nothing to do.
        exchanges: with language models, made before it was raised.
    """

    reason: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "", exchanges: Sequence[Exchange] = ()) -> None:
        super().__init__(message)
        self.hint = hint
        self.exchanges = tuple(exchanges)

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} {self.hint}" if self.hint else message


class UserError(HoplineError):
    """The person who asked must change something."""

    reason = "wrong_use"
    exit_code = 2


class BadInput(UserError):
    """An attachment or text was refused before anything ran; the message names the file."""

    reason = "bad_input"


class BadPlan(UserError):
    """A plan, chain, profile or parameter does not check."""

    reason = "bad_plan"


class UnsafeModel(UserError):
    """A model's folder holds code, pickles, or a configuration that asks for code; nothing of it was loaded."""

    reason = "unsafe_model"


class NotFound(UserError):
    """No run, artifact, tool or handle of that name."""

    reason = "not_found"


class Unavailable(HoplineError):
    """Something has to be installed, downloaded or started first."""

    reason = "unavailable"
    exit_code = 3


class MissingExtra(Unavailable):
    """A Python package is not installed; the hint is the pip command."""

    reason = "missing_extra"


class MissingModel(Unavailable):
    """Weights are not on this machine; the hint is the pull command and its size."""

    reason = "missing_model"


class MissingServer(Unavailable):
    """A server does not answer; the hint is the command that starts it."""

    reason = "missing_server"


class MissingBackend(Unavailable):
    """The tool is declared, but no backend here serves it."""

    reason = "missing_backend"


class NoPlan(Unavailable):
    """No chain of tools leads from what is there to what is asked."""

    reason = "no_plan"


class HopError(HoplineError):
    """One call failed; recorded on its hop, and the run goes on where it can."""

    reason = "failed"


class InputRefused(HopError):
    """This backend cannot take this input (empty, wrong language, too long)."""

    reason = "input_refused"


class ResourceExceeded(HopError):
    """Memory or disk ran out, or a limit on them did its work."""

    reason = "resource"


class HopTimeout(HopError):
    """The hop's time limit passed."""

    reason = "timeout"


class NotApproved(HopError):
    """The call may change something outside the run, and nobody approved it; it was not made."""

    reason = "not_approved"


class HopCancelled(HopError):
    """Somebody asked the run to stop."""

    reason = "cancelled"


class BackendCrashed(HopError):
    """The worker process ended without an answer."""

    reason = "crashed"


class BackendFailed(HopError):
    """The library underneath raised; its message is kept, its traceback only in the log."""

    reason = "backend_failed"


class CutReply(HopError):
    """A model's reply ended without a finish reason: nobody knows what is missing."""

    reason = "cut_reply"


class BadReply(HopError):
    """A model answered, but not in the form that was asked; asking again with the problem told may help."""

    reason = "bad_reply"


class StoreCorrupt(HoplineError):
    """Stored bytes do not match the digest they are filed under."""

    reason = "corrupt"


def by_reason(reason: str) -> type[HopError]:
    """The hop error class of a recorded reason; `HopError` for one from the future."""
    return next((c for c in HopError.__subclasses__() if c.reason == reason), HopError)
