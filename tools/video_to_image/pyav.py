"""`video_to_image:pyav`: still pictures out of a video, through PyAV."""

from __future__ import annotations

from hopline.tools.backend import Backend, Call, MechanicalLoss, Result
from hopline.tools.errors import InputRefused
from hopline.tools.media import encode_png, open_container


class VideoToImage(Backend):
    """The first frame, then one every `every_s` seconds, at most `most`, as PNG pictures.

    Details: `times_s` of the frames and `duration_s` seen. The frames left out are a `skipped` loss.
    """

    tool = "video_to_image"
    name = "pyav"
    code_version = "2"
    extra = "media"
    packages = ("av",)

    def call(self, call: Call) -> Result:
        import numpy as np

        every_s = float(call.parameters.get("every_s", 5.0))
        most = int(call.parameters.get("most", 8))
        pictures = []
        times_s: list[float] = []
        seen = 0
        last_s = 0.0
        with open_container(call.one("video").data, "video") as container:
            if not container.streams.video:
                raise InputRefused("the video has no pictures.")
            duration_s = max((container.duration or 0) / 1e6, 1e-3)
            for frame in container.decode(container.streams.video[0]):
                seen += 1
                last_s = float(frame.time or 0.0)
                if last_s < len(times_s) * every_s:
                    continue
                if len(times_s) < most:
                    times_s.append(round(last_s, 3))
                    # Phones film sideways and say so: degrees counter-clockwise.
                    upright = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
                    pictures.append(encode_png(np.ascontiguousarray(upright)))
                call.progress(min(1.0, last_s / duration_s), f"{last_s:.0f} of {duration_s:.0f} s looked at")
        if not pictures:
            raise InputRefused("no frame of the video could be decoded.")
        message = f"{len(pictures)} of {seen} frames were taken, one every {every_s:g} s"
        if last_s >= len(times_s) * every_s:
            message += f"; nothing after {times_s[-1]:g} s"
        losses = (MechanicalLoss(kind="skipped", message=message, before=seen, after=len(pictures), unit="frames"),)
        return Result(
            outputs={"image": tuple(pictures)},
            details={"times_s": times_s, "duration_s": round(last_s, 3)},
            mechanical_losses=losses if seen > len(pictures) else (),
        )
