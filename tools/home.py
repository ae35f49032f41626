"""Where things lie on this machine, and the limits that are on by default."""

from __future__ import annotations

import contextlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Literal

from platformdirs import user_data_path
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MEBIBYTE = 1024 * 1024


def home() -> Path:
    """`HOPLINE_HOME`, by default the user's data folder: journal, store and models."""
    chosen = os.environ.get("HOPLINE_HOME")
    return Path(chosen).expanduser() if chosen else user_data_path("hopline")


def models_folder() -> Path:
    """Where weights lie; `HOPLINE_MODELS` lets several homes share one."""
    chosen = os.environ.get("HOPLINE_MODELS")
    return Path(chosen).expanduser() if chosen else home() / "models"


def machine_memory_mib() -> float:
    """Memory that this process may have: the machine's, or its container's where that is less."""
    import psutil

    most = float(psutil.virtual_memory().total)
    with contextlib.suppress(OSError, ValueError):  # "max" where there is no limit
        most = min(most, float(Path("/sys/fs/cgroup/memory.max").read_text("ascii")))
    return most / MEBIBYTE


class Limits(BaseSettings):
    """Limits on by default; each is set by the environment variable `HOPLINE_` + its name.

    Every message about a limit names its variable.
    """

    model_config = SettingsConfigDict(env_prefix="HOPLINE_", frozen=True)

    max_file_mib: float = Field(default=200, gt=0, description="size of one attachment, MiB")
    max_image_megapixels: float = Field(default=64, gt=0, description="pixels of one picture, millions")
    max_image_frames: int = Field(default=500, gt=0, description="frames of one animated picture")
    max_audio_s: float = Field(default=3600, gt=0, description="length of one recording, seconds")
    max_video_s: float = Field(default=3600, gt=0, description="length of one video, seconds")
    max_text_characters: int = Field(default=1_000_000, gt=0, description="characters of one text")
    max_speech_characters: int = Field(default=100_000, gt=0, description="characters spoken in one hop")
    max_steps: int = Field(default=64, gt=0, description="steps of one plan")
    max_mapped_width: int = Field(default=64, gt=0, description="items over which one step is mapped")
    hop_timeout_s: float = Field(default=600, gt=0, description="wall clock of one hop, loading included")
    hop_memory_mib: float = Field(default=6144, gt=0, description="resident memory of one worker, MiB")
    plan_timeout_s: float = Field(
        default=120, gt=0, description="wall clock of one reply of the local model to a planner, seconds"
    )
    memory_mib: float = Field(
        default_factory=lambda: 0.6 * machine_memory_mib(), gt=0, description="resident memory of all workers, MiB"
    )
    chat_timeout_s: float = Field(default=300, gt=0, description="wall clock of one reply of a chat model, seconds")
    chat_num_ctx: int = Field(default=8192, ge=512, description="context of a chat model on Ollama, tokens")
    agent_model_calls: int = Field(default=24, gt=0, description="turns of a model that decides hop by hop")
    agent_tool_calls: int = Field(default=32, gt=0, description="calls that it may make in one run")
    agent_same_calls: int = Field(default=3, gt=0, description="times that it may make the very same call")
    agent_timeout_s: float = Field(default=1800, gt=0, description="wall clock of a hop-by-hop run, seconds")
    max_workers: int = Field(default=2, gt=0, description="hops that run side by side")
    disk_quota_mib: float = Field(default=20_480, gt=0, description="size of the artifact store, MiB")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(default="auto", description="where models compute")
    threads: int = Field(default=max(1, min(4, os.cpu_count() or 1)), gt=0, description="threads of one backend")


@lru_cache(maxsize=1)
def limits() -> Limits:
    """The limits of this process, read once; `limits.cache_clear()` reads them again."""
    return Limits()


def setting(name: str) -> str:
    """The environment variable of a limit: `max_file_mib` → `HOPLINE_MAX_FILE_MIB`."""
    return f"HOPLINE_{name.upper()}"
