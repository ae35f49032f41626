"""What can be called: artifacts, tools, backends and their registry."""

from hopline.tools.artifact import Artifact
from hopline.tools.backend import Backend, Call, MechanicalLoss, Result
from hopline.tools.function import Audio, Image, Video, tool
from hopline.tools.spec import Port, Tool

__all__ = [
    "Artifact",
    "Audio",
    "Backend",
    "Call",
    "Image",
    "MechanicalLoss",
    "Port",
    "Result",
    "Tool",
    "Video",
    "tool",
]
