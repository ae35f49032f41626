"""Names and values of span attributes: OpenInference, the GenAI semantic conventions, and our own.

The GenAI conventions are at the stability "Development": their names stand here and nowhere else.
Media are named by sha256, type and size, never held. Texts are held only when asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hopline.agent.hops.records import ArtifactRef, Hop, ModelCall, RunRecord
from hopline.agent.tracing.scrubbing import Scrub
from hopline.tools.artifact import TEXT

Attributes = dict[str, str | int | float | bool | Sequence[str]]

CHAIN, TOOL, LLM = "CHAIN", "TOOL", "LLM"
"""Kinds of OpenInference spans that we make."""

TEXT_CHARACTERS = 4000
"""Of one text in one attribute."""

Words = Callable[[ArtifactRef], str | None]
"""The words of a text artifact, or None where they are not to be shown."""


def run_name() -> str:
    """Name of a run's span."""
    return "invoke_workflow hopline"


def hop_name(hop: Hop) -> str:
    """Name of a hop's span."""
    return f"execute_tool {hop.tool}"


def call_name(call: ModelCall) -> str:
    """Name of a model call's span."""
    return f"chat {model_of(call)[1]}".strip()


def model_of(call: ModelCall) -> tuple[str, str]:
    """Who serves the model that was asked, and its name: `ollama:qwen2.5` is `ollama` and `qwen2.5`."""
    provider, colon, name = call.identity.get("model", "").partition(":")
    return (provider, name) if colon else ("hopline", provider)


def run_attributes(run: RunRecord, words: Words, scrub: Scrub, *, content: bool) -> Attributes:
    """Of a run, as it stands."""
    plan = run.plan or {}
    given = [{"handle": a.handle, **_ref(a.artifact)} for a in run.attachments]
    asked: dict[str, Any] = {"attachments": given}
    if content:
        asked["request"] = _shortened(run.request)
    made: dict[str, Any] = {"outputs": [_named(ref, words) for ref in run.outputs]}
    if content:
        made["answer"] = _shortened(run.answer)
    return _clean(
        {
            "openinference.span.kind": CHAIN,
            "session.id": run.conversation,
            "input.value": _json(scrub.value(asked)),
            "input.mime_type": "application/json",
            "output.value": _json(scrub.value(made)),
            "output.mime_type": "application/json",
            "gen_ai.operation.name": "invoke_workflow",
            "gen_ai.workflow.name": "hopline",
            "gen_ai.conversation.id": run.conversation,
            "hopline.run.id": run.id,
            "hopline.run.status": run.status,
            "hopline.profile": run.profile,
            "hopline.plan.planner": str(plan.get("planner", "")),
            "hopline.plan.tools": [str(step.get("tool", "")) for step in plan.get("steps", ())],
            "hopline.seed": run.seed,
            "error.type": run.error.reason if run.error else None,
        }
    )


def hop_attributes(hop: Hop, words: Words, scrub: Scrub) -> Attributes:
    """Of a hop, as it stands."""
    inputs = {port: [_named(ref, words) for ref in refs] for port, refs in hop.inputs.items()}
    outputs = {port: [_named(ref, words) for ref in refs] for port, refs in hop.outputs.items()}
    parameters = scrub.value(dict(hop.parameters))
    asked = _json({"inputs": scrub.value(inputs), "parameters": parameters})
    made = _json(scrub.value(outputs))
    return _clean(
        {
            "openinference.span.kind": TOOL,
            "tool.name": hop.tool,
            "tool.parameters": _json(parameters),
            "input.value": asked,
            "input.mime_type": "application/json",
            "output.value": made,
            "output.mime_type": "application/json",
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": hop.tool,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": str(hop.id),
            "gen_ai.tool.call.arguments": asked,
            "gen_ai.tool.call.result": made,
            "hopline.hop.id": hop.id,
            "hopline.step": hop.step,
            "hopline.item": hop.item,
            "hopline.backend": hop.backend,
            "hopline.identity": _json(scrub.value(dict(hop.identity))),
            "hopline.seed": hop.seed,
            "hopline.remote": hop.remote,
            "hopline.status": hop.status,
            "hopline.cached_from": hop.cached_from,
            "hopline.load_ms": hop.load_ms,
            "hopline.flags": list(hop.flags),
            "hopline.mechanical_losses": [loss.kind for loss in hop.mechanical_losses],
            "error.type": hop.error.reason if hop.error else None,
        }
    )


def call_attributes(call: ModelCall, words: Words, scrub: Scrub) -> Attributes:
    """Of a model call."""
    provider, model = model_of(call)
    asked = scrub.value(_named(call.messages, words)) if call.messages else None
    replied = scrub.value(_named(call.reply, words)) if call.reply else None
    return _clean(
        {
            "openinference.span.kind": LLM,
            "llm.model_name": model,
            "llm.token_count.prompt": call.input_tokens,
            "llm.token_count.completion": call.output_tokens,
            "input.value": _json(asked) if asked else None,
            "input.mime_type": "application/json" if asked else None,
            "output.value": _json(replied) if replied else None,
            "output.mime_type": "application/json" if replied else None,
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model,
            "gen_ai.usage.input_tokens": call.input_tokens,
            "gen_ai.usage.output_tokens": call.output_tokens,
            "gen_ai.response.finish_reasons": [call.finish_reason] if call.finish_reason else None,
            "hopline.purpose": call.purpose,
            "hopline.repair": call.repair,
            "hopline.identity": _json(scrub.value(dict(call.identity))),
            "error.type": call.error.reason if call.error else None,
        }
    )


def _ref(ref: ArtifactRef) -> dict[str, Any]:
    return {"sha256": ref.id, "modality": ref.modality, "media_type": ref.media_type, "size_bytes": ref.size_bytes}


def _named(ref: ArtifactRef, words: Words) -> dict[str, Any]:
    text = words(ref) if ref.modality == TEXT else None
    return _ref(ref) | ({} if text is None else {"text": _shortened(text)})


def _shortened(text: str) -> str:
    return text if len(text) <= TEXT_CHARACTERS else f"{text[:TEXT_CHARACTERS]} … ({len(text)} characters)"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def _clean(values: Mapping[str, Any]) -> Attributes:
    return {name: value for name, value in values.items() if value not in (None, "", [])}
