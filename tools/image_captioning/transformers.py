"""`image_captioning:transformers[:model]`: BLIP, GIT, BLIP-2 and any image-text-to-text model, by hub id or folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hopline.tools.backend import Call, Result
from hopline.tools.looking import Looking

ASKED = "Describe this picture in one or two sentences: what is in it, how many, in what colours, and where."
"""Of models that chat."""

_PROMPTS: Mapping[str, str] = {"paligemma": "caption en", "florence2": "<DETAILED_CAPTION>", "instructblip": ASKED}
"""By type of model, for those that want words and do not chat; others describe without being asked."""


class Transformers(Looking):
    """Describes a picture in words; see `Looking` for details and losses."""

    tool = "image_captioning"
    name = "transformers"
    default_model = "Salesforce/blip-image-captioning-large"

    def work(self, calls: Sequence[Call]) -> list[Result]:
        images = [call.one("image") for call in calls]
        asked = self.chat_text(ASKED) if self._chats else _PROMPTS.get(self._config.model_type)
        if asked is None:
            return [self.result(written) for written in self.write(calls, images, None)]
        # Pictures of different sizes make different numbers of patches, and rows of different lengths: one by one.
        return [self.result(self.write([call], [image], [asked])[0]) for call, image in zip(calls, images, strict=True)]
