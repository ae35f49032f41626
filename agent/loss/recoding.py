"""The field's usual numbers between a picture or a recording and itself coded otherwise: SSIM and STOI.

They compare pixel with pixel and sample with sample, so they mean something only where a hop says that
its output is its input `recoded`: compressed, noisy, made small. Between two drawings of one sentence,
or two readings aloud, they mean nothing, and none is given.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from hopline.agent.hops.records import ArtifactRef, Hop
from hopline.agent.loss.score import Score, Signature, Unscored
from hopline.agent.loss.text import library_version
from hopline.tools.artifact import AUDIO, IMAGE, Artifact
from hopline.tools.errors import HoplineError
from hopline.tools.media import decode_audio, decode_image

RECODED = "recoded"
"""The key of a hop's details by which a backend says so."""
LEAST_SIDE = 7
"""Pixels of SSIM's window."""
LEAST_SPEECH_S = 0.5
"""STOI needs 30 frames of 12.8 ms that are not silent."""
SILENT = 1e-4
"""Of full scale, −80 dB."""


def recoding_score(hop: Hop, read: Callable[[ArtifactRef], Artifact]) -> Score | Unscored | None:
    """SSIM or STOI between a hop's only input and its only output; None where neither means anything.

    Args:
        hop: that ended well.
        read: the bytes of an artifact.
    """
    before, after = [ref for refs in hop.inputs.values() for ref in refs], hop.output_list
    if not hop.details.get(RECODED) or len(before) != 1 or len(after) != 1:
        return None
    metric = {IMAGE: ssim, AUDIO: stoi}.get(after[0].modality)
    if metric is None or before[0].modality != after[0].modality:
        return None
    try:
        return metric(read(before[0]), read(after[0]))
    except HoplineError as error:
        return Unscored(reason=str(error), signature=Signature(metric=metric.__name__))


def ssim(before: Artifact, after: Artifact) -> Score | Unscored:
    """Structural similarity of two pictures in [-1, 1], 1 where they are the same (Wang et al. 2004).

    Over the three channels, with the 7 × 7 window and the constants that scikit-image has by default. Both
    must have the same size: one that was made small is Unscored.

    Raises:
        BadInput: a picture cannot be read.
    """
    made = Signature(
        metric="ssim", settings={"window": "7x7", "channels": "rgb"}, version=library_version("scikit-image")
    )
    try:
        from skimage import metrics
    except ImportError:
        return Unscored(reason="scikit-image is not installed; install hopline[loss]", signature=made)
    one, other = decode_image(before)[0], decode_image(after)[0]
    if one.shape != other.shape:
        size = " and ".join(f"{p.shape[1]}×{p.shape[0]}" for p in (one, other))
        return Unscored(reason=f"the pictures have different sizes, {size}", signature=made)
    if min(one.shape[:2]) < LEAST_SIDE:
        return Unscored(reason=f"a side is shorter than {LEAST_SIDE} pixels", signature=made)
    similarity: Any = metrics.structural_similarity
    return Score(value=float(similarity(one, other, channel_axis=2, data_range=255)), signature=made)


def stoi(before: Artifact, after: Artifact) -> Score | Unscored:
    """Short-time objective intelligibility of a recording of speech, about 0 to 1 (Taal et al. 2011).

    Both must begin and end at the same time: samples of the same number and rate.

    Raises:
        BadInput: a recording cannot be read.
    """
    made = Signature(metric="stoi", settings={"extended": "no"}, version=library_version("pystoi"))
    try:
        import pystoi
    except ImportError:
        return Unscored(reason="pystoi is not installed; install hopline[loss]", signature=made)
    one, rate, _ = decode_audio(before)
    other, other_rate, _ = decode_audio(after)
    if (len(one), rate) != (len(other), other_rate):
        return Unscored(reason="the recordings are not aligned in time", signature=made)
    if len(one) < LEAST_SPEECH_S * rate:
        return Unscored(reason=f"shorter than {LEAST_SPEECH_S} s", signature=made)
    if float(abs(one).max()) < SILENT:
        return Unscored(reason="the recording is silent", signature=made)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return Score(value=float(pystoi.stoi(one, other, rate)), signature=made)
        except RuntimeWarning:  # what pystoi says where too little is not silent
            return Unscored(reason="too little of it is speech", signature=made)
