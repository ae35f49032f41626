"""Measuring a stored run: the readings it needs, then its loss."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

from hopline.agent.hops.journal import now, ref_of
from hopline.agent.hops.records import Failure, Probe, RunRecord
from hopline.agent.loss.asked import Asked
from hopline.agent.loss.nodes import READ_BY, Node, usable_readers
from hopline.agent.loss.plugins import extractor as extractor_named
from hopline.agent.loss.run import RunLoss, probes_wanted
from hopline.agent.loss.run import measure as measure_run
from hopline.agent.running.events import Event, OnEvent
from hopline.agent.running.readiness import is_ready
from hopline.agent.running.runner import Runner
from hopline.tools.artifact import TEXT
from hopline.tools.backend import Backend, Call
from hopline.tools.encoder import Encoder
from hopline.tools.errors import BadPlan, HopCancelled, HoplineError, Unavailable
from hopline.tools.exchange import Exchange


def measure(
    runner: Runner, run_id: str, *, probe: bool, on_event: OnEvent, cancelled: threading.Event, extractor: str
) -> RunLoss:
    """Read the nodes of a run that need a reader, write the readings down, and measure.

    Args:
        runner: its profile says who reads.
        run_id: a stored run.
        probe: read; without it, only readings that are there already are used.
        on_event: told about each probe.
        cancelled: set by somebody to stop reading.
        extractor: of facts: `english`, `chat` (the profile's chat model), or one that a package brings.

    Raises:
        NotFound: there is no such extractor.
        BadPlan: a reader of the profile is none.
        HoplineError: the chat model is not there, or did not answer in its form.
    """
    found = _asking(runner, run_id, cancelled) if extractor == Asked.name else extractor_named(extractor)
    journal = runner.journal
    run, hops = journal.run(run_id), journal.hops(run_id)
    if probe:
        for node, able in probes_wanted(run, hops, partial(_readers, runner), journal.probes(run_id)):
            # The next one in turn where one is not here, fails, or handed the work to whom the next hop hands it.
            for backend in [reader for reader in able if is_ready(reader)] or able[:1]:
                reading = journal.add_probe(_read(runner, run, node, backend, cancelled))
                words = reading.error.message if reading.error else f"read by {backend.id}"
                on_event(Event(kind="probe", run=run, words=words))
                if usable_readers(node, [reading]) or cancelled.is_set():
                    break
    return measure_run(run, hops, journal.probes(run_id), journal.read, _encoder(), found)


def _asking(runner: Runner, run_id: str, cancelled: threading.Event) -> Asked:
    """Facts by the profile's chat model; each exchange is a model call of the run."""
    from hopline.agent.acting.deciding import chat_model  # LangChain, for whoever needs it
    from hopline.tools.chat import Message, ask_structured

    model = chat_model(runner.profile)

    def stop(_: str) -> None:
        if cancelled.is_set():
            raise HopCancelled("cancelled.")

    def ask(question: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        exchanges: Sequence[Exchange] = ()
        try:
            answered = ask_structured(
                model, [Message(role="user", text=question)], schema, purpose="facts", on_text=stop
            )
            exchanges = answered.exchanges
        except HoplineError as error:
            exchanges = error.exchanges
            raise
        finally:
            for exchange in exchanges:
                runner.journal.add_exchange(run_id, exchange)
        return answered.value

    return Asked(ask, model.name)


@lru_cache(maxsize=1)
def _encoder() -> Encoder | None:
    """The encoder for the cosine, loaded; None where it is not here."""
    encoder = Encoder()
    try:
        encoder.load()
    except Unavailable:
        return None
    return encoder


def _readers(runner: Runner, modality: str) -> list[Backend]:
    """Who reads a modality: those that the profile names, or what serves the tool that reads it.

    Raises:
        NotFound, BadPlan: one that the profile names is not there, may not be asked, or reads something else.
    """
    profile, registry = runner.profile, runner.registry
    if modality not in profile.readers:
        try:
            return [profile.choose(registry, READ_BY[modality])] if modality in READ_BY else []
        except HoplineError:
            return []
    found = []
    for name in profile.readers[modality]:
        tool = registry.tool(name.partition(":")[0])
        if [port.type for port in tool.inputs] != [modality] or TEXT not in [port.type for port in tool.outputs]:
            raise BadPlan(f"{name} is no reader of {modality} in the profile {profile.name!r}: it is {tool.signature}.")
        found.append(profile.choose(registry, tool.name, name))
    return found


def _read(runner: Runner, run: RunRecord, node: Node, backend: Backend, cancelled: threading.Event) -> Probe:
    journal = runner.journal
    assert node.artifact is not None
    probe = Probe(
        id=0,
        run=run.id,
        node=node.artifact,
        hop=node.hop,
        reader=backend.id,
        identity=backend.identity(),
        started_at=now(),
    )
    tool = runner.registry.tool(backend.tool)
    began = time.perf_counter()
    try:
        call = Call(inputs={tool.inputs[0].name: (journal.read(probe.node),)}, parameters=tool.with_defaults({}))
        result = runner.perform(backend, call, cancelled=cancelled, progress=lambda fraction, words: None).result
        texts = [a for made in result.outputs.values() for a in made if a.modality == TEXT]
        for text in texts[:1]:
            journal.store.put(text)
            probe = replace(probe, reading=ref_of(text), details=result.details)
        exchanges = result.exchanges
    except HoplineError as error:
        exchanges = error.exchanges
        probe = replace(probe, error=Failure(reason=error.reason, message=str(error)))
    for exchange in exchanges:
        journal.add_exchange(run.id, exchange)
    return replace(probe, duration_ms=round((time.perf_counter() - began) * 1000, 3))
