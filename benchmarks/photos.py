"""What the photo tagger makes of real photos, and how well the gate tells them from drawings.

The seven photos of the shared folder with the words that are expected of them; then the gate over
those photos, any others given, and pictures that the pictogram tool draws from seeded prompts, as
they are, as JPEG of quality 30 and at half size. Seconds are of one thread, weights loaded.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

EXPECTED: Mapping[str, tuple[str, ...]] = {
    "photo-a.jpg": ("cat",),
    "photo-b.jpg": ("zebra",),
    "photo-c.jpg": ("zebra",),
    "photo-d.jpg": (),
    "photo-e.jpg": (),
    "photo-f.jpg": ("zebra",),
    "photo-g.jpg": ("ball",),
}
"""Words that must be in the caption; of a photo without any it must say that it is not sure."""

COUNTS = ("a", "two", "three", "four")
COLOURS = ("red", "blue", "green", "yellow", "orange", "purple", "brown", "pink")
NOUNS = ("cat", "dog", "house", "tree", "car", "boat", "apple", "flower", "bird", "fish", "star", "umbrella")
RELATIONS = ("left of", "right of", "above", "below", "next to")


def prompt(chance: random.Random) -> str:
    """`Two red cats left of a blue boat.`"""

    def group() -> str:
        count, colour, noun = chance.choice(COUNTS), chance.choice(COLOURS), chance.choice(NOUNS)
        article = "an" if count == "a" and colour[0] in "aeiou" else count
        return f"{article} {colour} {noun if count == 'a' or noun == 'fish' else noun + 's'}"

    return f"{group()} {chance.choice(RELATIONS)} {group()}.".capitalize()


def drawings(number: int, seed: int) -> Iterator[Any]:
    """RGB pixels of scenes by the pictogram tool."""
    from hopline.tools import Artifact, Call
    from hopline.tools.media import decode_image
    from hopline.tools.registry import installed

    backend = installed().backend("text_to_image:pictograms")
    settings = installed().tool("text_to_image").with_defaults({})
    chance = random.Random(seed)
    for _ in range(number):
        call = Call(inputs={"text": (Artifact.from_text(prompt(chance)),)}, parameters=settings)
        yield decode_image(backend.call(call).outputs["image"][0])[0]


def as_jpeg(pixels: Any) -> Any:
    import numpy as np
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=30)
    return np.asarray(Image.open(file).convert("RGB"))


def halved(pixels: Any) -> Any:
    import numpy as np
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize((pixels.shape[1] // 2, pixels.shape[0] // 2)))


def main() -> None:
    shared = Path(os.environ.get("HOPLINE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, default=shared / "media", help="folder of the seven photos")
    parser.add_argument("--more", type=Path, help="folder of other photos, for the gate")
    parser.add_argument("--drawings", type=int, default=40, help="how many to draw, for the gate")
    parser.add_argument("--seed", type=int, default=20261123)
    arguments = parser.parse_args()
    os.environ.setdefault("HOPLINE_THREADS", "1")

    from hopline.tools import Call
    from hopline.tools.image_captioning.gate import look
    from hopline.tools.image_captioning.tagger import Tagger
    from hopline.tools.media import decode_image, open_file

    tagger = Tagger()
    start = time.perf_counter()
    tagger.load()
    figures: dict[str, Any] = {"load_s": time.perf_counter() - start}
    right, seconds, photos = 0, [], []
    for name, words in EXPECTED.items():
        artifact = open_file(arguments.photos / name)
        start = time.perf_counter()
        result = tagger.call(Call(inputs={"image": (artifact,)}))
        seconds.append(time.perf_counter() - start)
        photos.append(decode_image(artifact)[0])
        text = result.outputs["text"][0].text
        good = all(word in text for word in words) if words else ("not sure" in text or "cannot tell" in text)
        right += good
        print(f"{'right' if good else 'WRONG'}  {name}  {text}")
    figures |= {"photos_right": f"{right}/{len(EXPECTED)}", "read_s": statistics.median(seconds)}

    others = sorted(arguments.more.iterdir()) if arguments.more else []
    photos += [decode_image(open_file(path))[0] for path in others]
    start = time.perf_counter()
    figures["gate_photos"] = f"{sum(not look(pixels).drawing for pixels in photos)}/{len(photos)}"
    figures["gate_s"] = (time.perf_counter() - start) / len(photos)
    scenes = list(drawings(arguments.drawings, arguments.seed))
    ways: dict[str, Callable[[Any], Any]] = {"as_drawn": lambda pixels: pixels, "jpeg30": as_jpeg, "half": halved}
    for way, change in ways.items():
        told = sum(look(change(pixels)).drawing for pixels in scenes)
        figures[f"gate_drawings_{way}"] = f"{told}/{len(scenes)}"
    figures["seed"] = arguments.seed
    print(json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in figures.items()}))


if __name__ == "__main__":
    main()
