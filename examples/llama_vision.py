"""What a vision model of Ollama sees: describe, stream a caption, explain a meme, transcribe a screenshot.

ollama pull llama3.2-vision
python examples/llama_vision.py [PHOTO MEME SCREENSHOT]

Without files it draws three of its own. A text beside a file (photo.jpg, photo.txt) that says what is in it is
what the hop is scored against.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hopline.agent import Agent, Attachment
from hopline.agent.run import Run
from hopline.agent.running.events import Event
from hopline.tools import Artifact
from PIL import Image, ImageDraw, ImageFont

Picture = tuple[Path, str]
"""A file, and what is in it; empty where nobody knows."""


def main() -> None:
    """Four requests, each a run with its hop, its model call and its scores."""
    given = [Path(name) for name in sys.argv[1:]]
    photo, meme, screenshot = [(file, told(file)) for file in given] if given else drawn(Path("llama-vision"))
    with Agent.from_profile("local") as agent:
        print("== describe")
        show(agent.run("", [attached(photo)], chain="image_captioning"))
        print("== stream a caption")
        # A cached caption would come at once.
        agent.run("", [attached(photo)], chain="image_captioning", on_event=stream, use_cache=False)
        print("\n== explain a meme")
        show(agent.run("Why is this picture funny?", [attached(meme)], chain="visual_question_answering"))
        print("== transcribe a screenshot")
        run = agent.run("", [attached(screenshot)], chain="image_ocr", out=Path("llama-vision"))
        show(run)
        print(f"Markdown: {run.outputs[0].path}; the page: {run.page(Path('llama-vision/screenshot.html'))}")


def show(run: Run) -> None:
    """The words, who said them, and how near they are to what is there."""
    run.raise_for_status()
    print(run.outputs[0].text)
    (hop,) = run.hops
    (call,) = run.model_calls
    tokens = f"{call.input_tokens} tokens in, {call.output_tokens} out"
    print(f"  by {hop.backend} {hop.identity['digest'][:12]} {hop.identity['quantization']}: {tokens}")
    for loss in run.loss().hops:
        scores = [f"{score.metric} {score.value:.2f}" for score in loss.scores if score.value is not None]
        print(f"  {', '.join(scores) or 'no scores: ' + (loss.unscored or 'no reference')}")


_shown = ""


def stream(event: Event) -> None:
    """Print what is new of the words so far."""
    global _shown
    if event.kind == "hop_progress" and not event.words.startswith("waiting"):
        print(event.words.removeprefix(_shown), end="", flush=True)
        _shown = event.words


def attached(picture: Picture) -> Attachment:
    """A picture with what is in it."""
    file, words = picture
    return Attachment(file, reference=Artifact.from_text(words) if words else None)


def told(file: Path) -> str:
    """The text beside a file, if there is one."""
    beside = file.with_suffix(".txt")
    return beside.read_text("utf-8") if beside.exists() else ""


def drawn(folder: Path) -> list[Picture]:
    """A photo, a meme and a screenshot, as far as a few lines can draw them."""
    folder.mkdir(exist_ok=True)
    scene = Image.new("RGB", (480, 360), "#bfe3ff")
    ImageDraw.Draw(scene).rectangle((0, 260, 480, 360), fill="#4caf50")
    ImageDraw.Draw(scene).ellipse((180, 160, 300, 280), fill="#d32f2f", outline="black", width=4)
    meme, page = scene.copy(), Image.new("RGB", (640, 320), "white")
    ImageDraw.Draw(meme).text((40, 20), "MONDAY: I WILL RUN", fill="black", font=ImageFont.load_default(36))
    ImageDraw.Draw(meme).text((40, 300), "ALSO ME: ROLLS HOME", fill="black", font=ImageFont.load_default(36))
    words = ["Shopping", "- two red apples", "- one green pear", "Total: 3 pieces"]
    for line, text in enumerate(words):
        ImageDraw.Draw(page).text((40, 30 + 60 * line), text, fill="black", font=ImageFont.load_default(36))
    made = {"photo": (scene, "A red ball on green grass."), "meme": (meme, ""), "screenshot": (page, "\n".join(words))}
    for name, (image, _) in made.items():
        image.save(folder / f"{name}.png")
    return [(folder / f"{name}.png", words_of_it) for name, (_, words_of_it) in made.items()]


if __name__ == "__main__":
    main()
