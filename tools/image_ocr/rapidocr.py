"""`image_ocr:rapidocr`: RapidOCR with the PP-OCRv6 models that lie in its wheel; reads Latin and Chinese script."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hopline.tools.artifact import Artifact
from hopline.tools.backend import Backend, Call, MechanicalLoss, Result
from hopline.tools.errors import BackendFailed, InputRefused, MissingExtra, MissingModel
from hopline.tools.home import limits

LONGEST_SIDE = 2000
"""Pixels; a larger picture is made smaller for reading. RapidOCR's default."""
LEAST_SCORE = 0.5
"""Mean character probability under which a line is left out. RapidOCR's default."""

_THINNEST = 17
"""Pixels that the shorter side must keep when the longer has `LONGEST_SIDE`; RapidOCR fails below."""
_TALLEST = 8
"""Height of a picture in widths, as RapidOCR has it for width in heights."""
_FILES = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
    "Cls": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
}


class RapidOcr(Backend):
    """Reads the text in a picture, a line of the picture to a line of text.

    Details: `lines`, from top to bottom, each with its `text`, `score` in [0, 1] and `box`
    (four corners x, y in pixels of the picture, clockwise from the top left); `skipped`, the
    lines of too low a score, likewise. A picture without text gives an empty text and the flag
    `no_text`.
    """

    tool = "image_ocr"
    name = "rapidocr"
    extra = "ocr"
    packages = ("rapidocr", "onnxruntime")
    licence = "Apache-2.0"

    def __init__(self, model: str = "") -> None:
        super().__init__(model)
        self._engine: Any = None

    def load(self) -> None:
        if self._engine is not None:
            return
        if importlib.util.find_spec("rapidocr") is None or importlib.util.find_spec("onnxruntime") is None:
            raise MissingExtra("image_ocr:rapidocr needs rapidocr.", hint="Install it with: pip install 'hopline[ocr]'")
        import numpy as np
        import rapidocr

        folder = Path(rapidocr.__file__).parent / "models"
        absent = [name for name in _FILES.values() if not (folder / name).is_file()]
        if absent:  # RapidOCR would fetch them from the network by itself
            raise MissingModel(
                f"the installed rapidocr does not hold {absent[0]}.",
                hint="Install it with: pip install 'rapidocr>=3.10'",
            )
        settings = {f"{part}.model_path": str(folder / name) for part, name in _FILES.items()}
        try:
            engine = rapidocr.RapidOCR(
                params={
                    **settings,
                    "Global.log_level": "critical",
                    "Global.text_score": 0.0,  # what is left out is decided, and reported, here
                    "Global.max_side_len": LONGEST_SIDE,
                    "EngineConfig.onnxruntime.intra_op_num_threads": limits().threads,
                    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                }
            )
            blank = np.full((48, 320, 3), 255, np.uint8)
            engine(blank, use_det=False)  # its sessions are made on first use; each part once
            engine(blank, use_det=True)
        except Exception as error:
            raise BackendFailed(f"RapidOCR could not be loaded: {error}.") from error
        self._engine = engine

    def call(self, call: Call) -> Result:
        from hopline.tools.media import decode_image

        self.load()
        call.progress(0.0, "reading the text")
        pixels, losses = decode_image(call.one("image"))
        shortest, longest = sorted(pixels.shape[:2])
        if shortest * LONGEST_SIDE < longest * _THINNEST:
            raise InputRefused(
                f"the picture is too narrow to read text in ({pixels.shape[1]} × {pixels.shape[0]} pixels).",
                hint="Cut it into parts.",
            )
        try:
            found = self._engine(_widened(pixels)[:, :, ::-1])  # it wants blue first
        except Exception as error:
            raise BackendFailed(f"RapidOCR failed: {error!r}.") from error
        lines = [
            {
                "text": text.strip(),
                "score": round(float(score), 4),
                "box": [[round(min(float(x), pixels.shape[1]), 1), round(float(y), 1)] for x, y in box],
            }
            for box, text, score in zip(
                _or_none(found, "boxes"), _or_none(found, "txts"), _or_none(found, "scores"), strict=True
            )
        ]
        rows = reading_order([line for line in lines if line["score"] >= LEAST_SCORE])
        skipped = [line for line in lines if line["score"] < LEAST_SCORE]
        details: dict[str, Any] = {"lines": [line for row in rows for line in row], "skipped": skipped}
        if not rows:
            details["flags"] = ["no_text"]
        call.progress(1.0, "done")
        return Result(
            outputs={"text": (Artifact.from_text("\n".join(" ".join(line["text"] for line in row) for row in rows)),)},
            details=details,
            mechanical_losses=(*losses, *_losses(pixels.shape[0], pixels.shape[1], len(lines), len(skipped))),
        )


def _widened(pixels: Any) -> Any:
    """A tall strip with a margin at its right, in its commonest tone.

    RapidOCR brings the shorter side up to 736 pixels and pads only wide strips: a picture of
    3 × 100 pixels would become one of 18 megapixels.
    """
    import numpy as np

    height, width = pixels.shape[:2]
    missing = height // _TALLEST - width
    if missing <= 0:
        return pixels
    margin = np.broadcast_to(np.median(pixels, axis=(0, 1)).astype(np.uint8), (height, missing, 3))
    return np.concatenate([pixels, margin], axis=1)


def _or_none(found: object, name: str) -> Sequence[Any]:
    """What RapidOCR found, or nothing: on a blank picture its fields are None."""
    value = getattr(found, name, None)
    return [] if value is None else value


def reading_order(lines: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Group boxes into rows from top to bottom, each from left to right.

    Two boxes share a row when the vertical centre of one lies within the height of the other
    and the other way round; columns of text are therefore read across.

    Args:
        lines: each with a `box` of four corners (x, y).
    """
    rows: list[list[Mapping[str, Any]]] = []
    for line in sorted(lines, key=_middle):
        last = rows[-1][-1] if rows else None
        if last is not None and abs(_middle(line) - _middle(last)) < min(_height(line), _height(last)) / 2:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda line: min(x for x, _ in line["box"])) for row in rows]


def _middle(line: Mapping[str, Any]) -> float:
    return float(sum(y for _, y in line["box"]) / len(line["box"]))


def _height(line: Mapping[str, Any]) -> float:
    """Length of the box's left side, so that slanted text counts as high as upright."""
    (x1, y1), *_, (x4, y4) = line["box"]
    return float(((x1 - x4) ** 2 + (y1 - y4) ** 2) ** 0.5)


def _losses(height: int, width: int, lines: int, skipped: int) -> list[MechanicalLoss]:
    found = []
    longest = max(height, width)
    if longest > LONGEST_SIDE:
        message = f"The picture was made smaller for reading: its longer side from {longest} to {LONGEST_SIDE} pixels."
        found.append(MechanicalLoss(kind="resized", message=message, before=longest, after=LONGEST_SIDE, unit="pixels"))
    if skipped:
        message = f"{skipped} of {lines} lines were too unclear to read (score under {LEAST_SCORE})."
        found.append(MechanicalLoss(kind="skipped", message=message, before=lines, after=lines - skipped, unit="lines"))
    return found
