"""Draws the pictures of this folder, and what is in them and asked of them: `python make.py`, with npm and resvg_py.

Twemoji, not the OpenMoji that `text_to_image:pictograms` draws and `image_captioning:exemplar` knows: no captioner
here has seen them.
"""

from __future__ import annotations

import csv
import io
import random
import subprocess
import tarfile
import tempfile
from pathlib import Path

import resvg_py
from PIL import Image

FOLDER = Path(__file__).parent
STYLE = "@twemoji/svg@15.0.0"
THINGS = {
    "cat": "1f408", "dog": "1f415", "horse": "1f40e", "fish": "1f41f", "car": "1f697", "bus": "1f68c",
    "bicycle": "1f6b2", "boat": "26f5", "house": "1f3e0", "tree": "1f333", "apple": "1f34e", "balloon": "1f388",
}  # fmt: skip
PLURALS = {"fish": "fish", "bus": "buses"}
NUMBERS = ("", "one", "two", "three", "four")
COUNT = 48
SEED = 2509
SIDE = 256


def svgs() -> dict[str, str]:
    """The drawing of each thing."""
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(
            ["npm", "pack", "--silent", STYLE], cwd=folder, check=True, capture_output=True, text=True
        )
        with tarfile.open(Path(folder) / packed.stdout.strip()) as archive:
            return {
                name: archive.extractfile(f"package/{code}.svg").read().decode()  # type: ignore[union-attr]  # a file
                for name, code in THINGS.items()
            }


def words(count: int, thing: str) -> str:
    """`a cat`, `three cats`."""
    if count == 1:
        return f"{'an' if thing[0] in 'aeiou' else 'a'} {thing}"
    return f"{NUMBERS[count]} {plural(thing)}"


def plural(thing: str) -> str:
    """`cats`."""
    return PLURALS.get(thing, f"{thing}s")


def group(svg: str, count: int) -> Image.Image:
    """One to four of a thing, on white, half a picture wide."""
    side = SIDE // 2 - 16 if count == 1 else SIDE // 4 - 8
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=side, height=side))
    thing = Image.open(io.BytesIO(png)).convert("RGBA")
    drawn = Image.new("RGBA", (SIDE // 2, SIDE), "white")
    for place in range(count):
        left = (drawn.width - side) // 2 if count == 1 else 4 + place % 2 * (side + 8)
        drawn.alpha_composite(thing, (left, SIDE // 2 - side // 2 + (place // 2) * (side + 8)))
    return drawn


def main() -> None:
    """Write the pictures, `metadata.csv` (what is in them) and `questions.csv` (with their answers)."""
    chance, drawings = random.Random(SEED), svgs()
    captions, questions = [], []
    for number in range(COUNT):
        left, right = chance.sample(sorted(THINGS), 2)
        counts = chance.choice((1, 2, 3, 4)), chance.choice((1, 2, 3, 4))
        picture = Image.new("RGBA", (SIDE, SIDE), "white")
        for half, (thing, count) in enumerate(zip((left, right), counts, strict=True)):
            picture.paste(group(drawings[thing], count), (half * SIDE // 2, 0))
        name = f"{number:02}.png"
        picture.convert("RGB").quantize(64).save(FOLDER / name, optimize=True)
        one, two = words(counts[0], left), words(counts[1], right)
        captions.append((name, f"{one} {'is' if counts[0] == 1 else 'are'} left of {two}.".capitalize()))
        asked = (
            (f"How many {plural(left)} are there?", one, NUMBERS[counts[0]]),
            (f"How many {plural(right)} are there?", two, NUMBERS[counts[1]]),
            (f"What is left of the {plural(right) if counts[1] > 1 else right}?", one, left),
            (f"What is right of the {plural(left) if counts[0] > 1 else left}?", two, right),
        )
        question, says, answer = asked[number % len(asked)]
        questions.append((name, question, f"{says}.".capitalize(), answer))
    for file, columns, rows in (
        ("metadata.csv", ("file_name", "text"), captions),
        ("questions.csv", ("file_name", "question", "text", "answer"), questions),
    ):
        with (FOLDER / file).open("w", encoding="utf-8", newline="") as written:
            writer = csv.writer(written, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(rows)


if __name__ == "__main__":
    main()
