"""Reads the tensors of a PyTorch weights file without PyTorch, and without running what it says.

A `.pth` is a pickle, and a pickle names functions to call. Here exactly four names are known:
the ordered dictionary, two kinds of storage, and the tensor; anything else is refused before it
is imported. This is the file format of PyTorch before 1.6: four pickles, then the raw storages.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hopline.tools.errors import StoreCorrupt

if TYPE_CHECKING:
    import numpy as np

    Tensors = Mapping[str, "np.ndarray[Any, np.dtype[Any]]"]

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_STORAGES = {("torch", "FloatStorage"): "<f4", ("torch", "LongStorage"): "<i8"}


def read_tensors(data: bytes) -> Tensors:
    """The tensors of a state dictionary, by name.

    Args:
        data: the bytes of the file, whose digest has been checked before.

    Raises:
        StoreCorrupt: it is no such file, is cut, or names anything but tensors.
    """
    stream = io.BytesIO(data)
    try:
        if (_Tensors(stream).load(), _Tensors(stream).load()) != (_MAGIC, _PROTOCOL):
            raise StoreCorrupt("this is not a PyTorch weights file of the old format.")
        system = _Tensors(stream).load()
        if not isinstance(system, dict) or system.get("little_endian") is not True:
            raise StoreCorrupt("this PyTorch weights file is not little-endian.")
        reader = _Tensors(stream)
        state = reader.load()
        storages = _storages(stream, _Tensors(stream).load(), reader.wanted)
        return {str(name): make(storages) for name, make in state.items()}
    except StoreCorrupt:
        raise
    except Exception as error:  # a pickle can go wrong in every way there is
        raise StoreCorrupt(f"this is not a PyTorch weights file of the old format: {error!r}.") from error


class _Tensors(pickle.Unpickler):
    """Knows ordered dictionaries, storages and tensors, and nothing else.

    A tensor becomes a function that cuts it out of the storages, which come later in the file.
    """

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self.wanted: dict[str, str] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return type("State", (OrderedDict,), {})  # its own, so that nothing outside can be altered
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda *arguments: _tensor(*arguments)
        if (module, name) in _STORAGES:
            return _STORAGES[module, name]
        raise StoreCorrupt(f"this weights file wants to call {module}.{name}; only tensors are read.")

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        kind, dtype, key, _, _, view = pid
        if kind != "storage" or dtype not in _STORAGES.values() or view is not None:
            raise StoreCorrupt(f"this weights file holds a {kind!r} that is not a plain storage.")
        self.wanted[str(key)] = dtype
        return str(key), dtype


def _tensor(
    storage: tuple[str, str], offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> Callable[[Mapping[str, Any]], Any]:
    key, _dtype = storage
    reach = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if any(size < 1 for size in shape) or any(step < 0 for step in stride) or offset < 0:
        raise StoreCorrupt(f"this weights file holds a tensor of an odd layout: {shape}, {stride}.")

    def cut(storages: Mapping[str, Any]) -> Any:
        import numpy as np

        flat = storages[key]
        if reach >= len(flat) or math.prod(shape) > len(flat):
            raise StoreCorrupt("this weights file holds a tensor that reaches beyond its storage.")
        steps = [step * flat.itemsize for step in stride]
        return np.lib.stride_tricks.as_strided(flat[offset:], shape, steps, writeable=False)

    return cut


def _storages(stream: io.BytesIO, keys: list[str], kinds: Mapping[str, str]) -> dict[str, Any]:
    import numpy as np

    found = {}
    for key in keys:
        (length,) = struct.unpack("<q", stream.read(8))
        dtype = np.dtype(kinds[key])
        data = stream.read(length * dtype.itemsize) if length >= 0 else b""
        if length < 0 or len(data) != length * dtype.itemsize:
            raise StoreCorrupt("this weights file is cut.")
        found[key] = np.frombuffer(data, dtype)
    return found
