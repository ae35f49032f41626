"""Models of transformers that look at pictures: opened from a checked folder, shown pictures, and made to write.

BLIP, GIT, BLIP-2, encoder-decoder captioners, BLIP-VQA, ViLT, and whatever `AutoModelForImageTextToText` knows, models
with a chat template included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hopline.tools.artifact import Artifact
from hopline.tools.backend import Call, MechanicalLoss, Result
from hopline.tools.media import decode_image
from hopline.tools.pretrained import Pretrained, device, load_model

_SQUEEZED = 0.02
"""Relative change of the aspect ratio that rounding does not explain."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What a model wrote about one picture.

    Attributes:
        text: without special tokens.
        losses: of decoding the picture, of fitting it to the model, and of the limit of the answer.
    """

    text: str
    losses: tuple[MechanicalLoss, ...]


class Looking(Pretrained):
    """A backend on a model that looks at pictures and writes.

    Losses: those of decoding; `resized` (and `cropped`) where the model's processor made the picture fit; `truncated`
    where the answer reached its limit. Flags: `no_text` with an empty result; `untrained_weights` where the folder
    lacks some that the model has, with their names in `untrained_weights`.
    """

    packages = ("torch", "transformers", "accelerate", "safetensors")
    batch = 8
    most_tokens = 60

    def open(self, folder: Path) -> None:
        from transformers import AutoConfig, AutoImageProcessor, AutoProcessor, AutoTokenizer

        local = {"local_files_only": True, "trust_remote_code": False}
        self._config = AutoConfig.from_pretrained(folder, **local)
        self._check_kind(self._config)
        processor: Any = AutoProcessor.from_pretrained(folder, **local)
        self._processor = processor
        # Of an encoder and decoder put together, transformers finds half a processor.
        self._images: Any = getattr(processor, "image_processor", None) or AutoImageProcessor.from_pretrained(
            folder, **local
        )
        self._tokenizer: Any = getattr(processor, "tokenizer", None) or AutoTokenizer.from_pretrained(folder, **local)
        self._model, self._untrained = load_model(self.model_class(self._config), folder, self.dtype)
        self._chats = bool(getattr(self._processor, "chat_template", None))

    def _check_kind(self, config: Any) -> None:
        """Refuse a model that cannot do this tool's work."""

    def model_class(self, config: Any) -> Any:
        """The class of transformers that reads the weights."""
        from transformers import AutoModelForImageTextToText

        return AutoModelForImageTextToText

    def chat_text(self, words: str) -> str:
        """A request about one picture in the words of the model's chat template."""
        content = [{"type": "image"}, {"type": "text", "text": words}]
        asked = [{"role": "user", "content": content}]
        return str(self._processor.apply_chat_template(asked, add_generation_prompt=True, tokenize=False))

    def show(self, pictures: Sequence[Any], **texts: Any) -> Any:
        """What the model takes in, on its device."""
        reads = self._processor if texts or hasattr(self._processor, "image_processor") else self._images
        shown = reads(images=list(pictures), return_tensors="pt", **texts)
        return shown.to(device(), getattr(self._model, "dtype", None))

    def write(self, calls: Sequence[Call], images: Sequence[Artifact], texts: Sequence[str] | None) -> list[Written]:
        """Show pictures, each with its text if there are some, and let the model write.

        Args:
            calls: told how it goes; as many as pictures.
            images: to look at.
            texts: prompts in the model's own form, or None where it needs none.
        """
        import torch

        opened = [decode_image(image) for image in images]
        pictures = [as_pillow(pixels) for pixels, _ in opened]
        words = {"text": list(texts), "padding": True} if texts is not None else {}
        shown = self.show(pictures, **words)
        begun = 0

        def watching(ids: Any, scores: Any, **_: Any) -> Any:
            nonlocal begun
            begun += 1
            for call in calls:
                call.progress(min(0.95, begun / self.most_tokens), f"{begun} tokens written")
            return torch.zeros(ids.shape[0], dtype=torch.bool, device=ids.device)

        for call in calls:
            call.progress(0.0, "looking")
        with torch.inference_mode():
            made = self._model.generate(
                **shown,
                max_new_tokens=self.most_tokens,
                do_sample=False,
                num_beams=1,
                stopping_criteria=[watching],
            )
        # Before that stands what the model was asked, or its mark of a beginning, which may be that of an end.
        rows = made[:, -begun:].cpu()
        return [
            Written(
                text=self._tokenizer.decode(row, skip_special_tokens=True).strip(),
                losses=(
                    *losses,
                    *self.seen(shown, place, pixels.shape[1], pixels.shape[0]),
                    *self._unfinished(row, begun),
                ),
            )
            for place, (row, (pixels, losses)) in enumerate(zip(rows, opened, strict=True))
        ]

    def _unfinished(self, row: Any, tokens: int) -> tuple[MechanicalLoss, ...]:
        if tokens < self.most_tokens or self._ends() & set(row.tolist()):
            return ()
        message = f"the text was cut at {self.most_tokens} tokens, its limit"
        return (MechanicalLoss(kind="truncated", message=message, after=self.most_tokens, unit="tokens"),)

    def _ends(self) -> set[int]:
        """Tokens that end a text: models name them in different places."""
        places = [self._tokenizer, self._config, getattr(self._config, "text_config", None)]
        places.append(getattr(self._model, "generation_config", None))
        found: set[int] = set()
        for place in places:
            for name in ("eos_token_id", "sep_token_id"):
                value = getattr(place, name, None)
                found |= set(value if isinstance(value, list) else [value]) - {None}
        return found

    def result(self, written: Written, **details: Any) -> Result:
        """A result of one text."""
        flags = [] if written.text else ["no_text"]
        if self._untrained:
            flags.append("untrained_weights")
            details["untrained_weights"] = self._untrained
        if flags:
            details["flags"] = flags
        return Result(
            outputs={"text": (Artifact.from_text(written.text),)},
            details=details,
            mechanical_losses=written.losses,
        )

    def seen(self, shown: Any, place: int, width: int, height: int) -> list[MechanicalLoss]:
        """How a picture was made to fit.

        Args:
            shown: what the processor made.
            place: of the picture in the batch.
            width: of the picture, pixels.
            height: the same.
        """
        size, tiles = self._seen_size(shown, place)
        if size is None or size == (width, height):
            return []
        losses = []
        kept = self._kept_by_crop(width, height)
        if kept < 1 - _SQUEEZED:
            message = f"the edges were cut off: {100 * kept:.0f}% of the picture was shown"
            losses.append(
                MechanicalLoss(kind="cropped", message=message, before=100, after=round(100 * kept), unit="percent")
            )
        message = f"shown to the model at {size[0]} x {size[1]} of {width} x {height} pixels"
        if tiles > 1:
            message += f", in {tiles} tiles"
        elif kept == 1 and abs(size[0] / size[1] * height / width - 1) > _SQUEEZED:
            message += ", its proportions changed"
        losses.append(
            MechanicalLoss(
                kind="resized", message=message, before=width * height, after=tiles * size[0] * size[1], unit="pixels"
            )
        )
        return losses

    def _seen_size(self, shown: Any, place: int) -> tuple[tuple[int, int] | None, int]:
        """Width and height as shown, of one tile where there are several, and how many; None where nobody says."""
        if "image_grid_thw" in shown:
            _, rows, columns = shown["image_grid_thw"][place].tolist()
            patch = int(self._images.patch_size)
            return (columns * patch, rows * patch), 1
        values = shown.get("pixel_values")
        if values is None or values.ndim not in (4, 5):
            return None, 1
        if "pixel_mask" in shown and values.ndim == 4:
            mask = shown["pixel_mask"][place]
            return (int(mask.any(0).sum()), int(mask.any(1).sum())), 1
        return (int(values.shape[-1]), int(values.shape[-2])), int(values.shape[1]) if values.ndim == 5 else 1

    def _kept_by_crop(self, width: int, height: int) -> float:
        """Share of the picture that a crop of its middle leaves."""
        images = self._images
        if not getattr(images, "do_center_crop", False) or not getattr(images, "do_resize", False):
            return 1.0
        edge = _named(images.size, "shortest_edge")
        if not edge:
            return 1.0
        scale = edge / min(width, height)
        across = min(1.0, (_named(images.crop_size, "width") or edge) / (width * scale))
        down = min(1.0, (_named(images.crop_size, "height") or edge) / (height * scale))
        return across * down


def _named(sizes: Any, name: str) -> int:
    value = sizes.get(name) if hasattr(sizes, "get") else getattr(sizes, name, None)
    return int(value or 0)


def as_pillow(pixels: Any) -> Any:
    """A Pillow image of RGB uint8 pixels, shape (h, w, 3)."""
    from PIL import Image

    return Image.fromarray(pixels)
