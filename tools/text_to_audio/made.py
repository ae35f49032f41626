"""What a model made, as sound of the length that was asked: mono, finite, within full scale, every change told."""

from __future__ import annotations

from typing import Any

from hopline.tools.backend import MechanicalLoss
from hopline.tools.errors import BackendFailed

_SILENT = 1 / 32767
"""Below that, 16 bits hold nothing."""


def finished(sound: Any, rate_hz: int, wanted_s: float) -> tuple[Any, list[MechanicalLoss]]:
    """Samples to be kept, and what happened to them.

    Args:
        sound: floats of shape (n,) or (channels, n).
        rate_hz: their rate.
        wanted_s: seconds that were asked for; what a model makes beyond them is padding.

    Returns:
        float32 in [-1, 1] of shape (n,), and `downmixed`, `clipped` or `truncated`, where less was made than asked.

    Raises:
        BackendFailed: values that are no numbers, or silence.
    """
    import numpy as np

    losses = []
    samples = np.asarray(sound, dtype=np.float32)
    if samples.ndim > 1:
        if samples.shape[0] > 1:
            message = f"{samples.shape[0]} channels were mixed into one"
            before = samples.shape[0]
            losses.append(MechanicalLoss(kind="downmixed", message=message, before=before, after=1, unit="channels"))
        samples = samples.mean(axis=0)
    samples = samples[: round(wanted_s * rate_hz)]
    if not samples.size or not np.isfinite(samples).all():
        raise BackendFailed("the sound holds values that are no numbers.", hint="Try another seed.")
    peak = float(np.abs(samples).max())
    if peak < _SILENT:
        raise BackendFailed("the sound is silent: the model failed.", hint="Try another seed.")
    if peak > 1:
        message = f"samples over full scale were clipped (peak {peak:.2f})"
        losses.append(MechanicalLoss(kind="clipped", message=message, before=round(peak, 4), after=1.0))
        samples = np.clip(samples, -1, 1)
    made_s = samples.size / rate_hz
    if round(wanted_s * rate_hz) > samples.size:
        message = f"asked for {wanted_s:g} s; the model made {made_s:.2f} s"
        losses.append(
            MechanicalLoss(kind="truncated", message=message, before=wanted_s, after=round(made_s, 3), unit="s")
        )
    return samples, losses
