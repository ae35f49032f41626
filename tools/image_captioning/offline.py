"""`image_captioning:offline`: the reader of drawings or the tagger of photos, whichever the picture is for."""

from __future__ import annotations

from typing import Any

from hopline.tools.backend import Backend, Call, Result
from hopline.tools.image_captioning.exemplar import Exemplar
from hopline.tools.image_captioning.gate import look
from hopline.tools.image_captioning.tagger import Tagger


class Offline(Backend):
    """Describes a picture without a network and without a captioning model.

    Flat colours and outlines go to `image_captioning:exemplar`, all else to
    `image_captioning:tagger`; whose words the caption is, is in the details.

    Details: those of the reader, and `reader` ("exemplar" or "tagger"), `reader_identity`, its
    code version and models, `gate`, with the figures that decided, and `why` in words.
    """

    tool = "image_captioning"
    name = "offline"
    extra = "pictograms"
    packages = tuple(dict.fromkeys((*Exemplar.packages, *Tagger.packages)))
    models = tuple(dict.fromkeys((*Exemplar.models, *Tagger.models)))
    licence = Tagger.licence

    def __init__(self, model: str = "") -> None:
        super().__init__(model)
        self._exemplar = Exemplar()
        self._tagger = Tagger()

    def identity(self) -> dict[str, str]:
        """Its own, and the code versions of both readers."""
        versions = {part.name: part.code_version for part in (self._exemplar, self._tagger)}
        return {**super().identity(), **versions}

    def load(self) -> None:
        self._exemplar.load()
        self._tagger.load()

    def call(self, call: Call) -> Result:
        from hopline.tools.media import decode_image

        verdict = look(decode_image(call.one("image"))[0])
        reader: Backend = self._exemplar if verdict.drawing else self._tagger
        result = reader.call(call)
        details: dict[str, Any] = {
            **result.details,
            "reader": reader.name,
            "reader_identity": reader.identity(),
            "gate": {"drawing": verdict.drawing, "flat": verdict.flat, "few": verdict.few},
            "why": verdict.why,
        }
        return Result(outputs=result.outputs, details=details, mechanical_losses=result.mechanical_losses)
