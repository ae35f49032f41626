"""The local language model as planners ask it: an answer that does not come ends, and names its setting."""

from __future__ import annotations

import psutil
import pytest
from hopline.agent.running.local_model import LocalModel
from hopline.agent.running.workers import Workers
from hopline.tools.errors import HopTimeout
from hopline.tools.fakes.misbehaving import Sleep
from hopline.tools.home import limits


def test_a_slow_answer_is_stopped_and_its_setting_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPLINE_PLAN_TIMEOUT_S", "0.5")
    limits.cache_clear()
    workers = Workers()
    model = LocalModel(workers)
    monkeypatch.setattr(model, "_backend", Sleep())
    try:
        with pytest.raises(HopTimeout, match=r"longer than its 0\.5 s to answer\. Raise HOPLINE_PLAN_TIMEOUT_S\."):
            model.ask([{"role": "user", "content": "?"}], {}, 8, purpose="plan", kept=[])
        assert not [child for child in psutil.Process().children() if "Sleep" in child.cmdline()]
    finally:
        workers.stop()
