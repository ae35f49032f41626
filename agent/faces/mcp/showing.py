"""What a client gets: a few lines for its model, the record as structured content, media when they are fetched.

A result names artifacts and does not hold them: a model that cannot take sound is not handed any, and
a chain of calls moves ids, not megabytes.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from hopline.agent.hops.reading import try_read
from hopline.agent.hops.records import ArtifactRef, Failure, Hop
from hopline.agent.run import Run
from hopline.agent.views.markup import visible
from hopline.agent.views.words import seconds, size
from hopline.tools.artifact import IMAGE, TEXT, Artifact
from mcp import types

TEXT_CHARACTERS = 20_000
"""Characters of one text that one result holds; it says so when there are more."""

SCHEME = "hopline"


def uri(artifact_id: str) -> str:
    """Address of an artifact as a resource."""
    return f"{SCHEME}://artifact/{artifact_id}"


def run_result(run: Run) -> types.CallToolResult:
    """A run as its answer, a line a hop, and `hopline.run/1`."""
    record, hops = run.record, run.hops
    lines = [visible(record.answer)] if record.answer else []
    lines.append(f"run {run.id}: {record.status}" + (f" ({visible(record.error.message)})" if record.error else ""))
    lines += [_hop_line(hop, run) for hop in hops]
    made = [f"{ref.modality} {ref.id}" for ref in record.outputs]
    if made:
        lines.append(f"outputs: {', '.join(made)}")
    return types.CallToolResult(
        content=[types.TextContent(type="text", text="\n".join(lines))],
        structuredContent=run.to_json(),
        isError=record.status in ("failed", "cancelled"),
    )


def _hop_line(hop: Hop, run: Run) -> str:
    where = hop.step if not hop.item else f"{hop.step}.{hop.item}"
    inner = "  ↳ " if hop.parent is not None else ""
    time = "from the cache" if hop.cached_from is not None else seconds(hop.duration_ms)
    line = f"{inner}{where} {hop.tool} by {hop.backend}, {hop.status}, {time}"
    made = [_made(ref, run) for ref in hop.output_list]
    cuts = [f"cut: {visible(loss.message)}" for loss in hop.mechanical_losses]
    notes = [flag.replace("_", " ") for flag in hop.flags]
    error = [visible(hop.error.message)] if hop.error else []
    return "; ".join([line, *made, *cuts, *notes, *error])


def _made(ref: ArtifactRef, run: Run) -> str:
    if ref.modality != TEXT:
        return f"{ref.modality} {ref.id[:12]}, {ref.media_type}, {size(ref.size_bytes)}"
    artifact = try_read(run.read, ref)
    if isinstance(artifact, Failure):
        return f"text {ref.id[:12]}: {artifact.message}"
    return f"text {ref.id[:12]} “{_cut(visible(artifact.text), ref.id, 0)}”"


def _cut(text: str, artifact_id: str, offset: int) -> str:
    if not offset and len(text) <= TEXT_CHARACTERS:
        return text
    end = min(offset + TEXT_CHARACTERS, len(text))
    rest = f"; fetch_artifact {artifact_id[:12]} with offset {end} has the rest" if end < len(text) else ""
    return f"{text[offset:end]} [characters {offset} to {end} of {len(text)}{rest}]"


def json_result(value: Mapping[str, Any], text: str) -> types.CallToolResult:
    """Structured content, and a few lines for a model that reads only text."""
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], structuredContent=dict(value))


def artifact_result(artifact: Artifact, offset: int) -> types.CallToolResult:
    """An artifact itself: words, a picture, or an embedded file.

    Sound is an embedded file, not an audio block: langchain-mcp-adapters 0.3 raises at audio blocks.
    """
    return types.CallToolResult(content=[_block(artifact, offset)])


def _block(artifact: Artifact, offset: int) -> types.ContentBlock:
    if artifact.modality == TEXT:
        return types.TextContent(type="text", text=_cut(artifact.text, artifact.id, offset))
    data = base64.b64encode(artifact.data).decode("ascii")
    if artifact.modality == IMAGE:
        return types.ImageContent(type="image", data=data, mimeType=artifact.media_type)
    contents = types.BlobResourceContents.model_validate(
        {"uri": uri(artifact.id), "mimeType": artifact.media_type, "blob": data}
    )
    return types.EmbeddedResource(type="resource", resource=contents)


def error_result(message: str) -> types.CallToolResult:
    """Why a call could not be done, for the client's model to act on."""
    return types.CallToolResult(content=[types.TextContent(type="text", text=visible(message))], isError=True)
