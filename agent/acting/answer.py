"""The closing answer without a model: says what there is, and names nothing that is not there."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

from hopline.agent.hops.records import ArtifactRef, Hop, RunRecord
from hopline.tools.artifact import TEXT, Artifact

_NOUNS = {"image": ("picture", "pictures"), "audio": ("recording", "recordings"), "video": ("video", "videos")}

_HANDLE = re.compile(r"\b(?:run\d+\.\w+|(?:step|text|image|audio|video)\d+)\b")

_FLAGS = {
    "no_speech": "no speech was heard",
    "maybe_not_english": "the speech may not be English, so the words may be wrong",
    "other_language": "the words may be in another language than the one spoken, so they may be wrong",
    "no_text": "no text was found in the picture",
    "unsure": "the description is not sure",
}


def small_talk(tools: Sequence[str]) -> str:
    """The plain answer to small talk."""
    return (
        "Hello. Ask for something that spans text, pictures, sound or video, and attach what it is about: "
        '"Transcribe this recording", "Draw a yellow boat on a lake", "Describe this photo out loud". '
        f"I have {len(tools)} tools; `hopline tools` lists them."
    )


def only_what_exists(words: str, handles: Collection[str]) -> str:
    """Words of a model without the sentences that name a handle that is not there.

    Args:
        words: as it said them.
        handles: those there are.
    """
    sentences = re.split(r"(?<=[.!?])\s+", words.strip())
    return " ".join(s for s in sentences if all(h in handles for h in _HANDLE.findall(s)))


def closing_answer(run: RunRecord, hops: Sequence[Hop], read: Callable[[ArtifactRef], Artifact]) -> str:
    """One or a few sentences about a run's outputs.

    Args:
        run: ended, with its outputs.
        hops: of the run.
        read: gives the bytes of a reference.

    Returns:
        The texts asked for, word for word, and how many pictures and sounds there are.
    """
    texts = [read(ref).text.strip() for ref in run.outputs if ref.modality == TEXT]
    lines = [text for text in texts if text]
    counted = []
    for modality, (one, several) in _NOUNS.items():
        count = sum(ref.modality == modality for ref in run.outputs)
        if count:
            counted.append(f"one {one}" if count == 1 else f"{count} {several}")
    if counted:
        lines.append(f"Made {' and '.join(counted)}.")
    flags = dict.fromkeys(flag for hop in hops for flag in hop.flags)
    if flags:
        lines.append(f"Note: {'; '.join(_FLAGS.get(flag, flag.replace('_', ' ')) for flag in flags)}.")
    if run.status != "ok" and run.error is not None:
        lines.append(f"Not all of it worked: {run.error.message}")
    return "\n".join(lines)
