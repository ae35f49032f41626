"""What must not leave in an attribute: secrets, wherever they turn up."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "[secret]"

_NAME = re.compile(
    r"(?:^|[_\W])(?:(?:api)?key|token|secret|passw(?:or)?d|credentials?|authorization|cookie)$", re.IGNORECASE
)
"""Names of settings and variables that hold a secret: `api_key`, `HF_TOKEN`; not `max_tokens`."""

_SHAPES = (
    re.compile(r"(?<=://)[^/\s@]+(?=@)"),  # who logs in, in an address
    re.compile(r"(?i)(?<=\bbearer )[\w.~+/=-]{8,}"),
    re.compile(r"\b(?:sk|pk|rk|hf|gh[opsu]|glpat|xox[abp])[-_][\w-]{16,}"),
    re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),
)
"""Secrets that are known by their looks."""

_SHORTEST = 8


class Scrub:
    """Replaces secrets in texts and values: those of this process's environment, and those known by their looks."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        known = os.environ if environment is None else environment
        values = {v for name, v in known.items() if _NAME.search(name) and len(v) >= _SHORTEST}
        self._known = sorted(values, key=len, reverse=True)

    def text(self, text: str) -> str:
        """The text without secrets."""
        for value in self._known:
            text = text.replace(value, HIDDEN)
        for shape in _SHAPES:
            text = shape.sub(HIDDEN, text)
        return text

    def value(self, value: Any) -> Any:
        """Plain data without secrets; what stands under the name of a secret is hidden whole."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {
                str(key): HIDDEN if _NAME.search(str(key)) and inner else self.value(inner)
                for key, inner in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.value(inner) for inner in value]
        return value
