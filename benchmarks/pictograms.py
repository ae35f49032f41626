"""The pictogram pair: scenes drawn and read back, on fresh seeds, in a closed loop.

Closed loop: the reader's exemplars are the very pictograms that are drawn. The figures across styles,
single things in other emoji styles that the reader has never seen, stand beside it; these styles are
fetched from their packages into a cache folder.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hopline.tools.home import models_folder
from hopline.tools.image_captioning.bank import box, foreground
from hopline.tools.image_captioning.scene_reading import SceneRead, first_guess, read
from hopline.tools.openmoji import COLOURS, nouns
from hopline.tools.text_to_image.pictograms import draw
from hopline.tools.text_to_image.scene import BACKDROP_WORDS, Group, Relation, Scene
from PIL import Image

RELATIONS = ("left of", "right of", "next to", "above", "below", "on")
# What the reader says for a relation that was drawn: "next to" is drawn to the left.
OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above", "on": "below"}
STYLES = {
    "Twemoji (CC BY 4.0), kept apart": ("@twemoji/svg", "15.0.0"),
    "Noto Emoji (Apache-2.0), on which weights were chosen": ("@iconify-json/noto", "1.2.3"),
}
BARS = {"objects recall": 0.95, "objects precision": 0.90, "counts": 0.96, "colours": 0.93, "relations": 0.90}
ALL_RIGHT = {"clean": 0.82, "JPEG q30": 0.75, "256 pixels": None}


def scene(rng: random.Random) -> Scene:
    """A scene of 1 to 4 groups of different things, some with a relation."""
    names = rng.sample(sorted(nouns()), rng.randint(1, 4))
    groups = tuple(
        Group(
            noun=name,
            count=rng.choice((1, 1, 1, 2, 3, 4, 5, 6)),
            colour=rng.choice(("", "", *[c for c in COLOURS if c not in ("white", "black")])),
        )
        for name in names
    )
    relations: tuple[Relation, ...] = ()
    if len(groups) >= 2 and rng.random() < 0.8:
        relations = (Relation(subject=0, relation=rng.choice(RELATIONS), object=1),)
    return Scene(groups=groups, relations=relations, backdrop=rng.choice(("", "", *BACKDROP_WORDS)))


def judge(wanted: Scene, seen: SceneRead) -> dict[str, tuple[int, int]]:
    """Right and possible, by what is judged."""
    by_noun = {g.noun: g for g in seen.groups}
    found = [g for g in wanted.groups if g.noun in by_noun]
    related, held = 0, 0
    for relation in wanted.relations:
        names = wanted.groups[relation.subject].noun, wanted.groups[relation.object].noun
        if all(name in by_noun for name in names):
            related += 1
            held += any(_same(relation.relation, names, seen, told) for told in seen.relations)
    return {
        "objects recall": (len(found), len(wanted.groups)),
        "objects precision": (len(found), len(seen.groups)),
        "counts": (sum(by_noun[g.noun].count == g.count for g in found), len(found)),
        "colours": (sum(by_noun[g.noun].colour == g.colour for g in found), len(found)),
        "relations": (held, related),
    }


def _same(wanted: str, names: tuple[str, str], seen: SceneRead, told: tuple[int, str, int]) -> bool:
    subject, relation, other = told
    pair = seen.groups[subject].noun, seen.groups[other].noun
    if pair == names:
        return relation == wanted
    if pair == names[::-1]:
        return relation == (wanted if wanted == "next to" else OPPOSITE[wanted])
    return False


def shares(rows: list[dict[str, tuple[int, int]]], key: str) -> tuple[float, float, float]:
    """Share right with its 95% interval, by bootstrap over scenes."""
    pairs = np.array([row[key] for row in rows], float)
    picks = np.random.default_rng(0).integers(0, len(pairs), (1000, len(pairs)))
    sums = pairs[picks].sum(axis=1)
    values = sums[:, 0] / np.maximum(sums[:, 1], 1)
    low, high = np.quantile(values, (0.025, 0.975))
    total = pairs.sum(axis=0)
    return float(total[0] / max(total[1], 1)), float(low), float(high)


def as_jpeg(picture: Image.Image) -> Image.Image:
    """After JPEG of quality 30."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=30)
    return Image.open(buffer).convert("RGB")


def closed_loop(count: int, seed: int) -> dict[str, Any]:
    """Figures of the closed loop, clean and spoiled."""
    rng = random.Random(seed)
    spoilers: dict[str, Callable[[Image.Image], Image.Image]] = {
        "clean": lambda picture: picture,
        "JPEG q30": as_jpeg,
        "256 pixels": lambda picture: picture.resize((256, 256), Image.Resampling.BICUBIC),
    }
    rows: dict[str, list[dict[str, tuple[int, int]]]] = {name: [] for name in spoilers}
    drawing_s, reading_s = [], []
    read(np.full((64, 64, 3), 255, np.uint8))
    for _ in range(count):
        wanted = scene(rng)
        began = time.perf_counter()
        picture = Image.open(io.BytesIO(draw(wanted, 512))).convert("RGB")
        drawing_s.append(time.perf_counter() - began)
        for name, spoil in spoilers.items():
            spoiled = np.asarray(spoil(picture))
            began = time.perf_counter()
            seen = read(spoiled)
            reading_s.append(time.perf_counter() - began)
            judged = judge(wanted, seen)
            right = all(a == b for a, b in judged.values()) and len(seen.groups) == len(wanted.groups)
            rows[name].append(judged | {"all right": (int(right), 1)})
    figures = {name: {key: shares(found, key) for key in found[0]} for name, found in rows.items()}
    return {"figures": figures, "draw_s": float(np.median(drawing_s)), "read_s": float(np.median(reading_s))}


def across_styles() -> dict[str, dict[str, float]]:
    """Share of single things of other styles whose name is the reader's first guess, by style."""
    found = {}
    for style, (package, version) in STYLES.items():
        folder = _package(package, version)
        drawings = _iconify(folder) if (folder / "icons.json").exists() else _files(folder)
        marks = [_first_guess(svg) == noun for noun, code in nouns().items() if (svg := drawings(code))]
        found[style] = {"top1": sum(marks) / max(len(marks), 1), "n": len(marks)}
    return found


def _first_guess(svg: str) -> str:
    import resvg_py

    png = resvg_py.svg_to_bytes(svg_string=svg, width=160, height=160)
    drawn = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
    white = Image.new("RGBA", (200, 200), "white")
    white.alpha_composite(drawn, (20, 20))
    pixels = np.asarray(white.convert("RGB"), np.uint8)
    mask = foreground(pixels, np.full((200, 3), 255.0, np.float32))
    top, left, bottom, right = box(mask)
    return first_guess(pixels[top:bottom, left:right], mask[top:bottom, left:right])


def _codes(code: str) -> tuple[str, str]:
    """A code point as other styles write it: with and without the variation selector."""
    return code.lower(), code.lower().replace("-fe0f", "")


def _files(folder: Path) -> Callable[[str], str]:
    """A style of one SVG a code point: the drawing of a code point, empty if there is none."""

    def drawing(code: str) -> str:
        paths = [path for name in _codes(code) if (path := folder / f"{name}.svg").exists()]
        return paths[0].read_text("utf-8") if paths else ""

    return drawing


def _iconify(folder: Path) -> Callable[[str], str]:
    """The same of a style in Iconify's JSON."""
    icons = json.loads((folder / "icons.json").read_text("utf-8"))
    names = json.loads((folder / "chars.json").read_text("utf-8"))
    size = f"0 0 {icons.get('width', 16)} {icons.get('height', 16)}"

    def drawing(code: str) -> str:
        found = [icons["icons"][names[name]] for name in _codes(code) if names.get(name) in icons["icons"]]
        space = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        return f'<svg {space} viewBox="{size}">{found[0]["body"]}</svg>' if found else ""

    return drawing


def _package(name: str, version: str) -> Path:
    """A package's files, fetched if they are not here."""
    folder = models_folder().parent / "cache" / f"{name.replace('/', '-').lstrip('@')}-{version}"
    if not folder.exists():
        with tempfile.TemporaryDirectory() as scratch:
            command = ["npm", "pack", "--silent", f"{name}@{version}"]
            subprocess.run(command, cwd=scratch, check=True, stdout=subprocess.DEVNULL)
            (packed,) = Path(scratch).glob("*.tgz")
            with tarfile.open(packed) as archive:
                archive.extractall(scratch, filter="data")
            folder.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(Path(scratch) / "package", folder)
    return folder


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = closed_loop(options.scenes, options.seed)
    other = across_styles()
    if options.json:
        print(json.dumps(found | {"across_styles": other}))
        return
    print(f"closed loop, {options.scenes} scenes, seed {options.seed}; share [95% interval] (bar)")
    for name, figures in found["figures"].items():
        bars = (BARS if name == "clean" else {}) | {"all right": ALL_RIGHT[name]}
        for key, (value, low, high) in figures.items():
            bar = f"  ({bars[key]:.2f})" if bars.get(key) else ""
            print(f"  {name:10} {key:18} {value:.3f} [{low:.3f}, {high:.3f}]{bar}")
    print(f"  draw {found['draw_s']:.3f} s (0.1), read {found['read_s']:.3f} s (0.5), median of one picture")
    for style, got in other.items():
        print(f"across styles, {style}: first guess right {got['top1']:.3f} of {got['n']} things (0.55)")


if __name__ == "__main__":
    main()
