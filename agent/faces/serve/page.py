"""The page: what is where, and what happens on which click."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
from hopline.agent.faces.serve.guard import COOKIE, token_in
from hopline.agent.faces.serve.host import Host, visitor_of
from hopline.agent.faces.serve.line import Job
from hopline.agent.faces.serve.reports import reports_fragment, reports_in
from hopline.agent.faces.serve.showing import nothing_yet, profile_fragment, run_parts, top_line
from hopline.agent.hops.records import RunRecord
from hopline.agent.views.markup import Html, shortened, tag
from hopline.agent.views.page import stylesheet
from hopline.agent.views.words import STATUS_WORDS, name_of_tool, seconds
from hopline.tools.errors import HoplineError

_POLL_S = 0.1

EXAMPLES = {
    "Draw two red cars next to a green tree, then describe the drawing aloud.": "nothing",
    "Listen to the memo, draw what it describes, then describe the drawing aloud.": "recording",
    "Describe this photo out loud.": "photo",
    "Read the text in this picture aloud.": "picture",
    "Transcribe the video.": "video",
}
"""Requests to try, with what has to be attached: a click puts the words into the box."""

NOTHING = "-"
"""What a tab shows after `New conversation`."""

_WELCOME = "Ask for something that spans text, pictures, sound and video."
_WELCOME_WORDS = (
    "The tools that do it are chained one after another. You see the plan first, then each hop as it ends, "
    "and at last which facts came through and where the others were last seen."
)


def page_css() -> str:
    """The style sheet of the page."""
    return stylesheet() + Path(__file__).with_name("page.css").read_text("utf-8")


def page_head() -> str:
    """What goes into the page's head."""
    return f"<script>{Path(__file__).with_name('page.js').read_text('utf-8')}</script>"


def theme() -> gr.themes.Base:
    """The colours of a run's page (agent/views/page.css), and the fonts of the machine."""
    sans = ("ui-sans-serif", "system-ui", "Segoe UI", "Roboto", "Liberation Sans", "Arial", "sans-serif")
    mono = ("ui-monospace", "Menlo", "Consolas", "Liberation Mono", "monospace")
    light = {"ground": "#faf9f6", "sheet": "#ffffff", "ink": "#1e2126", "muted": "#595f69", "line": "#dfdcd4"}
    dark = {"ground": "#14161a", "sheet": "#1c1f25", "ink": "#eceae5", "muted": "#a9aeb8", "line": "#343942"}
    light |= {
        "bad": "#a3211a",
        "faint": "#f0eee8",
        "accent": "#0a6560",
        "on_accent": "#ffffff",
        "accent_soft": "#e0efed",
    }
    dark |= {
        "bad": "#ff9a90",
        "faint": "#242830",
        "accent": "#74cfc5",
        "on_accent": "#14161a",
        "accent_soft": "#17332f",
    }
    used = {
        "body_background_fill": "ground",
        "body_text_color": "ink",
        "body_text_color_subdued": "muted",
        "background_fill_primary": "sheet",
        "background_fill_secondary": "ground",
        "border_color_primary": "line",
        "border_color_accent": "accent",
        "block_background_fill": "sheet",
        "block_border_color": "line",
        "block_label_text_color": "muted",
        "block_title_text_color": "muted",
        "block_info_text_color": "muted",
        "input_background_fill": "sheet",
        "input_border_color": "line",
        "input_border_color_focus": "accent",
        "input_placeholder_color": "muted",
        "button_primary_background_fill": "accent",
        "button_primary_background_fill_hover": "accent",
        "button_primary_text_color": "on_accent",
        "button_primary_text_color_hover": "on_accent",
        "button_secondary_background_fill": "faint",
        "button_secondary_background_fill_hover": "accent_soft",
        "button_secondary_text_color": "ink",
        "button_secondary_text_color_hover": "ink",
        "button_secondary_border_color": "line",
        "button_cancel_background_fill": "faint",
        "button_cancel_text_color": "bad",
        "button_cancel_border_color": "bad",
        "color_accent_soft": "accent_soft",
    }
    values = {name: light[colour] for name, colour in used.items()}
    values |= {f"{name}_dark": dark[colour] for name, colour in used.items()}
    round_ = {"block_radius": "14px", "button_large_radius": "10px", "button_small_radius": "10px"}
    return gr.themes.Default(primary_hue="teal", neutral_hue="stone", font=sans, font_mono=mono).set(**values, **round_)


def blocks(host: Host) -> gr.Blocks:
    """The page as Gradio components."""
    page: gr.Blocks
    with gr.Blocks(title="hopline", analytics_enabled=False, fill_width=True) as page:
        gr.HTML(top_line(host.agent), apply_default_css=False, elem_id="top")
        with gr.Tabs():
            with gr.Tab("Ask", elem_id="tab-ask"):
                _Ask(host, page)
            with gr.Tab("Experiments", elem_id="tab-experiments") as experiments:
                found = gr.HTML(apply_default_css=False, elem_id="reports")
                experiments.select(lambda: reports_fragment(reports_in(host.reports)), None, [found], **_QUICK)
            with gr.Tab("Profile", elem_id="tab-profile") as profile:
                shown = gr.HTML(apply_default_css=False, elem_id="profile")
                profile.select(lambda: profile_fragment(host.agent), None, [shown], **_QUICK)
    return page


_QUICK: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}


@dataclass
class _Shown:
    """What a tab shows already, so that only what changed is sent."""

    parts: Mapping[str, Html] = field(default_factory=dict)
    others: Mapping[str, Any] = field(default_factory=dict)


class _Ask:
    """The tab on which requests are made and runs are shown."""

    def __init__(self, host: Host, page: gr.Blocks) -> None:
        self._host = host
        self._following: dict[str, int] = {}
        self._target = gr.State("")
        self._box = gr.MultimodalTextbox(
            label="Request",
            placeholder="What do you want? Type it; drop, upload or record what it is about.",
            sources=["upload", "microphone"],
            file_count="multiple",
            max_plain_text_length=100_000,
            elem_id="request",
        )
        with gr.Row(elem_id="now"):
            self._status = gr.HTML(apply_default_css=False, elem_id="status")
            self._stop = gr.Button("Stop", variant="stop", size="md", visible=False, scale=0, elem_id="stop")
        with gr.Row(elem_id="earlier", visible=False) as self._earlier:
            self._runs = gr.Dropdown(choices=[], label="Your runs", elem_id="runs", scale=4)
            self._new = gr.Button("New conversation", size="md", scale=1, elem_id="new")
        self._parts: dict[str, gr.HTML] = {}
        with gr.Column(elem_id="run"):
            for name, html in nothing_yet(_WELCOME, _WELCOME_WORDS).items():
                self._parts[name] = gr.HTML(html, apply_default_css=False, elem_id=f"part-{name}")
                if name == "head":
                    with gr.Column(elem_id="examples") as self._examples:
                        buttons = [
                            gr.Button(words, elem_classes=["example", f"with-{needed}"])
                            for words, needed in EXAMPLES.items()
                        ]
                if name == "compare":
                    with gr.Accordion("Run again with another tool", open=False, visible=False) as self._again:
                        self._swap = gr.Dropdown(choices=[], label="Which step, by what", elem_id="swap")
                        self._replay = gr.Button("Run again and compare", size="md", elem_id="replay")
        self._wire(page, buttons)

    def _wire(self, page: gr.Blocks, buttons: list[gr.Button]) -> None:
        follow: dict[str, Any] = {"fn": self._follow, "inputs": [self._target], **_QUICK}
        follow["outputs"] = [self._status, *self._places.values(), *self._parts.values()]
        page.load(**follow)
        page.unload(self._gone)
        asked = [self._target, self._status]
        self._box.submit(self._ask, [self._box], [self._box, *asked], **_QUICK).success(**follow)
        self._replay.click(self._replayed, [self._target, self._swap], asked, **_QUICK).success(**follow)
        self._runs.input(self._opened, [self._runs], [self._target], **_QUICK).success(**follow)
        self._new.click(self._renewed, None, [self._target], **_QUICK).success(**follow)
        for button in buttons:
            button.click(lambda words=button.value: {"text": words, "files": []}, None, [self._box], **_QUICK)
        self._stop.click(self._stopped, [self._target], None, **_QUICK)

    @property
    def _places(self) -> dict[str, Any]:
        """What changes with the run that is shown, beside its parts."""
        return {
            "examples": self._examples,
            "earlier": self._earlier,
            "runs": self._runs,
            "again": self._again,
            "swap": self._swap,
            "stop": self._stop,
            "target": self._target,
        }

    def _gone(self, request: gr.Request) -> None:
        self._following.pop(str(request.session_hash), None)

    # -- clicks ------------------------------------------------------------------------------

    def _ask(self, typed: Mapping[str, Any], request: gr.Request) -> tuple[Any, ...]:
        files = [str(path) for path in typed.get("files") or ()]
        job = _said(self._host.ask, _visitor(request), str(typed.get("text") or ""), files)
        return {"text": "", "files": []}, job.id, _status("Waiting")

    def _replayed(self, target: str, swap: str | None, request: gr.Request) -> tuple[Any, ...]:
        visitor = _visitor(request)
        job = self._host.job(visitor, target)
        step, _, backend = (swap or "").partition(" ")
        if not backend:
            raise gr.Error("Choose a step and what shall do it.", print_exception=False)
        replay = _said(self._host.replay, visitor, job.run if job else target, step, backend)
        return replay.id, _status("Waiting")

    def _opened(self, run_id: str | None, request: gr.Request) -> str:
        if run_id:
            _said(self._host.go_on_from, _visitor(request), run_id)
        return run_id or ""

    def _stopped(self, target: str, request: gr.Request) -> None:
        self._host.stop(_visitor(request), target)

    def _renewed(self, request: gr.Request) -> str:
        self._host.new_conversation(_visitor(request))
        return NOTHING

    # -- showing -----------------------------------------------------------------------------

    async def _follow(self, target: str, request: gr.Request) -> AsyncIterator[dict[Any, Any]]:
        """Show a job until it has ended, or a stored run; without a target, what was last."""
        visitor, tab = _visitor(request), str(request.session_hash)
        turn = self._following[tab] = self._following.get(tab, 0) + 1
        target = target or str(request.query_params.get("run", ""))
        job = self._host.job(visitor, target) if target != NOTHING else None
        if job is None and not target:
            job = self._host.job(visitor)
        seen, told = -1, ""
        shown = _Shown()
        while self._following.get(tab) == turn:  # until this tab shows something else
            ended = job is None or job.ended
            status = self._status_of(job)
            if job is None or job.version != seen:
                seen = job.version if job else 0
                update, shown = await asyncio.to_thread(self._update, visitor, target, job, ended, shown)
                yield update | {self._status: status}
            elif status != told:
                yield {self._status: status}
            told = status
            if ended:
                return
            await asyncio.sleep(_POLL_S)

    def _update(
        self, visitor: str, target: str, job: Job | None, ended: bool, before: _Shown
    ) -> tuple[dict[Any, Any], _Shown]:
        """What changed since `before`, by component, and what is shown now."""
        runs = self._host.runs(visitor)
        run_id = job.run if job else target or (runs[0].id if runs else "")
        run, words = None, _WELCOME_WORDS
        if run_id and run_id != NOTHING:
            try:
                run = self._host.run(visitor, run_id)
            except HoplineError as error:
                words = str(error)
        swaps: list[tuple[str, str]] = []
        if run is None:
            parts = nothing_yet(job.request) if job else nothing_yet(_WELCOME, words)
        else:
            measured = ended and run.status != "running"
            earlier = self._host.replayed(visitor, run) if measured else None
            pair = (earlier, self._host.loss(earlier)) if earlier else None
            parts = run_parts(run, self._host.loss(run) if measured else None, pair)
            if measured:
                swaps = [
                    (f"{name_of_tool(s.tool)} ({s.step}) by {s.backend.partition(':')[2]}", f"{s.step} {s.backend}")
                    for s in self._host.swaps(run)
                ]
        others = {
            "examples": gr.update(visible=run is None and job is None),
            "earlier": gr.update(visible=bool(runs)),
            "runs": gr.update(choices=[(_label(r), r.id) for r in runs], value=run.id if run else None),
            "again": gr.update(visible=bool(swaps)),
            "swap": gr.update(choices=swaps, value=swaps[0][1] if swaps else None),
            "stop": gr.update(visible=not ended),
            "target": job.id if job else run_id or NOTHING,
        }
        update: dict[Any, Any] = {self._parts[n]: html for n, html in parts.items() if html != before.parts.get(n)}
        update |= {self._places[name]: value for name, value in others.items() if value != before.others.get(name)}
        return update, _Shown(parts, others)

    def _status_of(self, job: Job | None) -> Html:
        if job is None:
            return _status("")
        if job.ended:
            return _status(job.error or f"Done in {seconds(job.took_s * 1000)}. The next request can refer to it.")
        if job.stage == "waiting":
            ahead = self._host.line.ahead(job)
            return _status(f"Waiting, {ahead} before it" if ahead else "Waiting")
        return _status(job.words or job.stage.capitalize(), job.fraction, f"{int(job.took_s)} s")


def _said(action: Any, *arguments: Any) -> Any:
    """What an action gives; its refusal goes to the person."""
    try:
        return action(*arguments)
    except HoplineError as error:
        raise gr.Error(str(error), print_exception=False, title="Not done") from None


def _status(words: str, fraction: float = 0.0, time: str = "") -> Html:
    bar = tag("progress", value=f"{fraction:.2f}", max="1", aria_label="Progress of the hop") if fraction else None
    # The seconds that pass are for eyes alone: read out, they would drown the rest.
    clock = tag("span", time, class_="hl-time", aria_hidden="true") if time else None
    return tag("div", tag("span", words) if words else None, bar, clock, class_="hl hl-serve-status")


def _label(run: RunRecord) -> str:
    return f"{shortened(run.request, 70)} · {STATUS_WORDS.get(run.status, run.status)} · {run.id}"


def _visitor(request: gr.Request) -> str:
    token = token_in(f"{COOKIE}={request.cookies.get(COOKIE, '')}")
    if not token:
        raise gr.Error("Allow this page its cookie: it tells your runs from other people's.", print_exception=False)
    return visitor_of(token)
