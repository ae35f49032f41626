"""The report in Chromium: the headline, its interval and its n in the first screen, quiet, within the width."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hopline.agent.experiments.experiment import run_experiment, write_study
from hopline.agent.experiments.spec import experiment_from
from hopline.agent.hops.journal import Journal
from hopline.agent.running.profile import Profile
from hopline.tools.fakes import fake_registry

from tests.views.test_page_browser import LOOKS, Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.conftest import Media

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three chains with pictures and sounds, of which some fail."""
    folder = tmp_path_factory.mktemp("report")
    drawn = "text_to_image:fake:drop={lost} | image_captioning:fake"
    chains: list[dict[str, Any]] = [
        {"name": "drawn, {lost} lost", "chain": drawn, "generations": 3, "factors": {"lost": [0.0, 0.4]}},
        {"name": "spoken", "chain": "text_to_speech:fake | speech_to_text:fake | fail(only=red)", "generations": 1},
    ]
    experiment = experiment_from({"name": "shown", "sources": {"grammar": "picture", "count": 24}, "chains": chains})
    with Journal(folder / "home") as journal:
        study = run_experiment(experiment, journal=journal, registry=fake_registry(), profile=Profile(name="fakes"))
        return Path(write_study(study, folder / "out")[0])


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_the_first_screen_has_the_headline_its_interval_and_its_n(
    browser: Browser, report: Path, width: int, scheme: str
) -> None:
    visit = Visit(browser, report, width, scheme)
    page = visit.page
    seen = page.evaluate(
        """() => [...document.querySelectorAll('.hl-headline *')].filter(e => e.children.length == 0)
        .filter(e => { const box = e.getBoundingClientRect(); return box.height > 0 && box.bottom <= innerHeight
            && box.top >= 0 && box.left >= 0 && box.right <= innerWidth; }).map(e => e.textContent)"""
    )
    assert "Bits that arrive at the last generation, of 19.17" in seen
    assert "n = 19 to 24 sources · 95% intervals" in seen
    assert {"drawn, 0.0 lost", "n = 24", "n = 19"} <= set(seen)
    assert "≥ 19.17" in seen
    assert any(" to 19.17" in words for words in seen)
    bars = page.query_selector_all(".hl-range")
    assert len({(box["x"], box["width"]) for bar in bars if (box := bar.bounding_box())}) == 1  # on one scale
    page.close()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_quiet_and_within_the_width(browser: Browser, report: Path, width: int, scheme: str) -> None:
    visit = Visit(browser, report, width, scheme)
    page = visit.page
    for details in page.query_selector_all("details"):
        details.evaluate("element => { element.open = true }")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    outside = page.evaluate(
        """() => [...document.querySelectorAll('main *, header *')]
        .filter(e => !e.closest('.hl-scroll') && !e.closest('svg') && !e.closest('pre'))
        .filter(e => e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML.slice(0, 120))"""
    )
    assert outside == []
    assert [url for url in visit.asked if not url.startswith("data:")] == [report.as_uri()]
    assert visit.complaints == []
    page.close()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_charts_are_drawn_for_this_width_and_these_colours(
    browser: Browser, report: Path, width: int, scheme: str, media: Media
) -> None:
    page = Visit(browser, report, width, scheme).page
    charts = page.query_selector_all(".hl-chart img")
    assert len(charts) >= 5
    for chart in charts:
        wide, _, colours = media.colours(chart)
        assert (wide > 450) == (width > 799)  # 7 or 3.75 inches at 72 or 96 dots
        assert colours > 5
        assert chart.get_attribute("alt")
    ground = charts[0].evaluate(
        """async image => { await image.decode(); const canvas = document.createElement('canvas');
        const context = canvas.getContext('2d'); context.drawImage(image, 0, 0);
        return context.getImageData(2, 2, 1, 1).data[0]; }"""
    )
    assert (ground > 200) == (scheme == "light")
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_finding_of_axe(browser: Browser, report: Path, scheme: str) -> None:
    from axe_core_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it ships no types

    page = Visit(browser, report, 1280, scheme).page
    for details in page.query_selector_all("details"):
        details.evaluate("element => { element.open = true }")
    found = Axe().run(page)["violations"]
    grave = {v["id"]: [n["html"][:160] for n in v["nodes"]] for v in found if v["impact"] in ("serious", "critical")}
    assert grave == {}
    page.close()


def test_the_worst_are_shown_with_their_media_and_what_failed_with_its_cause(browser: Browser, report: Path) -> None:
    page = Visit(browser, report, 1280, "light").page
    assert len(page.query_selector_all("#worst > ol > li")) == 3
    pictures = page.query_selector_all("#worst img")
    assert len(pictures) == 9  # three generations of three trajectories
    flow = page.inner_text("#flow")
    assert "5 × failed at hop 3: " in flow.replace("partial", "failed")
    page.close()
