"""Models fetched by Ollama itself, with progress in words."""

from __future__ import annotations

from collections.abc import Callable

from hopline.tools.chat.server import full_tag, server
from hopline.tools.chat.sizes import said_size
from hopline.tools.errors import MissingModel

_STEP_PERCENT = 5


def pull_by_ollama(model: str, report: Callable[[str], None] = lambda line: None) -> None:
    """Have the Ollama of `OLLAMA_HOST` fetch a model, unless it is there; it checks every digest itself.

    Args:
        model: its name, with or without a tag.
        report: told a line for each thing it does, and for each twentieth of a download.

    Raises:
        MissingServer: nobody answers; the hint is the command.
        BackendFailed: the pull failed or broke off; pulling again goes on where it stopped.
    """
    there = server()
    try:
        report(f"{full_tag(model)} is there: {there.tag(model).digest[:12]}")
        return
    except MissingModel:
        report(f"{full_tag(model)}{said_size(model)}")
    told = ("", -1)
    for status, done, total in there.pull(model):
        step = 100 * done // total // _STEP_PERCENT * _STEP_PERCENT if total else -1
        if (status, step) != told:
            told = (status, step)
            report(f"{status}: {step}% of {total / 1e9:.1f} GB" if total else status)
    report(f"{full_tag(model)} is there: {there.tag(model).digest[:12]}")
