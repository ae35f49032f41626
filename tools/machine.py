"""What this machine has to compute with, seen without importing anything heavy."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache

from hopline.tools.home import machine_memory_mib

_LOOK_TIMEOUT_S = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """A machine.

    Attributes:
        memory_mib: that this process may have.
        cores: that it may use.
        gpu: name of the graphics card; empty where there is none that models compute on.
        gpu_memory_mib: of that card; on a Mac the machine's own, which it shares.
    """

    memory_mib: int
    cores: int
    gpu: str = ""
    gpu_memory_mib: int = 0

    def __str__(self) -> str:
        card = f"{self.gpu}, {self.gpu_memory_mib / 1024:.0f} GiB" if self.gpu else "no graphics card for models"
        return f"{self.memory_mib / 1024:.0f} GiB of memory, {self.cores} cores, {card}"


@lru_cache(maxsize=1)
def this_machine() -> Machine:
    """The machine we are on, looked at once."""
    memory_mib = round(machine_memory_mib())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return Machine(memory_mib=memory_mib, cores=cores, gpu="Apple", gpu_memory_mib=memory_mib)
    gpu, gpu_memory_mib = _nvidia()
    return Machine(memory_mib=memory_mib, cores=cores, gpu=gpu, gpu_memory_mib=gpu_memory_mib)


def _nvidia() -> tuple[str, int]:
    """Name and memory of the largest card that NVIDIA's driver lists."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "", 0
    cards = []
    with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
        command = [program, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_LOOK_TIMEOUT_S)
        for line in done.stdout.splitlines():
            name, _, mib = line.rpartition(",")
            cards.append((name.strip(), int(mib)))
    return max(cards, key=lambda card: card[1], default=("", 0))
