"""`image_captioning:exemplar`: reads drawings of pictograms by their likeness to exemplars.

A closed loop with `text_to_image:pictograms`: the exemplars are the very pictograms it draws. On
pictures of another style it names few things right.
"""

from __future__ import annotations

from hopline.tools.artifact import Artifact
from hopline.tools.backend import Backend, Call, Result
from hopline.tools.errors import MissingExtra
from hopline.tools.image_captioning.bank import bank
from hopline.tools.image_captioning.efficientnet import MODEL as CLASSIFIER
from hopline.tools.image_captioning.scene_reading import SURE, caption, read
from hopline.tools.media import decode_image
from hopline.tools.openmoji import MODEL


class Exemplar(Backend):
    """Describes a drawing: things, counts, colours, sizes, relations, backdrop.

    Details: `reader`, `scene` (`objects`, `relations`, `backdrop`), `flags`: `unsure` when a thing is
    only a guess or nothing was recognised.
    """

    tool = "image_captioning"
    name = "exemplar"
    code_version = "2"
    extra = "pictograms"
    packages = ("resvg_py", "scipy", "skimage", "onnx", "onnxruntime", "PIL")
    models = (MODEL, CLASSIFIER)

    def load(self) -> None:
        try:
            import onnx  # noqa: F401  # fails here rather than at the first call
            import onnxruntime  # noqa: F401
            import resvg_py  # noqa: F401
            import scipy.ndimage  # noqa: F401
        except ImportError:
            raise MissingExtra(
                "reading drawings needs resvg_py, scipy and onnxruntime.",
                hint="pip install 'hopline[pictograms]'",
            ) from None
        bank()

    def call(self, call: Call) -> Result:
        pixels, losses = decode_image(call.one("image"))
        scene = read(pixels)
        call.progress(1.0, "read")
        unsure = not scene.groups or any(group.likeness < SURE for group in scene.groups)
        return Result(
            outputs={"text": (Artifact.from_text(caption(scene)),)},
            details={"reader": "exemplar", "scene": scene.to_json(), "flags": ["unsure"] if unsure else []},
            mechanical_losses=tuple(losses),
        )
