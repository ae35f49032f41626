"""Weights are read without PyTorch, and a pickle that wants to run something does not get to."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hopline.tools.errors import StoreCorrupt
from hopline.tools.image_captioning.torch_file import read_tensors
from hypothesis import given, settings
from hypothesis import strategies as st

HEAD = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}]


def inner(value: Any) -> bytes:
    """A plain value as part of a pickle."""
    return pickle.dumps(value, 2)[2:-1]


def whole(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


def tensor(
    key: str, shape: Sequence[int], stride: Sequence[int], *, offset: int = 0, kind: str = "FloatStorage"
) -> bytes:
    """What `torch.save` writes for a tensor: a call of the rebuild function on a storage."""
    storage = b"(" + inner("storage") + f"ctorch\n{kind}\n".encode() + inner(key) + inner("cpu") + inner(4) + b"NtQ"
    plain = inner(offset) + inner(tuple(shape)) + inner(tuple(stride)) + b"\x89ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + plain + b"tR"


def file_of(entries: dict[str, bytes], storages: dict[str, np.ndarray[Any, np.dtype[Any]]]) -> bytes:
    state = b"ccollections\nOrderedDict\n)R(" + b"".join(inner(name) + body for name, body in entries.items()) + b"u"
    parts = [pickle.dumps(value, 2) for value in HEAD] + [whole(state), pickle.dumps(sorted(storages), 2)]
    return b"".join(parts) + b"".join(struct.pack("<q", s.size) + s.tobytes() for _, s in sorted(storages.items()))


FLOATS = np.arange(12, dtype="<f4")
GOOD = file_of({"weight": tensor("a", (3, 4), (4, 1))}, {"a": FLOATS})


def test_tensors_come_back_by_shape_stride_and_offset() -> None:
    data = file_of(
        {
            "rows": tensor("a", (3, 4), (4, 1)),
            "columns": tensor("a", (4, 3), (1, 4)),
            "tail": tensor("a", (2,), (1,), offset=10),
            "count": tensor("b", (), (), kind="LongStorage"),
        },
        {"a": FLOATS, "b": np.array([7], "<i8")},
    )
    tensors = read_tensors(data)
    assert list(tensors) == ["rows", "columns", "tail", "count"]
    np.testing.assert_array_equal(tensors["rows"], FLOATS.reshape(3, 4))
    np.testing.assert_array_equal(tensors["columns"], FLOATS.reshape(3, 4).T)
    np.testing.assert_array_equal(tensors["tail"], [10, 11])
    assert tensors["count"] == 7


CALLS = {
    "system": b"cposix\nsystem\n(X%s%stR",
    "eval": b"cbuiltins\neval\n(X%s%stR",
    "import": b"cimportlib\nimport_module\n(X%s%stR",
}


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("call", CALLS)
def test_a_poisoned_pickle_runs_nothing(call: str, place: int, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    argument = {
        "system": f"touch {canary}",
        "eval": f"open({str(canary)!r}, 'w')",
        "import": "antigravity",
    }[call].encode()
    poison = whole(CALLS[call] % (struct.pack("<I", len(argument)), argument))
    if call == "eval":  # the poison works: an ordinary unpickler would run it
        pickle.loads(poison).close()
        assert canary.exists()
        canary.unlink()
    parts = [pickle.dumps(value, 2) for value in HEAD]
    parts += [whole(b"ccollections\nOrderedDict\n)R"), pickle.dumps([], 2)]
    parts[place] = poison
    with pytest.raises(StoreCorrupt, match="only tensors are read"):
        read_tensors(b"".join(parts))
    assert not canary.exists()


def test_nothing_outside_can_be_altered() -> None:
    """A pickle may set attributes of what it names; what it gets here is its own."""
    from collections import OrderedDict

    state = b"ccollections\nOrderedDict\n" + b"(" + inner({}) + inner({"update": "spoiled"}) + b"tb" + b"0"
    parts = [pickle.dumps(value, 2) for value in HEAD]
    parts += [whole(state + b"ccollections\nOrderedDict\n)R"), pickle.dumps([], 2)]
    assert read_tensors(b"".join(parts)) == {}
    assert callable(OrderedDict.update)


@pytest.mark.parametrize(
    ("body", "storages"),
    [
        (tensor("a", (3, 5), (5, 1)), {"a": FLOATS}),
        (tensor("a", (12,), (1,), offset=1), {"a": FLOATS}),
        (tensor("a", (2**40,), (0,)), {"a": FLOATS}),
        (tensor("a", (3,), (-1,), offset=3), {"a": FLOATS}),
        (tensor("a", (0,), (1,)), {"a": FLOATS}),
        (tensor("a", (3, 4), (4,)), {"a": FLOATS}),
        (tensor("b", (3,), (1,)), {"a": FLOATS}),
        (inner("no tensor"), {"a": FLOATS}),
        (tensor("a", (3,), (1,), kind="ByteStorage"), {"a": FLOATS}),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused(body: bytes, storages: dict[str, Any]) -> None:
    with pytest.raises(StoreCorrupt):
        read_tensors(file_of({"weight": body}, storages))


@pytest.mark.parametrize("length", range(0, len(GOOD), 7))
def test_a_cut_file_is_refused(length: int) -> None:
    with pytest.raises(StoreCorrupt):
        read_tensors(GOOD[:length])


@settings(max_examples=300)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_changed_byte_never_raises_anything_else(place: int, byte: int) -> None:
    changed = bytearray(GOOD)
    changed[place] = byte
    try:
        tensors = read_tensors(bytes(changed))
    except StoreCorrupt:
        return
    assert all(tensor.nbytes <= 64 for tensor in tensors.values())
