"""How long until the web page can be used, and until a hop that has ended is seen, in Chromium.

A cold command (a new process; its files may be in the disk cache) with the offline profile; on a machine
with other work, look at the processor time. A hop's delay is from its end in the journal to the moment at
which the browser shows it as done.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import psutil
from hopline.agent.hops.journal import Journal
from playwright.sync_api import Page, sync_playwright

MEMO = Path(__file__).resolve().parents[1] / "examples" / "memo.m4a"
REQUEST = "Listen to the memo, draw what it describes, then describe the drawing aloud."
WATCH = """() => { window.shown = {}; new MutationObserver(() => {
    for (const hop of document.querySelectorAll('#part-hops .hl-hops > li > .hl-hop-ok'))
        window.shown[hop.id] ??= performance.timeOrigin + performance.now();
}).observe(document.querySelector('#run'), {childList: true, subtree: true}); }"""


def main() -> None:
    """Print seconds from command to page, and milliseconds from each hop's end to its sight."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=3, help="times to start the command")
    starts = parser.parse_args().starts
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as home:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("HOPLINE_CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        up, worked, delays = [], [], []
        for number in range(starts):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(300_000)
            began = time.perf_counter()
            server = _start(home)
            try:
                assert server.stdout is not None
                address = json.loads(server.stdout.readline())["address"]
                page.goto(address)
                page.wait_for_selector("#request textarea")
                page.wait_for_selector("#examples button")
                up.append(time.perf_counter() - began)
                worked.append(sum(psutil.Process(server.pid).cpu_times()[:2]))
                if number == starts - 1:
                    delays = _delays(page, Path(home))
            finally:
                server.terminate()
                server.wait(timeout=30)
            page.close()
        browser.close()
    print(f"page up after a cold command: {', '.join(f'{s:.1f}' for s in up)} s")
    print(f"processor time of the command until then: {', '.join(f'{s:.1f}' for s in worked)} s")
    print(f"a hop is seen after its end: {', '.join(f'{ms:.0f}' for ms in delays)} ms")


def _start(home: str) -> subprocess.Popen[str]:
    command = [str(Path(sys.executable).with_name("hopline")), "serve", "--port", "0", "--no-browser", "--json"]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "HOPLINE_HOME": home, "HOPLINE_MODELS": _models(), "HOPLINE_PLANNER": "typed"},
    )


def _models() -> str:
    from hopline.tools.home import models_folder

    return str(models_folder())


def _delays(page: Page, home: Path) -> list[float]:
    page.evaluate(WATCH)
    page.set_input_files("#request input[type=file]", MEMO)
    page.wait_for_selector("#request .thumbnail-item, #request .thumbnails *")
    page.fill("#request textarea", REQUEST)
    page.press("#request textarea", "Enter")
    page.wait_for_selector("#status:has-text('Done in')")
    shown = page.evaluate("window.shown")
    with Journal(home) as journal:
        hops = journal.hops(journal.runs()[0].id)
    return [shown[f"hop-{hop.id}"] - _ended_ms(hop.started_at, hop.load_ms, hop.duration_ms) for hop in hops]


def _ended_ms(started_at: str, load_ms: float | None, duration_ms: float | None) -> float:
    return datetime.fromisoformat(started_at).timestamp() * 1000 + (load_ms or 0) + (duration_ms or 0)


if __name__ == "__main__":
    main()
