"""`text_to_image:pictograms`: scenes of OpenMoji pictograms, drawn from the words of a prompt.

No generative model: a parser finds things, counts, colours, sizes and relations, and draws them.
What has no pictogram is said to be missing, word by word.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from hopline.tools.artifact import IMAGE, Artifact
from hopline.tools.backend import Backend, Call, MechanicalLoss, Result, ignored
from hopline.tools.errors import InputRefused, MissingExtra
from hopline.tools.models import path_of
from hopline.tools.openmoji import BACKDROPS, CREDIT, MODEL, inner_svg
from hopline.tools.text_to_image.layout import Box, place
from hopline.tools.text_to_image.scene import Scene, parse

if TYPE_CHECKING:
    from PIL import Image

SIZE_PIXELS = 512
MAX_PROMPT_CHARACTERS = 2_000
"""Longer prompts are cut: nobody can see more than a few groups of things."""


class Pictograms(Backend):
    """Draws scenes of pictograms.

    Details: `declared`, the scene it knows it drew (`objects`, `relations`, `backdrop`, `text`).
    Losses: `not_drawn` for words that are not in the picture, `substituted` for nouns drawn as
    another, `truncated` for counts, groups and prompts beyond the limits.
    """

    tool = "text_to_image"
    name = "pictograms"
    code_version = "1"
    extra = "pictograms"
    packages = ("resvg_py", "PIL")
    models = (MODEL,)

    def load(self) -> None:
        try:
            import resvg_py  # noqa: F401  # fails here rather than at the first call
        except ImportError:
            raise MissingExtra("drawing needs resvg_py.", hint="pip install 'hopline[pictograms]'") from None
        path_of(MODEL)

    def call(self, call: Call) -> Result:
        prompt = call.one("text").text
        if not any(character.isalnum() for character in prompt):
            raise InputRefused("there is no word in the text to draw.")
        losses = []
        if len(prompt) > MAX_PROMPT_CHARACTERS:
            losses.append(
                MechanicalLoss(
                    kind="truncated",
                    message=f"only the first {MAX_PROMPT_CHARACTERS} characters were read",
                    before=len(prompt),
                    after=MAX_PROMPT_CHARACTERS,
                    unit="characters",
                )
            )
            prompt = prompt[:MAX_PROMPT_CHARACTERS]
        scene = parse(prompt)
        call.progress(0.2, "scene understood")
        size = int(call.parameters.get("size", SIZE_PIXELS))
        losses += ignored(call, "width", "height", "steps", "guidance", "negative_prompt")
        data = draw(scene, size)
        return Result(
            outputs={"image": (Artifact(data=data, modality=IMAGE, media_type="image/png"),)},
            details={"declared": scene.to_json()},
            mechanical_losses=(*losses, *_losses(scene)),
        )


def _losses(scene: Scene) -> list[MechanicalLoss]:
    losses = []
    cards = [g.noun for g in scene.groups if g.card]
    if cards:
        message = f"no pictogram, drawn as a labelled card: {', '.join(cards)}"
        losses.append(MechanicalLoss(kind="substituted", message=message, before=len(cards), after=0, unit="words"))
    if scene.undrawn:
        message = f"not drawn: {', '.join(scene.undrawn)}"
        losses.append(
            MechanicalLoss(kind="not_drawn", message=message, before=len(scene.undrawn), after=0, unit="words")
        )
    if scene.substituted:
        shown = ", ".join(f"{word} as {noun}" for word, noun in scene.substituted)
        losses.append(MechanicalLoss(kind="substituted", message=f"drawn as another thing: {shown}"))
    if scene.cut:
        losses.append(MechanicalLoss(kind="truncated", message=f"too much for one picture: {', '.join(scene.cut)}"))
    return losses


def draw(scene: Scene, size: int) -> bytes:
    """A scene as PNG bytes.

    Args:
        scene: parsed.
        size: pixels a side.
    """
    import resvg_py
    from PIL import Image, PngImagePlugin

    boxes = place(scene)
    svg = resvg_py.svg_to_bytes(svg_string=_svg(scene, boxes), width=size, height=size)
    picture = Image.open(io.BytesIO(bytes(svg))).convert("RGB")
    _write_labels(picture, scene, boxes)
    information = PngImagePlugin.PngInfo()
    information.add_text("Copyright", CREDIT)
    information.add_text("Software", "hopline, text_to_image:pictograms")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=information)
    return buffer.getvalue()


def _svg(scene: Scene, boxes: tuple[Box, ...]) -> str:
    upper, lower, horizon = BACKDROPS[scene.backdrop]
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 1000">',
        f'<rect width="1000" height="1000" fill="{upper}"/>',
        f'<rect y="{horizon * 1000:.0f}" width="1000" height="1000" fill="{lower}"/>',
    ]
    for box in boxes:
        group = scene.groups[box.group]
        x, y, side = box.x * 1000, box.y * 1000, box.side * 1000
        if group.card:
            parts.append(
                f'<rect x="{x + 0.05 * side:.1f}" y="{y + 0.3 * side:.1f}" width="{0.9 * side:.1f}" '
                f'height="{0.4 * side:.1f}" rx="{0.05 * side:.1f}" fill="#fff" stroke="#000" '
                f'stroke-width="{0.02 * side:.1f}"/>'
            )
        else:
            parts.append(
                f'<svg x="{x:.1f}" y="{y:.1f}" width="{side:.1f}" height="{side:.1f}" viewBox="0 0 72 72">'
                f"{inner_svg(group.noun, group.colour)}</svg>"
            )
    parts.append("</svg>")
    return "".join(parts)


def _write_labels(picture: Image.Image, scene: Scene, boxes: tuple[Box, ...]) -> None:
    """Words on cards and the quoted text, in Pillow's own font: a machine may have no other."""
    from PIL import ImageDraw, ImageFont

    pen = ImageDraw.Draw(picture)
    size = picture.size[0]
    for box in boxes:
        group = scene.groups[box.group]
        if group.card:
            centre = ((box.x + box.side / 2) * size, (box.y + box.side / 2) * size)
            points = min(0.3 * box.side, 1.5 * box.side / max(1, len(group.noun))) * size
            pen.text(centre, group.noun, fill="black", anchor="mm", font=ImageFont.load_default(points))
    if scene.text:
        points = min(0.08, 1.5 / len(scene.text)) * size
        font = ImageFont.load_default(points)
        left, top, right, bottom = pen.textbbox((size / 2, 0.92 * size), scene.text, font=font, anchor="mm")
        pen.rectangle((left - 8, top - 6, right + 8, bottom + 6), fill="white", outline="black")
        pen.text((size / 2, 0.92 * size), scene.text, fill="black", anchor="mm", font=font)
