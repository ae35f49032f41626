"""Sentence encoder: texts to vectors whose cosine says how near they are in meaning.

all-MiniLM-L6-v2 (a six-layer BERT, mean pooling) as an ONNX graph that is built once from the
published weights and kept beside them. Without torch: ready in half a second.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hopline.tools.errors import MissingExtra
from hopline.tools.home import limits
from hopline.tools.models import find, path_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
DIMENSIONS = 384
MAX_TOKENS = 256
"""Upstream's `max_seq_length`; what is beyond it is not read."""

_LAYERS, _HEADS, _EPSILON = 6, 12, 1e-12
_GRAPH_VERSION = 1
_BATCH = 32
_TOKENS = 1024
"""Of one call of the network: what is in between of more of them leaves the processor's cache."""


class Encoder:
    """Texts to unit vectors. Cheap to make; `load` brings the weights on first use.

    Raises (on first use):
        MissingExtra: onnxruntime, onnx, tokenizers or safetensors is not installed.
        MissingModel: the weights are not on this machine.
    """

    def __init__(self) -> None:
        self._session: Any = None
        self._tokenizer: Any = None

    @property
    def id(self) -> str:
        """Name and digest of the model, and the version of the graph built from it."""
        return f"{MODEL}@{find(MODEL).digest[:12]}/{_GRAPH_VERSION}"

    def kept_as(self, name: str) -> Path:
        """The file of something derived from what this network says, beside its weights.

        Raises:
            MissingModel: the weights are not here.
        """
        folder = path_of(MODEL)
        return folder.parent / f"{folder.name}-{name}-{find(MODEL).digest[:12]}-{_GRAPH_VERSION}.npz"

    def load(self) -> None:
        """Bring the network into memory."""
        try:
            import onnxruntime
            from tokenizers import Tokenizer
        except ImportError:
            hint = "pip install 'hopline[encoder]'"
            raise MissingExtra("the sentence encoder needs onnxruntime and tokenizers.", hint=hint) from None
        folder = path_of(MODEL)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = limits().threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(_graph(folder)), options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of texts.

        Args:
            texts: any; longer ones than 256 tokens are read that far.

        Returns:
            float32 of shape (n, 384), each row of length 1.
        """
        import numpy as np

        if self._session is None:
            self.load()
        rows = [self._encode_batch(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)]
        return np.concatenate(rows) if rows else np.zeros((0, DIMENSIONS), np.float32)

    def _encode_batch(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        tokens = self._tokenizer.encode_batch(list(texts))
        ids = np.array([t.ids for t in tokens], np.int64)
        mask = np.array([t.attention_mask for t in tokens], np.float32)
        step = max(1, _TOKENS // ids.shape[1])
        calls = [{"ids": ids[i : i + step], "mask": mask[i : i + step]} for i in range(0, len(ids), step)]
        return np.concatenate([self._session.run(None, call)[0] for call in calls]).astype(np.float32, copy=False)


def _graph(folder: Path) -> Path:
    """The network as an ONNX file beside its weights; built if it is not there."""
    path = folder / f"encoder-{_GRAPH_VERSION}.onnx"
    if not path.exists():
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        aside.write_bytes(_build(folder / "model.safetensors"))
        aside.replace(path)
    return path


def _build(weights_path: Path) -> bytes:
    """BERT's forward pass, mean pooling and normalisation as an ONNX graph (opset 20)."""
    try:
        from onnx import TensorProto, helper, numpy_helper
        from safetensors.numpy import load_file
    except ImportError:
        hint = "pip install 'hopline[encoder]'"
        raise MissingExtra("building the sentence encoder needs onnx and safetensors.", hint=hint) from None
    import numpy as np

    weights = load_file(weights_path)
    nodes: list[Any] = []
    constants: dict[str, Any] = {}

    def const(name: str, value: Any) -> str:
        constants.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def op(kind: str, *inputs: str, **attributes: Any) -> str:
        output = f"v{len(nodes)}"
        nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def dense(x: str, name: str) -> str:
        product = op("MatMul", x, const(f"{name}.wT", weights[f"{name}.weight"].T))
        return op("Add", product, const(f"{name}.b", weights[f"{name}.bias"]))

    def norm(x: str, name: str) -> str:
        scale, shift = (const(f"{name}.{part}", weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        return op("LayerNormalization", x, scale, shift, axis=-1, epsilon=_EPSILON)

    def heads(x: str, last: list[int]) -> str:
        split = op("Reshape", x, const("split", np.array([0, 0, _HEADS, -1], np.int64)))
        return op("Transpose", split, perm=last)

    words = op("Gather", const("words", weights["embeddings.word_embeddings.weight"]), "ids")
    length = op("Shape", "ids", start=1, end=2)
    zero = const("zero", np.array([0], np.int64))
    places = op("Slice", const("places", weights["embeddings.position_embeddings.weight"]), zero, length)
    x = op("Add", words, op("Add", places, const("type", weights["embeddings.token_type_embeddings.weight"][0])))
    x = norm(x, "embeddings.LayerNorm")
    away = op("Sub", const("one", np.float32(1)), "mask")
    away = op("Mul", away, const("far", np.float32(-1e9)))
    away = op("Unsqueeze", away, const("axes", np.array([1, 2], np.int64)))
    shrink = const("shrink", np.float32((DIMENSIONS / _HEADS) ** -0.5))
    for layer in range(_LAYERS):
        at = f"encoder.layer.{layer}"
        query = heads(dense(x, f"{at}.attention.self.query"), [0, 2, 1, 3])
        key = heads(dense(x, f"{at}.attention.self.key"), [0, 2, 3, 1])
        value = heads(dense(x, f"{at}.attention.self.value"), [0, 2, 1, 3])
        scores = op("Add", op("Mul", op("MatMul", query, key), shrink), away)
        mixed = op("Transpose", op("MatMul", op("Softmax", scores, axis=-1), value), perm=[0, 2, 1, 3])
        mixed = op("Reshape", mixed, const("join", np.array([0, 0, DIMENSIONS], np.int64)))
        x = norm(op("Add", x, dense(mixed, f"{at}.attention.output.dense")), f"{at}.attention.output.LayerNorm")
        inner = op("Gelu", dense(x, f"{at}.intermediate.dense"))
        x = norm(op("Add", x, dense(inner, f"{at}.output.dense")), f"{at}.output.LayerNorm")
    last = const("last", np.array([-1], np.int64))
    along = const("along", np.array([1], np.int64))
    weighted = op("Mul", x, op("Unsqueeze", "mask", last))
    total = op("ReduceSum", weighted, along, keepdims=0)
    mean = op("Div", total, op("ReduceSum", "mask", along, keepdims=1))
    unit = op("Div", mean, op("ReduceL2", mean, along, keepdims=1))
    graph = helper.make_graph(
        nodes,
        "all-MiniLM-L6-v2",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", "length"]),
            helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["n", "length"]),
        ],
        [helper.make_tensor_value_info(unit, TensorProto.FLOAT, ["n", DIMENSIONS])],
        list(constants.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())
