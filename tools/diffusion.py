"""Pipelines of diffusers, of pictures and of sound: opened from a checked folder, watched step by step."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from hopline.tools.backend import Call, MechanicalLoss, ignored
from hopline.tools.pretrained import cut_words, device

_NO_WINDOW = 1_000_000
"""Tokenizers without a limit of their own say a number beyond this."""

_FIXED_WINDOWS: Mapping[tuple[str, str], int] = {
    ("IFPipeline", "tokenizer"): 77,
    ("HunyuanDiTPipeline", "tokenizer"): 77,
    ("HunyuanDiTPipeline", "tokenizer_2"): 256,
    ("KandinskyCombinedPipeline", "tokenizer"): 77,
    ("Kandinsky3Pipeline", "tokenizer"): 128,
}
"""Tokens that a pipeline reads whatever its tokenizer says, by class and part."""

_STEPS_SHARE = 0.95
"""Of the work; the rest is decoding."""


def open_pipeline(kind: Any, folder: Path, dtype: str, **parts: Any) -> Any:
    """A pipeline on this machine's device, weights from safetensors, no code from the folder.

    Args:
        kind: `DiffusionPipeline`, or an automatic class of diffusers that picks one.
        folder: checked by `hopline.tools.weights.check`.
        dtype: torch's name of the number format.
        parts: of the pipeline, loaded already.
    """
    import torch

    pipeline = kind.from_pretrained(
        str(folder),
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        dtype=getattr(torch, dtype),
        variant=variant_of(folder),
        **parts,
    )
    return pipeline.to(device())


def variant_of(folder: Path, part: str = "*") -> str | None:
    """`fp16` where that part of a pipeline, or any, has no other weights."""
    for place in {path.parent for path in folder.glob(f"{part}/*.safetensors")}:
        if all(".fp16" in path.name for path in place.glob("*.safetensors")):
            return "fp16"
    return None


def defaults(pipeline: Any) -> Mapping[str, Any]:
    """The arguments that a pipeline takes, and their defaults."""
    return {name: one.default for name, one in inspect.signature(pipeline.__call__).parameters.items()}


def asked(call: Call, pipeline: Any, fallback: Mapping[str, Any]) -> tuple[dict[str, Any], list[MechanicalLoss]]:
    """Arguments for steps, guidance and negative prompt, and a loss for what a pipeline has no use for.

    Args:
        call: with the parameters `steps`, `guidance` and `negative_prompt`, each of them or not.
        pipeline: which takes all, some or none of them.
        fallback: by the pipeline's argument, what is good for this model.
    """
    takes = defaults(pipeline)
    wanted = {"num_inference_steps": "steps", "guidance_scale": "guidance", "negative_prompt": "negative_prompt"}
    arguments = {name: value for name, value in fallback.items() if name in takes}
    losses = []
    for argument, parameter in wanted.items():
        value = call.parameters.get(parameter)
        if value in (None, ""):
            continue
        if argument in takes:
            arguments[argument] = value
        else:
            losses += ignored(call, parameter, why="this pipeline does not take it")
    if "negative_prompt" in arguments:
        # Without classifier-free guidance nothing is held against the prompt, and diffusers says nothing.
        scale = "true_cfg_scale" if "true_cfg_scale" in takes else "guidance_scale"
        strength = arguments.get(scale, takes.get(scale))
        if isinstance(strength, int | float) and strength <= 1:
            del arguments["negative_prompt"]
            losses += ignored(call, "negative_prompt", why=f"with guidance of {strength:g} it is not read")
    return arguments, losses


def cut_at_windows(pipeline: Any, arguments: Mapping[str, Any]) -> list[MechanicalLoss]:
    """What of the prompts each text encoder of a pipeline does not read."""
    losses = []
    for prompt, of_prompt in (("prompt", ""), ("negative_prompt", "of the negative prompt ")):
        text = arguments.get(prompt) or ""
        for part, tokenizer in sorted(pipeline.components.items()):
            # A pipeline of two may hold `prior_tokenizer` too.
            if "tokenizer" not in part or tokenizer is None:
                continue
            window = _window(pipeline, arguments, part)
            if prompt == "negative_prompt" and (type(pipeline).__name__, part) == ("AudioLDM2Pipeline", "tokenizer_2"):
                # It pads no prompt, and cuts the negative one to the length of the other.
                window = min(window, len(tokenizer(arguments["prompt"])["input_ids"]))
            _, loss = cut_words(text, tokenizer, window) if text and window < _NO_WINDOW else (text, None)
            if loss is not None:
                encoder = getattr(pipeline, part.replace("tokenizer", "text_encoder"), None)
                name = type(encoder if encoder is not None else tokenizer).__name__
                message = f"{of_prompt}by the text encoder {name} {loss.message}"
                losses.append(
                    MechanicalLoss(
                        kind=loss.kind, message=message, before=loss.before, after=loss.after, unit=loss.unit
                    )
                )
    return losses


def _window(pipeline: Any, arguments: Mapping[str, Any], part: str) -> int:
    tokenizer = pipeline.components[part]
    own = _FIXED_WINDOWS.get((type(pipeline).__name__, part), int(tokenizer.model_max_length))
    if "CLIP" in type(tokenizer).__name__:
        return own
    longest = arguments.get("max_sequence_length", defaults(pipeline).get("max_sequence_length"))
    return min(own, longest) if isinstance(longest, int) else own


@contextmanager
def watched(pipeline: Any, call: Call) -> Iterator[None]:
    """Report every step of a pipeline to a call, which may stop it there.

    It stands in for the pipeline's progress bar: not all pipelines have a callback, all have the bar.
    """
    before = pipeline.progress_bar
    pipeline.progress_bar = lambda iterable=None, total=None: _Bar(call, iterable, total)
    call.progress(0.0, "reading the prompt")
    try:
        yield
    finally:
        pipeline.progress_bar = before


class _Bar:
    """What a pipeline uses of tqdm."""

    def __init__(self, call: Call, iterable: Iterable[Any] | None, total: int | None) -> None:
        self.call = call
        self.iterable = list(iterable) if iterable is not None else []
        self.total = total or len(self.iterable)
        self.done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def __iter__(self) -> Iterator[Any]:
        for one in self.iterable:
            yield one
            self.update()

    def update(self, steps: int = 1) -> None:
        self.done += steps
        fraction = _STEPS_SHARE * min(1.0, self.done / max(1, self.total))
        self.call.progress(fraction, f"step {self.done} of {self.total}")
