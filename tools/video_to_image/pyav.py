"""`video_to_image:pyav`: still pictures out of a video, through PyAV."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hopline.tools.backend import Backend, Call, MechanicalLoss, Result
from hopline.tools.errors import InputRefused
from hopline.tools.media import encode_png, open_container

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


SCENE_CHANGE = 0.3
"""ffmpeg's score of a change of scene, 0 to 1, from which on its documentation counts a cut."""


class VideoToImage(Backend):
    """The first frame, then one every `every_s` seconds or at each change of scene, at most `most`, as PNG pictures.

    Details: `times_s` of the frames and `duration_s` seen. The frames left out are a `skipped` loss.
    """

    tool = "video_to_image"
    name = "pyav"
    code_version = "3"
    extra = "media"
    packages = ("av",)

    def call(self, call: Call) -> Result:
        import numpy as np

        every_s = float(call.parameters.get("every_s", 5.0))
        most = int(call.parameters.get("most", 8))
        scenes = call.parameters.get("at", "times") == "scenes"
        pictures = []
        due = 0
        times_s: list[float] = []
        seen = 0
        last_s = 0.0
        with open_container(call.one("video").data, "video") as container:
            if not container.streams.video:
                raise InputRefused("the video has no pictures.")
            begins_scene = _scene_detector(container.streams.video[0]) if scenes else None
            duration_s = max((container.duration or 0) / 1e6, 1e-3)
            for frame in container.decode(container.streams.video[0]):
                seen += 1
                last_s = float(frame.time or 0.0)
                if begins_scene is not None:
                    if not begins_scene(frame):
                        continue
                elif last_s < due * every_s:
                    continue
                due += 1
                if len(times_s) < most:
                    times_s.append(round(last_s, 3))
                    # Phones film sideways and say so: degrees counter-clockwise.
                    upright = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
                    pictures.append(encode_png(np.ascontiguousarray(upright)))
                call.progress(min(1.0, last_s / duration_s), f"{last_s:.0f} of {duration_s:.0f} s looked at")
        if not pictures:
            raise InputRefused("no frame of the video could be decoded.")
        how = "one a scene" if scenes else f"one every {every_s:g} s"
        message = f"{len(pictures)} of {seen} frames were taken, {how}"
        if due > len(times_s):
            message += f"; nothing after {times_s[-1]:g} s"
        losses = (MechanicalLoss(kind="skipped", message=message, before=seen, after=len(pictures), unit="frames"),)
        return Result(
            outputs={"image": tuple(pictures)},
            details={"times_s": times_s, "duration_s": round(last_s, 3)},
            mechanical_losses=losses if seen > len(pictures) else (),
        )


def _scene_detector(stream: VideoStream) -> Callable[[VideoFrame], bool]:
    """Whether a frame is the first of a scene, by ffmpeg's own filter; to be asked of every frame in order."""
    import av
    from av.filter import Graph

    graph = Graph()
    graph.link_nodes(
        graph.add_buffer(template=stream),
        graph.add("select", f"eq(n,0)+gt(scene,{SCENE_CHANGE})"),
        graph.add("buffersink"),
    ).configure()

    def begins(frame: VideoFrame) -> bool:
        graph.push(frame)
        try:
            graph.pull()
        except (av.BlockingIOError, EOFError):
            return False
        return True

    return begins
