"""What was found out about models of Ollama, kept between processes in `HOPLINE_HOME/ollama.json`.

The digest last seen under a tag, so that one that was changed silently is reported, and whether a model makes
tool calls, so that it is tried once. Nothing is lost with the file but that.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
from typing import Any

from hopline.tools.home import home

_LOCK = threading.Lock()


def recall(kind: str, key: str) -> Any:
    """What was kept; None if nothing was, or the file does not read."""
    with _LOCK:
        return _read().get(kind, {}).get(key)


def keep(kind: str, key: str, value: Any) -> None:
    """Keep a value of plain JSON; a home that cannot be written is no error."""
    with _LOCK:
        everything = _read()
        everything.setdefault(kind, {})[key] = value
        with contextlib.suppress(OSError):
            _write(everything)


def _read() -> dict[str, dict[str, Any]]:
    try:
        found = json.loads((home() / "ollama.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {kind: pairs for kind, pairs in found.items() if isinstance(pairs, dict)}


def _write(everything: dict[str, dict[str, Any]]) -> None:
    home().mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=home(), prefix="ollama.", suffix=".part")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(everything, file, indent=1)
        os.replace(name, home() / "ollama.json")
    except OSError:
        os.unlink(name)
        raise
