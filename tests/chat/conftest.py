"""A fresh server for each test, and the variable that names it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hopline.tools.fakes.ollama import OllamaServer


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch) -> Iterator[OllamaServer]:
    """A server with one model, which `OLLAMA_HOST` names."""
    with OllamaServer() as server:
        monkeypatch.setenv("OLLAMA_HOST", server.host)
        yield server
