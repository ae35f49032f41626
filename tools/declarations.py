"""The standard tools, all declared from the start; planning needs nothing else.

How people ask for each stands in `examples.toml`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any

from hopline.tools.spec import Tool, ports

_LANGUAGE: Mapping[str, Any] = {
    "type": "string",
    "description": "language of the result, an English name or code",
}

_STEERED: Mapping[str, Mapping[str, Any]] = {
    "steps": {"type": "integer", "minimum": 1, "maximum": 500, "description": "of a diffusion model"},
    "guidance": {"type": "number", "minimum": 0.0, "maximum": 50.0, "description": "how closely it keeps to the text"},
    "negative_prompt": {"type": "string", "description": "what it should not show or sound like"},
}


_EXAMPLES: Mapping[str, Sequence[str]] = tomllib.loads(
    files("hopline.tools").joinpath("examples.toml").read_text("utf-8")
)


def _tool(name: str, inputs: str, outputs: str, description: str, **parameters: Mapping[str, Any]) -> Tool:
    return Tool(
        name=name,
        description=description,
        examples=tuple(_EXAMPLES[name]),
        inputs=ports(inputs),
        outputs=ports(outputs),
        parameters=parameters,
    )


STANDARD_TOOLS: tuple[Tool, ...] = (
    _tool(
        "speech_to_text",
        "audio",
        "text",
        "Transcribes speech: listens to a recording, voice memo, voicemail or spoken message and writes out, "
        "types up or writes down the words said.",
        language={
            "type": "string",
            "default": "auto",
            "description": "language spoken, ISO 639-1 code or auto",
        },
    ),
    _tool(
        "text_to_speech",
        "text",
        "audio",
        "Reads text out to someone, aloud, out loud: reads it to me, says, speaks, voices or narrates it.",
        speed={
            "type": "number",
            "default": 1.0,
            "minimum": 0.5,
            "maximum": 2.0,
            "description": "1 is normal",
        },
    ),
    _tool(
        "text_to_image",
        "text",
        "image",
        "Draws a picture: generates, paints, sketches or makes an image, drawing or illustration of what a text says.",
        # What is usual, not a default: each backend draws in the size that suits it.
        size={"type": "integer", "minimum": 64, "maximum": 2048, "examples": [512], "description": "pixels a side"},
        width={"type": "integer", "minimum": 64, "maximum": 2048, "description": "pixels, instead of size"},
        height={"type": "integer", "minimum": 64, "maximum": 2048, "description": "pixels, instead of size"},
        **_STEERED,
    ),
    _tool(
        "image_captioning",
        "image",
        "text",
        "Describes an image: says in words what is in a picture, photo or drawing, what it shows; writes a caption.",
    ),
    _tool(
        "image_ocr",
        "image",
        "text",
        "Reads the text written in an image: extracts or gets the words out of a scan, screenshot, page, "
        "letter, sign or poster, what it says.",
    ),
    _tool(
        "visual_question_answering",
        "image, question: text",
        "text",
        "Answers a question about an image: what colour, how many, is there, where, who or what is in the picture.",
    ),
    _tool(
        "summarization",
        "text*",
        "text",
        "Summarises text: gives a summary, sums up or makes a shorter version that keeps the main points.",
        language=_LANGUAGE,
    ),
    _tool(
        "translation",
        "text*",
        "text",
        "Translates text from one language into another, such as French, German or Spanish.",
        language=_LANGUAGE,
    ),
    _tool(
        "question_answering",
        "text*, question: text",
        "text",
        "Answers a question from given texts; compares texts and says what they have in common.",
    ),
    _tool(
        "text_to_audio",
        "text",
        "audio",
        "Makes sound or music: generates or composes the sound of something, a sound effect, noise, rhythm, "
        "beat, melody, song or music.",
        duration_s={
            "type": "number",
            "default": 5.0,
            "minimum": 0.1,
            "maximum": 60.0,
            "description": "seconds",
        },
        **_STEERED,
    ),
    _tool(
        "audio_classification",
        "audio",
        "text",
        "Names sound events: classifies a sound, recognises the animal, bird, instrument, engine or alarm heard in it.",
        most={"type": "integer", "default": 5, "minimum": 1, "maximum": 50, "description": "labels at most"},
    ),
    replace(
        _tool(
            "audio_question_answering",
            "audio, question: text",
            "text",
            "Answers a question about a recording in one go, by a model that hears: what is said about something, "
            "who speaks, how many voices, in what mood, what else is heard.",
        ),
        planned=False,  # speech_to_text and question_answering do it everywhere
    ),
    _tool(
        "video_to_audio",
        "video",
        "audio",
        "Extracts the soundtrack of a video: takes the sound out of a film or clip.",
    ),
    _tool(
        "video_to_image",
        "video",
        "image*",
        "Takes still pictures out of a video: stills, frames, screenshots of a film or clip.",
        at={
            "type": "string",
            "enum": ["times", "scenes"],
            "default": "times",
            "description": "one frame every so many seconds, or the first of each scene",
        },
        every_s={"type": "number", "default": 5.0, "minimum": 0.04, "description": "seconds between frames"},
        most={"type": "integer", "default": 8, "minimum": 1, "maximum": 64, "description": "frames at most"},
    ),
)
