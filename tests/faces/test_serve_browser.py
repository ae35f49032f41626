"""The web page in Chromium, with the real offline models: ask, watch, play, look, stop, reload, compare."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hopline.agent import Agent
from playwright.sync_api import TimeoutError as PatienceLost

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

    from tests.conftest import Media
    from tests.faces.conftest import Serve

pytestmark = [
    pytest.mark.browser,
    pytest.mark.models,
    # Gradio counts its calls with an option and a keyword that pandas has given up.
    pytest.mark.filterwarnings("ignore:.*no_silent_downcasting"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
]

MEMO = Path(__file__).resolve().parents[2] / "examples" / "memo.m4a"
REQUEST = "Listen to the memo, draw what it describes, then describe the drawing aloud."
SIZES = {390: 844, 1280: 900}
PATIENCE_MS = 240_000

WATCH = """() => { window.seen = []; new MutationObserver(() => {
    const plan = document.querySelectorAll('#part-plan .hl-plan').length;
    const ended = document.querySelectorAll('#part-hops .hl-hops > li > .hl-hop-ok').length;
    const last = window.seen.at(-1);
    if (!last || last[0] !== plan || last[1] !== ended) window.seen.push([plan, ended]);
}).observe(document.querySelector('#run'), {childList: true, subtree: true}); }"""
"""Notes each state of the page that a person could see: plans shown, hops ended."""


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

    def __init__(
        self, browser: Browser, address: str, width: int = 1280, scheme: Any = "light", cookies: Guest | None = None
    ) -> None:
        self.address = address
        self.context: BrowserContext = browser.new_context(
            viewport={"width": width, "height": SIZES[width]},
            color_scheme=scheme,
            storage_state=cookies.context.storage_state() if cookies else None,
            permissions=["microphone"],
        )
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self._leaving = False
        self.page = self.visit()

    def visit(self, query: str = "") -> Page:
        """Open the page in a tab."""
        page = self.context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("console", lambda message: self._complain(message.text))
        page.on("pageerror", lambda error: self._complain(str(error)))
        page.on("framenavigated", lambda _: setattr(self, "_leaving", False))
        page.goto(f"{self.address}/{query}")
        page.wait_for_selector("#request textarea")
        return page

    def _complain(self, words: str) -> None:
        # What a page that is being left says of its streams, cut off in the middle, nobody sees.
        if not self._leaving:
            self.complaints.append(words)

    def reload(self) -> None:
        """Load the page again, as somebody would at any moment."""
        self._leaving = True
        self.page.reload()

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


@pytest.fixture(scope="module")
def first(browser: Browser, address: str) -> Iterator[Guest]:
    """Somebody whose first request was the one about the memo; what they saw is noted by their browser."""
    made = Guest(browser, address)
    made.page.evaluate(WATCH)
    made.ask(REQUEST, MEMO)
    made.done()
    yield made
    made.context.close()


@pytest.fixture
def guest(browser: Browser, address: str) -> Iterator[Callable[..., Guest]]:
    """`guest()`, or `guest(cookies=first)` for the same person at another browser."""
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


def test_the_memo_from_upload_to_loss(first: Guest, media: Media, agent: Agent) -> None:
    page = first.page
    seen = page.evaluate("window.seen")
    assert list(dict.fromkeys(ended for _, ended in seen)) == [0, 1, 2, 3, 4], "one by one"
    assert any(plan and not ended for plan, ended in seen), "the plan was there before the first hop had ended"

    tools = page.locator("#part-hops .hl-hops > li > article > header h3").all_inner_texts()
    assert [re.sub(r"^\d+\s*", "", words) for words in tools] == [
        "Speech to text", "Text to image", "Image captioning", "Text to speech",
    ]  # fmt: skip
    assert "two red cars" in page.locator("#part-hops").inner_text()
    for time in page.locator("#part-hops .hl-hops > li > article > header .hl-time").all_inner_texts():
        assert re.match(r"\d", time)

    run = agent.open(page.get_attribute("#part-head [data-run]", "data-run") or "")
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

    first.reload()
    page.wait_for_selector("#part-facts .hl-fact-name")
    assert page.locator(f"#part-head [data-run='{run.id}']").count() == 1
    assert page.locator("#part-hops .hl-hops > li").count() == 4
    assert page.input_value("#runs input").startswith(REQUEST[:40])
    first.quiet()


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (390, "dark"),
        (1280, "light"),
        pytest.param(390, "light", marks=pytest.mark.slow),
        pytest.param(1280, "dark", marks=pytest.mark.slow),
    ],
)
def test_it_can_be_read_and_heard_at_this_width(
    first: Guest, guest: Callable[..., Guest], width: int, scheme: str
) -> None:
    """No serious finding of axe and nothing out of sight: the empty page, a run, the other tabs."""
    empty = guest(width=width, scheme=scheme)
    empty.page.wait_for_selector("#examples button")
    fits(empty.page)
    assert grave(empty.page) == {}

    again = guest(width=width, scheme=scheme, cookies=first)
    page = again.page
    page.wait_for_selector("#part-facts .hl-fact-name")
    for details in page.query_selector_all("details"):
        details.evaluate("element => { element.open = true }")
    fits(page)
    assert grave(page) == {}
    for tab, told in (("Experiments", "No reports yet"), ("Profile", "Profile offline")):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_selector(f"h1:has-text('{told}')")
        fits(page)
        assert grave(page) == {}
    assert "HOPLINE_MAX_FILE_MIB" in page.inner_text("#profile")
    again.quiet()


def test_stop_ends_it_within_two_seconds(guest: Callable[..., Guest], agent: Agent, tmp_path: Path) -> None:
    here = guest()
    here.ask("Transcribe the recording.", long_recording(tmp_path))
    here.page.wait_for_selector("#part-hops .hl-hop-running")
    run = agent.open(here.page.get_attribute("#part-head [data-run]", "data-run") or "")
    here.page.wait_for_selector("#status progress", timeout=PATIENCE_MS)  # it is well under way
    took_ms = here.page.evaluate(
        """() => new Promise(done => {
        const began = performance.now();
        const look = () => document.querySelector('#part-head .hl-status-cancelled')
            ? done(performance.now() - began) : setTimeout(look, 20);
        document.querySelector('#stop').click(); look(); })"""
    )
    assert took_ms < 2000
    assert run.status == "cancelled"
    assert "Stopped" in here.page.inner_text("#status")
    assert not here.page.is_visible("#stop")
    here.quiet()


def long_recording(folder: Path) -> Path:
    """Eight minutes of the memo, again and again."""
    import numpy as np
    import soundfile
    from hopline.tools.media import decode_audio, open_file

    samples, sample_rate_hz, _ = decode_audio(open_file(MEMO))
    path = folder / "long.wav"
    soundfile.write(path, np.tile(samples, 480 * sample_rate_hz // len(samples)), sample_rate_hz)
    return path


def test_with_the_keyboard_alone(guest: Callable[..., Guest]) -> None:
    here = guest()
    page = here.page
    page.wait_for_selector("#examples button")

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
                return
        raise AssertionError(f"the keyboard does not reach {selector}")

    tab_to("#request textarea")
    page.keyboard.type("Say good morning aloud.")
    page.keyboard.press("Enter")
    here.done()
    tab_to("#part-result audio")
    page.keyboard.press("Shift+Tab")
    tab_to("summary")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.parentElement.open")

    here.reload()
    page.wait_for_selector("#part-result audio")
    tab_to("#request textarea")
    page.keyboard.type("Say good evening aloud.")
    page.keyboard.press("Enter")
    here.done()
    page.wait_for_selector("h1:has-text('Say good evening')")
    page.wait_for_function("document.querySelector('#runs input').value.startsWith('Say good evening')")
    for attempt in range(3):  # a list that is renewed while it is open begins anew at its top
        tab_to("#runs input")
        page.wait_for_selector("[role=option]:has-text('Say good morning')")
        page.keyboard.press("ArrowDown")  # from the run that is shown to the one before
        page.keyboard.press("Enter")
        try:
            page.wait_for_selector("h1:has-text('Say good morning')", timeout=15_000)
            break
        except PatienceLost:
            assert attempt < 2, "the keyboard does not choose an earlier run"
    tab_to("#new")
    page.keyboard.press("Enter")
    page.wait_for_selector("#examples button")
    tab_to("#examples button")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#request textarea').value.startsWith('Draw two red cars')")
    here.quiet()


def test_two_people_at_once_see_nothing_of_each_other(guest: Callable[..., Guest]) -> None:
    one, two = guest(), guest()
    one.ask("Say that the fox is red.")
    two.ask("Say that the boat is yellow.")
    for here, mine, theirs in ((one, "fox", "boat"), (two, "boat", "fox")):
        here.done()
        here.page.wait_for_selector("#part-result audio")
        assert mine in here.page.inner_text("#run")
        assert theirs not in here.page.content()
        here.page.click("#runs input")
        here.page.wait_for_selector("[role=option]")
        assert [mine in words for words in here.page.locator("[role=option]").all_inner_texts()] == [True]
        here.quiet()
    source = two.page.get_attribute("#part-result audio", "src")
    assert two.page.request.get(f"{two.address}{source}").status == 200
    assert one.page.request.get(f"{one.address}{source}").status == 404
    run_id = two.page.get_attribute("#part-head [data-run]", "data-run")
    stranger = one.visit(f"?run={run_id}")
    stranger.wait_for_selector("#part-head:has-text('no such run of yours')")
    assert "boat" not in stranger.content()


def test_a_refused_file_is_said_and_leaves_nothing(guest: Callable[..., Guest], agent: Agent, tmp_path: Path) -> None:
    drawing = tmp_path / "drawing.svg"
    drawing.write_text('<svg xmlns="http://www.w3.org/2000/svg" onload="document.title=1"/>', "utf-8")
    before = len(agent.journal.runs(limit=1000))
    here = guest()
    here.ask("Describe the picture.", drawing)
    here.page.wait_for_selector("text=drawing.svg is markup or a playlist")
    assert here.page.title() == "hopline"
    assert len(agent.journal.runs(limit=1000)) == before
    here.quiet()
