"""An agent over fakes whose chat model is a server that speaks Ollama's API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hopline.agent import Agent
from hopline.agent.hops.journal import Journal
from hopline.agent.running.profile import Profile
from hopline.tools.fakes import fake_registry
from hopline.tools.fakes.ollama import Model, OllamaServer


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch) -> Iterator[OllamaServer]:
    """A server with one model, which `OLLAMA_HOST` names; it does not list tools, so it is held to a schema."""
    with OllamaServer(models={"small:latest": Model(capabilities=("completion",))}) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.host)
        yield server


@pytest.fixture
def acting(home: Path, ollama: OllamaServer) -> Iterator[Agent]:
    """An agent whose profile names that model."""
    profile = Profile(name="fakes", chat="ollama:small")
    with Agent(registry=fake_registry(), profile=profile, journal=Journal()) as made:
        yield made
