"""All fakes in one registry."""

from __future__ import annotations

from hopline.tools.declarations import STANDARD_TOOLS
from hopline.tools.fakes.lossy import LOSSY
from hopline.tools.fakes.misbehaving import FAKE_TOOLS, MISBEHAVING
from hopline.tools.registry import Registry


def fake_registry() -> Registry:
    """The standard tools and the tools of `FAKE_TOOLS`, all served by fakes and nothing else."""
    return Registry((*STANDARD_TOOLS, *FAKE_TOOLS), (*LOSSY, *MISBEHAVING))
