"""The standard tools, all declared from the start; planning needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
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


def _tool(
    name: str, inputs: str, outputs: str, description: str, examples: str, **parameters: Mapping[str, Any]
) -> Tool:
    return Tool(
        name=name,
        description=description,
        examples=tuple(example.strip() for example in examples.split("|")),
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
        "transcribe this|type up the interview|write out the message|write down what is said|"
        "turn the voice note into text|what did they say in the call|give me the recording in writing|"
        "listen to the memo|a transcript of the talk|audio to text|what is this voicemail about|"
        "what is said in the film|subtitles",
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
        "read it to me|read this aloud|say this sentence|speak the text|let me hear the text|"
        "make an audio book of the page|record the words with a voice|say it out loud|pronounce the word|"
        "voice the summary",
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
        "draw it|draw a cat and a dog|draw two birds beside a house|paint a ship on the sea|a picture of a tree|"
        "sketch what it says|illustrate the story|"
        "what would it look like|turn it into a picture|make a drawing of what is said|"
        "visualise the description|i want to see a castle",
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
        "describe this photo|what is in the picture|tell me what the image shows|say what you see|"
        "write a caption|alt text for the picture|tell me about this photo|what is going on in the drawing|"
        "tell me what came out|what do the pictures show",
    ),
    _tool(
        "image_ocr",
        "image",
        "text",
        "Reads the text written in an image: extracts or gets the words out of a scan, screenshot, page, "
        "letter, sign or poster, what it says.",
        "what does the sign say|what does the letter say|read the text in the scan|"
        "copy the words from the page|what is written here|type out the label in the photo|"
        "turn the screenshot into text|the text on the poster|digitise the document",
    ),
    _tool(
        "visual_question_answering",
        "image, question: text",
        "text",
        "Answers a question about an image: what colour, how many, is there, where, who or what is in the picture.",
        "what colour is the car|how many people are there|is there a dog in the photo|where is the cat|"
        "who is next to the tree|is the door open|does the picture show it|which one is bigger|"
        "what is the man holding|tell me whether it is raining in the picture|"
        "answer the question about the picture",
    ),
    _tool(
        "summarization",
        "text*",
        "text",
        "Summarises text: gives a summary, sums up or makes a shorter version that keeps the main points.",
        "sum it up|give me the gist|the main points|a short version|make a short summary|keep it brief|"
        "in a few sentences|boil it down|the key points of the talk|shorten it",
        language=_LANGUAGE,
    ),
    _tool(
        "translation",
        "text*",
        "text",
        "Translates text from one language into another, such as French, German or Spanish.",
        "put it into german|in spanish please|say it in italian|how do you say this in polish|"
        "what does it mean in english|a french version|i do not speak the language",
        language=_LANGUAGE,
    ),
    _tool(
        "question_answering",
        "text*, question: text",
        "text",
        "Answers a question from given texts; compares texts and says what they have in common.",
        "what does the text say about the price|according to the text when does it start|"
        "answer my question from the article|who is mentioned in the message|what do they have in common|"
        "compare the two texts|find the answer in the document|how do they differ|"
        "what time does he say we meet",
    ),
    _tool(
        "text_to_audio",
        "text",
        "audio",
        "Makes sound or music: generates or composes the sound of something, a sound effect, noise, rhythm, "
        "beat, melody, song or music.",
        "make some music|compose a tune|the sound of rain|a drum beat|play a melody|"
        "a sound effect of a door|background music|noise of waves|i need a relaxing sound",
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
        "classify this sound|which sound events are in it|name the instruments|which bird or animal makes that noise|"
        "recognise the alarm|what kind of noise is it",
        most={"type": "integer", "default": 5, "minimum": 1, "maximum": 50, "description": "labels at most"},
    ),
    _tool(
        "video_to_audio",
        "video",
        "audio",
        "Extracts the soundtrack of a video: takes the sound out of a film or clip.",
        "extract the sound|only the audio of the clip|save the film as an audio file|get the audio track|"
        "separate the sound from the pictures",
    ),
    _tool(
        "video_to_image",
        "video",
        "image*",
        "Takes still pictures out of a video: stills, frames, screenshots of a film or clip.",
        "take a frame|stills from the film|grab a picture from the video|snapshots of the clip|"
        "pull out the first frame",
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
