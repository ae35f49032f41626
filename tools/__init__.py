"""What can be called: artifacts, tools, backends and their registry."""

import os

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

# Since 1.29 onnxruntime reports its use to Microsoft, through sockets that Python does not see; it asks this
# once, when it is first imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
