"""What goes into a call and what comes out of it, as JSON and as artifacts."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any

from hopline.tools.artifact import TEXT, Artifact
from hopline.tools.backend import Call, MechanicalLoss, Result
from hopline.tools.errors import BackendFailed, BadInput, InputRefused, ResourceExceeded
from hopline.tools.home import limits, setting
from hopline.tools.mcp.settings import ArgumentSettings
from hopline.tools.mcp.untrusted import one_line
from hopline.tools.media import sniff
from hopline.tools.spec import Tool
from mcp import types

NO_TEXT = "no_text"


def arguments(call: Call, inputs: Mapping[str, ArgumentSettings]) -> dict[str, Any]:
    """The JSON arguments of a call; a parameter without a value is left out."""
    found = {key: value for key, value in call.parameters.items() if value is not None}
    for name, one in inputs.items():
        written = [_written(artifact, one) for artifact in call.inputs[name]]
        found[name] = written if one.type.endswith("*") else written[0]
    return found


def _written(artifact: Artifact, one: ArgumentSettings) -> str:
    if artifact.modality == TEXT or one.type.rstrip("*") == "url":
        return artifact.data.decode("utf-8")
    if not artifact.data:
        raise InputRefused(f"the {artifact.modality} is empty.")
    data = base64.b64encode(artifact.data).decode("ascii")
    return f"data:{artifact.media_type};base64,{data}" if one.form == "data_url" else data


def result(tool: Tool, answered: types.CallToolResult) -> Result:
    """A server's answer as what the tool declares.

    Blocks of one type become that output; what the tool does not declare is left out, and said.

    Raises:
        BackendFailed: the tool says that it failed, gives another number of things than it declares, or
            bytes that are not what it calls them.
        ResourceExceeded: a text is too long.
    """
    if answered.isError:
        said = " ".join(block.text for block in answered.content if isinstance(block, types.TextContent))
        raise BackendFailed(f"the tool says: “{one_line(said) or 'it failed'}”")
    made: dict[str, list[Artifact]] = {}
    links = 0
    for block in answered.content:
        if isinstance(block, types.ResourceLink):
            links += 1  # an address that a server names is not followed
        else:
            artifact = _artifact(block)
            made.setdefault(artifact.modality, []).append(artifact)
    if TEXT not in made and answered.structuredContent is not None:
        made[TEXT] = [_text(json.dumps(answered.structuredContent, ensure_ascii=False))]
    losses = list(_left_out(tool, made, links))
    flags: list[str] = []
    outputs = {}
    for port in tool.outputs:
        found = made.get(port.type, [])
        if port.type == TEXT and not port.many:
            # A tool that answers in several blocks still gives one text, and one that only acts an empty one.
            flags += [] if found else [NO_TEXT]
            found = [found[0]] if len(found) == 1 else [_text("\n".join(one.text for one in found))]
        if not port.many and len(found) != 1:
            raise BackendFailed(
                f"it gave {len(found)} of {port.type}, and the profile says one.",
                hint=f'Say outputs = "{port.type}*" for it in the profile.' if found else "",
            )
        outputs[port.name] = tuple(found)
    return Result(outputs=outputs, details={"flags": flags} if flags else {}, mechanical_losses=tuple(losses))


def _left_out(tool: Tool, made: Mapping[str, list[Artifact]], links: int) -> Iterator[MechanicalLoss]:
    declared = {port.type for port in tool.outputs}
    for kind, found in made.items():
        if kind not in declared:
            yield MechanicalLoss(
                kind="skipped",
                message=f"{len(found)} of {kind} came back, which the profile does not declare as an output",
                before=len(found),
                after=0,
            )
    if links:
        yield MechanicalLoss(
            kind="skipped", message=f"{links} links came back, which are not followed", before=links, after=0
        )


def _artifact(block: types.ContentBlock) -> Artifact:
    if isinstance(block, types.TextContent):
        return _text(block.text)
    if isinstance(block, types.ImageContent | types.AudioContent):
        return _media(block.data, block.type)
    if isinstance(block, types.EmbeddedResource) and isinstance(block.resource, types.TextResourceContents):
        return _text(block.resource.text)
    if isinstance(block, types.EmbeddedResource) and isinstance(block.resource, types.BlobResourceContents):
        return _media(block.resource.blob, "")
    raise BackendFailed(f"it gave a {type(block).__name__}, which is no text, picture, sound or file.")


def _text(text: str) -> Artifact:
    if len(text) > limits().max_text_characters:
        raise ResourceExceeded(
            f"it gave a text of {len(text)} characters; the limit is {limits().max_text_characters}.",
            hint=f"Raise {setting('max_text_characters')}.",
        )
    try:
        return Artifact.from_text(text)
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can write
        raise BackendFailed("it gave a text that is not Unicode.") from None


def _media(data: str, called: str) -> Artifact:
    """What bytes are is decided by the bytes; what the server calls them has to agree."""
    try:
        artifact = sniff(base64.b64decode(data, validate=True), "what it gave")
    except (binascii.Error, ValueError):
        raise BackendFailed("it gave bytes that are not base64.") from None
    except BadInput as error:
        raise BackendFailed(str(error)) from None
    if called and artifact.modality != called:
        raise BackendFailed(f"it gave {artifact.modality} and calls it {called}.")
    return artifact
