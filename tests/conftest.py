"""What every test has: a home of its own, no network, few threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Tests of the assisted planner ask for it by name: whether its model is here must change no other test.
os.environ.update(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1", NO_COLOR="1", HOPLINE_PLANNER="typed")

ROOT = Path(__file__).resolve().parents[1]


SHARED = Path(os.environ.get("HOPLINE_SHARED", ROOT.parent / "shared"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, and say so, what reads the team's real recordings where they are not, and what asks a real Ollama."""
    if not os.environ.get("HOPLINE_TEST_OLLAMA"):
        asking = [item for item in items if item.get_closest_marker("ollama")]
        if asking:
            config.hook.pytest_deselected(items=asking)
            items[:] = [item for item in items if item not in asking]
    if SHARED.is_dir():
        return
    left_out = [item for item in items if "shared" in getattr(item, "fixturenames", ())]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
        print(f"\n{len(left_out)} tests read recordings and photos from {SHARED.name}/, which is not here: left out.")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh `HOPLINE_HOME`; models stay where they are."""
    from hopline.tools.home import limits, models_folder

    monkeypatch.setenv("HOPLINE_MODELS", str(models_folder()))
    monkeypatch.setenv("HOPLINE_HOME", str(tmp_path / "home"))
    limits.cache_clear()
    yield tmp_path / "home"
    limits.cache_clear()


@pytest.fixture
def journal(home: Path) -> Iterator[object]:
    """An empty journal."""
    from hopline.agent.hops.journal import Journal

    with Journal(home) as opened:
        yield opened


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real recordings, photos and planning cases: `HOPLINE_SHARED`, or beside the project."""
    return SHARED


CHROMIUM = os.environ.get("HOPLINE_CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A microphone that beeps, for whoever is allowed to listen.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; gone at the end of the module, since its event loop would be in the way of others."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield chromium
        chromium.close()


class Media:
    """What a browser makes of pictures and sounds on a page."""

    def colours(self, image: Any) -> tuple[int, int, int]:
        """Width and height in pixels, and how many colours there are."""
        width, height, colours = image.evaluate(
            """async image => {
            await image.decode();
            const canvas = document.createElement('canvas');
            canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
            const context = canvas.getContext('2d');
            context.drawImage(image, 0, 0);
            const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
            const colours = new Set();
            for (let i = 0; i < data.length; i += 4) colours.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
            return [image.naturalWidth, image.naturalHeight, colours.size];
            }"""
        )
        return width, height, colours

    def duration(self, audio: Any) -> float:
        """Seconds of a player's sound."""
        seconds: float = audio.evaluate(
            """audio => new Promise((done, failed) => {
            const tell = () => done(audio.duration);
            if (audio.readyState > 0) tell();
            else { audio.onloadedmetadata = tell; audio.onerror = () => failed(audio.error.message); audio.load(); }
            })"""
        )
        return seconds

    def plays(self, audio: Any) -> bool:
        """The sound moves on when it is played."""
        moved: bool = audio.evaluate(
            """async audio => {
            audio.muted = true;
            await audio.play();
            await new Promise(done => { audio.ontimeupdate = () => audio.currentTime > 0.1 && done(); });
            audio.pause();
            return audio.currentTime > 0;
            }"""
        )
        return moved

    def seconds_of(self, path: Path) -> float:
        """Seconds of a sound file."""
        import soundfile

        return float(soundfile.info(path).duration)


@pytest.fixture(scope="session")
def media() -> Media:
    """Looks at pictures and sounds."""
    return Media()
