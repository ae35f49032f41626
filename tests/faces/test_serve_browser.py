"""The web page in Chromium, with the real offline models: ask, watch, play, look, stop, reload, compare."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hopline.agent import Agent

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.conftest import Media
    from tests.faces.conftest import Serve

pytestmark = [pytest.mark.browser, pytest.mark.models]

MEMO = Path(__file__).resolve().parents[2] / "examples" / "memo.m4a"
REQUEST = "Listen to the memo, draw what it describes, then describe the drawing aloud."
SIZES = {390: 844, 1280: 900}
PATIENCE_MS = 120_000


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    with Agent.from_profile("offline", home=tmp_path_factory.mktemp("home")) as made:
        yield made


@pytest.fixture(scope="module")
def address(agent: Agent, serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(agent, reports=tmp_path_factory.mktemp("reports")) as found:
        yield found


class Guest:
    """Somebody at a browser of their own, and what it asked for and complained about."""

    def __init__(self, browser: Browser, address: str, width: int = 1280, scheme: Any = "light") -> None:
        self.address = address
        self.context = browser.new_context(viewport={"width": width, "height": SIZES[width]}, color_scheme=scheme)
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page = self.visit()

    def visit(self, query: str = "") -> Page:
        """Open the page in a tab."""
        page = self.context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(f"{self.address}/{query}")
        page.wait_for_selector("#request textarea")
        return page

    def ask(self, words: str, *files: Path) -> None:
        """Type a request, with files, and send it."""
        if files:
            self.page.set_input_files("#request input[type=file]", list(files))
            self.page.wait_for_selector("#request .thumbnail-item, #request .thumbnails *")
        self.page.fill("#request textarea", words)
        self.page.press("#request textarea", "Enter")

    def done(self) -> None:
        """Wait for the end of what was asked."""
        self.page.wait_for_selector("#status:has-text('Done in')")

    def quiet(self) -> None:
        """Nothing was asked of anybody else, and the browser did not complain."""
        strange = [u for u in self.asked if not u.startswith((self.address, "data:", "blob:"))]
        assert strange == []
        assert self.complaints == []


@pytest.fixture
def guest(browser: Browser, address: str) -> Iterator[Callable[..., Guest]]:
    made: list[Guest] = []

    def arrive(**options: Any) -> Guest:
        made.append(Guest(browser, address, **options))
        return made[-1]

    yield arrive
    for one in made:
        one.context.close()


def grave(page: Page) -> dict[str, list[str]]:
    """Serious and critical findings of axe."""
    from axe_core_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it ships no types

    found = Axe().run(page)["violations"]
    return {v["id"]: [n["html"][:200] for n in v["nodes"]] for v in found if v["impact"] in ("serious", "critical")}


def fits(page: Page) -> None:
    """Nothing sticks out of the page to the right."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_memo_from_upload_to_loss(guest: Callable[..., Guest], media: Media, agent: Agent) -> None:
    here = guest()
    page = here.page
    # What a person could see, moment by moment: noted by the browser itself, so that no hop is missed.
    page.evaluate(
        """() => { window.seen = []; new MutationObserver(() => {
        const plan = document.querySelectorAll('#part-plan .hl-plan').length;
        const ended = document.querySelectorAll('#part-hops .hl-hops > li > .hl-hop-ok').length;
        const last = window.seen.at(-1);
        if (!last || last[0] !== plan || last[1] !== ended) window.seen.push([plan, ended]);
        }).observe(document.querySelector('#run'), {childList: true, subtree: true}); }"""
    )
    here.ask(REQUEST, MEMO)
    here.done()
    seen = page.evaluate("window.seen")
    assert [ended for _, ended in seen][-1] == 4
    assert list(dict.fromkeys(ended for _, ended in seen)) == [0, 1, 2, 3, 4], "one by one"
    assert any(plan and not ended for plan, ended in seen), "the plan was there before the first hop had ended"

    tools = page.locator("#part-hops .hl-hops > li > article > header h3").all_inner_texts()
    assert [re.sub(r"^\d+\s*", "", words) for words in tools] == [
        "Speech to text", "Text to image", "Image captioning", "Text to speech",
    ]  # fmt: skip
    assert "two red cars" in page.locator("#part-hops").inner_text()
    for time in page.locator("#part-hops .hl-hops > li > article > header .hl-time").all_inner_texts():
        assert re.match(r"\d", time)

    run = agent.open()
    picture = page.locator("#part-result img")
    width, height, colours = media.colours(picture.element_handle())
    assert (width, height) == (512, 512)
    assert colours > 10
    speech = page.locator("#part-result audio").element_handle()
    (sound,) = [o for o in run.outputs if o.modality == "audio"]
    assert media.duration(speech) == pytest.approx(media.seconds_of(sound.path), abs=0.05)
    assert media.plays(speech)

    facts = page.locator("#part-facts")
    assert "still seen at the last reading" in facts.inner_text()
    assert facts.locator(".hl-fact-name", has_text="two red cars").count() == 1
    assert page.locator("#part-hops .hl-kept strong").first.inner_text().isdigit()

    page.reload()
    page.wait_for_selector("#part-facts .hl-fact-name")
    assert page.locator(f"#part-head [data-run='{run.id}']").count() == 1
    assert page.locator("#part-hops .hl-hops > li").count() == 4
    assert page.input_value("#runs input").startswith(REQUEST[:40])
    here.quiet()
