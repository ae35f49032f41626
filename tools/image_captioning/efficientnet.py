"""EfficientNet-Lite0 on onnxruntime: what an ImageNet classifier sees in a picture.

The network of the EfficientNet-Lite release (Tan and Le, arXiv 1905.11946; Lite: no squeeze and
excitation, ReLU6). The published PyTorch weights are turned into an ONNX graph when it is loaded,
with each batch normalisation folded into the convolution before it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from hopline.tools.errors import BackendFailed, StoreCorrupt
from hopline.tools.home import limits
from hopline.tools.image_captioning.torch_file import read_tensors
from hopline.tools.models import find, path_of

if TYPE_CHECKING:
    import numpy as np
    from hopline.tools.image_captioning.torch_file import Tensors

    Array = np.ndarray[Any, np.dtype[Any]]

MODEL = "efficientnet-lite0"
SIDE = 224
"""Pixels a side of what the network sees."""
CROP = 0.875
"""Share of the shorter side that is looked at, in the middle, as in the release's evaluation."""

_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
"""Of the depthwise convolution of each block; all else follows from the shapes of the weights."""
_EPSILON = 1e-3
"""Of the batch normalisation, as in the release."""


class EfficientNet:
    """The network, loaded.

    Raises:
        MissingModel: its weights are not here.
        StoreCorrupt: they are not what the manifest names.
    """

    def __init__(self) -> None:
        import onnxruntime

        model = find(MODEL)
        data = (path_of(MODEL) / model.files[0].name).read_bytes()
        if hashlib.sha256(data).hexdigest() != model.digest:
            raise StoreCorrupt(f"{MODEL}: {model.files[0].name} is not the file that the manifest names.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = limits().threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            graph = build(read_tensors(data))
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise BackendFailed(f"EfficientNet-Lite0 could not be built: {error}.") from error

    def __call__(self, pixels: Array) -> tuple[Array, Array]:
        """Look at a picture.

        Args:
            pixels: RGB, uint8, shape (h, w, 3), any size; the square in its middle counts.

        Returns:
            Probabilities of the 1,000 ImageNet classes in the usual order, float64, shape (1000,),
            and the features before the last layer, float32, shape (1280,).
        """
        import numpy as np

        logits, features = self._session.run(["logits", "features"], {"pixels": prepared(pixels)})
        shifted = np.exp(logits[0].astype(np.float64) - logits[0].max())
        return shifted / shifted.sum(), features[0]


def prepared(pixels: Array) -> Array:
    """The square in the middle of a picture as the network wants it: float32, shape (1, 3, 224, 224).

    Values are (v − 127) / 128, as in the Lite release.
    """
    import numpy as np
    from PIL import Image

    height, width = pixels.shape[:2]
    side = max(1.0, CROP * min(height, width))
    left, top = (width - side) / 2, (height - side) / 2
    square = Image.fromarray(pixels).resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side)
    )
    scaled = (np.asarray(square, np.float32) - 127) / 128
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


def build(tensors: Tensors) -> bytes:
    """The network as an ONNX file, from the tensors of the published weights.

    Raises:
        KeyError: a tensor is missing.
    """
    from onnx import TensorProto, checker, helper

    made = _Graph(tensors)
    last = made.convolution("pixels", "_conv_stem", "_bn0", stride=2, relu=True)
    for number, stride in enumerate(_STRIDES):
        block, start = f"_blocks.{number}.", last
        if f"{block}_expand_conv.weight" in tensors:
            last = made.convolution(last, f"{block}_expand_conv", f"{block}_bn0", relu=True)
        last = made.convolution(last, f"{block}_depthwise_conv", f"{block}_bn1", stride=stride, relu=True)
        last = made.convolution(last, f"{block}_project_conv", f"{block}_bn2")
        inward, outward = made.channels.get(start), made.channels[last]
        if stride == 1 and inward == outward:
            last = made.add("Add", [last, start], channels=outward)
    last = made.convolution(last, "_conv_head", "_bn1", relu=True)
    pooled = made.add("GlobalAveragePool", [last])
    made.add("Flatten", [pooled], output="features")
    made.constant("_fc.weight", tensors["_fc.weight"])
    made.constant("_fc.bias", tensors["_fc.bias"])
    made.add("Gemm", ["features", "_fc.weight", "_fc.bias"], output="logits", transB=1)
    graph = helper.make_graph(
        made.nodes,
        MODEL,
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 1000]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, 1280]),
        ],
        made.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    return bytes(model.SerializeToString())


class _Graph:
    """Nodes and constants as they are put together."""

    def __init__(self, tensors: Tensors) -> None:
        self.tensors = tensors
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.channels: dict[str, int] = {}

    def add(self, kind: str, inputs: list[str], *, output: str = "", channels: int = 0, **settings: Any) -> str:
        from onnx import helper

        name = output or f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **settings))
        self.channels[name] = channels
        return name

    def constant(self, name: str, value: Array) -> str:
        import numpy as np
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        return name

    def convolution(self, start: str, name: str, norm: str, *, stride: int = 1, relu: bool = False) -> str:
        """A convolution without bias, its batch normalisation folded in, and ReLU6 where asked.

        TensorFlow's "same" padding: with stride 2 on an even side the odd pixel is on the far side.
        """
        import numpy as np

        weight = self.tensors[f"{name}.weight"].astype(np.float64)
        scale = self.tensors[f"{norm}.weight"] / np.sqrt(
            self.tensors[f"{norm}.running_var"].astype(np.float64) + _EPSILON
        )
        bias = self.tensors[f"{norm}.bias"] - self.tensors[f"{norm}.running_mean"] * scale
        out, inward, kernel, _ = weight.shape
        before = (kernel - stride) // 2
        after = kernel - stride - before
        last = self.add(
            "Conv",
            [
                start,
                self.constant(f"{name}.weight", weight * scale[:, None, None, None]),
                self.constant(f"{name}.bias", bias),
            ],
            channels=out,
            group=out if inward == 1 else 1,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[before, before, after, after],
        )
        if not relu:
            return last
        if not any(constant.name == "six" for constant in self.constants):
            self.constant("zero", np.zeros(()))
            self.constant("six", np.full((), 6.0))
        return self.add("Clip", [last, "zero", "six"], channels=out)
