"""The page: what is where, and what happens on which click."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from hopline.agent.faces.serve.guard import COOKIE, token_in
from hopline.agent.faces.serve.host import Host, visitor_of
from hopline.agent.faces.serve.line import Job
from hopline.agent.faces.serve.showing import PARTS, nothing_yet, run_parts
from hopline.agent.hops.records import RunRecord
from hopline.agent.views.markup import Html, shortened, tag
from hopline.agent.views.page import stylesheet
from hopline.agent.views.words import STATUS_WORDS
from hopline.tools.errors import HoplineError

_POLL_S = 0.1

EXAMPLES = (
    "Listen to the memo, draw what it describes, then describe the drawing aloud.",
    "Describe this photo out loud.",
    "Draw two red cars next to a green tree.",
    "Read the text in this picture aloud.",
    "Transcribe this recording.",
)
"""Requests to try: a click puts the words into the box."""

_WELCOME = "Ask for something that spans text, pictures, sound and video."


def page_css() -> str:
    """The style sheet of the page."""
    return stylesheet() + Path(__file__).with_name("page.css").read_text("utf-8")


def page_head() -> str:
    """What goes into the page's head."""
    return f"<script>{Path(__file__).with_name('page.js').read_text('utf-8')}</script>"


def theme() -> gr.themes.Base:
    """The colours of a run's page, and the fonts of the machine."""
    sans = ("ui-sans-serif", "system-ui", "Segoe UI", "Roboto", "Liberation Sans", "Arial", "sans-serif")
    mono = ("ui-monospace", "Menlo", "Consolas", "Liberation Mono", "monospace")
    return gr.themes.Default(primary_hue="teal", neutral_hue="stone", font=sans, font_mono=mono).set(
        body_background_fill="#faf9f6",
        body_background_fill_dark="#14161a",
        body_text_color="#1e2126",
        body_text_color_dark="#eceae5",
        input_placeholder_color="#595f69",
        input_placeholder_color_dark="#a9aeb8",
    )


def blocks(host: Host) -> gr.Blocks:
    """The page as Gradio components."""
    page: gr.Blocks
    with gr.Blocks(title="hopline", analytics_enabled=False, fill_width=True) as page:
        _Ask(host, page)
    return page


class _Ask:
    """The tab on which requests are made and runs are shown."""

    def __init__(self, host: Host, page: gr.Blocks) -> None:
        self._host = host
        self._following: dict[str, int] = {}
        self._target = gr.State("")
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                self._box = gr.MultimodalTextbox(
                    label="Request",
                    placeholder="What do you want? Type it; drop, upload or record what it is about.",
                    sources=["upload", "microphone"],
                    file_count="multiple",
                    max_plain_text_length=100_000,
                    elem_id="request",
                )
                with gr.Row(equal_height=True):
                    self._status = gr.HTML(apply_default_css=False, elem_id="status")
                    self._stop = gr.Button("Stop", size="sm", interactive=False, scale=0, elem_id="stop")
                with gr.Column(elem_id="run"):
                    self._parts = {name: gr.HTML(apply_default_css=False, elem_id=f"part-{name}") for name in PARTS}
            with gr.Column(scale=1, min_width=240):
                self._runs = gr.Radio(choices=[], label="Earlier runs", elem_id="runs")
                self._new = gr.Button("New conversation", size="sm", elem_id="new")
                with gr.Accordion("Requests to try", elem_id="examples"):
                    self._examples = [gr.Button(words, size="sm", elem_classes="example") for words in EXAMPLES]
        self._wire(page)

    def _wire(self, page: gr.Blocks) -> None:
        outputs: list[Any] = [self._target, self._status, self._stop, self._runs, *self._parts.values()]
        quick: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
        follow: dict[str, Any] = {"fn": self._follow, "inputs": [self._target], "outputs": outputs, **quick}
        page.load(**follow)
        page.unload(self._gone)
        self._box.submit(self._ask, [self._box], [self._box, self._target, self._status], **quick).success(**follow)
        self._runs.input(lambda run_id: run_id, [self._runs], [self._target], **quick).success(**follow)
        for button in self._examples:
            button.click(lambda words=button.value: {"text": words, "files": []}, None, [self._box], **quick)
        self._stop.click(self._stopped, [self._target], None, **quick)
        self._new.click(self._renewed, None, [self._status], **quick)

    def _gone(self, request: gr.Request) -> None:
        self._following.pop(str(request.session_hash), None)

    def _ask(self, typed: Mapping[str, Any], request: gr.Request) -> tuple[Any, ...]:
        visitor = _visitor(request)
        try:
            job = self._host.ask(visitor, typed.get("text") or "", list(typed.get("files") or ()))
        except HoplineError as error:
            raise gr.Error(str(error), print_exception=False) from None
        return {"text": "", "files": []}, job.id, _status("Waiting")

    def _stopped(self, target: str, request: gr.Request) -> None:
        self._host.stop(_visitor(request), target)

    def _renewed(self, request: gr.Request) -> Html:
        self._host.new_conversation(_visitor(request))
        return _status("A new conversation: the next request does not see what was made before.")

    async def _follow(self, target: str, request: gr.Request) -> AsyncIterator[dict[Any, Any]]:
        """Show a job until it has ended, or a stored run; without a target, what was last."""
        visitor, tab = _visitor(request), str(request.session_hash)
        turn = self._following[tab] = self._following.get(tab, 0) + 1
        target = target or request.query_params.get("run", "")
        job = self._host.job(visitor, target)
        if job is None and not target:
            job = self._host.job(visitor)
        seen = -1
        shown: dict[str, Html] = {}
        while self._following.get(tab) == turn:  # until this tab shows something else
            ended = job is None or job.ended
            if job is None or job.version != seen:
                seen = job.version if job else 0
                update, shown = await asyncio.to_thread(self._update, visitor, target, job, ended, shown)
                yield update
            if ended:
                return
            await asyncio.sleep(_POLL_S)

    def _update(
        self, visitor: str, target: str, job: Job | None, ended: bool, before: Mapping[str, Html]
    ) -> tuple[dict[Any, Any], dict[str, Html]]:
        """What changed since `before`, by component, and the parts as they are now."""
        runs = self._host.runs(visitor)
        run_id = job.run if job else target or (runs[0].id if runs else "")
        words = ""
        try:
            run = self._host.run(visitor, run_id) if run_id else None
        except HoplineError as error:
            run, words = None, str(error)
        if run is None:
            parts = nothing_yet(job.request if job else words or _WELCOME)
        else:
            parts = run_parts(run, self._host.loss(run) if ended and run.status != "running" else None)
        update: dict[Any, Any] = {self._parts[name]: html for name, html in parts.items() if html != before.get(name)}
        update[self._status] = self._status_of(job)
        update[self._stop] = gr.update(interactive=not ended)
        update[self._target] = job.id if job else run_id
        update[self._runs] = gr.update(choices=[(_label(r), r.id) for r in runs], value=run_id or None)
        return update, parts

    def _status_of(self, job: Job | None) -> Html:
        if job is None:
            return _status("")
        if job.ended:
            return _status(job.error or "Done")
        if job.stage == "waiting":
            ahead = self._host.line.ahead(job)
            return _status(f"Waiting, {ahead} before it" if ahead else "Waiting")
        return _status(job.words or job.stage.capitalize(), job.fraction)


def _status(words: str, fraction: float = 0.0) -> Html:
    bar = tag("progress", value=f"{fraction:.2f}", max="1", aria_label="Progress of the hop") if fraction else None
    return tag("div", tag("span", words, role="status"), bar, class_="hl hl-serve-status")


def _label(run: RunRecord) -> str:
    return f"{shortened(run.request, 60)} · {STATUS_WORDS.get(run.status, run.status)}"


def _visitor(request: gr.Request) -> str:
    token = token_in(f"{COOKIE}={request.cookies.get(COOKIE, '')}")
    if not token:
        raise gr.Error("Allow this page its cookie: it tells your runs from other people's.", print_exception=False)
    return visitor_of(token)
