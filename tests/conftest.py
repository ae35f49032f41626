"""What every test has: a home of its own, no network, few threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

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
