"""How commands speak: JSON or human text, and one line for an error."""

from __future__ import annotations

import json
import sys
import traceback
import unicodedata
from collections.abc import Mapping
from typing import Any

from hopline.tools.errors import HoplineError
from hopline.tools.home import home
from rich.console import Console
from rich.text import Text

ERROR_FORMAT = "hopline.error/1"

_json_wanted = False


def want_json(wanted: bool) -> None:
    """Remember that this command was asked for JSON, so that an error is JSON too."""
    global _json_wanted
    _json_wanted = wanted


def human() -> Console:
    """Where human text goes: stderr, plain when it is not a terminal."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def table_console() -> Console:
    """Where tables that are the result go: stdout, wide enough when nobody's terminal limits it."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def say_json(value: Mapping[str, Any]) -> None:
    """One JSON object on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def fail(error: HoplineError) -> int:
    """Say an error in one line.

    Returns:
        The exit code.
    """
    message = visible(str(error)).replace("\n", " ")
    if _json_wanted:
        say_json({"format": ERROR_FORMAT, "reason": error.reason, "message": message, "hint": error.hint})
    else:
        human().print(Text.assemble(("hopline: ", "bold red"), message))
    return error.exit_code


def fail_as_bug(error: Exception) -> int:
    """Say in one line that this is our fault, and keep the traceback in a file.

    Returns:
        The exit code.
    """
    path = home() / "last-bug.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(traceback.format_exception(error)), "utf-8")
    return fail(HoplineError(f"a bug in hopline: {type(error).__name__}: {error}. The details are in {path}."))


def visible(text: str) -> str:
    """Text of a tool without what could steer a terminal: control, bidi and other format characters."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co"))


def seconds(duration_ms: float | None) -> str:
    """`0.04 s`, `12 s`, `2 min 5 s`; a dash when unknown."""
    if duration_ms is None:
        return "–"
    value = duration_ms / 1000
    if value < 10:
        return f"{value:.2g} s" if value < 1 else f"{value:.1f} s"
    if value < 100:
        return f"{value:.0f} s"
    return f"{int(value // 60)} min {int(value % 60)} s"


def megabytes(size_bytes: float) -> str:
    """`67 MB` (10**6 bytes)."""
    return f"{size_bytes / 1e6:.0f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.0f} kB"
