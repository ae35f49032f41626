"""The page in Chromium: quiet, complete, readable at phone and desktop width, light and dark."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hopline.agent.views.frame import page_frame
from hopline.agent.views.page import run_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.conftest import Media
    from tests.views.conftest import Sample

pytestmark = pytest.mark.browser

SIZES = {390: 844, 1280: 900}
LOOKS = [(width, scheme) for width in SIZES for scheme in ("light", "dark")]


class Visit:
    """A page that is open, and what it asked for and complained about."""

    def __init__(self, browser: Browser, path: Path, width: int, scheme: Any) -> None:
        self.page: Page = browser.new_page(viewport={"width": width, "height": SIZES[width]}, color_scheme=scheme)
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(path.as_uri())
        self.page.wait_for_load_state("load")


@pytest.fixture
def written(sample: Sample, tmp_path: Path) -> Path:
    path = tmp_path / "run.html"
    page = run_page(
        sample.run, sample.hops, sample.probes, sample.calls, sample.loss, sample.shelf.read, media_folder=None
    )
    path.write_text(page, "utf-8")
    return path


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_quiet_and_within_the_width(browser: Browser, written: Path, width: int, scheme: str) -> None:
    visit = Visit(browser, written, width, scheme)
    page = visit.page
    for details in page.query_selector_all("details"):
        details.evaluate("element => { element.open = true }")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    outside = page.evaluate(
        """() => [...document.querySelectorAll('main *')].filter(e => !e.closest('.hl-scroll') && !e.closest('svg'))
        .filter(e => e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML.slice(0, 120))"""
    )
    assert outside == []
    ground, ink = page.evaluate(
        "(() => { const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]; })()"
    )
    light = [sum(int(part) for part in colour[4:-1].split(",")) / 3 for colour in (ground, ink)]
    assert (light[0] > light[1]) == (scheme == "light")
    assert [url for url in visit.asked if not url.startswith("data:")] == [written.as_uri()]
    assert visit.complaints == []
    page.close()


def test_sound_and_pictures_are_real(browser: Browser, written: Path, media: Media) -> None:
    page = Visit(browser, written, 1280, "light").page
    durations = [round(media.duration(audio), 2) for audio in page.query_selector_all("audio")]
    assert durations == [1.5, 2.5, 2.5, 1.5]
    pictures = page.query_selector_all("img")
    assert len(pictures) == 4
    for picture in pictures:
        width, height, colours = media.colours(picture)
        assert (width, height) == (128, 128)
        assert colours == 6
        assert picture.get_attribute("alt")
    page.close()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_no_serious_finding_of_axe(browser: Browser, written: Path, width: int, scheme: str) -> None:
    from axe_core_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it ships no types

    page = Visit(browser, written, width, scheme).page
    for details in page.query_selector_all("details"):
        details.evaluate("element => { element.open = true }")
    found = Axe().run(page)["violations"]
    grave = {v["id"]: [n["html"][:160] for n in v["nodes"]] for v in found if v["impact"] in ("serious", "critical")}
    assert grave == {}
    page.close()


@pytest.mark.parametrize("width", SIZES)
def test_the_plan_and_each_fact_can_be_read_at_this_width(browser: Browser, written: Path, width: int) -> None:
    page = Visit(browser, written, width, "light").page
    shown = [svg for svg in page.query_selector_all(".hl-plan > svg") if svg.is_visible()]
    assert len(shown) == 1
    heights = shown[0].evaluate("svg => [...svg.querySelectorAll('text')].map(t => t.getBoundingClientRect().height)")
    assert len(heights) == 10
    assert min(heights) >= 11
    spilled = shown[0].evaluate(
        """svg => [...svg.querySelectorAll('.hl-box')].filter(box => {
        const edge = (svg.matches('.hl-plan-rail') ? svg : box.querySelector('rect')).getBoundingClientRect();
        return [...box.querySelectorAll('text')].some(t => t.getBoundingClientRect().right > edge.right); }).length"""
    )
    assert spilled == 0
    marks = page.evaluate(
        """() => [...document.querySelectorAll('.hl-track')].map(track =>
        [...track.querySelectorAll('[class^=hl-mark]')].map(m => {
            const box = m.getBoundingClientRect(); return box.left + box.width / 2; }))"""
    )
    columns = page.evaluate(
        """() => [...document.querySelectorAll('.hl-columns li')].map(li => {
        const box = li.getBoundingClientRect(); return box.left + box.width / 2; })"""
    )
    assert len(marks) == 11
    for row in marks[:10]:
        assert row == pytest.approx(columns, abs=1.0)
    assert marks[10] == pytest.approx([columns[3]], abs=1.0)
    page.close()


def test_the_keyboard_reaches_links_folds_and_players_and_shows_where_it_is(browser: Browser, written: Path) -> None:
    page = Visit(browser, written, 1280, "light").page
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.tagName.toLowerCase()"))
        if page.evaluate("document.activeElement.matches('main a, summary')"):
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid"
    assert {"a", "summary", "audio"} <= reached
    page.close()


def test_a_script_in_the_records_does_not_run_and_the_policy_would_stop_it(
    browser: Browser, sample: Sample, tmp_path: Path
) -> None:
    hostile = replace(sample.run, request="<script>document.title='ran'</script><img src=https://example.org/x.png>")
    page = run_page(hostile, sample.hops, (), (), None, sample.shelf.read, media_folder=None)
    path = tmp_path / "hostile.html"
    path.write_text(page, "utf-8")
    visit = Visit(browser, path, 390, "light")
    assert visit.page.title().endswith("hopline")
    assert [url for url in visit.asked if not url.startswith("data:")] == [path.as_uri()]
    visit.page.close()

    planted = "<script>document.title='ran'</script><img src='https://example.org/x.png'></body>"
    path.write_text(page.replace("</body>", planted), "utf-8")
    visit = Visit(browser, path, 390, "light")
    assert visit.page.title() != "ran"
    stopped = [words for words in visit.complaints if "Content Security Policy" in words]
    assert any("script" in words for words in stopped)
    assert any("example.org" in words for words in stopped)
    visit.page.close()


def test_media_beside_the_page_are_shown(browser: Browser, sample: Sample, tmp_path: Path, media: Media) -> None:
    padding = sample.shelf.put(os.urandom(18_700_000), "image", "image/png")
    attachment = replace(sample.run.attachments[0], artifact=padding)
    run = replace(sample.run, attachments=(attachment,), outputs=())
    path = tmp_path / "heavy run.html"
    page = run_page(run, sample.hops, (), (), None, sample.shelf.read, media_folder=tmp_path / "heavy run-media")
    path.write_text(page, "utf-8")
    assert (tmp_path / "heavy run-media").is_dir()
    visit = Visit(browser, path, 1280, "light")
    players = visit.page.query_selector_all("audio")
    assert any(not (player.get_attribute("src") or "").startswith("data:") for player in players)
    assert [round(media.duration(player), 2) for player in players] == [2.5, 1.5]
    assert visit.complaints == []
    visit.page.close()


def test_a_framed_page_plays_and_leaves_its_surroundings_alone(
    browser: Browser, written: Path, tmp_path: Path, media: Media
) -> None:
    path = tmp_path / "notebook.html"
    frame = page_frame(written.read_text("utf-8"))
    path.write_text(f"<!doctype html><title>n</title><body><h1>Outside</h1>{frame}</body>", "utf-8")
    visit = Visit(browser, path, 1280, "light")
    inner = visit.page.query_selector("iframe")
    assert inner is not None
    content = inner.content_frame()
    assert content is not None
    content.wait_for_selector("audio")
    assert media.duration(content.query_selector("audio")) == pytest.approx(1.5, abs=0.01)
    assert visit.page.evaluate("getComputedStyle(document.querySelector('h1')).fontSize") == "32px"
    assert visit.complaints == []
    visit.page.close()
