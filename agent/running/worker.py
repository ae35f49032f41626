"""The worker process: `python -m hopline.agent.running.worker FD MODULE CLASS MODEL`.

Holds one loaded backend and answers calls, one at a time, or several together where it batches. A thread reads
what the coordinator says, so that a cancel arrives during a call and the process ends when the coordinator does.
What libraries print goes to stderr.
"""

from __future__ import annotations

import importlib
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from hopline.agent.running import wire
from hopline.tools.artifact import Artifact
from hopline.tools.backend import Backend, Call, Result
from hopline.tools.errors import BackendFailed, HopCancelled, HoplineError, ResourceExceeded

_PROGRESS_EVERY_S = 0.1


def main(arguments: list[str]) -> None:
    """Serve calls until the coordinator goes."""
    descriptor, module, name, model = arguments
    connection = Connection(int(descriptor))
    os.dup2(2, 1)
    inbox: queue.SimpleQueue[tuple[dict[str, Any], dict[str, tuple[Artifact, ...]]]] = queue.SimpleQueue()
    cancelled = threading.Event()
    threading.Thread(target=_listen, args=(connection, inbox, cancelled), daemon=True).start()
    backend: Backend | None = None
    while True:
        head, inputs = inbox.get()
        cancelled.clear()
        try:
            load_ms = 0.0
            if backend is None:
                began = time.perf_counter()
                made: Backend = getattr(importlib.import_module(module), name)(model)
                made.load()
                backend = made
                load_ms = (time.perf_counter() - began) * 1000
            wire.send(connection, {"say": "loaded", "load_ms": load_ms})
            results = _call(backend, head["calls"], inputs, connection, cancelled)
        except HoplineError as error:
            wire.send(connection, _failure(error))
        except MemoryError as error:
            wire.send(connection, _failure(ResourceExceeded(f"memory ran out ({error}).")))
        except Exception as error:  # whatever the library raised becomes the hop's error
            sys.stderr.write(traceback.format_exc())
            wire.send(connection, _failure(BackendFailed(f"{type(error).__name__}: {error}")))
        else:
            outputs = wire.together([result.outputs for result in results])
            wire.send(connection, {"say": "results", "results": [wire.result_head(r) for r in results]}, outputs)


def _call(
    backend: Backend,
    asked: Sequence[Mapping[str, Any]],
    inputs: wire.Named,
    connection: Connection,
    cancelled: threading.Event,
) -> Sequence[Result]:
    last = 0.0

    def progress(fraction: float, words: str) -> None:
        nonlocal last
        if cancelled.is_set():
            raise HopCancelled("cancelled.")
        if time.monotonic() - last >= _PROGRESS_EVERY_S:
            last = time.monotonic()
            wire.send(connection, {"say": "progress", "fraction": fraction, "words": words})

    calls = [
        Call(inputs=own, parameters=one["parameters"], seed=one["seed"], progress=progress)
        for one, own in zip(asked, wire.apart(inputs, len(asked)), strict=True)
    ]
    results = backend.call_many(calls) if len(calls) > 1 else [backend.call(calls[0])]
    if len(results) != len(calls):
        raise BackendFailed(f"it gave {len(results)} results of {len(calls)} calls.")
    return results


def _failure(error: HoplineError) -> dict[str, Any]:
    exchanges = [exchange.to_json() for exchange in error.exchanges]
    return {"say": "error", "kind": type(error).__name__, "message": str(error), "exchanges": exchanges}


def _listen(
    connection: Connection,
    inbox: queue.SimpleQueue[tuple[dict[str, Any], dict[str, tuple[Artifact, ...]]]],
    cancelled: threading.Event,
) -> None:
    try:
        while True:
            head, inputs = wire.receive(connection)
            if head["say"] == "cancel":
                cancelled.set()
            else:
                inbox.put((head, inputs))
    except (EOFError, OSError):
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
