"""How much `ollama pull` downloads, where it is known, so that nobody starts 8 GB unawares."""

from __future__ import annotations

# From the table of Ollama's own README and its library's pages (2025); what a bare name stands for may change.
_GIGABYTES = {
    "llama3.2-vision": 7.9,
    "llama3.2-vision:90b": 55,
    "llava": 4.7,
    "llava:13b": 8.0,
    "moondream": 1.7,
    "minicpm-v": 5.5,
    "qwen2.5vl": 6.0,
    "qwen2.5vl:3b": 3.2,
    "gemma3": 3.3,
    "gemma3:12b": 8.1,
    "qwen2.5": 4.7,
    "qwen2.5:0.5b": 0.4,
    "qwen2.5:1.5b": 1.0,
    "qwen2.5:3b": 1.9,
    "qwen2.5:14b": 9.0,
    "qwen3": 5.2,
    "llama3.2": 2.0,
    "llama3.2:1b": 1.3,
    "llama3.1": 4.9,
    "mistral": 4.1,
}


def size_bytes(model: str) -> int:
    """About how much a pull downloads; 0 where it is not known."""
    name, _, tag = model.partition(":")
    known = _GIGABYTES.get(model) or (_GIGABYTES.get(name) if tag == "latest" else None)
    return round((known or 0) * 1e9)


def said_size(model: str) -> str:
    """` (about 7.9 GB)`, or nothing where it is not known."""
    size = size_bytes(model)
    return f" (about {size / 1e9:.1f} GB)" if size else ""


def pull_command(model: str) -> str:
    """The command that brings a model."""
    return f"ollama pull {model.removesuffix(':latest')}"
