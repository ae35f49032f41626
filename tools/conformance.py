"""What every Backend must do, as checks that anybody can run on theirs.

    from hopline.tools.conformance import check_backend
    assert check_backend(MyBackend(), MY_TOOL, [Call(inputs={"text": (Artifact.from_text("hello"),)})]) == []

The fakes of `hopline.tools.fakes` and all backends that come with hopline pass it.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hopline.tools.artifact import AUDIO, IMAGE, TEXT, VIDEO, Artifact
from hopline.tools.backend import Backend, Call, MechanicalLoss, Result
from hopline.tools.errors import BadPlan, HopCancelled, HoplineError
from hopline.tools.media import sniff
from hopline.tools.spec import Port, Tool

HEAVY = ("numpy", "scipy", "PIL", "cv2", "onnx", "onnxruntime", "av", "torch", "transformers", "diffusers")
"""Packages that making a backend must not import, beside those that it names itself."""

HOSTILE_TEXT = ("", " \n\t ", "...!!!", "\x00\x07\x1b[2J", "\u202e\ufeff", "你好 мир 🦓", "<a & 'b'>" * 40)
HOSTILE_BYTES = (
    b"",
    b"\0" * 64,
    b"not what it says it is",
    b"\x89PNG\r\n\x1a\n" + b"\xff" * 64,
    b"RIFF\x24\0\0\0WAVEfmt ",
)

_WAV = {"audio/wav", "audio/x-wav"}


def check_backend(
    backend: Backend,
    tool: Tool,
    samples: Sequence[Call],
    *,
    tools: Mapping[str, Callable[..., Result]] | None = None,
    hostile: bool = True,
) -> list[str]:
    """All that is wrong with a backend; nothing for a good one.

    Each sample is called about five times and must succeed each time. A tool with side effects
    has them each time.

    Args:
        backend: an instance, not yet loaded.
        tool: the declaration that it serves.
        samples: calls that ought to work; their parameters are filled up with the defaults.
            Without any, only the class, its identity and its loading are checked.
        tools: for a backend with `needs`, functions from inputs and parameters to a Result.
        hostile: also call the first sample with each of its inputs spoiled.

    Returns:
        One sentence a problem, each opening with the name of its check.
    """
    problems = [*_check_class(backend, tool), *_check_construction(backend)]
    problems += _check_identity(backend)
    try:
        backend.load()
        backend.load()
    except HoplineError as error:
        return [*problems, f"load: {error}"]
    except Exception as error:
        return [*problems, f"load: a foreign error leaks: {error!r}"]
    problems += _check_identity(backend)
    calls = []
    for number, sample in enumerate(samples):
        try:
            filled = replace(sample, parameters=tool.with_defaults(sample.parameters), tools=tools or sample.tools)
        except BadPlan as error:
            problems.append(f"sample {number}: {error}")
        else:
            calls.append(filled)
    first = [_try(backend, call) for call in calls]
    for number, (call, outcome) in enumerate(zip(calls, first, strict=True)):
        if isinstance(outcome, Result):
            found = [*_check_result(outcome, tool), *_check_progress(backend, call)]
            problems += [f"sample {number}: {problem}" for problem in found]
        else:
            problems.append(f"sample {number}: it should work, but it raised {outcome!r}")
    if calls and hostile:
        problems += _check_hostile(backend, tool, calls[0])
    if not any(isinstance(outcome, Exception) for outcome in first):
        problems += _check_repeats(backend, calls, [o for o in first if isinstance(o, Result)])
    return list(dict.fromkeys(problems))


def _check_class(backend: Backend, tool: Tool) -> Iterator[str]:
    if backend.tool != tool.name:
        yield f"class: it serves {backend.tool!r}, the declaration is {tool.name!r}."
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", backend.name):
        yield f"class: the name {backend.name!r} is not a lower-case word without colons."
    if not backend.code_version:
        yield "class: it has no code_version."
    if backend.needs and backend.heavy:
        yield "class: it needs other tools, so it cannot be heavy (a worker cannot make child hops)."
    if backend.id != ":".join(filter(None, (backend.tool, backend.name, backend.model))):
        yield f"class: its id {backend.id!r} is not tool:backend[:model]."


def _check_construction(backend: Backend) -> Iterator[str]:
    """Import and construct in a new process, as a worker does, and see what came along."""
    kind = type(backend)
    if getattr(sys.modules.get(kind.__module__), kind.__qualname__, None) is not kind:
        if kind.heavy:
            yield "construction: a heavy backend is a class at the top of an importable module."
        return
    heavy = sorted({*HEAVY, *kind.packages} - {kind.__module__.partition(".")[0]})
    program = (
        "import importlib, sys; module, name, model, *heavy = sys.argv[1:]; before = set(sys.modules); "
        "made = getattr(importlib.import_module(module), name)(model); made.id; made.identity(); "
        "print('made', *(name for name in heavy if name in sys.modules and name not in before))"
    )
    command = [sys.executable, "-c", program, kind.__module__, kind.__qualname__, backend.model, *heavy]
    # What this process can import, by whatever means (pytest adds folders), the other can too.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    words = done.stdout.split()
    if not words:
        last = done.stderr.strip().splitlines()[-1:] or ["nothing was said"]
        yield f"construction: another process cannot import and make {kind.__module__}:{kind.__qualname__}: {last[0]}"
    elif words[1:]:
        yield f"construction: making it imports {', '.join(words[1:])}; import inside load() or call()."


def _check_identity(backend: Backend) -> Iterator[str]:
    identity = backend.identity()
    if any(not isinstance(part, str) for pair in identity.items() for part in pair):
        yield f"identity: names and values are texts, got {identity!r}."
    if identity.get("backend") != backend.id or identity.get("code_version") != backend.code_version:
        yield "identity: it lacks its backend id or code_version."
    if identity != backend.identity() or identity != type(backend)(backend.model).identity():
        yield "identity: it changes from one reading, or from one instance, to the next."


def _try(backend: Backend, call: Call) -> Result | Exception:
    try:
        return backend.call(call)
    except Exception as error:
        return error


def _check_result(result: Result, tool: Tool) -> Iterator[str]:
    if set(result.outputs) != {port.name for port in tool.outputs}:
        yield f"outputs: it gave {sorted(result.outputs)}, declared are {[p.name for p in tool.outputs]}."
        return
    for port in tool.outputs:
        made: object = result.outputs[port.name]
        if not isinstance(made, tuple):
            yield f"outputs: {port.name} is a {type(made).__name__}, not a tuple of artifacts."
        elif not port.many and len(made) != 1:
            yield f"outputs: {port.name} is one, but it gave {len(made)}."
        else:
            for artifact in made:
                yield from _check_artifact(artifact, port)
    yield from _check_details(result.details)
    for loss in result.mechanical_losses:
        yield from _check_loss(loss)


def _check_artifact(artifact: Artifact, port: Port) -> Iterator[str]:
    if artifact.modality != port.type:
        yield f"outputs: {port.name} should be {port.type}, got {artifact.modality}."
    kind = artifact.media_type.partition("/")[0]
    if artifact.modality in (TEXT, IMAGE, AUDIO, VIDEO) and kind != artifact.modality:
        yield f"outputs: {artifact.media_type} is not a media type of {artifact.modality}."
        return
    try:
        _decode(artifact)
    except Exception as error:  # whatever the decoder says, it does not decode
        yield f"outputs: {port.name} does not decode as {artifact.media_type}: {error}."


def _decode(artifact: Artifact) -> None:
    if artifact.modality == TEXT:
        _ = artifact.text
    elif artifact.media_type in _WAV:
        with wave.open(io.BytesIO(artifact.data)) as sound:
            whole = sound.getnframes() * sound.getnchannels() * sound.getsampwidth()
            if len(sound.readframes(sound.getnframes())) != whole:
                raise ValueError("it is shorter than its header says")
    elif artifact.modality in (IMAGE, AUDIO, VIDEO):
        found = sniff(artifact.data, "the output")
        if found.media_type != artifact.media_type:
            raise ValueError(f"the bytes are {found.media_type}")


def _check_details(details: Mapping[str, Any]) -> Iterator[str]:
    try:
        again = json.loads(json.dumps(dict(details), allow_nan=False))
    except (TypeError, ValueError) as error:
        yield f"details: not plain JSON: {error}."
        return
    if again != dict(details):
        yield "details: they do not come back from JSON as they were (tuples, or keys that are not texts)."
    flags = again.get("flags", [])
    if not isinstance(flags, list) or not all(isinstance(flag, str) for flag in flags):
        yield f"details: flags is a list of words, got {flags!r}."


def _check_loss(loss: MechanicalLoss) -> Iterator[str]:
    if not re.fullmatch(r"[a-z][a-z_]*", loss.kind):
        yield f"mechanical loss: the kind {loss.kind!r} is not a word like `resized`."
    if len(loss.message.split()) < 2:
        yield f"mechanical loss: {loss.kind} does not say in words what was cut: {loss.message!r}."
    if any(not math.isfinite(number) for number in (loss.before, loss.after) if number is not None):
        yield f"mechanical loss: {loss.kind} has a number that is not finite."


def _check_progress(backend: Backend, call: Call) -> Iterator[str]:
    said: list[tuple[Any, Any]] = []
    outcome = _try(backend, replace(call, progress=lambda fraction, words: said.append((fraction, words))))
    if isinstance(outcome, Exception):
        yield f"progress: with somebody watching it raised {outcome!r}."
    fractions = [fraction for fraction, _ in said]
    if any(not isinstance(f, int | float) or not 0 <= f <= 1 for f in fractions):
        yield f"progress: a fraction is not in [0, 1]: {fractions}."
    elif fractions != sorted(fractions):
        yield f"progress: it goes backwards: {fractions}."
    if any(not isinstance(words, str) for _, words in said):
        yield "progress: its words are not text."
    if said:
        outcome = _try(backend, replace(call, progress=_stop))
        if not isinstance(outcome, HopCancelled):
            shown = repr(outcome) if isinstance(outcome, Exception) else "a result"
            yield f"cancel: progress raised HopCancelled, but out came {shown}."


def _stop(fraction: float, words: str) -> None:
    raise HopCancelled("stopped by the conformance suite.")


def _check_hostile(backend: Backend, tool: Tool, call: Call) -> Iterator[str]:
    for port in tool.inputs:
        for shown, artifact in _spoiled(port, call.inputs[port.name]):
            outcome = _try(backend, replace(call, inputs={**call.inputs, port.name: (artifact,)}))
            if isinstance(outcome, Result):
                found = list(_check_result(outcome, tool))
                if port.type in (IMAGE, AUDIO, VIDEO) and not artifact.data:
                    found.append("it made a result out of nothing.")
            else:
                found = [] if isinstance(outcome, HoplineError) else [f"a foreign error leaks: {outcome!r}"]
            yield from (f"hostile {port.name} {shown}: {problem}" for problem in found)


def _spoiled(port: Port, good: tuple[Artifact, ...]) -> Iterator[tuple[str, Artifact]]:
    if port.type == TEXT:
        yield from ((repr(text[:20]), Artifact.from_text(text)) for text in HOSTILE_TEXT)
        return
    media_type = good[0].media_type if good else f"{port.type}/x-unknown"
    datas = {repr(data[:20]): data for data in HOSTILE_BYTES}
    if good:
        datas["cut in half"] = good[0].data[: len(good[0].data) // 2]
    for shown, data in datas.items():
        yield shown, Artifact(data=data, modality=port.type, media_type=media_type)


def _check_repeats(backend: Backend, calls: Sequence[Call], first: Sequence[Result]) -> Iterator[str]:
    """After all that was done to it, and in a fresh instance, the same comes out."""
    if not calls:
        return
    fresh = type(backend)(backend.model)
    try:
        fresh.load()
        runs = {
            "again": [backend.call(call) for call in calls],
            "call_many": list(backend.call_many(calls)),
            "a fresh instance": [fresh.call(calls[0])],
        }
        if not backend.seeded:
            runs["another seed, though not seeded"] = [backend.call(replace(calls[0], seed=calls[0].seed + 1))]
        none = backend.call_many([])
    except Exception as error:
        yield f"repeats: it worked once, then it raised {error!r}."
        return
    if list(none):
        yield "call_many: no calls should give no results."
    if len(runs["call_many"]) != len(calls):
        yield f"call_many: {len(calls)} calls gave {len(runs['call_many'])} results."
    if not backend.deterministic:
        return
    for what, results in runs.items():
        for number, (was, now) in enumerate(zip(first, results, strict=False)):
            if was.outputs != now.outputs:
                yield f"deterministic: sample {number} gave other bytes ({what})."
            elif was.mechanical_losses != now.mechanical_losses:
                yield f"deterministic: sample {number} reported other losses ({what})."
