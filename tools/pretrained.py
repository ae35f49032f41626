"""What the backends on models of diffusers and transformers share: folder, identity, device, errors, windows."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import platform
import re
import sys
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from hopline.tools.backend import Backend, Call, MechanicalLoss, Missing, Result
from hopline.tools.errors import BackendFailed, HoplineError, MissingExtra, MissingModel, ResourceExceeded
from hopline.tools.home import limits, setting
from hopline.tools.hub import find_folder, folder_of, is_hub_id, size_of
from hopline.tools.weights import digest, fingerprint

_SHOWN_WORDS = 40
"""Of a long list of cut words a message shows no more; the details hold all."""


class Pretrained(Backend):
    """A backend whose model part is an id on the hub (`owner/name[@revision]`) or a folder of safetensors.

    Identity: sha256 over the model's files, the device and the number format it computes in.
    """

    code_version = "2"
    extra = "image"
    large = True
    default_model: ClassVar[str] = ""

    def __init__(self, model: str = "") -> None:
        super().__init__(model)
        self._loaded_from: object = None

    @property
    def model_name(self) -> str:
        """The model that is meant where none was written, too."""
        return self.model or self.default_model

    @property
    def dtype(self) -> str:
        """Name of the number format on this device: whole on a processor, half on a GPU."""
        return "float16" if device() == "cuda" else "float32"

    def identity(self) -> dict[str, str]:
        folder = find_folder(self.model_name)
        weights = digest(folder) if folder else "not here"
        return super().identity() | {
            "model": self.model_name,
            "weights": weights,
            "device": device(),
            "dtype": self.dtype,
        }

    def missing(self) -> tuple[Missing, ...]:
        if find_folder(self.model_name) is not None:
            return ()
        command = f"hopline models pull {self.model_name}" if is_hub_id(self.model_name) else ""
        return (Missing(what=f"model {self.model_name}", command=command, download_bytes=size_of(self.model_name)),)

    def load(self) -> None:
        for package in self.packages:
            if importlib.util.find_spec(package) is None:
                raise MissingExtra(f"{self.id} needs {package}.", hint=f"pip install 'hopline[{self.extra}]'")
        folder = folder_of(self.model_name)
        before = fingerprint(folder)
        prepare_torch()
        with translated(f"{self.model_name} could not be loaded", loading=True):
            self.open(folder)
        self._loaded_from = before

    @abstractmethod
    def open(self, folder: Path) -> None:
        """Bring the model in a checked folder into memory."""

    @abstractmethod
    def work(self, calls: Sequence[Call]) -> list[Result]:
        """Do the work of calls that fit one batch."""

    batch: ClassVar[int] = 1
    """Calls that `call_many` hands to `work` at once."""

    def call(self, call: Call) -> Result:
        (result,) = self.call_many([call])
        return result

    def call_many(self, calls: Sequence[Call]) -> list[Result]:
        if calls and self._loaded_from != fingerprint(folder_of(self.model_name)):
            # The files changed since: the identity of the hop speaks of the new ones.
            self.load()
        results = []
        for start in range(0, len(calls), self.batch):
            with translated(f"{self.model_name} failed"):
                results += self.work(calls[start : start + self.batch])
        return results


@lru_cache(maxsize=1)
def device() -> str:
    """`cuda`, `mps` or `cpu`: the setting, or the best that this machine and the installed torch have.

    Imports no torch: it looks for torch's CUDA library and asks the driver for a device.
    """
    chosen = limits().device
    if chosen != "auto":
        return chosen
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return "mps"
    found = importlib.util.find_spec("torch")
    built = found and found.origin and any((Path(found.origin).parent / "lib").glob("*torch_cuda.*"))
    return "cuda" if built and _cuda_devices() else "cpu"


def _cuda_devices() -> int:
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    count = ctypes.c_int(0)
    try:
        driver = ctypes.CDLL(name)
        ready = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    except (OSError, AttributeError):
        return 0
    return count.value if ready else 0


def prepare_torch() -> None:
    """Threads, repeatable kernels, quiet libraries; call before anything of a model is loaded.

    Raises:
        MissingExtra: the device that was chosen cannot be used with this torch.
    """
    import torch

    torch.set_num_threads(limits().threads)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[device()]:
        raise MissingExtra(
            f"torch cannot use the device {device()} here.",
            hint=f"Set {setting('device')}=cpu, or install a torch that can.",
        )
    for library in ("transformers", "diffusers"):
        if importlib.util.find_spec(library):
            logging = importlib.import_module(f"{library}.utils.logging")
            logging.set_verbosity_error()
            logging.disable_progress_bar()


def generator(seed: int) -> Any:
    """A torch generator on the processor, so that a seed means the same noise on every device."""
    import torch

    return torch.Generator("cpu").manual_seed(seed)


def load_model(kind: Any, folder: Path, dtype: str, variant: str | None = None) -> tuple[Any, list[str]]:
    """A model of transformers from a checked folder, ready to use on this machine's device.

    Args:
        kind: the class, or an automatic one.
        folder: checked by `hopline.tools.weights.check`.
        dtype: torch's name of the number format.
        variant: part of the names of its weights, `fp16`.

    Returns:
        The model, and the names of weights that the folder lacks: they are made up, and the output with them.
    """
    import torch

    model, told = kind.from_pretrained(
        folder,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        dtype=getattr(torch, dtype),
        variant=variant,
        output_loading_info=True,
    )
    # Used in training alone; what Wav2Vec2 was published without.
    missing = sorted(name for name in told["missing_keys"] if not name.endswith("masked_spec_embed"))
    return model.to(device()).eval(), missing


@contextmanager
def translated(what: str, *, loading: bool = False) -> Iterator[None]:
    """Errors of torch and the libraries on it, as ours.

    Raises:
        ResourceExceeded: memory ran out.
        MissingModel: on loading, a file that the model needs is not there.
        BackendFailed: anything else.
    """
    try:
        yield
    except HoplineError:
        raise
    except MemoryError as error:
        raise ResourceExceeded(f"{what}: memory ran out ({_short(error)}).") from None
    except Exception as error:  # these libraries raise whatever they like
        text = _short(error)
        if type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in text:
            raise ResourceExceeded(f"{what}: memory ran out ({text}).") from None
        if loading and isinstance(error, FileNotFoundError | OSError):
            raise MissingModel(f"{what}: {text}.") from error
        raise BackendFailed(f"{what}: {type(error).__name__}: {text}.") from error


def _short(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:400].rstrip(".")


# -- what a model cannot take in ---------------------------------------------------------------


def cut_words(text: str, tokenizer: Any, window: int) -> tuple[str, MechanicalLoss | None]:
    """What of a text a tokenizer has no room for.

    Args:
        text: whole.
        tokenizer: of transformers.
        window: tokens that its model reads, those that mark beginning and end included.

    Returns:
        The text that is read, and a `truncated` loss with the words that are cut; None where all is read.
    """

    def tokens(part: str) -> int:
        return len(tokenizer(part, add_special_tokens=False, truncation=False)["input_ids"])

    room = window - tokenizer.num_special_tokens_to_add()
    whole = tokens(text)
    if whole <= room:
        return text, None
    # By whole words: the beginning of a word may have more tokens than the word.
    ends = [word.end() for word in re.finditer(r"\S+", text)]
    fit = bisect_right(ends, room, key=lambda end: tokens(text[:end]))
    # Where a script has no spaces, a character is cut.
    at = ends[fit - 1] if fit else bisect_right(range(1, len(text)), room, key=lambda end: tokens(text[:end]))
    cut = text[at:].split()
    shown = " ".join(cut[:_SHOWN_WORDS]) + (" …" if len(cut) > _SHOWN_WORDS else "")
    kept = len(text[:at].split())
    loss = MechanicalLoss(
        kind="truncated",
        message=f"read are {window} of {whole + window - room} tokens; cut: {shown}",
        before=kept + len(cut),
        after=kept,
        unit="words",
    )
    return text[:at], loss
